//! Stream-ordered memory and its pools.

use super::memory::Location;
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::engine::Op;
use crate::engine::item::Item;
use crate::graph::What;
use crate::handle::{PoolHandle, StreamHandle};
use crate::memory::Kind;
use crate::memory::pools::Pool;
use crate::numbers::{
    CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
    CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES,
    CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, CU_MEMPOOL_ATTR_USED_MEM_CURRENT,
    CU_MEMPOOL_ATTR_USED_MEM_HIGH,
};
use crate::process::Process;

/// A file descriptor: the one way to show a pool to other processes.
pub(super) const POSIX_FILE: u32 = 1;

/// `CUmemPoolProps`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolProperties {
    kind: u32,
    handle_types: u32,
    location: Location,
    security: usize,
    max_bytes: usize,
    usage: u16,
    spare: [u8; 54],
}

const _: () = assert!(size_of::<PoolProperties>() == 88);

impl PoolProperties {
    /// Plain memory of a device.
    pub(super) fn of_device(id: i32) -> Self {
        let location = Location { kind: Location::DEVICE, id };
        Self { kind: 1, handle_types: 0, location, security: 0, max_bytes: 0, usage: 0, spare: [0; 54] }
    }
}

fn allocate(
    process: &Process,
    address: Out<u64>,
    bytes: usize,
    pool: Option<PoolHandle>,
    stream: StreamHandle,
) -> Done {
    let address = address.required()?;
    let mut state = process.state();
    let stream = state.stream(stream)?;
    let context = state.streams.get(stream)?.context;
    let ordinal = state.contexts.get(context)?.ordinal;
    let pool = match pool {
        Some(pool) => pool,
        None => state.current_pool(ordinal)?,
    };
    if bytes == 0 {
        return address.set(0);
    }
    if let Some(capture) = state.capture_of(stream)? {
        let base = state.reserve_graph_memory(bytes as u64)?;
        if state.recorded(stream, || What::Alloc(base, bytes as u64))?.is_none() {
            state.spoil(capture);
        }
        return address.set(base);
    }
    let home = state.home(state.root(state.streams.get(stream)?.context))?;
    match state.allocate_from_pool(process, pool, home, stream, bytes as u64) {
        Ok(base) => address.set(base),
        Err(code) => {
            address.set_if_wanted(0);
            Err(code)
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: StreamHandle) -> CUresult {
    call(|process| allocate(process, address, bytes, None, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAllocFromPoolAsync(
    address: Out<u64>,
    bytes: usize,
    pool: PoolHandle,
    stream: StreamHandle,
) -> CUresult {
    call(|process| allocate(process, address, bytes, Some(pool), stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemFreeAsync(address: u64, stream: StreamHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let stream = state.stream(stream)?;
        if address == 0 {
            return Ok(());
        }
        if state.recorded(stream, || What::Free(address))?.is_some() {
            return Ok(());
        }
        if state.is_graph_memory(address) {
            return state.free_graph_memory(address);
        }
        let kind = state.memory.at(address).map(|found| found.kind.clone());
        match kind {
            Some(Kind::Pool { .. }) => {
                let id = state.free_in_stream(address, stream)?;
                state.enqueue(process, stream, Item::new(Op::Free(id), Vec::new(), false)).map(drop)
            }
            Some(Kind::Small { .. } | Kind::Large | Kind::Managed { .. }) => {
                drop(state);
                process.wait_stream(stream)?;
                process.state().free(process, address)
            }
            _ => Err(Code::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetDefaultMemPool(pool: Out<PoolHandle>, device: i32) -> CUresult {
    call(|process| {
        let pool = pool.required()?;
        process.index_of(device)?;
        let found = process.state().default_pool(device)?;
        pool.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetMemPool(pool: Out<PoolHandle>, device: i32) -> CUresult {
    call(|process| {
        let pool = pool.required()?;
        process.index_of(device)?;
        let found = process.state().current_pool(device)?;
        pool.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceSetMemPool(device: i32, pool: PoolHandle) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let mut state = process.state();
        let found = state.pools.find(pool).ok_or(Code::INVALID_VALUE)?;
        if found.ordinal != device || found.on_host || found.imported {
            return Err(Code::INVALID_VALUE);
        }
        state.device_pools[device.cast_unsigned() as usize].current = Some(pool);
        Ok(())
    })
}

/// The pool of a place, as of CUDA 13.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetDefaultMemPool(
    pool: Out<PoolHandle>,
    location: In<Location>,
    _kind: u32,
) -> CUresult {
    call(|process| {
        let pool = pool.required()?;
        let ordinal = location.get()?.ordinal(process)?.ok_or(Code::NOT_SUPPORTED)?;
        let found = process.state().default_pool(ordinal)?;
        pool.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetMemPool(
    pool: Out<PoolHandle>,
    location: In<Location>,
    _kind: u32,
) -> CUresult {
    call(|process| {
        let pool = pool.required()?;
        let ordinal = location.get()?.ordinal(process)?.ok_or(Code::NOT_SUPPORTED)?;
        let found = process.state().current_pool(ordinal)?;
        pool.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemSetMemPool(location: In<Location>, _kind: u32, pool: PoolHandle) -> CUresult {
    match location.optional() {
        Some(Location { kind: Location::DEVICE, id }) => cuDeviceSetMemPool(id, pool),
        _ => Code::INVALID_VALUE.0,
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolCreate(pool: Out<PoolHandle>, properties: In<PoolProperties>) -> CUresult {
    call(|process| {
        let pool = pool.required()?;
        let asked = properties.get()?;
        if asked.kind != 1 {
            return Err(Code::INVALID_VALUE);
        }
        let ordinal = asked.location.ordinal(process).map_err(|_| Code::INVALID_VALUE)?;
        if asked.handle_types & !POSIX_FILE != 0 || (asked.handle_types != 0 && ordinal.is_none()) {
            return Err(Code::NOT_SUPPORTED);
        }
        let mut made =
            Pool::new(ordinal.unwrap_or(0), ordinal.is_none(), asked.max_bytes as u64, asked.handle_types);
        if asked.handle_types != 0 {
            made.make_shareable()?;
        }
        let handle = process.state().pools.insert(made);
        pool.set(handle)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolDestroy(pool: PoolHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let default = state.device_pools.iter().any(|pools| pools.first == Some(pool));
        let found = state.pools.get_mut(pool).map_err(|_| Code::INVALID_VALUE)?;
        if default || found.ended {
            return Err(Code::INVALID_VALUE);
        }
        found.ended = true;
        state.settle(process, true);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolTrimTo(pool: PoolHandle, keep: usize) -> CUresult {
    call(|process| {
        let mut state = process.state();
        state.pools.get(pool).map_err(|_| Code::INVALID_VALUE)?;
        state.pump(process);
        state.settle(process, false);
        state.trim(process, pool, keep as u64);
        Ok(())
    })
}

/// Attributes are 32 bits wide up to 3, 64 bits from 4.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolGetAttribute(
    pool: PoolHandle,
    attribute: u32,
    value: Out<u64>,
) -> CUresult {
    call(|process| {
        let value = value.required()?;
        let mut state = process.state();
        state.pump(process);
        state.settle(process, false);
        let pool = state.pools.get(pool).map_err(|_| Code::INVALID_VALUE)?;
        match attribute {
            CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES
                ..=CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES => {
                value.cast::<i32>().set(pool.reuse[attribute as usize - 1])
            }
            CU_MEMPOOL_ATTR_RELEASE_THRESHOLD => value.set(pool.threshold),
            CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT => value.set(pool.reserved[0]),
            CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH => value.set(pool.reserved[1]),
            CU_MEMPOOL_ATTR_USED_MEM_CURRENT => value.set(pool.used[0]),
            CU_MEMPOOL_ATTR_USED_MEM_HIGH => value.set(pool.used[1]),
            _ => Err(Code::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolSetAttribute(
    pool: PoolHandle,
    attribute: u32,
    value: Out<u64>,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let pool = state.pools.get_mut(pool).map_err(|_| Code::INVALID_VALUE)?;
        match attribute {
            CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES
                ..=CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES => {
                pool.reuse[attribute as usize - 1] = value.cast::<i32>().read()?
            }
            CU_MEMPOOL_ATTR_RELEASE_THRESHOLD => pool.threshold = value.read()?,
            CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH if value.read()? == 0 => pool.reserved[1] = pool.reserved[0],
            CU_MEMPOOL_ATTR_USED_MEM_HIGH if value.read()? == 0 => pool.used[1] = pool.used[0],
            _ => return Err(Code::INVALID_VALUE),
        }
        Ok(())
    })
}

/// `CUmemAccessDesc`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) location: Location,
    pub(crate) flags: u32,
}

const _: () = assert!(size_of::<Access>() == 12);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolSetAccess(pool: PoolHandle, list: In<Access>, count: usize) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let list = list.list(count)?;
        let pool = state.pools.get_mut(pool).map_err(|_| Code::INVALID_VALUE)?;
        for access in list {
            let ordinal = access.location.ordinal(process)?;
            if ordinal == Some(pool.ordinal) && access.flags != 3 {
                return Err(Code::INVALID_DEVICE);
            }
            let place = (access.location.kind.cast_signed(), access.location.id);
            pool.access.retain(|(kind, id, _)| (*kind, *id) != place);
            pool.access.push((place.0, place.1, access.flags));
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolGetAccess(
    flags: Out<u32>,
    pool: PoolHandle,
    location: In<Location>,
) -> CUresult {
    call(|process| {
        let flags = flags.required()?;
        let location = location.get()?;
        let ordinal = location.ordinal(process)?;
        let state = process.state();
        let pool = state.pools.get(pool).map_err(|_| Code::INVALID_VALUE)?;
        let place = (location.kind.cast_signed(), location.id);
        let set = pool.access.iter().find(|(kind, id, _)| (*kind, *id) == place).map(|(.., flags)| *flags);
        let own = if ordinal == Some(pool.ordinal) { 3 } else { 0 };
        flags.set(set.unwrap_or(own))
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_pool.rs"));
