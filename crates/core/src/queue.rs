//! Tasks that wait for a place, grouped by queue and shape.
//!
//! Tasks of one queue with equal asks fit or do not fit together, so a round asks once per group, not once per
//! task. The order within a group, and among groups, is [`Rank`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ask::{Ask, Class};
use crate::ids::{Name, TaskId};
use crate::part::{Effects, Figures, Part, Rules};
use crate::policy::Order;
use crate::task::Task;
use crate::units::Timestamp;

/// Where a waiting task stands; smaller goes first: priority, class, whoever has waited for too long, the
/// measure of the queue's order, then first come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    priority: Reverse<i64>,
    class: Class,
    ordinary: bool,
    key: u64,
    /// Ids sort by submission: first come, first served, and a retried task keeps its age.
    task: TaskId,
}

impl Rank {
    /// The rank of a task, by its [`crate::task::Standing`].
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let standing = task.standing;
        Self {
            priority: Reverse(standing.priority),
            class: task.terms.ask.class,
            ordinary: standing.ordinary,
            key: standing.key,
            task: task.id,
        }
    }

    /// Whose rank it is.
    #[must_use]
    pub const fn task(self) -> TaskId {
        self.task
    }
}

/// Numbers of groups without a task that are kept.
const NUMBERS_KEPT: usize = 8_192;

/// A number for a queue and a shape; never used for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(u64);

/// All waiting tasks of one queue and shape.
#[derive(Debug, Clone)]
pub struct Lane {
    /// The queue.
    pub queue: Name,
    /// The shape.
    pub ask: Arc<Ask>,
    waiting: BTreeSet<Rank>,
}

impl Lane {
    /// The ranks of its tasks, first to last.
    pub fn ranks(&self) -> impl Iterator<Item = Rank> + '_ {
        self.waiting.iter().copied()
    }

    /// The rank behind `rank`.
    #[must_use]
    pub fn rank_after(&self, rank: Rank) -> Option<Rank> {
        self.waiting.range((std::ops::Bound::Excluded(rank), std::ops::Bound::Unbounded)).next().copied()
    }
}

/// The waiting tasks.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    ids: BTreeMap<(Name, Arc<Ask>), LaneId>,
    lanes: BTreeMap<LaneId, Lane>,
    /// The first rank of every lane, so that the head of the whole queue is found at once.
    heads: BTreeSet<(Rank, LaneId)>,
    /// Lanes that got a task or whose place in the world changed since the last round.
    changed: BTreeSet<LaneId>,
    next_lane: u64,
    len: usize,
}

impl Queue {
    /// How many tasks wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All lanes.
    pub fn lanes(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        self.lanes.iter().map(|(&id, lane)| (id, lane))
    }

    /// One lane.
    #[must_use]
    pub fn lane(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(&id)
    }

    /// The first task of each lane, in the order of the queue.
    pub fn heads(&self) -> impl Iterator<Item = Rank> + '_ {
        self.heads.iter().map(|&(rank, _)| rank)
    }

    /// Of each lane the first task that is not `settled`, in the order of the queue.
    pub fn heads_after<'a>(
        &'a self,
        settled: &'a impl Fn(TaskId) -> bool,
    ) -> impl Iterator<Item = Rank> + 'a {
        let mut next: BTreeSet<(Rank, LaneId)> = BTreeSet::new();
        let mut heads = self.heads.iter().copied().peekable();
        std::iter::from_fn(move || {
            loop {
                // Heads that were passed over come back as the task behind them, at its own rank.
                let from_heads = match (heads.peek(), next.first()) {
                    (Some(head), Some(behind)) => head < behind,
                    (head, _) => head.is_some(),
                };
                let (rank, lane) = if from_heads { heads.next() } else { next.pop_first() }?;
                if !settled(rank.task()) {
                    return Some(rank);
                }
                let behind = self.lanes.get(&lane).and_then(|found| found.rank_after(rank));
                next.extend(behind.map(|rank| (rank, lane)));
            }
        })
    }

    /// The first `count` tasks in the order of the queue. Merges the lanes: for people who ask, not for rounds.
    pub fn first(&self, count: usize) -> impl Iterator<Item = Rank> + '_ {
        let mut next: BTreeSet<(Rank, LaneId)> = self.heads.clone();
        std::iter::from_fn(move || {
            let (rank, lane) = next.pop_first()?;
            next.extend(
                self.lanes.get(&lane).and_then(|found| found.rank_after(rank)).map(|rank| (rank, lane)),
            );
            Some(rank)
        })
        .take(count)
    }

    /// How many tasks go before `rank`. Walks the queue: for people who ask, not for rounds.
    #[must_use]
    pub fn ahead_of(&self, rank: Rank) -> usize {
        self.lanes.values().map(|lane| lane.waiting.range(..rank).count()).sum()
    }

    pub(crate) fn changed(&self) -> &BTreeSet<LaneId> {
        &self.changed
    }

    pub(crate) fn clear_changed(&mut self) {
        self.changed.clear();
    }

    /// Adds a task. One that goes before its lane is looked at in the next round if `is_looked_at_as_head`.
    fn insert(&mut self, task: &Task, is_looked_at_as_head: bool) {
        let id = self.lane_of(task);
        let rank = Rank::of(task);
        let lane = self.lanes.entry(id).or_insert_with(|| Lane {
            queue: task.terms.queue.clone(),
            ask: task.terms.ask.clone(),
            waiting: BTreeSet::new(),
        });
        let old_head = lane.waiting.first().copied();
        if !lane.waiting.insert(rank) {
            return;
        }
        self.len += 1;
        // A lane known not to fit stays so, however many more join it. But room may be made for a new first task.
        if old_head.is_none_or(|old| is_looked_at_as_head && rank < old) {
            self.changed.insert(id);
        }
        self.move_head(id, old_head);
    }

    fn remove(&mut self, task: &Task) {
        let key = (task.terms.queue.clone(), task.terms.ask.clone());
        let Some(&id) = self.ids.get(&key) else { return };
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let old_head = lane.waiting.first().copied();
        if !lane.waiting.remove(&Rank::of(task)) {
            return;
        }
        self.len -= 1;
        self.move_head(id, old_head);
        if self.lanes.get(&id).is_some_and(|lane| lane.waiting.is_empty()) {
            self.lanes.remove(&id);
            self.changed.remove(&id);
            self.forget_numbers();
        }
    }

    /// A group that comes back keeps its number, and with it what planners know of it; numbers of groups long
    /// gone are forgotten.
    fn forget_numbers(&mut self) {
        if self.ids.len() > 2 * self.lanes.len() + NUMBERS_KEPT {
            let lanes = &self.lanes;
            self.ids.retain(|_, id| lanes.contains_key(id));
        }
    }

    /// Makes the next round look at every lane again.
    pub(crate) fn touch_all(&mut self) {
        self.changed.extend(self.lanes.keys().copied());
    }

    fn lane_of(&mut self, task: &Task) -> LaneId {
        let next = LaneId(self.next_lane);
        let id = *self.ids.entry((task.terms.queue.clone(), task.terms.ask.clone())).or_insert(next);
        if id == next {
            self.next_lane += 1;
        }
        id
    }

    fn move_head(&mut self, lane: LaneId, old_head: Option<Rank>) {
        let new_head = self.lanes.get(&lane).and_then(|lane| lane.waiting.first().copied());
        if old_head == new_head {
            return;
        }
        if let Some(old) = old_head {
            self.heads.remove(&(old, lane));
        }
        if let Some(new) = new_head {
            self.heads.insert((new, lane));
        }
    }
}

impl Part for Queue {
    fn moved(
        &mut self,
        rules: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let waits = |task: &&Task| task.is_ready();
        old.filter(waits).into_iter().for_each(|task| self.remove(task));
        if let Some(task) = new.filter(waits) {
            // By age nobody gains from a look at once; a shorter task does.
            self.insert(task, rules.of(task).order == Order::Shortest);
        }
        Effects::Nothing
    }

    fn assert_sound(&self, _: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        let waiting: BTreeSet<Rank> = tasks.values().filter(|task| task.is_ready()).map(Rank::of).collect();
        let queued: BTreeSet<Rank> = self.lanes.values().flat_map(Lane::ranks).collect();
        assert_eq!(queued, waiting, "the queue and the waiting tasks differ");
        assert_eq!(self.len, waiting.len());
        let heads: BTreeSet<(Rank, LaneId)> =
            self.lanes().filter_map(|(id, lane)| Some((lane.ranks().next()?, id))).collect();
        assert_eq!(self.heads, heads, "heads and lanes differ");
    }
}
