//! Devices that may use each other's memory: those of one link group.

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::ContextHandle;
use crate::process::Process;

/// Whether two devices can reach each other.
fn linked(process: &Process, one: i32, other: i32) -> Done<bool> {
    let (first, second) = (process.index_of(one)?, process.index_of(other)?);
    if first == second {
        return Ok(false);
    }
    Ok(process.facts(one)?.link_group == process.facts(other)?.link_group)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceCanAccessPeer(can: Out<i32>, device: i32, peer: i32) -> CUresult {
    call(|process| {
        let can = can.required()?;
        can.set(i32::from(linked(process, device, peer)?))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetP2PAttribute(
    value: Out<i32>,
    attribute: u32,
    device: i32,
    peer: i32,
) -> CUresult {
    call(|process| {
        let value = value.required()?;
        if device == peer {
            return Err(Code::INVALID_DEVICE);
        }
        let linked = linked(process, device, peer)?;
        match attribute {
            // How good the link is: 0 is the best.
            1 => value.set(0),
            2..=7 => value.set(i32::from(linked)),
            _ => Err(Code::INVALID_VALUE),
        }
    })
}

/// Operations by number: sums, smallest, largest, up, down, and, or, exclusive or, exchange, compare; then of floats.
const OPERATIONS: u32 = 13;

/// What a link with native atomics can do: bits for signed and unsigned numbers, reductions, 32, 64 and 128 bits.
fn atomic(operation: u32) -> u32 {
    const SIGNED: u32 = 1;
    const UNSIGNED: u32 = 2;
    const REDUCTION: u32 = 4;
    const BITS_32_64: u32 = 8 | 16;
    const BITS_128: u32 = 32;
    match operation {
        0..=2 => SIGNED | UNSIGNED | REDUCTION | BITS_32_64,
        3 | 4 => UNSIGNED | REDUCTION | 8,
        5..=7 => UNSIGNED | REDUCTION | BITS_32_64,
        8 | 9 => UNSIGNED | BITS_32_64 | BITS_128,
        10 => SIGNED | REDUCTION | BITS_32_64,
        _ => 0,
    }
}

fn capabilities(out: Out<u32>, operations: In<u32>, count: u32, native: bool) -> Done {
    let out = out.required()?;
    let operations = operations.list(count as usize)?;
    if operations.is_empty() || operations.iter().any(|operation| *operation >= OPERATIONS) {
        return Err(Code::INVALID_VALUE);
    }
    let found: Vec<u32> =
        operations.into_iter().map(|operation| if native { atomic(operation) } else { 0 }).collect();
    out.set_all(&found);
    Ok(())
}

/// Between device and host there are none, as the device's attributes say too.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetHostAtomicCapabilities(
    out: Out<u32>,
    operations: In<u32>,
    count: u32,
    device: i32,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        capabilities(out, operations, count, false)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetP2PAtomicCapabilities(
    out: Out<u32>,
    operations: In<u32>,
    count: u32,
    device: i32,
    peer: i32,
) -> CUresult {
    call(|process| {
        let linked = linked(process, device, peer)?;
        if device == peer {
            return Err(Code::INVALID_DEVICE);
        }
        capabilities(out, operations, count, linked)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxEnablePeerAccess(peer: ContextHandle, flags: u32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let other = state.contexts.find(peer).ok_or(Code::INVALID_CONTEXT)?.ordinal;
        let here = state.contexts.get(current)?.ordinal;
        if !linked(process, here, other)? {
            return Err(Code::PEER_ACCESS_UNSUPPORTED);
        }
        let context = state.contexts.get_mut(current)?;
        if context.peers.contains(&peer) {
            return Err(Code::PEER_ACCESS_ALREADY_ENABLED);
        }
        context.peers.push(peer);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxDisablePeerAccess(peer: ContextHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        state.contexts.find(peer).ok_or(Code::INVALID_CONTEXT)?;
        let context = state.contexts.get_mut(current)?;
        let place = context.peers.iter().position(|one| *one == peer).ok_or(Code::PEER_ACCESS_NOT_ENABLED)?;
        context.peers.remove(place);
        Ok(())
    })
}
