//! Failures that wait for a look at the devices.
//!
//! When a program ends badly, its device may be why, and only a look that begins after the end can tell. So
//! the report waits for one; the inventory of that look goes before it. Who is to blame is not decided here.

use std::time::{Duration, Instant};

use fastgpu_core::ids::{Fence, TaskId};
use fastgpu_core::node::{Exit, ExitKind, HeldAttempt, Report};

use super::Link;

/// How long a report waits at most: a driver that hangs is given up before.
const DOUBT_MAX: Duration = Duration::from_secs(7);

/// A report that waits.
#[derive(Debug)]
pub(super) struct Doubt {
    task: TaskId,
    fence: Fence,
    exit: Exit,
    /// The look that it waits for.
    look: u64,
    until: Instant,
}

impl Link {
    /// Passes the end of an attempt on, at once or after a look at the devices.
    pub(super) fn pass_exit(&mut self, task: TaskId, fence: Fence, exit: Exit) {
        let looker = self.config.looker.as_ref().filter(|_| is_doubtful(&exit));
        let has_devices = || !self.shared.lock().inventory.devices.is_empty();
        match looker.filter(|_| has_devices()) {
            Some(looker) => {
                let (look, until) = (looker.look(), Instant::now() + DOUBT_MAX);
                self.doubts.push_back(Doubt { task, fence, exit, look, until });
            }
            None => self.pass(Report::Exited { task, fence, exit }),
        }
    }

    /// Takes doubtful ends out of what is held; they follow after a look.
    pub(super) fn pass_hello(&mut self, mut attempts: Vec<HeldAttempt>) {
        let mut ends = Vec::new();
        if self.config.looker.is_some() {
            for held in &mut attempts {
                if let Some(exit) = held.exit.take_if(|exit| is_doubtful(exit)) {
                    ends.push((held.task, held.fence, exit));
                }
            }
        }
        let inventory = self.inventory();
        self.pass(Report::Hello { inventory, attempts });
        ends.into_iter().for_each(|(task, fence, exit)| self.pass_exit(task, fence, exit));
    }

    /// Until when the first report waits.
    pub(super) fn doubt_ends_at(&self) -> Option<Instant> {
        self.doubts.front().map(|doubt| doubt.until)
    }

    /// Passes on what has waited for long enough.
    pub(super) fn settle_doubts(&mut self) {
        let looked = self.shared.lock().looked;
        let now = Instant::now();
        let is_over = |doubt: &Doubt| doubt.look <= looked || doubt.until <= now;
        if !self.doubts.front().is_some_and(is_over) {
            return;
        }
        let inventory = self.inventory();
        self.pass(Report::Inventory(inventory));
        while let Some(doubt) = self.doubts.pop_front_if(|doubt| is_over(doubt)) {
            let Doubt { task, fence, exit, .. } = doubt;
            self.pass(Report::Exited { task, fence, exit });
        }
    }
}

/// Whether something else than the program may have ended it.
fn is_doubtful(exit: &Exit) -> bool {
    !matches!(exit.how, ExitKind::Code(0) | ExitKind::BadSpec(_) | ExitKind::Infrastructure(_))
}
