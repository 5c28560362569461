//! What time has to do: the next moment at which something happens to a task by itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::TaskId;
use crate::part::{Effects, Figures, Part, Rules, entries};
use crate::task::{QueueCause, Task, TaskState, Work};
use crate::units::Timestamp;

/// The next moment of each task that has one.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Timers {
    due: BTreeSet<(Timestamp, TaskId)>,
}

/// What time does to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Due {
    /// The wait after a failure is over.
    Ready,
    /// It has waited for too long and goes before the others.
    Promote,
    /// It has waited longer than it was willing to.
    GiveUp,
    /// A reservation is over.
    Over,
}

impl Timers {
    /// The first moment of all, and whose it is.
    pub(in crate::state) fn first(&self) -> Option<(Timestamp, TaskId)> {
        self.due.first().copied()
    }
}

/// When something happens to the task by itself, and what.
pub(in crate::state) fn next(task: &Task) -> Option<(Timestamp, Due)> {
    match &task.state {
        TaskState::Queued { cause, .. } => {
            let ready = match cause {
                QueueCause::Retrying { not_before, .. } => Some((*not_before, Due::Ready)),
                _ => None,
            };
            let promote = task.standing.promote_at.filter(|_| task.standing.ordinary && task.is_ready());
            let patience = task.terms.limits.queue.filter(|_| task.attempt == 0);
            let gives_up = patience.map(|limit| (task.submitted_at.plus(limit), Due::GiveUp));
            let all = [ready, promote.map(|at| (at, Due::Promote)), gives_up];
            all.into_iter().flatten().min_by_key(|&(at, _)| at)
        }
        TaskState::Running { since, .. } => match (task.work, task.time_limit) {
            // A program's limit runs on its node's clock; a reservation has no node to do it.
            (Work::Reservation(_), Some(run)) => Some((since.plus(run), Due::Over)),
            _ => None,
        },
        _ => None,
    }
}

fn entry(task: &Task) -> Option<(Timestamp, TaskId)> {
    next(task).map(|(at, _)| (at, task.id))
}

impl Part for Timers {
    fn moved(
        &mut self,
        _: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let (old, new) = entries(old, new, entry);
        if old != new {
            if let Some(old) = old {
                self.due.remove(&old);
            }
            self.due.extend(new);
        }
        Effects::Nothing
    }

    fn assert_sound(&self, _: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        let due: BTreeSet<_> = tasks.values().filter_map(entry).collect();
        assert_eq!(self.due, due, "timers and tasks differ");
    }
}
