//! Multicast objects.

use std::time::Duration;

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::PhysicalHandle;
use crate::memory::GRANULE;
use crate::process::Process;

/// What is best for speed, in bytes.
const RECOMMENDED: u64 = 512 << 20;
/// A file descriptor: the one way to show such an object to other processes.
const POSIX_FILE: u64 = 1;
/// How soon whoever waits for a team looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// `CUmulticastObjectProp`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Properties {
    devices: u32,
    bytes: usize,
    handle_types: u64,
    flags: u64,
}

const _: () = assert!(size_of::<Properties>() == 32);

impl Properties {
    fn check(&self, process: &Process) -> Done {
        if !process.any_can_multicast() {
            return Err(Code::NOT_SUPPORTED);
        }
        if self.devices == 0 || self.devices as usize > process.ledger.device_count() || self.flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if self.handle_types & !POSIX_FILE != 0 { Err(Code::NOT_SUPPORTED) } else { Ok(()) }
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMulticastGetGranularity(
    bytes: Out<usize>,
    properties: In<Properties>,
    option: u32,
) -> CUresult {
    call(|process| {
        let bytes = bytes.required()?;
        properties.get()?.check(process)?;
        match option {
            0 => bytes.set(GRANULE as usize),
            1 => bytes.set(RECOMMENDED as usize),
            _ => Err(Code::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMulticastCreate(
    handle: Out<PhysicalHandle>,
    properties: In<Properties>,
) -> CUresult {
    call(|process| {
        let handle = handle.required()?;
        let asked = properties.get()?;
        asked.check(process)?;
        let bytes = asked.bytes as u64;
        if bytes == 0 || !bytes.is_multiple_of(GRANULE) {
            return Err(Code::INVALID_VALUE);
        }
        let types = asked.handle_types as u32;
        let made = process.state().create_team(process, asked.devices, bytes, types)?;
        handle.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMulticastAddDevice(handle: PhysicalHandle, device: i32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        process.state().join_team(process, handle, device)
    })
}

/// Waits until all devices of a team have been added, by whomever.
pub(super) fn wait_for_team(process: &Process, handle: PhysicalHandle) -> Done {
    loop {
        // Another thread may let go of it meanwhile.
        let place = process.state().team_place(handle)?;
        if process.ledger.team(place).is_complete() {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMulticastBindMem(
    handle: PhysicalHandle,
    offset: usize,
    physical: PhysicalHandle,
    from: usize,
    bytes: usize,
    flags: u64,
) -> CUresult {
    call(|process| {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        wait_for_team(process, handle)?;
        process.state().bind(process, handle, offset as u64, physical, from as u64, bytes as u64)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMulticastBindAddr(
    handle: PhysicalHandle,
    offset: usize,
    address: u64,
    bytes: usize,
    flags: u64,
) -> CUresult {
    call(|process| {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        wait_for_team(process, handle)?;
        let mut state = process.state();
        let (physical, from) = state.mapped_at(address)?;
        state.bind(process, handle, offset as u64, physical, from, bytes as u64)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMulticastUnbind(
    handle: PhysicalHandle,
    device: i32,
    offset: usize,
    bytes: usize,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        process.state().unbind(process, handle, device, offset as u64, bytes as u64)
    })
}
