//! The search itself: the best place that fits, by the placement of the task's queue.
//!
//! On one node the smallest score wins, and of equal ones the first node. A task that may span nodes goes to as
//! few as will do. Of a node's devices the ones that are closest to each other are taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ask::{Ask, GrantPart};
use crate::ids::NodeId;
use crate::place::score::Scorer;
use crate::place::shape::{Shape, closest};
use crate::place::tree::{NONE, Tree};
use crate::place::view::View;
use crate::place::worth::Standing;
use crate::policy::Placement;
use crate::retry::mixed;

/// For whom a place is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What must fit.
    pub ask: &'a Arc<Ask>,
    /// Which of the places that fit is taken.
    pub placement: Placement,
    /// Makes random placements of equal tasks differ.
    pub salt: u64,
}

/// Where a search looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Among<'a> {
    /// At every node.
    All,
    /// At these nodes only.
    Nodes(&'a BTreeSet<NodeId>),
    /// At every node, by scores that are known already.
    Scored(&'a Tree),
}

impl View<'_> {
    /// The best place for a task, among `nodes` only if there are any given; `None` if it fits nowhere.
    #[must_use]
    pub fn find(&self, wanted: Wanted<'_>, nodes: Option<&BTreeSet<NodeId>>) -> Option<Vec<GrantPart>> {
        self.search(wanted, &self.shape(wanted.ask), nodes.map_or(Among::All, Among::Nodes))
    }

    /// The same for an ask that is made ready already.
    pub(crate) fn search(
        &self,
        wanted: Wanted<'_>,
        shape: &Shape,
        among: Among<'_>,
    ) -> Option<Vec<GrantPart>> {
        if shape.spans() {
            return self.across(shape, among);
        }
        let scorer = Scorer::new(wanted, self.ground);
        let score = |at: usize| {
            let spot = self.spot(at);
            // What a node is worth takes longer to say than that it has no place.
            if shape.count_on(spot, self.cluster).is_none_or(|count| count < shape.min) {
                return NONE;
            }
            let is_by_worth = scorer.is_by_worth();
            let standing = if is_by_worth { self.ground.worth.standing(spot) } else { Standing::default() };
            scorer.score(shape, spot, standing, self.cluster)
        };
        let at = match (among, wanted.placement) {
            (Among::Scored(tree), Placement::Random) => drawn(|| tree.positions(), wanted.salt),
            (Among::Scored(tree), _) => tree.best(),
            (_, Placement::Random) => {
                drawn(|| self.positions(among).filter(|&at| score(at) != NONE), wanted.salt)
            }
            _ => self.best(among, score),
        };
        at.map(|at| vec![scorer.choose(shape, self.spot(at), self.cluster)])
    }

    /// Whether there is any place at all.
    pub(crate) fn has_place(&self, shape: &Shape, among: Among<'_>) -> bool {
        let mut counts = self.positions(among).filter_map(|at| shape.count_on(self.spot(at), self.cluster));
        if !shape.spans() {
            return counts.any(|count| count >= shape.min);
        }
        let mut missing = shape.min;
        counts.any(|count| {
            missing = missing.saturating_sub(count);
            missing == 0 && count > 0
        })
    }

    /// The first position with the smallest score.
    fn best(&self, among: Among<'_>, score: impl Fn(usize) -> u32) -> Option<usize> {
        let scored = self.positions(among).map(|at| (score(at), at));
        scored.filter(|&(score, _)| score != NONE).min().map(|(_, at)| at)
    }

    fn positions<'v>(&'v self, among: Among<'v>) -> impl Iterator<Item = usize> + 'v {
        let (all, some) = match among {
            Among::All | Among::Scored(_) => (Some(0..self.len()), None),
            Among::Nodes(nodes) => (None, Some(nodes)),
        };
        let some = some.into_iter().flatten().filter_map(|&node| self.ground.mirror.position(node));
        all.into_iter().flatten().chain(some)
    }

    /// Fewest nodes first: fills the nodes with the most fitting devices, and puts the rest where it fits
    /// tightest.
    fn across(&self, shape: &Shape, among: Among<'_>) -> Option<Vec<GrantPart>> {
        let count_on = |at| shape.count_on(self.spot(at), self.cluster).filter(|&count| count > 0);
        let mut offers: Vec<(usize, usize)> =
            self.positions(among).filter_map(|at| count_on(at).map(|count| (count, at))).collect();
        let all: usize = offers.iter().map(|&(count, _)| count).sum();
        if all < shape.min {
            return None;
        }
        offers.sort_unstable_by_key(|&(count, at)| (std::cmp::Reverse(count), at));
        let mut missing = all.min(shape.max);
        let mut parts = Vec::new();
        let mut rest = offers.as_slice();
        while let (Some((&(most, at), others)), true) = (rest.split_first(), missing > 0) {
            // The last node is the one with the least to spare.
            let tightest =
                rest.iter().rev().find(|&&(count, _)| count >= missing).filter(|_| most >= missing);
            let (count, at) = tightest.map_or((most, at), |&(_, at)| (missing, at));
            parts.push(self.part_of(shape, at, count));
            missing -= count;
            rest = others;
        }
        parts.sort_by_key(|part| part.node);
        Some(parts)
    }

    fn part_of(&self, shape: &Shape, at: usize, count: usize) -> GrantPart {
        let spot = self.spot(at);
        let slots = &spot.slots;
        let mut fitting: Vec<usize> =
            (0..slots.len()).filter(|&place| shape.need(&slots[place]).is_some()).collect();
        fitting.sort_by_key(|&place| (slots[place].milli, slots[place].memory, place));
        shape.part(spot, &closest(slots, &fitting, count), self.cluster)
    }
}

/// One of the positions that fit, by a hash of `salt`.
fn drawn<I: Iterator<Item = usize>>(fitting: impl Fn() -> I, salt: u64) -> Option<usize> {
    let pick = mixed(salt).checked_rem(fitting().count() as u64)?;
    fitting().nth(usize::try_from(pick).expect("less than the number of nodes"))
}
