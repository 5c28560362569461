//! What an address is.

use std::ffi::c_void;

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::Handle;
use crate::memory::{Allocation, Kind};
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
        1 => Value::Wide(context_of(state, found)),
        2 => Value::Word(if on_device { 2 } else { 1 }),
        3 => Value::Wide(address),
        4 if on_device && !managed => return Err(Code::INVALID_VALUE),
        4 => Value::Wide(address),
        5 => Value::Pair(0, 0),
        6 => Value::Word((found.sync_memops || managed).into()),
        7 => Value::Wide(found.id),
        8 => Value::Word(managed.into()),
        9 => Value::Word(found.ordinal.cast_unsigned()),
        10 => Value::Word(matches!(found.kind, Kind::Small { .. } | Kind::Large).into()),
        11 => Value::Wide(found.base),
        12 => Value::Wide(found.bytes),
        13 => Value::Word(1),
        14 => Value::Word(match found.kind {
            Kind::Mapping { .. } => 1,
            Kind::Pool { pool } => state.pools.find(pool).map_or(0, |pool| pool.handle_types),
            _ => 0,
        }),
        15 => Value::Word(u32::from(on_device && !managed)),
        16 => Value::Word(match found.kind {
            Kind::Mapping { access, .. } => access,
            _ => 3,
        }),
        17 => Value::Wide(match found.kind {
            Kind::Pool { pool } => pool.value() as u64,
            _ => 0,
        }),
        18 => Value::Wide(found.mapped),
        19 => Value::Wide(found.base),
        20 => Value::Wide(found.id),
        21 => Value::Word(u32::from(on_device && !managed)),
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
                Err(_) if attribute > 21 => return Err(Code::INVALID_VALUE),
                // The device of what is no device's is -2.
                Err(_) if attribute == 9 => out.cast::<i32>().set(-2)?,
                Err(_) if matches!(attribute, 1 | 3 | 4 | 7 | 11 | 12 | 17..=20) => {
                    out.cast::<u64>().set(0)?
                }
                Err(_) if attribute == 5 => out.cast::<[u64; 2]>().set([0; 2])?,
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
        if attribute != 6 {
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
        1 => Ok(0),
        2 => Ok(-2),
        4 => Ok(on.unwrap_or(-1)),
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
