//! Streams.

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::engine::item::HostCall;
use crate::engine::{Stream, StreamKind};
use crate::graph::What;
use crate::handle::{ContextHandle, EventHandle, GreenHandle, Handle, StreamHandle};
use crate::process::Process;

/// Flag of events in a recorded stream: a node that records or waits at each launch.
pub(super) const EXTERNAL: u32 = 1;
/// Flag: has nothing to do with stream 0.
const NON_BLOCKING: u32 = 1;
/// The highest priority there is; lower numbers are higher.
const PRIORITY_MIN: i32 = -5;

fn create(process: &Process, out: Out<StreamHandle>, flags: u32, priority: i32) -> Done {
    let out = out.required()?;
    let mut state = process.state();
    let current = state.current_view()?;
    let kind = match flags {
        0 => StreamKind::Blocking,
        NON_BLOCKING => StreamKind::NonBlocking,
        _ => return Err(Code::INVALID_VALUE),
    };
    let stream = state.make_stream(process, current, kind, priority.clamp(PRIORITY_MIN, 0))?;
    out.set(stream)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamCreate(stream: Out<StreamHandle>, flags: u32) -> CUresult {
    call(|process| create(process, stream, flags, 0))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamCreateWithPriority(
    stream: Out<StreamHandle>,
    flags: u32,
    priority: i32,
) -> CUresult {
    call(|process| create(process, stream, flags, priority))
}

/// What is in the stream still happens; the handle is gone at once.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamDestroy_v2(stream: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let owned = |found: &&Stream| found.owned && !found.ended;
        let found = state.streams.find(stream).filter(owned).ok_or(Code::INVALID_HANDLE)?;
        let (context, capture) = (found.context, found.capture);
        state.contexts.find(context).ok_or(Code::CONTEXT_IS_DESTROYED)?;
        match capture {
            Some(capture) => state.lose_stream(capture, stream),
            None => {
                state.pump(process);
                state.contexts.get(context)?.error.map_or(Ok(()), Err)?;
            }
        }
        let found = state.streams.get_mut(stream)?;
        found.ended = true;
        if found.queue.is_empty() {
            state.forget_stream(stream);
        }
        drop(state);
        process.announce_endings();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamQuery(stream: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        state.refuse_captured(stream)?;
        state.refuse_unsafe()?;
        let idle = state.is_idle(process, stream)?;
        let context = state.streams.get(stream)?.context;
        if let Some(code) = state.contexts.get(context)?.error {
            return Err(code);
        }
        // Stream 0 is busy while a stream is that it waits for.
        let legacy = state.streams.get(stream)?.kind == StreamKind::Legacy;
        let others = legacy
            && state.ends_of_context(context).iter().any(|end| {
                state.streams.find(end.stream).is_some_and(|other| other.kind == StreamKind::Blocking)
            });
        if idle && !others { Ok(()) } else { Err(Code::NOT_READY) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamSynchronize(stream: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        state.refuse_captured(stream)?;
        state.refuse_unsafe()?;
        let found = state.streams.get(stream)?;
        let (kind, context) = (found.kind, found.context);
        if kind != StreamKind::Legacy {
            drop(state);
            return process.wait_stream(stream);
        }
        let blocking = |end: &crate::engine::Dep| {
            state.streams.find(end.stream).is_some_and(|other| other.kind != StreamKind::NonBlocking)
        };
        let ends: Vec<_> = state.ends_of_context(context).into_iter().filter(blocking).collect();
        drop(state);
        process.wait_for(context, &ends)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitEvent(stream: StreamHandle, event: EventHandle, flags: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        match flags {
            0 => state.wait_event(process, stream, event),
            EXTERNAL => {
                state.events.get(event)?;
                match state.recorded(stream, || What::Wait(event))? {
                    Some(_) => Ok(()),
                    None => Err(Code::INVALID_VALUE),
                }
            }
            _ => Err(Code::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetFlags(stream: StreamHandle, flags: Out<u32>) -> CUresult {
    call(|process| {
        let flags = flags.required()?;
        let mut state = process.state();
        let stream = state.stream(stream)?;
        flags.set(u32::from(state.streams.get(stream)?.kind == StreamKind::NonBlocking))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetPriority(stream: StreamHandle, priority: Out<i32>) -> CUresult {
    call(|process| {
        let priority = priority.required()?;
        let mut state = process.state();
        let stream = state.stream(stream)?;
        priority.set(state.streams.get(stream)?.priority)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetId(stream: StreamHandle, id: Out<u64>) -> CUresult {
    call(|process| {
        let id = id.required()?;
        let mut state = process.state();
        let stream = state.stream(stream)?;
        id.set(state.streams.get(stream)?.id)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetCtx(stream: StreamHandle, context: Out<ContextHandle>) -> CUresult {
    call(|process| {
        let context = context.required()?;
        let mut state = process.state();
        let stream = state.stream(stream)?;
        context.set(state.streams.get(stream)?.context)
    })
}

/// A stream of a green context is of that and of the primary context it is in.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetCtx_v2(
    stream: StreamHandle,
    context: Out<ContextHandle>,
    green: Out<GreenHandle>,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        let view = state.streams.get(stream)?.context;
        let of = state.contexts.get(view)?.green;
        green.set_if_wanted(of);
        context.set_if_wanted(state.root(view));
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetDevice(stream: StreamHandle, device: Out<i32>) -> CUresult {
    call(|process| {
        let device = device.required()?;
        let mut state = process.state();
        let stream = state.stream(stream)?;
        let context = state.streams.get(stream)?.context;
        device.set(state.contexts.get(context)?.ordinal)
    })
}

fn call_host(process: &Process, stream: StreamHandle, call: impl FnOnce(StreamHandle) -> HostCall) -> Done {
    let mut state = process.state();
    let named = if stream.value() == 0 { Handle::of(0) } else { stream };
    let stream = state.stream(stream)?;
    drop(state);
    process.make_room(stream, false)?;
    process.state().submit(process, stream, What::Host(call(named)), false)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLaunchHostFunc(
    stream: StreamHandle,
    function: Option<extern "C" fn(usize)>,
    argument: usize,
) -> CUresult {
    call(|process| {
        let function = function.ok_or(Code::INVALID_VALUE)?;
        call_host(process, stream, |_| HostCall::Plain(function, argument))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamAddCallback(
    stream: StreamHandle,
    function: Option<extern "C" fn(usize, CUresult, usize)>,
    argument: usize,
    flags: u32,
) -> CUresult {
    call(|process| {
        let function = function.ok_or(Code::INVALID_VALUE)?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let mut state = process.state();
        let found = state.stream(stream)?;
        state.refuse_captured(found)?;
        drop(state);
        call_host(process, stream, |named| HostCall::WithStream(function, named.value(), argument))
    })
}

/// Memory belongs to one stream, one thread or all: this device need not know.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamAttachMemAsync(
    stream: StreamHandle,
    address: u64,
    _bytes: usize,
    flags: u32,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.stream(stream)?;
        state.memory.check(address, 1)?;
        if matches!(flags, 1 | 2 | 4) { Ok(()) } else { Err(Code::INVALID_VALUE) }
    })
}

/// Attributes of streams are hints; they are read back as zero.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetAttribute(
    stream: StreamHandle,
    _attribute: u32,
    value: Out<[u64; 8]>,
) -> CUresult {
    call(|process| {
        let value = value.required()?;
        process.state().stream(stream)?;
        value.set([0; 8])
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamSetAttribute(
    stream: StreamHandle,
    _attribute: u32,
    value: Out<[u64; 8]>,
) -> CUresult {
    call(|process| {
        value.required()?;
        process.state().stream(stream).map(drop)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamCopyAttributes(to: StreamHandle, from: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.stream(to)?;
        state.stream(from).map(drop)
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_stream.rs"));
