//! Contexts: primary ones and those a program makes.

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::ContextHandle;
use crate::process::Process;
use crate::threads;

/// Flags that a context may have.
const FLAGS: u32 = 0x3ff;

fn create(process: &'static Process, out: Out<ContextHandle>, flags: u32, device: i32) -> Done {
    let out = out.required()?;
    if flags & !FLAGS != 0 {
        return Err(Code::INVALID_VALUE);
    }
    process.index_of(device)?;
    let context = process.state().create_context(process, device, flags, None)?;
    process.start_workers();
    threads::push(context);
    out.set(context)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxCreate_v2(context: Out<ContextHandle>, flags: u32, device: i32) -> CUresult {
    call(|process| create(process, context, flags, device))
}

/// With affinity, which this device cannot have.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxCreate_v3(
    context: Out<ContextHandle>,
    affinity: In<u64>,
    affinities: i32,
    flags: u32,
    device: i32,
) -> CUresult {
    call(|process| {
        if affinities != 0 || !affinity.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        create(process, context, flags, device)
    })
}

/// What `cuCtxCreate_v4` is told: affinity, how many, and graphics.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreateParameters {
    affinity: usize,
    affinities: i32,
    graphics: usize,
}

const _: () = assert!(size_of::<CreateParameters>() == 24);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxCreate_v4(
    context: Out<ContextHandle>,
    parameters: In<CreateParameters>,
    flags: u32,
    device: i32,
) -> CUresult {
    call(|process| {
        let plain = parameters.optional().is_none_or(|asked| asked.affinities == 0 && asked.graphics == 0);
        if !plain {
            return Err(Code::NOT_SUPPORTED);
        }
        create(process, context, flags, device)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxDestroy_v2(context: ContextHandle) -> CUresult {
    call(|process| {
        if context.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        match process.state().contexts.find(context) {
            None => return Err(Code::CONTEXT_IS_DESTROYED),
            Some(found) if found.primary || !found.green.is_null() => return Err(Code::INVALID_CONTEXT),
            Some(_) => {}
        }
        process.finish_context(context);
        process.state().destroy_context(process, context)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxPushCurrent_v2(context: ContextHandle) -> CUresult {
    call(|process| {
        if process.state().contexts.find(context).is_none() {
            return Err(if context.is_null() { Code::INVALID_VALUE } else { Code::INVALID_CONTEXT });
        }
        threads::push(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxPopCurrent_v2(context: Out<ContextHandle>) -> CUresult {
    call(|_| {
        let popped = threads::pop()?;
        context.set_if_wanted(popped);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSetCurrent(context: ContextHandle) -> CUresult {
    call(|_| {
        threads::set_current(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetCurrent(context: Out<ContextHandle>) -> CUresult {
    call(|_| context.set(threads::current()))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetDevice(device: Out<i32>) -> CUresult {
    call(|process| {
        let device = device.required()?;
        let state = process.state();
        let current = threads::current();
        let found = state.contexts.find(current);
        let missing = if current.is_null() { Code::INVALID_CONTEXT } else { Code::CONTEXT_IS_DESTROYED };
        device.set(found.ok_or(missing)?.ordinal)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetDevice_v2(device: Out<i32>, context: ContextHandle) -> CUresult {
    call(|process| {
        let device = device.required()?;
        let context = if context.is_null() { threads::current() } else { context };
        let state = process.state();
        device.set(state.contexts.find(context).ok_or(Code::INVALID_CONTEXT)?.ordinal)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetFlags(flags: Out<u32>) -> CUresult {
    call(|process| {
        let flags = flags.required()?;
        let state = process.state();
        let current = state.current()?;
        flags.set(state.contexts.get(current)?.flags)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSetFlags(flags: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if flags & !FLAGS != 0 {
            return Err(Code::INVALID_VALUE);
        }
        state.contexts.get_mut(current)?.flags = flags;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetId(context: ContextHandle, id: Out<u64>) -> CUresult {
    call(|process| {
        let id = id.required()?;
        let state = process.state();
        let context = if context.is_null() { state.current()? } else { context };
        id.set(state.contexts.find(context).ok_or(Code::CONTEXT_IS_DESTROYED)?.id)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetApiVersion(context: ContextHandle, version: Out<u32>) -> CUresult {
    call(|process| {
        let version = version.required()?;
        let state = process.state();
        let context = if context.is_null() { state.current()? } else { context };
        state.contexts.find(context).ok_or(Code::INVALID_CONTEXT)?;
        version.set(3_020)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSynchronize() -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current_view()?;
        state.refuse_captured_context(current)?;
        drop(state);
        process.wait_context(current)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSynchronize_v2(context: ContextHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let context = if context.is_null() { state.current_view()? } else { context };
        state.refuse_captured_context(context)?;
        drop(state);
        process.wait_context(context)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) -> CUresult {
    call(|process| {
        process.state().current()?;
        least.set_if_wanted(0);
        greatest.set_if_wanted(-5);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxAttach(context: Out<ContextHandle>, flags: u32) -> CUresult {
    call(|process| {
        let current = process.state().current()?;
        if flags == 0 { context.set(current) } else { Err(Code::INVALID_VALUE) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxDetach(context: ContextHandle) -> CUresult {
    call(|process| process.state().contexts.get(context).map(drop).map_err(|_| Code::INVALID_CONTEXT))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxRetain(context: Out<ContextHandle>, device: i32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let context = context.required()?;
        let mut state = process.state();
        let primary = state.primary(process, device)?;
        state.primaries[device.cast_unsigned() as usize].retained += 1;
        drop(state);
        process.start_workers();
        context.set(primary)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> CUresult {
    call(|process| release_primary(process, device))
}

/// Takes back one retaining of a primary context; it ends with the last.
pub(super) fn release_primary(process: &Process, device: i32) -> Done {
    process.index_of(device)?;
    let mut state = process.state();
    let primary = &mut state.primaries[device.cast_unsigned() as usize];
    primary.retained = primary.retained.checked_sub(1).ok_or(Code::INVALID_CONTEXT)?;
    let last = primary.retained == 0;
    let context = primary.context;
    drop(state);
    match context.filter(|_| last) {
        None => Ok(()),
        Some(context) => {
            process.finish_context(context);
            process.state().end_primary(process, device)
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxReset_v2(device: i32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let context = process.state().primaries[device.cast_unsigned() as usize].context;
        if let Some(context) = context {
            process.finish_context(context);
        }
        process.state().end_primary(process, device)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxGetState(
    device: i32,
    flags: Out<u32>,
    active: Out<i32>,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let state = process.state();
        let primary = &state.primaries[device.cast_unsigned() as usize];
        flags.set_if_wanted(primary.flags);
        active.set_if_wanted(i32::from(primary.context.is_some()));
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        if flags & !FLAGS != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let mut state = process.state();
        let primary = &mut state.primaries[device.cast_unsigned() as usize];
        primary.flags = flags;
        if let Some(context) = primary.context {
            state.contexts.get_mut(context)?.flags = flags;
        }
        Ok(())
    })
}

/// The names of before CUDA 11 for the same.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxRelease(device: i32) -> CUresult {
    cuDevicePrimaryCtxRelease_v2(device)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxReset(device: i32) -> CUresult {
    cuDevicePrimaryCtxReset_v2(device)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxSetFlags(device: i32, flags: u32) -> CUresult {
    cuDevicePrimaryCtxSetFlags_v2(device, flags)
}
