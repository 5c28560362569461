//! Events that several processes hold: named by a handle, recorded by one, waited for by others.

use crate::engine::Event;
use std::sync::atomic::Ordering::Relaxed;

use fastgpu_softgpu::ledger::events::Signal;

use super::EnginePart;
use crate::abi::{Code, Done};
use crate::engine::Op;
use crate::handle::{ContextHandle, EventHandle, Handle};
use crate::process::Process;

/// What a handle begins with, so that a foreign one is recognised.
const MARK: u64 = 0x6576_6e74_6770_7501;

/// What the 64 bytes of a handle say.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct IpcEventHandle {
    mark: u64,
    place: u64,
    id: u64,
    owner: u64,
    spare: [u64; 4],
}

const _: () = assert!(size_of::<IpcEventHandle>() == 64);

impl EnginePart {
    /// Names an event for other processes. What was recorded and not reached stays to be waited for.
    pub(crate) fn export_event(&mut self, process: &Process, handle: EventHandle) -> Done<IpcEventHandle> {
        let event = self.events.get(handle)?;
        if !event.interprocess {
            return Err(Code::INVALID_HANDLE);
        }
        let (context, recorded, shared) = (event.context, event.recorded, event.shared);
        let place = match shared {
            Some(place) => place,
            None => {
                let device = process.index_of(self.contexts.get(context)?.ordinal)?;
                let (place, _) =
                    process.ledger.share_event(process.me.slot, device).ok_or(Code::OUT_OF_MEMORY)?;
                self.count_event(process, place);
                self.events.get_mut(handle)?.shared = Some(place);
                let stream =
                    recorded.and_then(|dep| Some((self.streams.get_mut(dep.stream).ok()?, dep.number)));
                if let Some(item) = stream.and_then(|(stream, number)| stream.item_mut(number)) {
                    item.op = Op::Signal(process.ledger.record_event(place, process.me.slot));
                }
                place
            }
        };
        let id = process.ledger.root().events[place as usize].id.load(Relaxed);
        Ok(IpcEventHandle {
            mark: MARK,
            place: place.into(),
            id,
            owner: process.me.pid.into(),
            spare: [0; 4],
        })
    }

    /// Opens what another process named.
    pub(crate) fn import_event(
        &mut self,
        process: &Process,
        context: ContextHandle,
        handle: IpcEventHandle,
    ) -> Done<EventHandle> {
        let place =
            u32::try_from(handle.place).ok().filter(|_| handle.mark == MARK).ok_or(Code::INVALID_VALUE)?;
        if handle.owner == u64::from(process.me.pid) {
            return Err(Code::INVALID_CONTEXT);
        }
        let device =
            process.ledger.hold_event(place, handle.id, process.me.slot).ok_or(Code::INVALID_VALUE)?;
        self.count_event(process, place);
        if process.ordinal_of(device).is_none() {
            self.let_go_of_event(process, place);
            return Err(Code::INVALID_DEVICE);
        }
        let event = Event { shared: Some(place), ..Event::new(context, false, false) };
        Ok(self.events.insert(event))
    }

    /// Ends an event. Others may still hold it.
    pub(crate) fn remove_event(&mut self, process: &Process, handle: EventHandle) -> Done {
        if let Some(place) = self.events.remove(handle)?.shared {
            self.let_go_of_event(process, place);
        }
        Ok(())
    }

    /// Notes a new record of an event that others may hold.
    pub(crate) fn record_shared(&mut self, process: &Process, handle: EventHandle) -> Done<Option<Signal>> {
        let shared = self.events.get(handle)?.shared;
        Ok(shared.map(|place| process.ledger.record_event(place, process.me.slot)))
    }

    /// The last record of an event that others may hold, whoever made it.
    pub(crate) fn last_signal(&self, process: &Process, handle: EventHandle) -> Done<Option<Signal>> {
        Ok(self.events.get(handle)?.shared.map(|place| process.ledger.last_signal(place)))
    }

    /// Whether a stream waits for another process.
    pub(crate) fn awaits_others(&self) -> bool {
        let first = |handle: &Handle<_>| self.streams.find(*handle)?.queue.front();
        self.active.iter().filter_map(first).any(|item| matches!(item.op, Op::Await(_)))
    }

    fn count_event(&mut self, process: &Process, place: u32) {
        process.words().shared.fetch_add(1, Relaxed);
        *self.held_events.entry(place).or_default() += 1;
    }

    fn let_go_of_event(&mut self, process: &Process, place: u32) {
        process.words().shared.fetch_sub(1, Relaxed);
        let held = self.held_events.entry(place).or_default();
        *held = held.saturating_sub(1);
        if *held == 0 {
            self.held_events.remove(&place);
            process.ledger.let_go_of_event(place, process.me.slot);
        }
    }
}
