//! Where each waiting task stands: the orders of [`crate::policy::Order`] made into numbers.
//!
//! Every order measures in the same unit, 64ths of a doubling of GPU-seconds, so that ranks of one queue compare
//! and a *gap* between two means the same everywhere.

use crate::ask::Class;
use crate::config::Config;
use crate::gittins::{LEVEL, log2};
use crate::ids::{NodeId, TaskId};
use crate::plan::SHIELD_OF_PROMOTED;
use crate::policy::{Order, Preempt, QueuePolicy};
use crate::predict::{Run, shape_milli};
use crate::state::State;
use crate::task::{QueueCause, Standing, Task, TaskState, Work};
use crate::units::{Millis, Timestamp};

/// Whoever was preempted is promoted after this long at the earliest.
const PROMOTION_MIN: Millis = Millis::from_secs(3_600);
/// One part in this many of all devices is set aside for promoted tasks.
const PROMOTED_PART: u64 = 8;
/// Below this much time all tasks are equal: shorter than that nobody can be told apart.
const FLOOR: Millis = Millis::from_secs(60);

impl State {
    /// The rules of a task's queue.
    #[must_use]
    pub fn policy_of(&self, task: &Task) -> QueuePolicy {
        self.policy_of_queue(&task.queue)
    }

    /// The rules of a queue; those that nobody set if it was taken out of the configuration.
    pub(crate) fn policy_of_queue(&self, name: &str) -> QueuePolicy {
        self.config.queue(name).unwrap_or_default()
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
    #[must_use]
    pub fn ran(&self, task: &Task, now: Timestamp) -> Millis {
        Millis(self.attained(task, now) / held_milli(task).max(1))
    }

    /// The measure of a task's order at `now`, smaller goes first; see the module's page for its unit.
    #[must_use]
    pub fn order_key(&self, task: &Task, now: Timestamp) -> u64 {
        let time = |span: Millis| log2(span.max(FLOOR).0 / 1_000);
        let by_shape = u64::from(log2(held_milli(task)));
        let by_time = match self.policy_of(task).order {
            Order::Fifo => return 0,
            Order::LeastAttained => {
                let service = u64::from(time(self.ran(task, now))) + by_shape;
                return service - service % LEVEL;
            }
            Order::Predicted => self.predictor.urgency(task, self.ran(task, now)).max(time(FLOOR)),
            Order::Shortest => match self.remaining(task, now) {
                // By time alone: a wide task that ends soon gives all of its devices back soon.
                Some(left) => return u64::from(time(left)),
                None => return u64::MAX,
            },
        };
        u64::from(by_time) + by_shape
    }

    /// Puts a waiting task where its queue's policy wants it.
    pub(super) fn stand(&self, task: &mut Task, now: Timestamp) {
        let policy = self.policy_of(task);
        let waits_since = match &task.state {
            TaskState::Queued { since, .. } => *since,
            _ => now,
        };
        // Time that it ran does not count as waiting; who was preempted has an hour of its own at least.
        let in_all = task.submitted_at.plus(self.ran(task, now)).plus(policy.wait_max);
        let promote_at = in_all.max(waits_since.plus(policy.wait_max.min(PROMOTION_MIN)));
        task.standing = Standing {
            priority: i64::from(task.priority) + i64::from(policy.priority),
            ordinary: task.standing.ordinary,
            key: self.order_key(task, now),
            promote_at: (policy.order != Order::Fifo).then_some(promote_at),
        };
    }

    /// When a waiting task goes before all others of its priority and class.
    pub(super) fn promotion_of(&self, task: &Task) -> Option<Timestamp> {
        task.standing.promote_at.filter(|_| task.standing.ordinary && is_ready(task))
    }

    /// Puts a task that waited for too long before the others. One promotion pushes the next out by the time its
    /// shield takes of the devices set aside for promotions: else, where everybody waits for too long, the order
    /// would be gone.
    pub(super) fn promote(&mut self, id: TaskId, now: Timestamp) {
        if self.promotions_from > now {
            let later = self.promotions_from;
            return self.replace(id, |_, task| task.standing.promote_at = Some(later));
        }
        let devices: u64 = self.cluster.nodes().map(|node| node.devices.len() as u64).sum();
        let set_aside = (1_000 * devices / PROMOTED_PART).max(1);
        let pause = Millis(held_milli(&self.tasks[&id]).saturating_mul(SHIELD_OF_PROMOTED.0) / set_aside);
        self.promotions_from = now.plus(pause);
        self.replace(id, |_, task| task.standing.ordinary = false);
    }

    /// Lives by another configuration from now on: the whole queue is ordered anew.
    pub(super) fn live_by(&mut self, config: Config, now: Timestamp) {
        let live: Vec<TaskId> = self.tasks.keys().copied().collect();
        // What hangs on a task follows from the configuration it was put there by.
        live.iter().for_each(|id| self.leave(&self.tasks[id].clone(), true));
        self.config = config;
        for id in live {
            let mut task = self.tasks.remove(&id).expect("listed above");
            if is_ready(&task) {
                self.stand(&mut task, now);
            }
            self.enter(&task, true);
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
        if !ended_well || !ran_at_all {
            return;
        }
        let run = Run {
            project: task.project.clone(),
            owner: task.owner.clone(),
            name: task.name.clone(),
            milli: shape_milli(task),
            ran,
        };
        if self.predictor.learn(&run) {
            self.reorder_predicted(&run, now);
        }
    }

    /// Orders the waiting tasks anew about which an end says something.
    fn reorder_predicted(&mut self, run: &Run, now: Timestamp) {
        let from = (run.project.clone(), run.owner.clone(), TaskId::MIN);
        let to = (run.project.clone(), run.owner.clone(), TaskId::MAX);
        let waiting: Vec<TaskId> = self.predicted.range(from..=to).map(|&(.., id)| id).collect();
        for id in waiting {
            // Most keep their place.
            let task = &self.tasks[&id];
            if self.order_key(task, now) != task.standing.key {
                self.replace(id, |state, task| state.stand(task, now));
            }
        }
    }

    /// Whether the place of a waiting task follows from what is learned.
    pub(super) fn is_predicted(&self, task: &Task) -> bool {
        is_ready(task) && self.policy_of(task).order == Order::Predicted
    }

    /// The nodes on which somebody may be allowed to stop a task.
    pub(super) fn preemptible_on(&self, task: &Task) -> Vec<NodeId> {
        let TaskState::Running { hold, .. } = &task.state else { return Vec::new() };
        let is_program = matches!(task.work, Work::Program(_));
        let may_be = match task.ask.class {
            Class::Guaranteed => false,
            Class::Standard => self.policy_of(task).preempt == Preempt::Any,
            Class::Spot => true,
        };
        if is_program && may_be { hold.grant.nodes().collect() } else { Vec::new() }
    }

    /// Changes where a task stands, and everything that depends on it.
    pub(super) fn replace(&mut self, id: TaskId, change: impl FnOnce(&Self, &mut Task)) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        self.leave(&task, false);
        change(self, &mut task);
        self.enter(&task, false);
        self.tasks.insert(id, task);
    }
}

/// Devices times share that a task holds, or would hold, in thousandths.
#[must_use]
pub(crate) fn held_milli(task: &Task) -> u64 {
    let slices = |hold: &crate::task::Hold| {
        hold.grant.parts.iter().flat_map(|part| &part.slices).map(|slice| u64::from(slice.milli.get())).sum()
    };
    // A task without a GPU counts its time as if it held one.
    match task.state.hold().map_or_else(|| shape_milli(task), slices) {
        0 => 1_000,
        milli => milli,
    }
}

/// Whether a round may place the task.
pub(super) fn is_ready(task: &Task) -> bool {
    matches!(&task.state, TaskState::Queued { cause, .. } if QueueCause::is_ready(cause))
}
