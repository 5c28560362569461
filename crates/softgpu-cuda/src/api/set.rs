//! Filling memory.

use super::copy::due;
use crate::abi::{CUresult, Code, Done};
use crate::call::call;
use crate::engine::task::SetJob;
use crate::graph::What;
use crate::handle::{Handle, StreamHandle};
use crate::process::Process;

fn set(process: &Process, job: SetJob, stream: StreamHandle) -> Done {
    let mut state = process.state();
    let current = state.current()?;
    let stream = state.stream(stream)?;
    if job.width == 0 || job.height == 0 {
        return Ok(());
    }
    if job.height > 1 && job.pitch < job.width.saturating_mul(job.size) {
        return Err(Code::INVALID_VALUE);
    }
    let ordinal = state.contexts.get(current)?.ordinal;
    let due = due(&state, stream)?;
    let op = state.set_op(process, ordinal, job, due)?;
    let numbers = vec![
        job.address,
        job.pitch as u64,
        job.value.into(),
        job.size as u64,
        job.width as u64,
        job.height as u64,
    ];
    drop(state);
    process.make_room(stream, true)?;
    process.state().submit(process, stream, What::Set(op, numbers), true)
}

fn row(address: u64, value: u32, size: usize, width: usize) -> SetJob {
    SetJob { address, value, size, width, height: 1, pitch: width.saturating_mul(size) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD8Async(
    address: u64,
    value: u8,
    count: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| set(process, row(address, value.into(), 1, count), stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD16Async(
    address: u64,
    value: u16,
    count: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| set(process, row(address, value.into(), 2, count), stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD32Async(
    address: u64,
    value: u32,
    count: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| set(process, row(address, value, 4, count), stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD8_v2(address: u64, value: u8, count: usize) -> CUresult {
    cuMemsetD8Async(address, value, count, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD16_v2(address: u64, value: u16, count: usize) -> CUresult {
    cuMemsetD16Async(address, value, count, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD32_v2(address: u64, value: u32, count: usize) -> CUresult {
    cuMemsetD32Async(address, value, count, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD2D8Async(
    address: u64,
    pitch: usize,
    value: u8,
    width: usize,
    height: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        set(process, SetJob { address, value: value.into(), size: 1, width, height, pitch }, stream)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD2D16Async(
    address: u64,
    pitch: usize,
    value: u16,
    width: usize,
    height: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        set(process, SetJob { address, value: value.into(), size: 2, width, height, pitch }, stream)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD2D32Async(
    address: u64,
    pitch: usize,
    value: u32,
    width: usize,
    height: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| set(process, SetJob { address, value, size: 4, width, height, pitch }, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD2D8_v2(
    address: u64,
    pitch: usize,
    value: u8,
    width: usize,
    height: usize,
) -> CUresult {
    cuMemsetD2D8Async(address, pitch, value, width, height, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD2D16_v2(
    address: u64,
    pitch: usize,
    value: u16,
    width: usize,
    height: usize,
) -> CUresult {
    cuMemsetD2D16Async(address, pitch, value, width, height, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD2D32_v2(
    address: u64,
    pitch: usize,
    value: u32,
    width: usize,
    height: usize,
) -> CUresult {
    cuMemsetD2D32Async(address, pitch, value, width, height, Handle::NULL)
}

include!(concat!(env!("OUT_DIR"), "/twins_set.rs"));
