//! Green contexts and the resources they are made from.

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::engine::StreamKind;
use crate::green::{Green, GreenPart, MULTIPROCESSORS, Resource, Resources};
use crate::handle::{ContextHandle, EventHandle, GreenHandle, ResourcesHandle, StreamHandle};
use crate::process::Process;
use crate::state::State;
use crate::threads;

/// The one flag of a green context, which it must have: a default stream of its own.
const DEFAULT_STREAM: u32 = 1;
/// The one flag of its streams, which they must have.
const NON_BLOCKING: u32 = 1;
/// The highest priority there is; lower numbers are higher.
const PRIORITY_MIN: i32 = -5;
/// Most groups of a split and most parts of a description that are read.
const PARTS_MAX: u32 = 1_024;

/// Which resource is asked for: there is one kind.
fn check_kind(kind: u32) -> Done {
    if kind == MULTIPROCESSORS { Ok(()) } else { Err(Code::INVALID_RESOURCE_TYPE) }
}

fn find(state: &State, green: GreenHandle) -> Done<&Green> {
    let destroyed = if green.is_null() { Code::INVALID_CONTEXT } else { Code::CONTEXT_IS_DESTROYED };
    state.greens.find(green).ok_or(destroyed)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetDevResource(device: i32, resource: Out<Resource>, kind: u32) -> CUresult {
    call(|process| {
        let resource = resource.required()?;
        process.index_of(device)?;
        check_kind(kind)?;
        resource.set(GreenPart::multiprocessors_of_device(process, device)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetDevResource(
    context: ContextHandle,
    resource: Out<Resource>,
    kind: u32,
) -> CUresult {
    call(|process| {
        let resource = resource.required()?;
        check_kind(kind)?;
        let state = process.state();
        let context = if context.is_null() { state.current_view()? } else { context };
        let found = state.contexts.find(context).ok_or(Code::INVALID_CONTEXT)?;
        match state.greens.find(found.green) {
            Some(green) => resource.set(green.multiprocessors),
            None => resource.set(GreenPart::multiprocessors_of_device(process, found.ordinal)?),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxGetDevResource(
    green: GreenHandle,
    resource: Out<Resource>,
    kind: u32,
) -> CUresult {
    call(|process| {
        let resource = resource.required()?;
        check_kind(kind)?;
        resource.set(find(&process.state(), green)?.multiprocessors)
    })
}

/// Without a place for the groups it only says how many there would be.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevSmResourceSplitByCount(
    groups: Out<Resource>,
    count: Out<u32>,
    input: In<Resource>,
    remaining: Out<Resource>,
    flags: u32,
    fewest: u32,
) -> CUresult {
    call(|process| {
        let count = count.required()?;
        let input = input.get()?.checked()?;
        let simulated = groups.is_null();
        let wanted = if simulated { u32::MAX } else { count.read()? };
        if !simulated && !(1..=PARTS_MAX).contains(&wanted) {
            return Err(Code::INVALID_VALUE);
        }
        let number = process.state().new_id();
        let (parts, left) = input.split(number, wanted, fewest, flags)?;
        count.set(u32::try_from(parts.len()).unwrap_or(u32::MAX))?;
        if !simulated {
            groups.set_all(&parts);
            remaining.set_if_wanted(left);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevResourceGenerateDesc(
    description: Out<ResourcesHandle>,
    parts: In<Resource>,
    count: u32,
) -> CUresult {
    call(|process| {
        let description = description.required()?;
        if count > PARTS_MAX {
            return Err(Code::INVALID_VALUE);
        }
        let resources = Resources::of(&parts.list(count as usize)?)?;
        let made = process.state().resources.insert(resources);
        description.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxCreate(
    green: Out<GreenHandle>,
    description: ResourcesHandle,
    device: i32,
    flags: u32,
) -> CUresult {
    call(|process| {
        let green = green.required()?;
        if flags != DEFAULT_STREAM {
            return Err(Code::INVALID_VALUE);
        }
        process.index_of(device)?;
        let made = process.state().create_green(process, description, device)?;
        process.start_workers();
        green.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxDestroy(green: GreenHandle) -> CUresult {
    call(|process| {
        let state = process.state();
        let found = find(&state, green)?;
        let (view, ordinal) = (found.view, found.ordinal);
        drop(state);
        // One that failed has nothing to wait for.
        let _ = process.wait_context(view);
        process.state().end_green(process, green)?;
        super::context::release_primary(process, ordinal)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxFromGreenCtx(context: Out<ContextHandle>, green: GreenHandle) -> CUresult {
    call(|process| {
        let context = context.required()?;
        context.set(find(&process.state(), green)?.view)
    })
}

/// Without a green context it is about the current one.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxGetId(green: GreenHandle, id: Out<u64>) -> CUresult {
    call(|process| {
        let id = id.required()?;
        let state = process.state();
        let view = if green.is_null() { threads::current() } else { find(&state, green)?.view };
        let found = state.contexts.find(view).filter(|found| !found.green.is_null());
        id.set(found.ok_or(Code::INVALID_CONTEXT)?.id)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxStreamCreate(
    stream: Out<StreamHandle>,
    green: GreenHandle,
    flags: u32,
    priority: i32,
) -> CUresult {
    call(|process| {
        let stream = stream.required()?;
        let mut state = process.state();
        let view = find(&state, green)?.view;
        if flags != NON_BLOCKING {
            return Err(Code::INVALID_VALUE);
        }
        let priority = priority.clamp(PRIORITY_MIN, 0);
        let made = state.make_stream(process, view, StreamKind::NonBlocking, priority)?;
        stream.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamGetGreenCtx(stream: StreamHandle, green: Out<GreenHandle>) -> CUresult {
    call(|process| {
        let green = green.required()?;
        let mut state = process.state();
        let stream = state.stream(stream)?;
        let view = state.streams.get(stream)?.context;
        green.set(state.contexts.get(view)?.green)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxRecordEvent(green: GreenHandle, event: EventHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let view = find(&state, green)?.view;
        state.record_all(process, event, view)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGreenCtxWaitEvent(green: GreenHandle, event: EventHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let view = find(&state, green)?.view;
        state.wait_all(process, event, view)
    })
}

fn known(process: &Process, context: ContextHandle) -> Done {
    process.state().contexts.find(context).map(drop).ok_or(Code::INVALID_CONTEXT)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxRecordEvent(context: ContextHandle, event: EventHandle) -> CUresult {
    call(|process| {
        known(process, context)?;
        process.state().record_all(process, event, context)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxWaitEvent(context: ContextHandle, event: EventHandle) -> CUresult {
    call(|process| {
        known(process, context)?;
        let mut state = process.state();
        let captured = state.events.get(event)?.captured.clone();
        if let Some((capture, _)) = captured.filter(|(capture, _)| state.captures.find(*capture).is_some()) {
            state.spoil(capture);
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        state.wait_all(process, event, context)
    })
}
