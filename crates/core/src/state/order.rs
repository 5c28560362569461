//! Where each waiting task stands: the orders of [`crate::policy::Order`] made into numbers.

use crate::ids::TaskId;
use crate::policy::{Order, QueuePolicy};
use crate::predict::{Run, shape_milli};
use crate::state::State;
use crate::task::{QueueCause, Standing, Task, TaskState};
use crate::units::{Millis, Timestamp};

/// Thousandths of a device times milliseconds in one GPU-second.
const GPU_SECOND: u64 = 1_000 * 1_000;

impl State {
    /// The rules of a task's queue; those of the default queue if its own was taken out of the configuration.
    #[must_use]
    pub fn policy_of(&self, task: &Task) -> QueuePolicy {
        self.config.queue(&task.queue).unwrap_or_default()
    }

    /// How long a task will still run from `now` on, as far as anybody knows.
    #[must_use]
    pub fn remaining(&self, task: &Task, now: Timestamp) -> Option<Millis> {
        let all = self.predictor.duration(task)?;
        let ran = self.ran(task, now);
        // Whoever ran longer than expected is expected to run as long again.
        Some(if ran < all { Millis(all.0 - ran.0) } else { Millis(ran.0.max(1)) })
    }

    /// When a placed task is expected to end; [`Timestamp::NEVER`] if nothing is known of it.
    #[must_use]
    pub fn expected_end(&self, id: TaskId, now: Timestamp) -> Timestamp {
        let expected = self.tasks.get(&id).and_then(|task| self.remaining(task, now));
        expected.map_or(Timestamp::NEVER, |left| now.plus(left)).min(self.ends_at(id))
    }

    /// GPU time of a task up to `now`, in thousandths of a device times milliseconds.
    #[must_use]
    pub fn attained(&self, task: &Task, now: Timestamp) -> u64 {
        let earlier = u64::try_from(task.attained).unwrap_or(0);
        let current = task.state.running_since().map_or(0, |since| now.since(since).0);
        earlier.saturating_add(current.saturating_mul(held_milli(task)))
    }

    /// How long a task has run up to `now`, over all of its attempts.
    fn ran(&self, task: &Task, now: Timestamp) -> Millis {
        Millis(self.attained(task, now) / held_milli(task).max(1))
    }

    /// Puts a waiting task where its queue's policy wants it.
    pub(super) fn stand(&self, task: &mut Task, now: Timestamp) {
        let policy = self.policy_of(task);
        let key = match policy.order {
            Order::Fifo => 0,
            Order::LeastAttained => level(self.attained(task, now)),
            Order::Shortest => self.remaining(task, now).map_or(u64::MAX, |left| left.0),
        };
        task.standing = Standing {
            priority: i64::from(task.priority) + i64::from(policy.priority),
            // Who once waited for too long stays first.
            ordinary: task.standing.ordinary,
            key,
        };
    }

    /// When a waiting task goes before all others of its priority and class.
    pub(super) fn promotion_of(&self, task: &Task) -> Option<Timestamp> {
        let policy = self.policy_of(task);
        match &task.state {
            TaskState::Queued { cause, since }
                if cause.is_ready() && task.standing.ordinary && policy.order != Order::Fifo =>
            {
                Some(since.plus(policy.wait_max))
            }
            _ => None,
        }
    }

    /// Puts a task that waited for too long before the others.
    pub(super) fn promote(&mut self, id: TaskId) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        self.leave(&task, false);
        task.standing.ordinary = false;
        self.enter(&task, false);
        self.tasks.insert(id, task);
    }

    /// Orders the whole queue anew, because a policy changed.
    pub(super) fn reorder(&mut self, now: Timestamp) {
        let waiting: Vec<TaskId> = self
            .tasks
            .values()
            .filter(|task| matches!(task.state, TaskState::Queued { .. }))
            .map(|task| task.id)
            .collect();
        for id in waiting {
            let mut task = self.tasks.remove(&id).expect("listed above");
            self.leave(&task, false);
            self.stand(&mut task, now);
            self.enter(&task, false);
            self.tasks.insert(id, task);
        }
    }

    /// Adds what an attempt used up to what the task has had, and learns from a good end.
    pub(super) fn remember_run(&mut self, id: TaskId, ended_well: bool, now: Timestamp) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (attained, ran) = (self.attained(task, now), self.ran(task, now));
        let ran_at_all = task.state.running_since().is_some();
        let task = self.tasks.get_mut(&id).expect("looked up above");
        task.attained = i64::try_from(attained).unwrap_or(i64::MAX);
        if ended_well && ran_at_all {
            let run = Run {
                project: task.project.clone(),
                owner: task.owner.clone(),
                name: task.name.clone(),
                milli: shape_milli(task),
                ran,
            };
            self.predictor.learn(&run);
        }
    }
}

/// Devices times share that a task holds, or would hold.
fn held_milli(task: &Task) -> u64 {
    let slices = |hold: &crate::task::Hold| {
        hold.grant.parts.iter().flat_map(|part| &part.slices).map(|slice| u64::from(slice.milli.get())).sum()
    };
    // A task without a GPU counts its time as if it held one.
    match task.state.hold().map_or_else(|| shape_milli(task), slices) {
        0 => 1_000,
        milli => milli,
    }
}

/// Which level of attained service, doubling from a GPU-minute on: within a level the older task goes first,
/// so that two tasks do not take turns for ever.
fn level(attained: u64) -> u64 {
    let minutes = attained / (60 * GPU_SECOND);
    u64::from(u64::BITS - minutes.leading_zeros())
}

/// The cause a round may place a task for.
pub(super) fn is_ready(task: &Task) -> bool {
    matches!(&task.state, TaskState::Queued { cause, .. } if QueueCause::is_ready(cause))
}
