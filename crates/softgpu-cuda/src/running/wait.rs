//! Waiting for items, and lending a hand meanwhile.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use fastgpu_softgpu::ledger::ClockMode;
use fastgpu_softgpu::ledger::events::Signal;

use crate::abi::{Code, Done};
use crate::engine::Dep;
use crate::engine::jobs::Willing;
use crate::engine::wait::{DEATHS_SEEN, DEPTH_MAX, LOOK_AGAIN_NS, LookAt, next_poll};
use crate::handle::{ContextHandle, StreamHandle};
use crate::process::Process;
use crate::state::State;

/// The last stretch of a wait is spent spinning, as the driver does: waking a thread takes about as long.
const SPIN_NS: u64 = 60_000;

impl Process {
    /// Waits until all of these are complete, or the context fails.
    pub(crate) fn wait_for(&self, context: ContextHandle, deps: &[Dep]) -> Done {
        self.wait_until(context, |state| deps.iter().copied().find(|dep| !state.is_done(*dep)))
    }

    /// Waits until `open` names nothing that must be waited for.
    pub(crate) fn wait_until(&self, context: ContextHandle, open: impl Fn(&State) -> Option<Dep>) -> Done {
        loop {
            let mut state = self.state();
            if state.pump(self) {
                self.progress.notify_all();
            }
            if let Some(code) = state.contexts.find(context).and_then(|context| context.error) {
                return Err(code);
            }
            let Some(dep) = open(&state) else {
                drop(state);
                self.settle_freed(true);
                return Ok(());
            };
            let look_at = state.look_at(self, dep, DEPTH_MAX);
            let running = state.running > 0;
            drop(state);
            if self.help(Willing::Bytes) {
                continue;
            }
            self.pause(look_at, running);
        }
    }

    /// Waits until an event that other processes hold too is reached, or the context fails.
    pub(crate) fn wait_for_signal(&self, context: ContextHandle, signal: Signal) -> Done {
        let since_ns = self.ledger.now_ns();
        let mut looked = Instant::now();
        loop {
            let mut state = self.state();
            if state.pump(self) {
                self.progress.notify_all();
            }
            if let Some(code) = state.contexts.find(context).and_then(|context| context.error) {
                return Err(code);
            }
            // It may be ours, or have to wait for something of ours.
            let own = state.look_again_at(self).map(|look_at| look_at.at_ns);
            let running = state.running > 0;
            drop(state);
            if signal.is_reached() {
                self.settle_freed(true);
                return Ok(());
            }
            if looked.elapsed() > DEATHS_SEEN {
                self.ledger.reap();
                looked = Instant::now();
            }
            if !self.help(Willing::Bytes) {
                let now = self.ledger.now_ns();
                let at_ns = own.filter(|own| *own > now).unwrap_or(u64::MAX).min(next_poll(now, since_ns));
                self.pause(Some(LookAt { at_ns, polls: true }), running);
            }
        }
    }

    /// Waits until nobody is at an effect on the memory of a context; what failed does not wait for that.
    pub(crate) fn wait_until_still(&self, context: ContextHandle) {
        loop {
            let state = self.state();
            if !state.moving.contains(&state.root(context)) {
                return;
            }
            drop(state);
            self.rest(LOOK_AGAIN_NS);
        }
    }

    /// Sleeps until device time is `until`, or something happens.
    pub(crate) fn pause(&self, until: Option<LookAt>, running: bool) {
        let now = self.ledger.now_ns();
        if let Some(LookAt { at_ns, polls: true }) = until {
            self.rest(at_ns.saturating_sub(now));
            // Waiting for a word takes time on any clock: what is to write it may need some.
            if self.ledger.clock_mode() == ClockMode::Test && !running {
                self.ledger.sleep_until(at_ns);
            }
            return;
        }
        match (self.ledger.clock_mode(), until.map(|until| until.at_ns)) {
            // The clock stands while bytes are moved: what they cost the processor is nobody's time.
            (ClockMode::Test, Some(until)) if !running && until > now => self.ledger.sleep_until(until),
            (ClockMode::Manual, Some(until)) if until > now => self.ledger.sleep_until(until),
            (ClockMode::Machine, Some(until)) if until > now => {
                let left = (until - now).min(LOOK_AGAIN_NS);
                match left.checked_sub(SPIN_NS) {
                    Some(sleep) if sleep > 0 => self.rest(sleep),
                    _ => spin(left),
                }
            }
            // Its time has come and its effect has not, or nobody knows when it will come.
            _ => self.rest(1_000_000),
        }
    }

    fn rest(&self, ns: u64) {
        let state = self.state();
        let rest = self.progress.wait_timeout(state, Duration::from_nanos(ns));
        drop(rest.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for everything in a stream.
    pub(crate) fn wait_stream(&self, handle: StreamHandle) -> Done {
        let state = self.state();
        let context = state.streams.get(handle)?.context;
        let end = state.end_of(handle);
        drop(state);
        self.wait_for(context, end.as_slice())
    }

    /// Waits for everything in a context.
    pub(crate) fn wait_context(&self, context: ContextHandle) -> Done {
        let state = self.state();
        state.contexts.find(context).ok_or(Code::INVALID_CONTEXT)?;
        let ends = state.ends_of_context(context);
        drop(state);
        self.wait_for(context, &ends)
    }

    /// Waits until a stream has room for one more launch.
    pub(crate) fn make_room(&self, stream: StreamHandle, launch: bool) -> Done {
        let state = self.state();
        let full = state.streams.get(stream)?.is_full(launch);
        let context = state.streams.get(stream)?.context;
        drop(state);
        if !full {
            return Ok(());
        }
        self.wait_until(context, |state| {
            let found = state.streams.find(stream).filter(|stream| stream.is_full(launch))?;
            Some(Dep { stream, number: found.base })
        })
    }

    /// After synchronizing: pools give back what they must.
    pub(crate) fn settle_freed(&self, trim: bool) {
        let mut state = self.state();
        if trim || !state.freed.is_empty() {
            state.settle(self, trim);
        }
    }
}

fn spin(ns: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_nanos(ns) {
        std::hint::spin_loop();
    }
}
