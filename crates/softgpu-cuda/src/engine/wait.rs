//! Waiting for items, and lending a hand meanwhile.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use fastgpu_softgpu::ledger::ClockMode;
use fastgpu_softgpu::ledger::events::Signal;

use super::item::{Effect, Place};
use super::jobs::Willing;
use super::{Dep, Stream};
use crate::abi::{Code, Done};
use crate::handle::Handle;
use crate::process::Process;
use crate::state::{Context, State};

/// The last stretch of a wait is spent spinning, as the driver does: waking a thread takes about as long.
const SPIN_NS: u64 = 60_000;
/// A waiter looks again after this at the latest: others may have changed what it waits for.
const LOOK_AGAIN_NS: u64 = 50_000_000;
/// How soon a word in memory is looked at again: at first, and when it has been waited for long.
const POLL_NS: u64 = 50_000;
const POLL_NS_MAX: u64 = 1_000_000;
/// In between, after this part of the time that it has been waited for.
const POLL_PART: u64 = 16;
/// Who waits for another process looks this often whether it still lives.
pub(super) const DEATHS_SEEN: Duration = Duration::from_millis(20);
/// How deep a chain of dependencies is followed to guess when it ends.
const DEPTH_MAX: u32 = 8;

/// When it is worth to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookAt {
    /// In device time, in nanoseconds.
    pub(crate) at_ns: u64,
    /// At a word in memory: whoever changes it tells nobody, so that it is never worth to spin for.
    pub(crate) polls: bool,
}

/// When to look again at what nobody says anything about, and what was asked for since some time.
fn next_poll(now_ns: u64, since_ns: u64) -> u64 {
    let waited = now_ns.saturating_sub(since_ns);
    now_ns.saturating_add((waited / POLL_PART).clamp(POLL_NS, POLL_NS_MAX))
}

impl State {
    /// Whether an item is complete.
    pub(crate) fn is_done(&self, dep: Dep) -> bool {
        self.streams.find(dep.stream).is_none_or(|stream| stream.base > dep.number)
    }

    /// The last item of a stream, if it is not complete.
    pub(crate) fn end_of(&self, handle: Handle<Stream>) -> Option<Dep> {
        let stream = self.streams.find(handle)?;
        (!stream.queue.is_empty()).then(|| Dep { stream: handle, number: stream.end() - 1 })
    }

    /// The last items of all streams of a context, and of the green ones in it.
    pub(crate) fn ends_of_context(&self, context: Handle<Context>) -> Vec<Dep> {
        let views = self.with_greens(context);
        let streams = views.iter().filter_map(|view| self.contexts.find(*view)).flat_map(|one| &one.streams);
        streams.filter_map(|stream| self.end_of(*stream)).collect()
    }

    /// When it is worth to look at an item again; `None`: when somebody says so.
    fn look_at(&self, process: &Process, dep: Dep, depth: u32) -> Option<LookAt> {
        let stream = self.streams.find(dep.stream)?;
        let item = stream.item(dep.number)?;
        let first = stream.queue.front()?;
        let placed = Some(item.place).filter(|place| *place != Place::Waiting).or(stream.last_place());
        if let Some(place) = placed {
            let look_at = self.time_of(process, stream, place)?;
            // Its time has come, and somebody is at its effect: whoever that is says when it is done.
            let late = look_at.at_ns <= process.ledger.now_ns() && !matches!(first.effect, Effect::Done(_));
            return (!late).then_some(look_at);
        }
        if depth == 0 {
            return None;
        }
        first.deps.iter().filter_map(|dep| self.look_at(process, *dep, depth - 1)).min()
    }

    fn time_of(&self, process: &Process, stream: &Stream, place: Place) -> Option<LookAt> {
        let context = self.contexts.find(stream.context)?;
        let at_ns = match place {
            Place::Waiting => return None,
            // Another process rings when it is so; but only who waits moves a test clock, and that one may not.
            Place::Told(_) if process.ledger.clock_mode() != ClockMode::Test => return None,
            Place::At(at_ns) if process.device(context.ordinal).ok()?.schedule.stalled == 0 => at_ns,
            Place::At(_) => return None,
            Place::Poll(since_ns) | Place::Told(since_ns) => next_poll(process.ledger.now_ns(), since_ns),
            Place::Compute(position) => {
                process.device(context.ordinal).ok()?.schedule.predict(context.slot, position)?
            }
        };
        Some(LookAt { at_ns, polls: matches!(place, Place::Poll(_) | Place::Told(_)) })
    }

    /// When it is worth to look at all streams again.
    pub(crate) fn look_again_at(&self, process: &Process) -> Option<LookAt> {
        let each = self.active.iter().filter_map(|handle| {
            let stream = self.streams.find(*handle)?;
            // What is behind the last placed item can only be placed when that one is complete.
            let last = Dep { stream: *handle, number: stream.placed.max(stream.base + 1) - 1 };
            self.look_at(process, last, DEPTH_MAX)
        });
        each.min()
    }
}

impl Process {
    /// Waits until all of these are complete, or the context fails.
    pub(crate) fn wait_for(&self, context: Handle<Context>, deps: &[Dep]) -> Done {
        self.wait_until(context, |state| deps.iter().copied().find(|dep| !state.is_done(*dep)))
    }

    /// Waits until `open` names nothing that must be waited for.
    pub(crate) fn wait_until(&self, context: Handle<Context>, open: impl Fn(&State) -> Option<Dep>) -> Done {
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
    pub(crate) fn wait_for_signal(&self, context: Handle<Context>, signal: Signal) -> Done {
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
    pub(crate) fn wait_until_still(&self, context: Handle<Context>) {
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
    pub(crate) fn wait_stream(&self, handle: Handle<Stream>) -> Done {
        let state = self.state();
        let context = state.streams.get(handle)?.context;
        let end = state.end_of(handle);
        drop(state);
        self.wait_for(context, end.as_slice())
    }

    /// Waits for everything in a context.
    pub(crate) fn wait_context(&self, context: Handle<Context>) -> Done {
        let state = self.state();
        state.contexts.find(context).ok_or(Code::INVALID_CONTEXT)?;
        let ends = state.ends_of_context(context);
        drop(state);
        self.wait_for(context, &ends)
    }
}

fn spin(ns: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_nanos(ns) {
        std::hint::spin_loop();
    }
}
