//! Putting work into a stream, or into the recording that it takes part in.

use super::{GraphPart, What};
use crate::abi::{Code, Done};
use crate::engine::item::Item;
use crate::engine::{Dep, Op};
use crate::handle::{EventHandle, StreamHandle};
use crate::process::Process;

impl GraphPart {
    /// Puts work into a stream, or into the recording it takes part in.
    pub(crate) fn submit(
        &mut self,
        process: &Process,
        stream: StreamHandle,
        what: What,
        launch: bool,
    ) -> Done {
        if self.recorded(stream, || what.clone())?.is_some() {
            return Ok(());
        }
        match what {
            What::Kernel(found) => {
                let op = self.arrive(process, stream, found.op)?;
                self.enqueue(process, stream, Item::new(op, Vec::new(), launch)).map(drop)
            }
            What::Copy(op, _) | What::Set(op, _) => {
                self.enqueue(process, stream, Item::new(op, Vec::new(), launch)).map(drop)
            }
            What::Host(call) => {
                self.enqueue(process, stream, Item::new(Op::Host(call), Vec::new(), false)).map(drop)
            }
            What::Words(words) => words
                .ops
                .into_iter()
                .try_for_each(|op| self.enqueue(process, stream, Item::new(op, Vec::new(), false)).map(drop)),
            What::Empty => self.enqueue(process, stream, Item::new(Op::Marker, Vec::new(), false)).map(drop),
            _ => Err(Code::NOT_SUPPORTED),
        }
    }

    /// Records an event in a stream.
    pub(crate) fn record(&mut self, process: &Process, event: EventHandle, stream: StreamHandle) -> Done {
        let same = self.events.get(event)?.context == self.root(self.streams.get(stream)?.context);
        if !same {
            return Err(Code::INVALID_HANDLE);
        }
        if self.record_captured(event, stream)? {
            return Ok(());
        }
        if let Some(signal) = self.record_shared(process, event)? {
            let enqueued = self.enqueue(process, stream, Item::new(Op::Signal(signal), Vec::new(), false));
            // What is not recorded is nothing to wait for.
            return enqueued.inspect_err(|_| signal.reach()).map(drop);
        }
        // The item may be complete before this returns, so the event must know its number first.
        let number = self.streams.get(stream)?.end();
        let found = self.events.get_mut(event)?;
        found.recorded = Some(Dep { stream, number });
        found.reached_ns = None;
        self.enqueue(process, stream, Item::new(Op::Record(event), Vec::new(), false)).map(drop)
    }

    /// Lets a stream wait for an event.
    pub(crate) fn wait_event(&mut self, process: &Process, stream: StreamHandle, event: EventHandle) -> Done {
        if self.wait_captured(stream, event)? {
            return Ok(());
        }
        if let Some(signal) = self.last_signal(process, event)? {
            if signal.is_reached() {
                return Ok(());
            }
            return self.enqueue(process, stream, Item::new(Op::Await(signal), Vec::new(), false)).map(drop);
        }
        let recorded = self.events.get(event)?.recorded;
        let deps = recorded.filter(|dep| dep.stream != stream && !self.is_done(*dep));
        if deps.is_none() {
            return Ok(());
        }
        let deps = deps.into_iter().collect();
        self.enqueue(process, stream, Item::new(Op::Marker, deps, false)).map(drop)
    }

    /// Takes everything from a stream that ends with its context: what it had to do, and its part in a recording.
    pub(crate) fn empty_stream(&mut self, handle: StreamHandle) {
        let Ok(stream) = self.streams.get_mut(handle) else { return };
        stream.abandon();
        if let Some(capture) = stream.capture.take() {
            self.lose_stream(capture, handle);
        }
    }
}
