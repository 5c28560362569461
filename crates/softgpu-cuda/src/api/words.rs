//! Words in memory that streams write and wait for.

use crate::abi::{CUresult, Code, Done, In};
use crate::call::call;
use crate::engine::item::Condition;
use crate::engine::{Engine, Op, Stream, Task};
use crate::graph::What;
use crate::handle::Handle;
use crate::process::Process;
use crate::state::State;

type S = Handle<Stream>;

/// Most operations of one batch.
const BATCH_MAX: u32 = 256;

fn check(state: &State, address: u64, wide: bool) -> Done {
    let bytes = if wide { 8 } else { 4 };
    if !address.is_multiple_of(bytes) {
        return Err(Code::INVALID_VALUE);
    }
    state.memory.check(address, bytes)
}

fn put(process: &Process, stream: S, ops: impl FnOnce(&State) -> Done<Vec<Op>>) -> Done {
    let mut state = process.state();
    let stream = state.stream(stream)?;
    let ops = ops(&state)?;
    state.submit(process, stream, What::Words(ops), false)
}

fn write_op(state: &State, address: u64, value: u64, wide: bool) -> Done<Op> {
    check(state, address, wide)?;
    let task = Some(Task::Write(address, value, wide));
    Ok(Op::Work { engine: Engine::Nothing, ns: 0, task })
}

fn wait_op(state: &State, address: u64, value: u64, wide: bool, flags: u32) -> Done<Op> {
    check(state, address, wide)?;
    // The highest bit asks to flush writes of others, which are always there here.
    let kind = flags & !(1 << 30);
    if kind > 3 {
        return Err(Code::INVALID_VALUE);
    }
    Ok(Op::WaitValue(Condition { address, value, wide, kind }))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWriteValue32_v2(
    stream: S,
    address: u64,
    value: u32,
    _flags: u32,
) -> CUresult {
    call(|process| put(process, stream, |state| Ok(vec![write_op(state, address, value.into(), false)?])))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWriteValue64_v2(
    stream: S,
    address: u64,
    value: u64,
    _flags: u32,
) -> CUresult {
    call(|process| put(process, stream, |state| Ok(vec![write_op(state, address, value, true)?])))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitValue32_v2(stream: S, address: u64, value: u32, flags: u32) -> CUresult {
    call(|process| {
        put(process, stream, |state| Ok(vec![wait_op(state, address, value.into(), false, flags)?]))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitValue64_v2(stream: S, address: u64, value: u64, flags: u32) -> CUresult {
    call(|process| put(process, stream, |state| Ok(vec![wait_op(state, address, value, true, flags)?])))
}

/// `CUstreamBatchMemOpParams`: operation, address, value, flags, and an alias nobody sets.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    kind: u32,
    address: u64,
    value: u64,
    flags: u32,
    spare: [u64; 2],
}

fn batch(state: &State, operations: &[Operation]) -> Done<Vec<Op>> {
    let each = operations.iter().map(|asked| match asked.kind {
        1 => wait_op(state, asked.address, asked.value & 0xffff_ffff, false, asked.flags),
        2 => write_op(state, asked.address, asked.value & 0xffff_ffff, false),
        3 | 6 => Ok(Op::Marker),
        4 => wait_op(state, asked.address, asked.value, true, asked.flags),
        5 => write_op(state, asked.address, asked.value, true),
        _ => Err(Code::INVALID_VALUE),
    });
    each.collect()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamBatchMemOp_v2(
    stream: S,
    count: u32,
    operations: In<Operation>,
    flags: u32,
) -> CUresult {
    call(|process| {
        if count > BATCH_MAX || flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let operations = operations.list(count as usize)?;
        put(process, stream, |state| batch(state, &operations))
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_words.rs"));
