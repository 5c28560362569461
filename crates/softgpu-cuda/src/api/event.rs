//! Events.

use super::stream::EXTERNAL;
use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::engine::Event;
use crate::graph::What;
use crate::handle::{EventHandle, StreamHandle};
use crate::process::Process;

/// Flags: wait by sleeping, no time, between processes.
const FLAGS: u32 = 7;
const NO_TIME: u32 = 2;
const INTERPROCESS: u32 = 4;
/// The device's clock ticks this often, in nanoseconds.
const TICK_NS: u64 = 32;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventCreate(event: Out<EventHandle>, flags: u32) -> CUresult {
    call(|process| {
        let event = event.required()?;
        let mut state = process.state();
        let context = state.current()?;
        let interprocess = flags & INTERPROCESS != 0;
        if flags & !FLAGS != 0 || (interprocess && flags & NO_TIME == 0) {
            return Err(Code::INVALID_VALUE);
        }
        let timed = flags & NO_TIME == 0;
        let handle = state.events.insert(Event::new(context, timed, interprocess));
        event.set(handle)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventDestroy_v2(event: EventHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let context = state.events.get(event)?.context;
        if let Some(code) = state.contexts.find(context).and_then(|context| context.error) {
            return Err(code);
        }
        state.remove_event(process, event)
    })
}

fn record(process: &Process, event: EventHandle, stream: StreamHandle) -> Done {
    let mut state = process.state();
    let stream = state.stream(stream)?;
    drop(state);
    process.make_room(stream, false)?;
    process.state().record(process, event, stream)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventRecord(event: EventHandle, stream: StreamHandle) -> CUresult {
    call(|process| record(process, event, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventRecordWithFlags(
    event: EventHandle,
    stream: StreamHandle,
    flags: u32,
) -> CUresult {
    call(|process| match flags {
        0 => record(process, event, stream),
        EXTERNAL => {
            let mut state = process.state();
            let stream = state.stream(stream)?;
            state.events.get(event)?;
            match state.recorded(stream, || What::Record(event))? {
                Some(_) => Ok(()),
                None => Err(Code::INVALID_VALUE),
            }
        }
        _ => Err(Code::INVALID_VALUE),
    })
}

/// An event that is part of a recording can be neither asked nor waited for.
fn not_captured(process: &Process, event: EventHandle) -> Done {
    let mut state = process.state();
    let captured = state.events.get(event)?.captured.clone();
    if let Some((capture, _)) = captured.filter(|(capture, _)| state.captures.find(*capture).is_some()) {
        state.spoil(capture);
        return Err(Code::CAPTURED_EVENT);
    }
    let context = state.events.get(event)?.context;
    state.contexts.find(context).and_then(|context| context.error).map_or(Ok(()), Err)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventQuery(event: EventHandle) -> CUresult {
    call(|process| {
        not_captured(process, event)?;
        let mut state = process.state();
        state.pump(process);
        if let Some(signal) = state.last_signal(process, event)? {
            return if signal.is_reached() { Ok(()) } else { Err(Code::NOT_READY) };
        }
        let Some(recorded) = state.events.get(event)?.recorded else { return Ok(()) };
        if state.is_done(recorded) { Ok(()) } else { Err(Code::NOT_READY) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventSynchronize(event: EventHandle) -> CUresult {
    call(|process| {
        not_captured(process, event)?;
        let state = process.state();
        let found = state.events.get(event)?;
        let (context, recorded) = (found.context, found.recorded);
        let signal = state.last_signal(process, event)?;
        drop(state);
        match signal {
            Some(signal) => process.wait_for_signal(context, signal),
            None => process.wait_for(context, recorded.as_slice()),
        }
    })
}

fn elapsed(process: &Process, milliseconds: Out<f32>, start: EventHandle, end: EventHandle) -> Done {
    let mut state = process.state();
    state.pump(process);
    let wanted = milliseconds.required().map_err(|_| Code::INVALID_HANDLE)?;
    let mut times = [0; 2];
    for (time, event) in times.iter_mut().zip([start, end]) {
        let found = state.events.get(event)?;
        if !found.timed || found.recorded.is_none() {
            return Err(Code::INVALID_HANDLE);
        }
        if found.captured.as_ref().is_some_and(|(capture, _)| state.captures.find(*capture).is_some()) {
            return Err(Code::CAPTURED_EVENT);
        }
        *time = found.reached_ns.ok_or(Code::NOT_READY)? / TICK_NS * TICK_NS;
    }
    let ns = times[1].cast_signed() - times[0].cast_signed();
    #[expect(clippy::cast_precision_loss, reason = "the driver's own type for it")]
    wanted.set((ns as f64 / 1e6) as f32)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventElapsedTime(
    milliseconds: Out<f32>,
    start: EventHandle,
    end: EventHandle,
) -> CUresult {
    call(|process| elapsed(process, milliseconds, start, end))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventElapsedTime_v2(
    milliseconds: Out<f32>,
    start: EventHandle,
    end: EventHandle,
) -> CUresult {
    call(|process| elapsed(process, milliseconds, start, end))
}

include!(concat!(env!("OUT_DIR"), "/twins_event.rs"));
