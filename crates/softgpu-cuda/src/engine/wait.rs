//! Waiting for items, and lending a hand meanwhile.

use std::time::Duration;

use fastgpu_softgpu::ledger::ClockMode;

use super::EnginePart;
use super::item::{Effect, Place};
use super::{Dep, Stream};
use crate::handle::{ContextHandle, StreamHandle};
use crate::process::Process;

/// A waiter looks again after this at the latest: others may have changed what it waits for.
pub(crate) const LOOK_AGAIN_NS: u64 = 50_000_000;
/// How soon a word in memory is looked at again: at first, and when it has been waited for long.
const POLL_NS: u64 = 50_000;
const POLL_NS_MAX: u64 = 1_000_000;
/// In between, after this part of the time that it has been waited for.
const POLL_PART: u64 = 16;
/// Who waits for another process looks this often whether it still lives.
pub(crate) const DEATHS_SEEN: Duration = Duration::from_millis(20);
/// How deep a chain of dependencies is followed to guess when it ends.
pub(crate) const DEPTH_MAX: u32 = 8;

/// When it is worth to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookAt {
    /// In device time, in nanoseconds.
    pub(crate) at_ns: u64,
    /// At a word in memory: whoever changes it tells nobody, so that it is never worth to spin for.
    pub(crate) polls: bool,
}

/// When to look again at what nobody says anything about, and what was asked for since some time.
pub(crate) fn next_poll(now_ns: u64, since_ns: u64) -> u64 {
    let waited = now_ns.saturating_sub(since_ns);
    now_ns.saturating_add((waited / POLL_PART).clamp(POLL_NS, POLL_NS_MAX))
}

impl EnginePart {
    /// Whether an item is complete.
    pub(crate) fn is_done(&self, dep: Dep) -> bool {
        self.streams.find(dep.stream).is_none_or(|stream| stream.base > dep.number)
    }

    /// The last item of a stream, if it is not complete.
    pub(crate) fn end_of(&self, handle: StreamHandle) -> Option<Dep> {
        let stream = self.streams.find(handle)?;
        (!stream.queue.is_empty()).then(|| Dep { stream: handle, number: stream.end() - 1 })
    }

    /// The last items of all streams of a context, and of the green ones in it.
    pub(crate) fn ends_of_context(&self, context: ContextHandle) -> Vec<Dep> {
        let views = self.with_greens(context);
        let streams = views.iter().filter_map(|view| self.contexts.find(*view)).flat_map(|one| &one.streams);
        streams.filter_map(|stream| self.end_of(*stream)).collect()
    }

    /// When it is worth to look at an item again; `None`: when somebody says so.
    pub(crate) fn look_at(&self, process: &Process, dep: Dep, depth: u32) -> Option<LookAt> {
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
