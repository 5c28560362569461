//! Limits and preferences of a context.

use fastgpu_softgpu::ledger::layout::Class;

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::engine::LIMITS;

/// The limit on a thread's stack.
const STACK: usize = 0;
/// What a thread's stack may be, in bytes.
const STACK_MAX: usize = 512 << 10;
/// Persisting part of the second-level cache.
const PERSISTING_L2: usize = 6;

/// The place of a limit that these devices have.
fn known(limit: u32) -> Done<usize> {
    match limit as usize {
        3 | 9 => Err(Code::UNSUPPORTED_LIMIT),
        place if place < LIMITS => Ok(place),
        _ => Err(Code::INVALID_VALUE),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetLimit(value: Out<usize>, limit: u32) -> CUresult {
    call(|process| {
        let value = value.required()?;
        let state = process.state();
        let current = state.current()?;
        let place = known(limit)?;
        value.set(state.contexts.get(current)?.limits[place])
    })
}

/// Stacks take memory: as much for each thread that can run at once.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSetLimit(limit: u32, value: usize) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        let place = known(limit)?;
        let ordinal = state.contexts.get(current)?.ordinal;
        let model = process.model(ordinal)?;
        let now = state.contexts.get(current)?.limits[place];
        if place == STACK {
            if value > STACK_MAX {
                return Err(Code::INVALID_VALUE);
            }
            let threads = u64::from(model.multiprocessors) * u64::from(model.limits().threads);
            let more = threads * (value.saturating_sub(now) as u64);
            process.charge(ordinal, Class::Context, more)?;
            let context = state.contexts.get_mut(current)?;
            context.own_bytes += more;
            context.limits[place] = value.max(now);
            return Ok(());
        }
        let most = if place == PERSISTING_L2 { model.memory.l2_kib as usize * 640 } else { usize::MAX };
        state.contexts.get_mut(current)?.limits[place] = value.min(most);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxResetPersistingL2Cache() -> CUresult {
    call(|process| process.state().current().map(drop))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetCacheConfig(config: Out<u32>) -> CUresult {
    call(|process| {
        let config = config.required()?;
        let state = process.state();
        let current = state.current()?;
        config.set(state.contexts.get(current)?.cache_config)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSetCacheConfig(config: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if config > 3 {
            return Err(Code::INVALID_VALUE);
        }
        state.contexts.get_mut(current)?.cache_config = config;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxGetSharedMemConfig(config: Out<u32>) -> CUresult {
    call(|process| {
        let config = config.required()?;
        let state = process.state();
        let current = state.current()?;
        config.set(state.contexts.get(current)?.shared_config)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSetSharedMemConfig(config: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if config > 2 {
            return Err(Code::INVALID_VALUE);
        }
        state.contexts.get_mut(current)?.shared_config = config;
        Ok(())
    })
}
