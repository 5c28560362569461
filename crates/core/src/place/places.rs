//! Where each group of waiting tasks would go: scores of every node, kept from round to round.
//!
//! A score depends on the node, the shape and the mix alone, so what is kept never changes a decision: a
//! planner that begins anew decides the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ask::{Ask, GrantPart};
use crate::cluster::Cluster;
use crate::outlook::Outlook;
use crate::place::find::{Among, Wanted};
use crate::place::mirror::{Hidden, Mirror};
use crate::place::score::Scorer;
use crate::place::shape::Shape;
use crate::place::tree::Tree;
use crate::place::view::{Ground, View};
use crate::place::worth::{Standing, Worth};
use crate::policy::Placement;
use crate::queue::LaneId;

/// Scores kept at most, over all shapes (64 MiB); the shapes asked about longest ago go first.
const SCORES_MAX: usize = 1 << 23;
/// Shapes kept however many nodes there are.
const SHAPES_MIN: usize = 64;

/// The scores of all nodes for all shapes that were asked about lately.
#[derive(Debug, Default)]
pub(crate) struct Places {
    ground: Ground,
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
    /// Takes in what changed since the last round, and what is kept now.
    pub(crate) fn sync(&mut self, cluster: &Cluster, hidden: Hidden, outlook: &Outlook) {
        self.ground.sync(cluster, hidden, outlook);
        self.fresh.resize(self.ground.mirror.spots.len(), 0);
    }

    /// Takes this out of sight instead of what was kept before; `given` is what the round gave away so far.
    pub(crate) fn hide<'p>(
        &mut self,
        cluster: &Cluster,
        hidden: Hidden,
        given: impl Iterator<Item = &'p GrantPart> + Clone,
    ) {
        self.ground.mirror.hide(cluster, hidden, given);
    }

    /// Takes away what a round gave.
    pub(crate) fn take(&mut self, parts: &[GrantPart]) {
        parts.iter().for_each(|part| self.ground.mirror.take(part));
    }

    /// The cluster as the round sees it.
    pub(crate) const fn view<'a>(&'a self, cluster: &'a Cluster) -> View<'a> {
        View::new(&self.ground, cluster)
    }

    /// The same with this out of sight instead; `given` is what the round gave away so far.
    pub(crate) fn view_without<'a, 'p>(
        &'a self,
        cluster: &'a Cluster,
        hidden: &Hidden,
        given: impl Iterator<Item = &'p GrantPart> + Clone,
    ) -> View<'a> {
        let mut view = self.view(cluster);
        view.imagine(self.ground.mirror.with_hidden(cluster, hidden, given));
        view
    }

    /// Whether a task of this lane has a place now.
    pub(crate) fn fits(&mut self, lane: LaneId, wanted: Wanted<'_>, cluster: &Cluster) -> bool {
        match self.spanning(wanted.ask) {
            Some(shape) => self.view(cluster).has_place(&shape, Among::All),
            None => self.scored(lane, wanted, cluster).tree.best().is_some(),
        }
    }

    /// The place of a task of this lane, if it has one now.
    pub(crate) fn find(
        &mut self,
        lane: LaneId,
        wanted: Wanted<'_>,
        cluster: &Cluster,
    ) -> Option<Vec<GrantPart>> {
        if let Some(shape) = self.spanning(wanted.ask) {
            return self.view(cluster).search(wanted, &shape, Among::All);
        }
        self.scored(lane, wanted, cluster);
        let scored = &self.scored[&lane];
        self.view(cluster).search(wanted, &scored.shape, Among::Scored(&scored.tree))
    }

    /// The shape of an ask that may span nodes: no score of a single node says whether it fits.
    fn spanning(&self, ask: &Arc<Ask>) -> Option<Shape> {
        Shape::may_span(ask).then(|| {
            let mut shape = Shape::of(ask);
            shape.learn(&self.ground.mirror.kinds);
            shape
        })
    }

    /// The scores for a lane, up to date.
    fn scored(&mut self, lane: LaneId, wanted: Wanted<'_>, cluster: &Cluster) -> &Scored {
        self.make_room();
        let Self { ground, standings, scored, asked, fresh } = self;
        let Ground { mirror, worth } = &*ground;
        *asked += 1;
        let unknown = || Scored {
            shape: Shape::of(wanted.ask),
            placement: wanted.placement,
            tree: Tree::default(),
            cursor: u64::MAX,
            epoch: 0,
            asked: 0,
        };
        let entry = scored.entry(lane).or_insert_with(unknown);
        if entry.placement != wanted.placement {
            *entry = unknown();
        }
        entry.shape.learn(&mirror.kinds);
        let scorer = Scorer::new(wanted, ground);
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
        let per_shape = 2 * self.ground.mirror.spots.len().next_power_of_two();
        let shapes_max = (SCORES_MAX / per_shape.max(1)).max(SHAPES_MIN);
        if self.scored.len() < shapes_max {
            return;
        }
        let mut asked: Vec<u64> = self.scored.values().map(|scored| scored.asked).collect();
        let middle = asked.len() / 2;
        let (_, &mut median, _) = asked.select_nth_unstable(middle);
        self.scored.retain(|_, scored| scored.asked > median);
    }
}
