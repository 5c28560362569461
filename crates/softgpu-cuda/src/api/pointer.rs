//! What an address is.

use std::ffi::c_void;

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::Handle;
use crate::memory::{Allocation, Kind};
use crate::numbers::{
    CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION,
    CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST,
    CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES,
    CU_POINTER_ATTRIBUTE_BUFFER_ID, CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
    CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
    CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE, CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE,
    CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
    CU_POINTER_ATTRIBUTE_MAPPED, CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, CU_POINTER_ATTRIBUTE_MAPPING_SIZE,
    CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
    CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, CU_POINTER_ATTRIBUTE_P2P_TOKENS, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
    CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,
};
use crate::state::State;

/// The value of an attribute: what to write, as words of 4 or 8 bytes.
enum Value {
    Word(u32),
    Wide(u64),
    Pair(u64, u64),
}

/// Nothing is known of addresses that are not the driver's.
fn value(state: &State, attribute: u32, address: u64) -> Done<Value> {
    let found = state.memory.around(address).ok_or(Code::INVALID_VALUE)?;
    let on_device = found.on_device();
    let managed = matches!(found.kind, Kind::Managed { .. });
    Ok(match attribute {
        CU_POINTER_ATTRIBUTE_CONTEXT => Value::Wide(context_of(state, found)),
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE => {
            Value::Word(if on_device { CU_MEMORYTYPE_DEVICE } else { CU_MEMORYTYPE_HOST })
        }
        CU_POINTER_ATTRIBUTE_DEVICE_POINTER => Value::Wide(address),
        CU_POINTER_ATTRIBUTE_HOST_POINTER if on_device && !managed => return Err(Code::INVALID_VALUE),
        CU_POINTER_ATTRIBUTE_HOST_POINTER => Value::Wide(address),
        CU_POINTER_ATTRIBUTE_P2P_TOKENS => Value::Pair(0, 0),
        CU_POINTER_ATTRIBUTE_SYNC_MEMOPS => Value::Word((found.sync_memops || managed).into()),
        CU_POINTER_ATTRIBUTE_BUFFER_ID => Value::Wide(found.id),
        CU_POINTER_ATTRIBUTE_IS_MANAGED => Value::Word(managed.into()),
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => Value::Word(found.ordinal.cast_unsigned()),
        CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE => {
            Value::Word(matches!(found.kind, Kind::Small { .. } | Kind::Large).into())
        }
        CU_POINTER_ATTRIBUTE_RANGE_START_ADDR => Value::Wide(found.base),
        CU_POINTER_ATTRIBUTE_RANGE_SIZE => Value::Wide(found.bytes),
        CU_POINTER_ATTRIBUTE_MAPPED => Value::Word(1),
        CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES => Value::Word(match found.kind {
            Kind::Mapping { .. } => 1,
            Kind::Pool { pool } => state.pools.find(pool).map_or(0, |pool| pool.handle_types),
            _ => 0,
        }),
        CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE => Value::Word(u32::from(on_device && !managed)),
        CU_POINTER_ATTRIBUTE_ACCESS_FLAGS => Value::Word(match found.kind {
            Kind::Mapping { access, .. } => access,
            _ => 3,
        }),
        CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE => Value::Wide(match found.kind {
            Kind::Pool { pool } => pool.value() as u64,
            _ => 0,
        }),
        CU_POINTER_ATTRIBUTE_MAPPING_SIZE => Value::Wide(found.mapped),
        CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR => Value::Wide(found.base),
        CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID => Value::Wide(found.id),
        CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE => Value::Word(u32::from(on_device && !managed)),
        _ => return Err(Code::INVALID_VALUE),
    })
}

fn context_of(state: &State, found: &Allocation) -> u64 {
    if state.contexts.find(found.context).is_some() { found.context.value() as u64 } else { 0 }
}

fn write(to: Out<c_void>, value: &Value) -> Done {
    match value {
        Value::Word(word) => to.cast::<u32>().set(*word),
        Value::Wide(word) => to.cast::<u64>().set(*word),
        Value::Pair(one, other) => to.cast::<[u64; 2]>().set([*one, *other]),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuPointerGetAttribute(out: Out<c_void>, attribute: u32, address: u64) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let found = value(&process.state(), attribute, address)?;
        write(out, &found)
    })
}

/// Whether an attribute's value has 8 bytes.
fn is_wide(attribute: u32) -> bool {
    matches!(
        attribute,
        CU_POINTER_ATTRIBUTE_CONTEXT
            | CU_POINTER_ATTRIBUTE_DEVICE_POINTER
            | CU_POINTER_ATTRIBUTE_HOST_POINTER
            | CU_POINTER_ATTRIBUTE_BUFFER_ID
            | CU_POINTER_ATTRIBUTE_RANGE_START_ADDR
            | CU_POINTER_ATTRIBUTE_RANGE_SIZE
            | CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE
            | CU_POINTER_ATTRIBUTE_MAPPING_SIZE
            | CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR
            | CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID
    )
}

/// Several at once: what cannot be answered is zero, and nothing is an error.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuPointerGetAttributes(
    count: u32,
    attributes: In<u32>,
    outs: In<Out<c_void>>,
    address: u64,
) -> CUresult {
    call(|process| {
        let attributes = attributes.list(count as usize)?;
        let outs = outs.list(count as usize)?;
        let state = process.state();
        for (attribute, out) in attributes.into_iter().zip(outs) {
            match value(&state, attribute, address) {
                Ok(found) => write(out, &found)?,
                Err(_) if attribute > CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE => {
                    return Err(Code::INVALID_VALUE);
                }
                // The device of what is no device's is -2.
                Err(_) if attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => out.cast::<i32>().set(-2)?,
                Err(_) if is_wide(attribute) => out.cast::<u64>().set(0)?,
                Err(_) if attribute == CU_POINTER_ATTRIBUTE_P2P_TOKENS => {
                    out.cast::<[u64; 2]>().set([0; 2])?
                }
                Err(_) => out.cast::<u32>().set(0)?,
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuPointerSetAttribute(from: In<u32>, attribute: u32, address: u64) -> CUresult {
    call(|process| {
        let wanted = from.get()?;
        let mut state = process.state();
        let base =
            state.memory.around(address).filter(|found| found.on_device()).ok_or(Code::INVALID_VALUE)?.base;
        if attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS {
            return Err(Code::INVALID_VALUE);
        }
        if let Some(found) = state.memory.at_mut(base) {
            found.sync_memops = wanted != 0;
        }
        Ok(())
    })
}

/// One attribute of a range of managed memory.
fn range_value(state: &State, attribute: u32, address: u64) -> Done<i32> {
    let Some(Kind::Managed { on }) = state.memory.around(address).map(|found| found.kind.clone()) else {
        return Err(Code::INVALID_VALUE);
    };
    match attribute {
        CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY => Ok(0),
        CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION => Ok(-2),
        CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION => Ok(on.unwrap_or(-1)),
        _ => Err(Code::INVALID_VALUE),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemRangeGetAttribute(
    out: Out<i32>,
    size: usize,
    attribute: u32,
    address: u64,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        if size < 4 || bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let found = range_value(&process.state(), attribute, address)?;
        out.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemRangeGetAttributes(
    outs: In<Out<i32>>,
    sizes: In<usize>,
    attributes: In<u32>,
    count: usize,
    address: u64,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let outs = outs.list(count)?;
        let sizes = sizes.list(count)?;
        let attributes = attributes.list(count)?;
        if bytes == 0 || sizes.iter().any(|size| *size < 4) {
            return Err(Code::INVALID_VALUE);
        }
        let state = process.state();
        outs.into_iter().zip(attributes).try_for_each(|(out, attribute)| {
            let found = range_value(&state, attribute, address)?;
            out.set(found)
        })
    })
}

/// Names of addresses for debuggers: there is none here.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetHandleForAddressRange(
    _out: Out<c_void>,
    _address: u64,
    _bytes: usize,
    _kind: u32,
    _flags: u64,
) -> CUresult {
    let _: Handle<()> = Handle::NULL;
    call(|_| Err(Code::NOT_SUPPORTED))
}
