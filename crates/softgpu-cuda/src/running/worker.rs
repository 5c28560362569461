//! The threads of this process that carry on when no call does. They sleep while there is nothing to do.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};
use std::time::{Duration, Instant};

use fastgpu_softgpu::ledger::{ClockMode, wait_on};

use super::suspend;
use crate::engine::jobs::Willing;
use crate::engine::wait::{DEATHS_SEEN, LookAt};
use crate::process::Process;
use crate::sys::{spawn, thread_id};

/// Whether the threads were started.
static STARTED: AtomicBool = AtomicBool::new(false);
/// Longest sleep while there is work: others may bring work that changes when ours is done.
const LOOK_AGAIN_NS: u64 = 50_000_000;

impl Process {
    /// Starts the threads, the first time.
    pub(crate) fn start_workers(&'static self) {
        if !STARTED.swap(true, AcqRel) {
            spawn("softgpu", move || self.work());
            spawn("softgpu-host", move || self.call_host_functions());
        }
    }

    fn work(&self) {
        let bell = &self.words().doorbell;
        self.words().worker_tid.store(thread_id(), Release);
        let mut looked = Instant::now();
        loop {
            let heard = bell.load(Acquire);
            self.asleep.store(true, SeqCst);
            let mut state = self.state();
            let moved = state.pump(self);
            let look_at = state.look_again_at(self);
            let idle = state.active.is_empty();
            let awaits = state.awaits_others();
            drop(state);
            self.settle_freed(false);
            if moved {
                self.progress.notify_all();
            }
            suspend::serve(self);
            if self.help(Willing::Bytes) {
                continue;
            }
            if awaits && looked.elapsed() > DEATHS_SEEN {
                self.ledger.reap();
                looked = Instant::now();
            }
            let sleep = self.sleep_for(idle, look_at);
            wait_on(bell, heard, if awaits { sleep.or(Some(DEATHS_SEEN)) } else { sleep });
        }
    }

    fn sleep_for(&self, idle: bool, look_at: Option<LookAt>) -> Option<Duration> {
        let polls = look_at.is_some_and(|look_at| look_at.polls);
        // A test clock rings when it moves; a word in memory does not.
        if idle || !(polls || self.ledger.clock_mode() == ClockMode::Machine) {
            return None;
        }
        let left = look_at.map_or(LOOK_AGAIN_NS, |look| look.at_ns.saturating_sub(self.ledger.now_ns()));
        Some(Duration::from_nanos(left.clamp(20_000, LOOK_AGAIN_NS)))
    }

    fn call_host_functions(&self) {
        loop {
            if !self.help(Willing::Host) {
                let state = self.state();
                if state.is_ending_due() {
                    continue;
                }
                let waited = if state.active.is_empty() && state.retired.is_empty() {
                    self.progress.wait(state).map(drop).is_ok()
                } else {
                    let timeout = Duration::from_nanos(LOOK_AGAIN_NS);
                    self.progress.wait_timeout(state, timeout).map(drop).is_ok()
                };
                if !waited {
                    return;
                }
            }
            self.ring_worker();
        }
    }

    /// Sees to it that ends that are due are called.
    pub(crate) fn announce_endings(&'static self) {
        self.start_workers();
        self.progress.notify_all();
    }
}
