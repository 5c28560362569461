//! Placing items and completing them: what changes with time.

use fastgpu_softgpu::ledger::layout::DeviceState;
use fastgpu_softgpu::schedule::{ContextSlot, CopyEngine, Position};

use super::EnginePart;
use super::item::{Effect, Item, Place};
use super::{Dep, Engine, Op, Stream};
use crate::abi::{Code, Done};
use crate::handle::{ContextHandle, EventHandle, StreamHandle};
use crate::kernels::Fault;
use crate::process::Process;

/// What an item waits for, seen from where it wants to be placed.
enum Before {
    /// Nothing.
    Nothing,
    /// Work of the same context that is on the device already: order is kept there.
    Compute(Position),
    /// Something that must be complete first.
    Open,
}

impl EnginePart {
    /// Puts an item at the end of a stream. Stream 0 and blocking streams wait for each other.
    pub(crate) fn enqueue(&mut self, process: &Process, handle: StreamHandle, item: Item) -> Done<Dep> {
        let mut item = item;
        let stream = self.streams.get(handle)?;
        let (context, kind, number) = (stream.context, stream.kind, stream.end());
        if let Some(code) = self.contexts.get(context).ok().and_then(|context| context.error) {
            return Err(code);
        }
        self.order_with_stream_0(handle, context, kind, &mut item.deps);
        let quiet = matches!(item.effect, Effect::Done(_));
        let timed = matches!(item.op, Op::Record(_) | Op::Signal(_));
        let calls = matches!(item.op, Op::Host(_));
        let stream = self.streams.get_mut(handle)?;
        if stream.queue.is_empty() {
            self.active.push(handle);
        }
        stream.launches += usize::from(item.launch);
        stream.queue.push_back(item);
        self.carry_on(process, handle)?;
        let placed = self.streams.get(handle).is_ok_and(|stream| stream.placed > number);
        if calls {
            process.progress.notify_all();
        }
        if !quiet || !placed || timed {
            process.ring_worker();
        }
        Ok(Dep { stream: handle, number })
    }

    fn order_with_stream_0(
        &self,
        handle: StreamHandle,
        context: ContextHandle,
        kind: super::StreamKind,
        deps: &mut Vec<Dep>,
    ) {
        let Some(context) = self.contexts.find(context) else { return };
        let end_of = |other: StreamHandle| {
            let stream = self.streams.find(other)?;
            (!stream.queue.is_empty()).then(|| Dep { stream: other, number: stream.end() - 1 })
        };
        match kind {
            super::StreamKind::NonBlocking => {}
            super::StreamKind::Blocking => deps.extend(end_of(context.legacy)),
            super::StreamKind::Legacy => {
                let blocking = |other: &StreamHandle| {
                    let kind = self.streams.find(*other).map(|stream| stream.kind);
                    *other != handle && kind == Some(super::StreamKind::Blocking)
                };
                deps.extend(context.streams.iter().copied().filter(blocking).filter_map(end_of));
            }
        }
    }

    /// Carries one stream on as far as it goes.
    pub(crate) fn carry_on(&mut self, process: &Process, handle: StreamHandle) -> Done<bool> {
        let context = self.streams.get(handle)?.context;
        let ordinal = self.contexts.get(context)?.ordinal;
        let mut device = process.device(ordinal)?;
        Ok(self.carry_on_with(handle, &mut device))
    }

    fn carry_on_with(&mut self, handle: StreamHandle, device: &mut DeviceState) -> bool {
        let Some(mut stream) = self.streams.lift(handle) else { return false };
        let mut moved = false;
        if let Some(context) = self.contexts.find(stream.context) {
            let slot = context.slot;
            if context.error.is_none()
                && let Some(code) = device.faults.code_for(context.serial)
            {
                self.failed.push((stream.context, Code(code)));
            }
            loop {
                let placed = self.place(&mut stream, slot, device);
                let completed = self.complete(handle, &mut stream, slot, device);
                if !placed && !completed {
                    break;
                }
                moved = true;
            }
        }
        self.streams.put_back(handle, stream);
        moved
    }

    /// Carries every stream on as far as it goes. True if anything moved.
    pub(crate) fn pump(&mut self, process: &Process) -> bool {
        let mut moved = false;
        self.look_for_faults(process);
        loop {
            let mut again = false;
            for ordinal in 0..i32::try_from(process.device_count()).unwrap_or(0) {
                let here = self.active_on(ordinal);
                if here.is_empty() {
                    continue;
                }
                let Ok(mut device) = process.device(ordinal) else { continue };
                for handle in here {
                    again |= self.carry_on_with(handle, &mut device);
                }
            }
            again |= self.fail_contexts(process);
            moved |= again;
            if !again {
                break;
            }
        }
        let streams = &self.streams;
        let over = |handle: &StreamHandle| {
            streams.find(*handle).is_some_and(|stream| stream.ended && stream.queue.is_empty())
        };
        let over: Vec<_> = self.active.iter().copied().filter(over).collect();
        over.into_iter().for_each(|handle| self.forget_stream(handle));
        let streams = &self.streams;
        self.active.retain(|handle| streams.find(*handle).is_some_and(|stream| !stream.queue.is_empty()));
        moved
    }

    /// Finds the contexts that a fault hit, those with nothing to do as well. Looks when the bell has rung.
    fn look_for_faults(&mut self, process: &Process) {
        let heard = process.ledger.faults_rung();
        if heard == self.faults_heard {
            return;
        }
        self.faults_heard = heard;
        for (handle, context) in self.contexts.iter().filter(|(_, context)| context.error.is_none()) {
            let Ok(device) = process.device(context.ordinal) else { continue };
            if let Some(code) = device.faults.code_for(context.serial) {
                self.failed.push((handle, Code(code)));
            }
        }
    }

    fn active_on(&self, ordinal: i32) -> Vec<StreamHandle> {
        let on_it = |handle: &StreamHandle| {
            let context = self.streams.find(*handle).and_then(|stream| self.contexts.find(stream.context));
            context.is_some_and(|context| context.ordinal == ordinal)
        };
        self.active.iter().copied().filter(on_it).collect()
    }

    /// Lets contexts whose device failed under them fail: their work is over, their error stays.
    fn fail_contexts(&mut self, process: &Process) -> bool {
        let failed = std::mem::take(&mut self.failed);
        for (context, code) in &failed {
            self.fail_context(process, *context, *code);
        }
        !failed.is_empty()
    }

    /// Ends a context's work with an error that every later call gets, in its green contexts too.
    pub(crate) fn fail_context(&mut self, process: &Process, handle: ContextHandle, code: Code) {
        for one in self.family(handle) {
            let Ok(context) = self.contexts.get_mut(one) else { continue };
            context.error.get_or_insert(code);
            self.poisoned.get_or_insert(code);
            let streams = context.streams.clone();
            for stream in streams {
                if let Ok(stream) = self.streams.get_mut(stream) {
                    stream.abandon();
                }
            }
        }
        process.progress.notify_all();
    }

    fn before(&self, stream: &Stream, index: usize) -> Before {
        let mut found = Before::Nothing;
        if let Some(previous) = index.checked_sub(1).and_then(|index| stream.queue.get(index)) {
            match previous.place {
                Place::Compute(position) => found = Before::Compute(position),
                _ => return Before::Open,
            }
        }
        for dep in &stream.queue[index].deps {
            match self.before_dep(*dep, stream.context) {
                Before::Nothing => {}
                Before::Open => return Before::Open,
                Before::Compute(position) => {
                    let position = match found {
                        Before::Compute(other) => position.max(other),
                        _ => position,
                    };
                    found = Before::Compute(position);
                }
            }
        }
        found
    }

    fn before_dep(&self, dep: Dep, context: ContextHandle) -> Before {
        let Some(stream) = self.streams.find(dep.stream) else { return Before::Nothing };
        match stream.item(dep.number) {
            None => Before::Nothing,
            Some(Item { place: Place::Compute(position), .. }) if stream.context == context => {
                Before::Compute(*position)
            }
            Some(_) => Before::Open,
        }
    }

    fn place(&self, stream: &mut Stream, slot: ContextSlot, device: &mut DeviceState) -> bool {
        let mut moved = false;
        while stream.placed < stream.end() {
            let index = (stream.placed - stream.base) as usize;
            let before = self.before(stream, index);
            let now = device.schedule.now_ns;
            let place = match (&stream.queue[index].op, before) {
                (_, Before::Open) => break,
                (Op::Work { engine: Engine::Part, ns, .. }, before) => {
                    let after = if let Before::Compute(position) = before { position } else { 0 };
                    Place::Compute(device.schedule.submit_beside(slot, after, *ns))
                }
                (Op::Work { engine: Engine::Compute, ns, .. }, _) => {
                    Place::Compute(device.schedule.submit(slot, *ns))
                }
                (Op::Work { engine: Engine::CopyIn, ns, .. }, Before::Nothing) => {
                    Place::At(device.schedule.submit_copy(CopyEngine::In, stream.last_ns, *ns))
                }
                (Op::Work { engine: Engine::CopyOut, ns, .. }, Before::Nothing) => {
                    Place::At(device.schedule.submit_copy(CopyEngine::Out, stream.last_ns, *ns))
                }
                (Op::WaitValue(_), Before::Nothing) => Place::Poll(now),
                (Op::Await(_), Before::Nothing) => Place::Told(now),
                (_, Before::Nothing) => Place::At(now),
                (Op::Record(_) | Op::Signal(_) | Op::Marker | Op::Free(_), Before::Compute(position)) => {
                    Place::Compute(position)
                }
                (_, Before::Compute(_)) => break,
            };
            stream.queue[index].place = place;
            stream.placed += 1;
            moved = true;
        }
        moved
    }

    fn complete(
        &mut self,
        handle: StreamHandle,
        stream: &mut Stream,
        slot: ContextSlot,
        device: &mut DeviceState,
    ) -> bool {
        let mut moved = false;
        while let Some(item) = stream.queue.front() {
            if matches!(item.place, Place::Poll(_)) && self.is_gone(&item.op) {
                self.fail_at(stream.context, device);
                break;
            }
            let Effect::Done(effect_ns) = item.effect else { break };
            let now = device.schedule.now_ns;
            let due = match item.place {
                Place::Waiting => None,
                Place::Compute(position) => device.schedule.reached(slot, position),
                Place::At(at) => (at <= now && device.schedule.stalled == 0).then_some(at),
                Place::Poll(_) => match &item.op {
                    Op::WaitValue(condition) => condition.holds().then_some(now),
                    _ => Some(now),
                },
                Place::Told(_) => match &item.op {
                    Op::Await(signal) => signal.is_reached().then_some(now),
                    _ => Some(now),
                },
            };
            let Some(due) = due else { break };
            stream.last_ns = stream.last_ns.max(due).max(effect_ns);
            let Some(item) = stream.queue.pop_front() else { break };
            let number = stream.base;
            stream.base += 1;
            stream.effected = stream.effected.max(stream.base);
            stream.launches -= usize::from(item.launch);
            match item.op {
                Op::Record(event) => self.reach_event(event, Dep { stream: handle, number }, stream.last_ns),
                Op::Signal(signal) => signal.reach(),
                Op::Free(address) => self.freed.push(address),
                _ => {}
            }
            moved = true;
        }
        moved
    }

    /// A stream waits for a word that is not there any more: that is a fault of its context.
    fn fail_at(&mut self, context: ContextHandle, device: &mut DeviceState) {
        if self.failed.iter().any(|(failed, _)| *failed == context) {
            return;
        }
        let code = Fault::WildAddress.code();
        Fault::xids_of(code).iter().for_each(|xid| device.note_xid(*xid, std::process::id()));
        self.failed.push((context, code));
    }

    fn reach_event(&mut self, event: EventHandle, record: Dep, at_ns: u64) {
        if let Ok(event) = self.events.get_mut(event) {
            // It may have been recorded again since.
            if event.recorded == Some(record) {
                event.reached_ns = Some(at_ns);
            }
        }
    }
}
