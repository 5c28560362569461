//! What was learned of how long tasks run, and where it puts those who wait.
//!
//! Every order of [`crate::policy::Order`] measures in the same unit, 64ths of a doubling of GPU-seconds, so that
//! ranks of one queue compare and a *gap* between two means the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::gittins::{LEVEL, log2};
use crate::ids::{Name, TaskId};
use crate::part::{Effects, Figures, Part, Rules};
use crate::policy::Order;
use crate::predict::{Predictor, Run};
use crate::task::{Standing, Task, TaskState};
use crate::units::{Millis, Timestamp};

/// Whoever was preempted is promoted after this long at the earliest.
const PROMOTION_MIN: Millis = Millis::from_secs(3_600);
/// Below this much time all tasks are equal: shorter than that nobody can be told apart.
const FLOOR: Millis = Millis::from_secs(60);

/// What ends of attempts taught, and who waits at a place that follows from it.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Learned {
    predictor: Predictor,
    /// Waiting tasks whose place follows from what is learned, by project and owner.
    follows: BTreeSet<(Name, Name, TaskId)>,
}

impl Learned {
    /// Takes in a run that ended well. Those about whom it may say something stand anew.
    pub(in crate::state) fn learn(&mut self, run: &Run) -> Effects {
        if !self.predictor.learn(run) {
            return Effects::Nothing;
        }
        let from = (run.project.clone(), run.owner.clone(), TaskId::MIN);
        let to = (run.project.clone(), run.owner.clone(), TaskId::MAX);
        Effects::StandAnew(self.follows.range(from..=to).map(|&(.., id)| id).collect())
    }

    /// How long a task will still run from `now` on, as far as anybody knows.
    pub(in crate::state) fn remaining(&self, task: &Task, now: Timestamp) -> Option<Millis> {
        let all = self.predictor.duration(task)?;
        let ran = task.ran(now);
        // Whoever ran longer than expected is expected to run as long again.
        Some(if ran < all { Millis(all.0 - ran.0) } else { Millis(ran.0.max(1)) })
    }

    /// The measure of a task's order at `now`, smaller goes first; see the module's page for its unit.
    pub(in crate::state) fn order_key(&self, rules: &Rules, task: &Task, now: Timestamp) -> u64 {
        let time = |span: Millis| log2(span.max(FLOOR).0 / 1_000);
        let by_shape = u64::from(log2(task.held_milli()));
        let by_time = match rules.of(task).order {
            Order::Fifo => return 0,
            Order::LeastAttained => {
                let service = u64::from(time(task.ran(now))) + by_shape;
                return service - service % LEVEL;
            }
            Order::Predicted => self.predictor.urgency(task, task.ran(now)).max(time(FLOOR)),
            Order::Shortest => match self.remaining(task, now) {
                // By time alone: a wide task that ends soon gives all of its devices back soon.
                Some(left) => return u64::from(time(left)),
                None => return u64::MAX,
            },
        };
        u64::from(by_time) + by_shape
    }

    /// Where its queue's policy wants a task at `now`.
    pub(in crate::state) fn standing(&self, rules: &Rules, task: &Task, now: Timestamp) -> Standing {
        let policy = rules.of(task);
        let waits_since = match &task.state {
            TaskState::Queued { since, .. } => *since,
            _ => now,
        };
        // Time that it ran does not count as waiting; who was preempted has an hour of its own at least.
        let in_all = task.submitted_at.plus(task.ran(now)).plus(policy.wait_max);
        let promote_at = in_all.max(waits_since.plus(policy.wait_max.min(PROMOTION_MIN)));
        Standing {
            priority: i64::from(task.priority) + i64::from(policy.priority),
            ordinary: task.standing.ordinary,
            key: self.order_key(rules, task, now),
            promote_at: (policy.order != Order::Fifo).then_some(promote_at),
        }
    }
}

fn entry(rules: &Rules, task: &Task) -> Option<(Name, Name, TaskId)> {
    let follows = task.is_ready() && rules.of(task).order == Order::Predicted;
    follows.then(|| (task.project.clone(), task.owner.clone(), task.id))
}

impl Part for Learned {
    fn moved(
        &mut self,
        rules: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        if let Some(task) = old.filter(|task| task.is_ready() && !self.follows.is_empty()) {
            // Also when its queue has another order by now.
            self.follows.remove(&(task.project.clone(), task.owner.clone(), task.id));
        }
        self.follows.extend(new.and_then(|task| entry(rules, task)));
        Effects::Nothing
    }

    fn assert_sound(&self, rules: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        let follows: BTreeSet<_> = tasks.values().filter_map(|task| entry(rules, task)).collect();
        assert_eq!(self.follows, follows, "who follows what is learned and who waits differ");
    }
}
