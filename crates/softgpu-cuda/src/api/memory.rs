//! Device memory: allocating and freeing it, and how much there is.

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::handle::StreamHandle;
use crate::memory::Kind;
use crate::process::Process;
use crate::state::State;

/// Rows begin at multiples of this.
const PITCH: usize = 512;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> CUresult {
    call(|process| {
        let state = process.state();
        let current = state.current()?;
        let ordinal = state.contexts.get(current)?.ordinal;
        drop(state);
        if process.ledger.processes_high() > 1 {
            process.ledger.reap();
        }
        let device = process.device(ordinal)?;
        free.set_if_wanted(device.free_bytes() as usize);
        total.set_if_wanted(device.facts.capacity_bytes() as usize);
        Ok(())
    })
}

fn allocate(process: &Process, address: Out<u64>, bytes: u64) -> Done {
    let address = address.required()?;
    let mut state = process.state();
    let current = state.current()?;
    state.refuse_unsafe()?;
    let home = state.home(current)?;
    match state.allocate(process, home, bytes) {
        Ok(base) => address.set(base),
        Err(code) => {
            if code == Code::OUT_OF_MEMORY {
                address.set_if_wanted(0);
            }
            Err(code)
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) -> CUresult {
    call(|process| allocate(process, address, bytes as u64))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAllocPitch_v2(
    address: Out<u64>,
    pitch: Out<usize>,
    width: usize,
    height: usize,
    element: u32,
) -> CUresult {
    call(|process| {
        let pitch = pitch.required()?;
        if !matches!(element, 4 | 8 | 16) || width == 0 || height == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let row = width.checked_next_multiple_of(PITCH).ok_or(Code::OUT_OF_MEMORY)?;
        let bytes = row.checked_mul(height).ok_or(Code::OUT_OF_MEMORY)?;
        allocate(process, address, bytes as u64)?;
        pitch.set(row)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAllocManaged(address: Out<u64>, bytes: usize, flags: u32) -> CUresult {
    call(|process| {
        let address = address.required()?;
        let mut state = process.state();
        let current = state.current()?;
        if !matches!(flags, 1 | 2) {
            return Err(Code::INVALID_VALUE);
        }
        state.refuse_unsafe()?;
        let home = state.home(current)?;
        let base = state.allocate_managed(process, home, bytes as u64)?;
        address.set(base)
    })
}

/// Frees memory of any of the families that have no call of their own, once nobody uses it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemFree_v2(address: u64) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if address == 0 {
            return Ok(());
        }
        state.refuse_unsafe()?;
        let found = state.memory.at(address).ok_or(Code::INVALID_VALUE)?;
        let owner = if state.contexts.find(found.context).is_some() { found.context } else { current };
        let id = found.id;
        drop(state);
        process.wait_context(owner)?;
        if owner != current {
            process.wait_context(current)?;
        }
        let mut state = process.state();
        // Another thread may have freed it meanwhile.
        if state.memory.at(address).is_none_or(|found| found.id != id) {
            return Err(Code::INVALID_VALUE);
        }
        if state.is_graph_memory(address) {
            return state.free_graph_memory(address);
        }
        state.free(process, address)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemGetAddressRange_v2(
    base: Out<u64>,
    bytes: Out<usize>,
    address: u64,
) -> CUresult {
    call(|process| {
        let state = process.state();
        state.current()?;
        let found = state.memory.around(address).ok_or(Code::NOT_FOUND)?;
        base.set_if_wanted(found.base);
        bytes.set_if_wanted(found.bytes as usize);
        Ok(())
    })
}

/// Where managed memory should be.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) kind: u32,
    pub(crate) id: i32,
}

const _: () = assert!(size_of::<Location>() == 8);

impl Location {
    /// On a device.
    pub(crate) const DEVICE: u32 = 1;
    /// On the host, or a part of it.
    pub(crate) const HOST: [u32; 3] = [2, 3, 4];

    /// The device it is, or `None` for the host.
    pub(crate) fn ordinal(self, process: &Process) -> Done<Option<i32>> {
        if self.kind == Self::DEVICE {
            process.index_of(self.id)?;
            Ok(Some(self.id))
        } else if Self::HOST.contains(&self.kind) {
            Ok(None)
        } else {
            Err(Code::INVALID_VALUE)
        }
    }
}

/// Whether a range is managed memory.
pub(super) fn check_managed(state: &State, address: u64, bytes: usize) -> Done {
    state.memory.check(address, bytes.max(1) as u64)?;
    let found = state.memory.around(address).ok_or(Code::INVALID_VALUE)?;
    if matches!(found.kind, Kind::Managed { .. }) { Ok(()) } else { Err(Code::INVALID_VALUE) }
}

fn prefetch(process: &Process, address: u64, bytes: usize, to: Option<i32>, stream: StreamHandle) -> Done {
    let mut state = process.state();
    state.current()?;
    state.stream(stream)?;
    check_managed(&state, address, bytes)?;
    state.bring_managed(process, address, to);
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPrefetchAsync(
    address: u64,
    bytes: usize,
    device: i32,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        let to = if device == -1 {
            None
        } else {
            Location { kind: Location::DEVICE, id: device }.ordinal(process)?
        };
        prefetch(process, address, bytes, to, stream)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPrefetchAsync_v2(
    address: u64,
    bytes: usize,
    to: Location,
    flags: u32,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        prefetch(process, address, bytes, to.ordinal(process)?, stream)
    })
}

/// Advice changes nothing here.
fn advise(process: &Process, address: u64, bytes: usize, advice: u32) -> Done {
    let state = process.state();
    state.current()?;
    state.memory.check(address, bytes.max(1) as u64)?;
    if (1..=8).contains(&advice) { Ok(()) } else { Err(Code::INVALID_VALUE) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAdvise(address: u64, bytes: usize, advice: u32, _device: i32) -> CUresult {
    call(|process| advise(process, address, bytes, advice))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemAdvise_v2(address: u64, bytes: usize, advice: u32, to: Location) -> CUresult {
    call(|process| {
        to.ordinal(process)?;
        advise(process, address, bytes, advice)
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_memory.rs"));
