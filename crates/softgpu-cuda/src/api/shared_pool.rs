//! Pools of other processes, and showing them ours.

use std::ffi::c_void;

use super::pool::POSIX_FILE;
use crate::abi::{CUresult, Code, In, Out};
use crate::call::call;
use crate::handle::Handle;
use crate::memory::pools::Pool;
use crate::memory::shared_pools::PointerData;

type P = Handle<Pool>;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolExportToShareableHandle(
    out: Out<i32>,
    pool: P,
    kind: u32,
    flags: u64,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        if flags != 0 || kind != POSIX_FILE {
            return Err(Code::INVALID_VALUE);
        }
        let descriptor = process.state().export_pool(process, pool)?;
        out.set(descriptor)
    })
}

/// The descriptor comes as a pointer's value, and stays the caller's.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolImportFromShareableHandle(
    pool: Out<P>,
    descriptor: *mut c_void,
    kind: u32,
    flags: u64,
) -> CUresult {
    call(|process| {
        let pool = pool.required()?;
        if flags != 0 || kind != POSIX_FILE {
            return Err(Code::INVALID_VALUE);
        }
        let descriptor = i32::try_from(descriptor as usize).map_err(|_| Code::INVALID_VALUE)?;
        let found = process.state().import_pool(process, descriptor)?;
        pool.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolExportPointer(data: Out<PointerData>, address: u64) -> CUresult {
    call(|process| {
        let data = data.required()?;
        let found = process.state().export_pool_pointer(process, address)?;
        data.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolImportPointer(
    address: Out<u64>,
    pool: P,
    data: In<PointerData>,
) -> CUresult {
    call(|process| {
        let address = address.required()?;
        let data = data.get()?;
        let base = process.state().import_pool_pointer(process, pool, data)?;
        address.set(base)
    })
}
