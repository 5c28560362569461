//! What time alone brings about.

use crate::cause::Cause;
use crate::ids::TaskId;
use crate::state::life::Ended;
use crate::state::parts::timers::{self, Due};
use crate::state::turn::Turn;
use crate::task::{Outcome, TaskEvent};

impl Turn<'_> {
    /// Everything that happens by itself up to now.
    pub(super) fn tick(&mut self) {
        while let Some((at, id)) = self.state.timers.first()
            && at <= self.now
        {
            let task = &self.state.tasks[&id];
            match timers::next(task) {
                Some((due_at, due)) if due_at == at => self.happen(id, due),
                other => unreachable!("the timer of {id} is at {at:?} and its own is {other:?}"),
            }
        }
    }

    fn happen(&mut self, id: TaskId, due: Due) {
        match due {
            Due::Ready => {
                let readied = self.advance(id, TaskEvent::Readied, Cause::Ready, None);
                readied.expect("a task that is to be tried again can be readied");
            }
            Due::Promote => self.promote(id),
            Due::GiveUp => {
                let limit = self.state.tasks[&id].terms.limits.queue;
                let detail = limit.map(|limit| format!("it waited longer than {limit}"));
                let given_up = self.advance(id, TaskEvent::QueueTimedOut, Cause::QueueTimeout, detail);
                given_up.expect("a task that waits can give up");
            }
            Due::Over => {
                let hold = self.state.tasks[&id].state.hold().expect("a reservation that runs is placed");
                self.finish(id, hold.grant.fence, Ended::Reservation(Outcome::Succeeded));
            }
        }
    }

    /// Puts a task that waited for too long before the others, or off until the next may be.
    fn promote(&mut self, id: TaskId) {
        let from = self.state.promotions.from();
        self.state.restand(id, self.now, |_, task| {
            if from > self.now {
                task.standing.promote_at = Some(from);
            } else {
                task.standing.ordinary = false;
            }
        });
    }
}
