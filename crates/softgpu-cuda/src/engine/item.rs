//! One thing in a stream.

use fastgpu_softgpu::ledger::events::Signal;
use fastgpu_softgpu::schedule::Position;

use super::Task;
use crate::abi::CUresult;
use crate::handle::{EventHandle, StreamHandle};
use crate::numbers::{CU_STREAM_WAIT_VALUE_AND, CU_STREAM_WAIT_VALUE_EQ, CU_STREAM_WAIT_VALUE_GEQ};
use crate::sys;

/// An item of a stream, by name: it is done when the stream has passed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dep {
    /// The stream.
    pub(crate) stream: StreamHandle,
    /// Which item of it, counted from 0 when the stream was made.
    pub(crate) number: u64,
}

/// What an item asks of the device.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Work that takes time on an engine, and perhaps moves bytes.
    Work {
        /// Where.
        engine: Engine,
        /// How long, in nanoseconds.
        ns: u64,
        /// What happens to memory.
        task: Option<Task>,
    },
    /// A function of the program, called when everything before it is complete.
    Host(HostCall),
    /// An event is reached.
    Record(EventHandle),
    /// An event that other processes hold too is reached.
    Signal(Signal),
    /// Waits until such an event is reached, wherever it was recorded.
    Await(Signal),
    /// Nothing but order.
    Marker,
    /// Writes a value to a word in memory, when everything before it is complete: somebody may wait for it.
    Write(Word, u64),
    /// Waits until a word in memory has a value.
    WaitValue(Condition),
    /// Memory goes back to its pool.
    Free(u64),
}

/// Which part of the device works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Multiprocessors; also copies within a device, and sets.
    Compute,
    /// A few of the multiprocessors: others can do something else meanwhile.
    Part,
    /// Copies from the host.
    CopyIn,
    /// Copies to the host.
    CopyOut,
}

/// A function of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HostCall {
    /// From `cuLaunchHostFunc`: function and argument.
    Plain(extern "C" fn(usize), usize),
    /// From `cuStreamAddCallback`: function, stream and argument.
    WithStream(extern "C" fn(usize, CUresult, usize), usize, usize),
}

/// A word in memory that host and device share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// Where it is: at a multiple of its size.
    pub(crate) address: u64,
    /// 64 bits, or 32.
    pub(crate) wide: bool,
}

impl Word {
    /// How long it is.
    pub(crate) fn bytes(self) -> u64 {
        if self.wide { 8 } else { 4 }
    }

    fn read(self) -> u64 {
        sys::load(self.address, self.wide)
    }

    /// Writes it; whoever sees the value sees all that was written before.
    pub(crate) fn write(self, value: u64) {
        sys::store(self.address, self.wide, value);
    }
}

/// What a word in memory is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// The one side.
    pub(crate) word: Word,
    /// The other side.
    pub(crate) value: u64,
    /// 0: at least (cyclic), 1: equal, 2: any common bit, 3: not all bits.
    pub(crate) kind: u32,
}

impl Condition {
    /// Whether it holds.
    pub(crate) fn holds(&self) -> bool {
        let value = self.word.read();
        let all = if self.word.wide { u64::MAX } else { u32::MAX.into() };
        match self.kind {
            CU_STREAM_WAIT_VALUE_GEQ if self.word.wide => value.wrapping_sub(self.value).cast_signed() >= 0,
            CU_STREAM_WAIT_VALUE_GEQ => (value as u32).wrapping_sub(self.value as u32).cast_signed() >= 0,
            CU_STREAM_WAIT_VALUE_EQ => value == self.value,
            CU_STREAM_WAIT_VALUE_AND => value & self.value != 0,
            _ => (value | self.value) & all != all,
        }
    }
}

/// When an item's time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not decided.
    Waiting,
    /// When the device has come to this place in the context's work.
    Compute(Position),
    /// At this device time.
    At(u64),
    /// When its condition holds; asked for since this device time.
    Poll(u64),
    /// When another process says so; asked for since this device time.
    Told(u64),
}

/// Whether bytes were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// There is something to do.
    Ready,
    /// Somebody is at it.
    Running,
    /// It was done at this device time; 0: there was nothing to do.
    Done(u64),
}

/// One thing in a stream.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) op: Op,
    pub(crate) deps: Vec<Dep>,
    pub(crate) place: Place,
    pub(crate) effect: Effect,
    /// Whether it counts as a launch.
    pub(crate) launch: bool,
}

impl Item {
    pub(crate) fn new(op: Op, deps: Vec<Dep>, launch: bool) -> Self {
        let ready = matches!(op, Op::Work { task: Some(_), .. } | Op::Host(_) | Op::Write(..));
        let effect = if ready { Effect::Ready } else { Effect::Done(0) };
        Self { op, deps, place: Place::Waiting, effect, launch }
    }
}
