//! Devices that may use each other's memory: those of one link group.

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::handle::Handle;
use crate::process::Process;
use crate::state::Context;

/// Whether two devices can reach each other.
fn linked(process: &Process, one: i32, other: i32) -> Done<bool> {
    let (first, second) = (process.index_of(one)?, process.index_of(other)?);
    if first == second {
        return Ok(false);
    }
    Ok(process.device(one)?.link_group == process.device(other)?.link_group)
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

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxEnablePeerAccess(peer: Handle<Context>, flags: u32) -> CUresult {
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
pub(crate) extern "C" fn cuCtxDisablePeerAccess(peer: Handle<Context>) -> CUresult {
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
