//! Host memory that devices may touch.

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::memory::Kind;
use crate::process::Process;

/// Portable, mapped, write-combined.
const FLAGS: u32 = 7;
/// Portable, mapped, I/O memory, read-only.
const REGISTER_FLAGS: u32 = 15;

fn allocate(process: &Process, address: Out<u64>, bytes: usize, flags: u32) -> Done {
    let address = address.required()?;
    let mut state = process.state();
    let current = state.current()?;
    if flags & !FLAGS != 0 {
        return Err(Code::INVALID_VALUE);
    }
    state.refuse_unsafe()?;
    if bytes == 0 {
        return address.set(0);
    }
    let home = state.home(current)?;
    let base = state.allocate_host(home, bytes as u64, flags)?;
    address.set(base)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAllocHost_v2(address: Out<u64>, bytes: usize) -> CUresult {
    call(|process| allocate(process, address, bytes, 0))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemHostAlloc(address: Out<u64>, bytes: usize, flags: u32) -> CUresult {
    call(|process| allocate(process, address, bytes, flags))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemFreeHost(address: u64) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if address == 0 {
            return Ok(());
        }
        state.refuse_unsafe()?;
        let found = state.memory.at(address).ok_or(Code::INVALID_VALUE)?;
        if !matches!(found.kind, Kind::Host { .. }) {
            return Err(Code::INVALID_VALUE);
        }
        drop(state);
        process.wait_context(current)?;
        process.state().free_host(address)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemHostRegister_v2(address: u64, bytes: usize, flags: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if flags & !REGISTER_FLAGS != 0 {
            return Err(Code::INVALID_VALUE);
        }
        state.refuse_unsafe()?;
        let home = state.home(current)?;
        state.register(home, address, bytes as u64, flags)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemHostUnregister(address: u64) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if address == 0 {
            return Err(Code::INVALID_VALUE);
        }
        state.refuse_unsafe()?;
        let registered =
            state.memory.at(address).is_some_and(|found| matches!(found.kind, Kind::Registered { .. }));
        if !registered {
            return Err(Code::HOST_MEMORY_NOT_REGISTERED);
        }
        drop(state);
        process.wait_context(current)?;
        process.state().free_host(address)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemHostGetDevicePointer_v2(
    device: Out<u64>,
    address: u64,
    flags: u32,
) -> CUresult {
    call(|process| {
        let device = device.required()?;
        let state = process.state();
        state.current()?;
        let found = state.memory.around(address).filter(|found| !found.on_device());
        if flags != 0 || found.is_none() {
            return Err(Code::INVALID_VALUE);
        }
        device.set(address)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemHostGetFlags(flags: Out<u32>, address: u64) -> CUresult {
    call(|process| {
        let flags = flags.required()?;
        let state = process.state();
        state.current()?;
        match state.memory.around(address).map(|found| &found.kind) {
            // All host memory is portable and mapped where addresses are unified.
            Some(Kind::Host { flags: asked }) => flags.set(asked | 3),
            _ => Err(Code::INVALID_VALUE),
        }
    })
}
