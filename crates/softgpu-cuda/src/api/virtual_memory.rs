//! Virtual memory: addresses reserved, physical memory created, the two brought together.

use std::ffi::c_void;

use super::memory::Location;
use super::pool::Access;
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::{ContextHandle, PhysicalHandle};
use crate::memory::{GRANULE, Kind};
use crate::process::Process;

/// `CUmemAllocationProp`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Properties {
    kind: u32,
    handle_types: u32,
    location: Location,
    security: usize,
    flags: [u8; 8],
}

const _: () = assert!(size_of::<Properties>() == 32);

/// A file descriptor.
const POSIX_FILE: u32 = 1;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetAllocationGranularity(
    out: Out<usize>,
    properties: In<Properties>,
    kind: u32,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        properties.get()?.location.ordinal(process)?;
        if kind > 1 {
            return Err(Code::INVALID_VALUE);
        }
        out.set(GRANULE as usize)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAddressReserve(
    address: Out<u64>,
    bytes: usize,
    alignment: usize,
    wanted: u64,
    flags: u64,
) -> CUresult {
    call(|process| {
        let address = address.required()?;
        let bytes = bytes as u64;
        let odd = alignment != 0 && !alignment.is_power_of_two();
        if bytes == 0 || !bytes.is_multiple_of(GRANULE) || odd || flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let mut state = process.state();
        let base = state.memory.space.take(bytes, alignment.max(1) as u64, wanted)?;
        state.memory.reservations.insert(base, bytes);
        address.set(base)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAddressFree(address: u64, bytes: usize) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let whole = state.memory.reservations.get(&address) == Some(&(bytes as u64));
        if !whole || state.memory.within(address, bytes as u64).next().is_some() {
            return Err(Code::INVALID_VALUE);
        }
        state.memory.reservations.remove(&address);
        state.memory.space.give(address, bytes as u64);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemCreate(
    handle: Out<PhysicalHandle>,
    bytes: usize,
    properties: In<Properties>,
    flags: u64,
) -> CUresult {
    call(|process| {
        let handle = handle.required()?;
        let asked = properties.get()?;
        if flags != 0 || asked.kind != 1 {
            return Err(Code::INVALID_VALUE);
        }
        if asked.handle_types & !POSIX_FILE != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        let ordinal = asked.location.ordinal(process)?;
        let made = process.state().create_physical(process, ordinal, bytes as u64, asked.handle_types)?;
        handle.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemRelease(handle: PhysicalHandle) -> CUresult {
    call(|process| process.state().drop_physical(process, handle, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemMap(
    address: u64,
    bytes: usize,
    offset: usize,
    handle: PhysicalHandle,
    flags: u64,
) -> CUresult {
    call(|process| {
        if process.state().team_place(handle).is_ok() {
            super::multicast::wait_for_team(process, handle)?;
        }
        let mut state = process.state();
        let whole = state.physicals.get(handle).map_err(|_| Code::INVALID_VALUE)?.bytes;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if !address.is_multiple_of(GRANULE) || offset != 0 || bytes as u64 != whole {
            return Err(Code::NOT_SUPPORTED);
        }
        state.map_physical(address, handle)
    })
}

/// Waits for whoever may use memory that is about to go.
fn wait_for_all(process: &Process) -> Done {
    let (sound, failed): (Vec<_>, Vec<_>) = {
        let state = process.state();
        let sound =
            |context: &ContextHandle| state.contexts.get(*context).is_ok_and(|one| one.error.is_none());
        state.contexts.handles(|_| true).into_iter().partition(sound)
    };
    failed.into_iter().for_each(|context| process.wait_until_still(context));
    sound.into_iter().try_for_each(|context| process.wait_context(context))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemUnmap(address: u64, bytes: usize) -> CUresult {
    call(|process| {
        if !address.is_multiple_of(GRANULE) || bytes == 0 || !(bytes as u64).is_multiple_of(GRANULE) {
            return Err(Code::INVALID_VALUE);
        }
        wait_for_all(process)?;
        process.state().unmap_physical(process, address, bytes as u64)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemSetAccess(
    address: u64,
    bytes: usize,
    list: In<Access>,
    count: usize,
) -> CUresult {
    call(|process| {
        let list = list.list(count)?;
        if list.is_empty() || bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        for access in &list {
            access.location.ordinal(process).map_err(|_| Code::INVALID_VALUE)?;
            if !matches!(access.flags, 0 | 1 | 3) {
                return Err(Code::INVALID_VALUE);
            }
        }
        let flags = list.iter().map(|access| access.flags).max().unwrap_or(0);
        if flags == 0 {
            wait_for_all(process)?;
        }
        process.state().set_access(address, bytes as u64, flags)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetAccess(flags: Out<u64>, location: In<Location>, address: u64) -> CUresult {
    call(|process| {
        let flags = flags.required()?;
        location.get()?.ordinal(process)?;
        match process.state().memory.around(address).map(|found| found.kind.clone()) {
            Some(Kind::Mapping { access, .. }) => flags.set(access.into()),
            _ => Err(Code::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemRetainAllocationHandle(handle: Out<PhysicalHandle>, address: u64) -> CUresult {
    call(|process| {
        let handle = handle.required()?;
        let mut state = process.state();
        let Some(Kind::Mapping { physical, .. }) =
            state.memory.around(address).map(|found| found.kind.clone())
        else {
            return Err(Code::INVALID_VALUE);
        };
        state.physicals.get_mut(physical)?.handles += 1;
        handle.set(physical)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetAllocationPropertiesFromHandle(
    properties: Out<Properties>,
    handle: PhysicalHandle,
) -> CUresult {
    call(|process| {
        let state = process.state();
        let found = state.physicals.get(handle).map_err(|_| Code::INVALID_VALUE)?;
        let location = match found.ordinal {
            Some(id) => Location { kind: Location::DEVICE, id },
            None => Location { kind: Location::HOST[0], id: 0 },
        };
        properties.set(Properties {
            kind: 1,
            handle_types: found.handle_types,
            location,
            security: 0,
            flags: [0; 8],
        })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemExportToShareableHandle(
    out: Out<i32>,
    handle: PhysicalHandle,
    kind: u32,
    flags: u64,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if kind != POSIX_FILE {
            return Err(Code::NOT_SUPPORTED);
        }
        let descriptor = process.state().export_physical(process, handle)?;
        out.set(descriptor)
    })
}

/// The descriptor comes as a pointer's value.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemImportFromShareableHandle(
    handle: Out<PhysicalHandle>,
    descriptor: *mut c_void,
    kind: u32,
) -> CUresult {
    call(|process| {
        let handle = handle.required()?;
        if kind != POSIX_FILE {
            return Err(Code::NOT_SUPPORTED);
        }
        let descriptor = i32::try_from(descriptor as usize).map_err(|_| Code::INVALID_VALUE)?;
        let found = process.state().import_physical(process, descriptor)?;
        handle.set(found)
    })
}
