//! Words in memory that streams write and wait for.

use super::copy::due;
use crate::abi::{CUresult, Code, Done, In, reread};
use crate::call::call;
use crate::engine::Op;
use crate::engine::item::{Condition, Word};
use crate::graph::{What, Words};
use crate::handle::{ContextHandle, StreamHandle};
use crate::memory::{Allocation, Due, Kind};
use crate::process::Process;
use crate::state::State;

/// A batch has fewer operations than this.
const BATCH_END: u32 = 256;
/// Kinds of operations.
const WAIT_32: u32 = 1;
const WRITE_32: u32 = 2;
const FLUSH: u32 = 3;
const WAIT_64: u32 = 4;
const WRITE_64: u32 = 5;
const BARRIER: u32 = 6;
/// Of the flags of a wait: how to compare, and to flush what others wrote.
const WAIT_KIND_MAX: u32 = 3;
const WAIT_FLUSH: u32 = 1 << 30;

/// `CUstreamBatchMemOpParams`; a barrier's flags are where others have a gap.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    kind: u32,
    barrier_flags: u32,
    address: u64,
    value: u64,
    flags: u32,
    gap: u32,
    spare: [u64; 2],
}

const _: () = assert!(size_of::<Operation>() == 48);

impl Operation {
    fn new(kind: u32, address: u64, value: u64, flags: u32) -> Self {
        Self { kind, barrier_flags: 0, address, value, flags, gap: 0, spare: [0; 2] }
    }

    /// As words, to be kept.
    fn numbers(&self) -> [u64; 6] {
        reread(self)
    }

    /// The word, checked: the device may touch it, and it is not memory that moves.
    fn word(&self, state: &State, due: Due) -> Done<Word> {
        let wide = matches!(self.kind, WAIT_64 | WRITE_64);
        let bytes = if wide { 8 } else { 4 };
        let managed =
            matches!(state.memory.around(self.address), Some(Allocation { kind: Kind::Managed { .. }, .. }));
        if managed || !self.address.is_multiple_of(bytes) {
            return Err(Code::INVALID_VALUE);
        }
        state.memory.check_due(due, self.address, bytes)?;
        Ok(Word { address: self.address, wide })
    }

    /// What the stream is to do. These devices cannot flush what others wrote, as their attribute says.
    fn op(&self, state: &State, due: Due) -> Done<Op> {
        let value =
            if matches!(self.kind, WAIT_64 | WRITE_64) { self.value } else { self.value & 0xffff_ffff };
        match self.kind {
            WAIT_32 | WAIT_64 if self.flags & !WAIT_FLUSH > WAIT_KIND_MAX => Err(Code::INVALID_VALUE),
            WAIT_32 | WAIT_64 if self.flags & WAIT_FLUSH != 0 => Err(Code::NOT_SUPPORTED),
            WAIT_32 | WAIT_64 => {
                Ok(Op::WaitValue(Condition { word: self.word(state, due)?, value, kind: self.flags }))
            }
            // Only the older form knew a flag.
            WRITE_32 | WRITE_64 if self.flags != 0 => Err(Code::INVALID_VALUE),
            WRITE_32 | WRITE_64 => Ok(Op::Write(self.word(state, due)?, value)),
            // For the whole system, or for the device.
            BARRIER if self.barrier_flags <= 1 => Ok(Op::Marker),
            FLUSH if self.barrier_flags == 0 => Err(Code::NOT_SUPPORTED),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

/// The operations that a program asks for.
pub(super) fn read(operations: In<Operation>, count: u32) -> Done<Vec<Operation>> {
    if count >= BATCH_END {
        return Err(Code::INVALID_VALUE);
    }
    operations.list(count as usize)
}

/// Operations as something that a stream or a node can do.
pub(super) fn words(
    state: &State,
    context: ContextHandle,
    due: Due,
    operations: &[Operation],
) -> Done<Words> {
    let ops = operations.iter().map(|asked| asked.op(state, due)).collect::<Done<_>>()?;
    Ok(Words { context, told: operations.iter().map(Operation::numbers).collect(), ops })
}

fn put(process: &Process, stream: StreamHandle, operations: impl FnOnce() -> Done<Vec<Operation>>) -> Done {
    let mut state = process.state();
    let stream = state.stream(stream)?;
    let context = state.streams.get(stream)?.context;
    let due = due(&state, stream)?;
    let words = words(&state, context, due, &operations()?)?;
    drop(state);
    process.make_room(stream, false)?;
    process.state().submit(process, stream, What::Words(words), false)
}

fn put_one(process: &Process, stream: StreamHandle, operation: Operation) -> Done {
    put(process, stream, || Ok(vec![operation]))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWriteValue32_v2(
    stream: StreamHandle,
    address: u64,
    value: u32,
    flags: u32,
) -> CUresult {
    call(|process| put_one(process, stream, Operation::new(WRITE_32, address, value.into(), flags)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWriteValue64_v2(
    stream: StreamHandle,
    address: u64,
    value: u64,
    flags: u32,
) -> CUresult {
    call(|process| put_one(process, stream, Operation::new(WRITE_64, address, value, flags)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitValue32_v2(
    stream: StreamHandle,
    address: u64,
    value: u32,
    flags: u32,
) -> CUresult {
    call(|process| put_one(process, stream, Operation::new(WAIT_32, address, value.into(), flags)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitValue64_v2(
    stream: StreamHandle,
    address: u64,
    value: u64,
    flags: u32,
) -> CUresult {
    call(|process| put_one(process, stream, Operation::new(WAIT_64, address, value, flags)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamBatchMemOp_v2(
    stream: StreamHandle,
    count: u32,
    operations: In<Operation>,
    flags: u32,
) -> CUresult {
    call(
        |process| {
            if flags == 0 {
                put(process, stream, || read(operations, count))
            } else {
                Err(Code::INVALID_VALUE)
            }
        },
    )
}

/// What the forms of before CUDA 11.7 answer: a driver must be started in a way of its own to offer them, and the
/// attributes of these devices say, as the real ones', that it was not.
fn older(process: &Process, stream: StreamHandle) -> Done {
    process.state().stream(stream)?;
    Err(Code::NOT_SUPPORTED)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWriteValue32(
    stream: StreamHandle,
    _address: u64,
    _value: u32,
    _flags: u32,
) -> CUresult {
    call(|process| older(process, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWriteValue64(
    stream: StreamHandle,
    _address: u64,
    _value: u64,
    _flags: u32,
) -> CUresult {
    call(|process| older(process, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitValue32(
    stream: StreamHandle,
    _address: u64,
    _value: u32,
    _flags: u32,
) -> CUresult {
    call(|process| older(process, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitValue64(
    stream: StreamHandle,
    _address: u64,
    _value: u64,
    _flags: u32,
) -> CUresult {
    call(|process| older(process, stream))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamBatchMemOp(
    stream: StreamHandle,
    _count: u32,
    _operations: In<Operation>,
    _flags: u32,
) -> CUresult {
    call(|process| older(process, stream))
}

include!(concat!(env!("OUT_DIR"), "/twins_words.rs"));
