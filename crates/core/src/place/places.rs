//! Where each group of waiting tasks would go: scores of every node, kept from round to round.
//!
//! A score depends on the node, the shape and the mix alone, so what is kept never changes a decision: a
//! planner that begins anew decides the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ask::{Ask, GrantPart, Spread};
use crate::cluster::Cluster;
use crate::outlook::Outlook;
use crate::place::mirror::{Hidden, Mirror};
use crate::place::score::Scorer;
use crate::place::shape::{Shape, closest};
use crate::place::tree::Tree;
use crate::place::worth::{Standing, Worth};
use crate::policy::Placement;
use crate::queue::LaneId;
use crate::retry::mixed;

/// Scores kept at most, over all shapes (64 MiB); the shapes asked about longest ago go first.
const SCORES_MAX: usize = 1 << 23;
/// Shapes kept however many nodes there are.
const SHAPES_MIN: usize = 64;

/// Which tasks a place is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) lane: LaneId,
    pub(crate) ask: &'a Arc<Ask>,
    pub(crate) placement: Placement,
    /// Makes random placements of equal tasks differ.
    pub(crate) salt: u64,
}

/// The scores of all nodes for all shapes that were asked about lately.
#[derive(Debug, Default)]
pub(crate) struct Places {
    mirror: Mirror,
    worth: Worth,
    standings: Standings,
    scored: BTreeMap<LaneId, Scored>,
    /// How often anybody asked.
    asked: u64,
    /// At which question each position was last scored, so that none is scored twice for one.
    fresh: Vec<u64>,
}

/// What every node is worth as it stands: a part of each score that no shape changes.
#[derive(Debug, Default)]
struct Standings {
    of: Vec<Standing>,
    /// How far the mirror's log has been taken in.
    cursor: u64,
    epoch: u64,
}

impl Standings {
    fn sync(&mut self, worth: &Worth, mirror: &Mirror) {
        let spots = &mirror.spots;
        let is_current = self.epoch == worth.epoch() && self.of.len() == spots.len();
        let changed = mirror.changed_since(self.cursor).filter(|changed| changed.len() < spots.len());
        match changed.filter(|_| is_current) {
            Some(changed) => {
                changed.iter().for_each(|&at| self.of[at as usize] = worth.standing(&spots[at as usize]));
            }
            None => self.of = spots.iter().map(|spot| worth.standing(spot)).collect(),
        }
        self.cursor = mirror.log_end();
        self.epoch = worth.epoch();
    }
}

/// The scores of all nodes for one shape.
#[derive(Debug)]
struct Scored {
    shape: Shape,
    placement: Placement,
    tree: Tree,
    /// How far the mirror's log has been taken in.
    cursor: u64,
    /// Which tables the scores rest on.
    epoch: u64,
    /// At which question it was last wanted.
    asked: u64,
}

impl Places {
    /// Takes in what changed since the last round.
    pub(crate) fn sync(&mut self, cluster: &Cluster, hidden: Hidden, outlook: &Outlook) {
        self.mirror.sync(cluster, hidden);
        self.worth.sync(outlook, &self.mirror);
        self.fresh.resize(self.mirror.spots.len(), 0);
    }

    /// Takes away what a round gave.
    pub(crate) fn take(&mut self, parts: &[GrantPart]) {
        parts.iter().for_each(|part| self.mirror.take(part));
    }

    /// Whether a task has a place now.
    pub(crate) fn fits(&mut self, wanted: Wanted<'_>, cluster: &Cluster) -> bool {
        if spans(wanted.ask) {
            return self.place_on_many(wanted.ask, cluster).is_some();
        }
        self.scored(wanted, cluster).tree.best().is_some()
    }

    /// The place of a task, if it has one now.
    pub(crate) fn place(&mut self, wanted: Wanted<'_>, cluster: &Cluster) -> Option<Vec<GrantPart>> {
        if spans(wanted.ask) {
            return self.place_on_many(wanted.ask, cluster);
        }
        let tree = &self.scored(wanted, cluster).tree;
        let at = match wanted.placement {
            Placement::Random => drawn(tree, wanted.salt)?,
            _ => tree.best()?,
        };
        let scored = &self.scored[&wanted.lane];
        let scorer = Scorer::new(wanted, &self.worth, &self.mirror);
        Some(vec![scorer.choose(&scored.shape, &self.mirror, at, cluster)])
    }

    /// The scores for a lane, up to date.
    fn scored(&mut self, wanted: Wanted<'_>, cluster: &Cluster) -> &Scored {
        self.make_room();
        let Self { mirror, worth, standings, scored, asked, fresh } = self;
        *asked += 1;
        let unknown = || Scored {
            shape: Shape::of(wanted.ask),
            placement: wanted.placement,
            tree: Tree::default(),
            cursor: u64::MAX,
            epoch: 0,
            asked: 0,
        };
        let entry = scored.entry(wanted.lane).or_insert_with(unknown);
        if entry.placement != wanted.placement {
            *entry = unknown();
        }
        entry.shape.learn(&mirror.kinds);
        let scorer = Scorer::new(wanted, worth, mirror);
        if scorer.is_by_worth() {
            standings.sync(worth, mirror);
        } else {
            standings.of.resize(mirror.spots.len(), Standing::default());
        }
        let score =
            |shape: &Shape, at: usize| scorer.score(shape, &mirror.spots[at], standings.of[at], cluster);
        let epoch = scorer.epoch();
        let changed = mirror.changed_since(entry.cursor).filter(|changed| changed.len() < mirror.spots.len());
        match changed.filter(|_| entry.epoch == epoch) {
            Some(changed) => {
                for &at in changed {
                    let at = at as usize;
                    if std::mem::replace(&mut fresh[at], *asked) != *asked {
                        entry.tree.set(at, score(&entry.shape, at));
                    }
                }
            }
            None => {
                let scores = (0..mirror.spots.len()).map(|at| score(&entry.shape, at));
                entry.tree = Tree::of(scores);
            }
        }
        entry.cursor = mirror.log_end();
        entry.epoch = epoch;
        entry.asked = *asked;
        entry
    }

    /// Forgets the half of the shapes that was asked about longest ago, when there are too many.
    fn make_room(&mut self) {
        let per_shape = 2 * self.mirror.spots.len().next_power_of_two();
        let shapes_max = (SCORES_MAX / per_shape.max(1)).max(SHAPES_MIN);
        if self.scored.len() < shapes_max {
            return;
        }
        let mut asked: Vec<u64> = self.scored.values().map(|scored| scored.asked).collect();
        let middle = asked.len() / 2;
        let (_, &mut median, _) = asked.select_nth_unstable(middle);
        self.scored.retain(|_, scored| scored.asked > median);
    }

    /// Fewest nodes first: fills the nodes with the most fitting devices, and puts the rest where it fits
    /// tightest.
    fn place_on_many(&self, ask: &Arc<Ask>, cluster: &Cluster) -> Option<Vec<GrantPart>> {
        let mut shape = Shape::of(ask);
        shape.learn(&self.mirror.kinds);
        let count = |spot| shape.count_on(spot, cluster).filter(|&count| count > 0);
        let mut offers: Vec<(usize, usize)> = self
            .mirror
            .spots
            .iter()
            .enumerate()
            .filter_map(|(at, spot)| count(spot).map(|count| (count, at)))
            .collect();
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
            parts.push(self.part_of(&shape, at, count, cluster));
            missing -= count;
            rest = others;
        }
        parts.sort_by_key(|part| part.node);
        Some(parts)
    }

    fn part_of(&self, shape: &Shape, at: usize, count: usize, cluster: &Cluster) -> GrantPart {
        let slots = &self.mirror.spots[at].slots;
        let mut fitting: Vec<usize> =
            (0..slots.len()).filter(|&place| shape.need(&slots[place]).is_some()).collect();
        fitting.sort_by_key(|&place| (slots[place].milli, slots[place].memory, place));
        shape.part(&self.mirror, at, &closest(slots, &fitting, count), cluster)
    }
}

/// Whether a task may be spread over several nodes.
fn spans(ask: &Ask) -> bool {
    ask.constraints.spread == Spread::AnyNodes && ask.devices.max > 1
}

/// One of the positions that fit, by a hash of `salt`.
fn drawn(tree: &Tree, salt: u64) -> Option<usize> {
    let fitting = tree.positions().count() as u64;
    let pick = mixed(salt).checked_rem(fitting)?;
    tree.positions().nth(usize::try_from(pick).expect("less than the number of nodes"))
}
