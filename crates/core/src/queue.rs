//! Tasks that wait for a place, grouped by shape.
//!
//! Tasks with equal asks fit or do not fit together, so a round asks once per shape, not once per task.
//! Within a shape, and among shapes, the order is: priority, class, then first come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ask::{Ask, Class};
use crate::ids::TaskId;
use crate::task::Task;

/// Where a waiting task stands; smaller goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    priority: Reverse<i32>,
    class: Class,
    /// Ids sort by submission: first come, first served, and a retried task keeps its age.
    task: TaskId,
}

impl Rank {
    /// The rank of a task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        Self { priority: Reverse(task.priority), class: task.ask.class, task: task.id }
    }

    /// Whose rank it is.
    #[must_use]
    pub const fn task(self) -> TaskId {
        self.task
    }
}

/// A number for a shape, for as long as tasks of it wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShapeId(u32);

/// All waiting tasks of one shape.
#[derive(Debug, Clone)]
pub struct Lane {
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
    shapes: BTreeMap<Arc<Ask>, ShapeId>,
    lanes: BTreeMap<ShapeId, Lane>,
    /// The first rank of every lane, so that the head of the whole queue is found at once.
    heads: BTreeSet<(Rank, ShapeId)>,
    /// Lanes that got a task or whose place in the world changed since the last round.
    changed: BTreeSet<ShapeId>,
    next_shape: u32,
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
    pub fn lanes(&self) -> impl Iterator<Item = (ShapeId, &Lane)> {
        self.lanes.iter().map(|(&id, lane)| (id, lane))
    }

    /// One lane.
    #[must_use]
    pub fn lane(&self, shape: ShapeId) -> Option<&Lane> {
        self.lanes.get(&shape)
    }

    /// The first task of each lane, in the order of the queue.
    pub fn heads(&self) -> impl Iterator<Item = Rank> + '_ {
        self.heads.iter().map(|&(rank, _)| rank)
    }

    /// How many tasks go before `rank`. Walks the queue: for people who ask, not for rounds.
    #[must_use]
    pub fn ahead_of(&self, rank: Rank) -> usize {
        self.lanes.values().map(|lane| lane.waiting.range(..rank).count()).sum()
    }

    pub(crate) fn changed(&self) -> &BTreeSet<ShapeId> {
        &self.changed
    }

    pub(crate) fn clear_changed(&mut self) {
        self.changed.clear();
    }

    pub(crate) fn insert(&mut self, task: &Task) {
        let shape = self.shape_of(&task.ask);
        let rank = Rank::of(task);
        let lane = self
            .lanes
            .entry(shape)
            .or_insert_with(|| Lane { ask: task.ask.clone(), waiting: BTreeSet::new() });
        let old_head = lane.waiting.first().copied();
        if !lane.waiting.insert(rank) {
            return;
        }
        self.len += 1;
        // A lane known not to fit stays so, however many more join it: only its first task matters.
        if old_head.is_none() {
            self.changed.insert(shape);
        }
        self.move_head(shape, old_head);
    }

    pub(crate) fn remove(&mut self, task: &Task) {
        let Some(&shape) = self.shapes.get(&task.ask) else { return };
        let Some(lane) = self.lanes.get_mut(&shape) else { return };
        let old_head = lane.waiting.first().copied();
        if !lane.waiting.remove(&Rank::of(task)) {
            return;
        }
        self.len -= 1;
        self.move_head(shape, old_head);
        if self.lanes.get(&shape).is_some_and(|lane| lane.waiting.is_empty()) {
            self.lanes.remove(&shape);
            self.shapes.remove(&task.ask);
            self.changed.remove(&shape);
        }
    }

    /// Makes the next round look at every lane again.
    pub(crate) fn touch_all(&mut self) {
        self.changed.extend(self.lanes.keys().copied());
    }

    fn shape_of(&mut self, ask: &Arc<Ask>) -> ShapeId {
        if let Some(&shape) = self.shapes.get(ask) {
            return shape;
        }
        let shape = ShapeId(self.next_shape);
        self.next_shape = self.next_shape.wrapping_add(1);
        self.shapes.insert(ask.clone(), shape);
        shape
    }

    fn move_head(&mut self, shape: ShapeId, old_head: Option<Rank>) {
        let new_head = self.lanes.get(&shape).and_then(|lane| lane.waiting.first().copied());
        if old_head == new_head {
            return;
        }
        if let Some(old) = old_head {
            self.heads.remove(&(old, shape));
        }
        if let Some(new) = new_head {
            self.heads.insert((new, shape));
        }
    }
}
