//! Pools of other processes, and showing them ours.

use crate::handle::Handle;
use crate::threads;
use std::ffi::c_void;

use super::pool::POSIX_FILE;
use crate::abi::{CUresult, Code, In, Out};
use crate::call::call;
use crate::handle::PoolHandle;
use crate::memory::shared_pools::PointerData;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolExportToShareableHandle(
    out: Out<i32>,
    pool: PoolHandle,
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
    pool: Out<PoolHandle>,
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
    pool: PoolHandle,
    data: In<PointerData>,
) -> CUresult {
    call(|process| {
        let address = address.required()?;
        let data = data.get()?;
        let mut state = process.state();
        let current = threads::current();
        let context = if state.contexts.find(current).is_some() { current } else { Handle::NULL };
        let base = state.import_pool_pointer(process, pool, context, data)?;
        address.set(base)
    })
}
