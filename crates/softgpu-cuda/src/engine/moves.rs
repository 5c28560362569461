//! Copies, sets and kernels as work of a stream: how long they take, and what they run into.

use fastgpu_softgpu::models::Model;

use super::EnginePart;
use crate::abi::{Code, Done};
use crate::engine::item::Condition;
use crate::engine::task::{CopyJob, SetJob, Side};
use crate::engine::{Engine, Op, Task};
use crate::handle::StreamHandle;
use crate::kernels::{Fault, Kernel};
use crate::memory::{Due, Kind};
use crate::process::Process;

/// What beginning a copy costs beside the bytes, in nanoseconds.
const COPY_NS: u64 = 1_300;
/// What beginning a set or a copy within a device costs, in nanoseconds.
const SET_NS: u64 = 1_800;
/// Copies from plain host memory go through a buffer of the driver.
const PLAIN_MB_PER_S: u64 = 10_000;

/// What the bus of a model moves per second in one direction, in MB.
fn bus_mb_per_s(model: &Model) -> u64 {
    match model.pci.generation {
        0..=3 => 12_300,
        4 => 25_000,
        _ => 55_000,
    }
}

fn ns_for(bytes: u64, mb_per_s: u64) -> u64 {
    bytes.saturating_mul(1_000) / mb_per_s.max(1)
}

/// Where bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Device(i32),
    /// Host memory that the device may touch.
    Pinned,
    /// Host memory of the program.
    Plain,
}

impl EnginePart {
    /// Where an address is; what graphs are promised will be on the device that they are made for.
    pub(crate) fn whereabouts(&self, ordinal: i32, address: u64) -> Whereabouts {
        match self.memory.around(address) {
            None if self.memory.is_promise(address) => Whereabouts::Device(ordinal),
            None => Whereabouts::Plain,
            Some(one) => match one.kind {
                Kind::Host { .. } | Kind::Registered { .. } => Whereabouts::Pinned,
                Kind::Managed { on } => on.map_or(Whereabouts::Pinned, Whereabouts::Device),
                _ => Whereabouts::Device(one.ordinal),
            },
        }
    }

    /// A copy as something a stream can do. Plain host memory is read now, so that it may change at once.
    pub(crate) fn copy_op(&mut self, process: &Process, ordinal: i32, mut job: CopyJob) -> Done<Op> {
        if self.whereabouts(ordinal, job.from.address) == Whereabouts::Plain {
            job.stage();
        }
        self.copy_op_unstaged(process, ordinal, job)
    }

    /// As [`copy_op`](Self::copy_op); the source is read when the copy happens.
    pub(crate) fn copy_op_unstaged(&mut self, process: &Process, ordinal: i32, job: CopyJob) -> Done<Op> {
        let model = process.model(ordinal)?;
        let [from, to] = [&job.from, &job.to].map(|side| self.whereabouts(ordinal, side.address));
        let bytes = job.bytes();
        let plain = from == Whereabouts::Plain || to == Whereabouts::Plain;
        let bus = if plain { PLAIN_MB_PER_S } else { bus_mb_per_s(model) };
        let (engine, ns) = match (from, to) {
            (Whereabouts::Device(one), Whereabouts::Device(other)) if one == other => {
                (Engine::Compute, SET_NS + ns_for(2 * bytes, model.memory_bytes_per_second() / 1_000_000))
            }
            (_, Whereabouts::Device(_)) => (Engine::CopyIn, COPY_NS + ns_for(bytes, bus)),
            (Whereabouts::Device(_), _) => (Engine::CopyOut, COPY_NS + ns_for(bytes, bus)),
            _ => (Engine::CopyIn, COPY_NS + ns_for(bytes, PLAIN_MB_PER_S)),
        };
        Ok(Op::Work { engine, ns, task: Some(Task::Copy(job)) })
    }

    /// Memory that is filled, as something a stream can do.
    pub(crate) fn set_op(&mut self, process: &Process, ordinal: i32, job: SetJob, due: Due) -> Done<Op> {
        if !job.address.is_multiple_of(job.size as u64) {
            return Err(Code::INVALID_VALUE);
        }
        self.memory.check_due(due, job.address, job.reach())?;
        self.bring_managed(process, job.address, Some(ordinal));
        let model = process.model(ordinal)?;
        let ns = SET_NS + ns_for(job.bytes(), model.memory_bytes_per_second() / 1_000_000);
        Ok(Op::Work { engine: Engine::Compute, ns, task: Some(Task::Set(job)) })
    }

    /// Work as it comes to the device: managed memory moves there, and memory that is not there is a fault by now.
    pub(crate) fn arrive(&mut self, process: &Process, stream: StreamHandle, op: Op) -> Done<Op> {
        let ordinal = self.contexts.get(self.streams.get(stream)?.context)?.ordinal;
        let wild = |missing: bool| missing.then_some(Fault::WildAddress);
        let fault = match &op {
            Op::Work { task: Some(Task::Kernel(kernel)), .. } => self.fault_of(process, ordinal, kernel),
            Op::Work { task: Some(Task::Copy(job)), .. } => {
                let sides = [&job.from, &job.to];
                wild(sides.iter().any(|side| self.memory.is_missing(side.address, job.reach(side))))
            }
            Op::Work { task: Some(Task::Set(job)), .. } => {
                wild(self.memory.is_missing(job.address, job.reach()))
            }
            Op::Write(word, _) | Op::WaitValue(Condition { word, .. }) => {
                wild(self.memory.is_missing(word.address, word.bytes()))
            }
            _ => None,
        };
        let Some(fault) = fault else { return Ok(op) };
        let task = Some(Task::Fault(fault));
        Ok(match op {
            Op::Work { engine, ns, .. } => Op::Work { engine, ns, task },
            _ => Op::Work { engine: Engine::Compute, ns: 0, task },
        })
    }

    /// Whether memory that work is about was there when it was asked for and is no more: the program freed it without
    /// waiting for the work.
    pub(crate) fn is_gone(&self, op: &Op) -> bool {
        let ours =
            |address, bytes| self.memory.is_missing(address, bytes) && !self.is_in_pool(address, bytes);
        match op {
            Op::Work { task: Some(Task::Kernel(kernel)), .. } => {
                kernel.ranges().into_iter().any(|(address, bytes)| ours(address, bytes))
            }
            Op::Work { task: Some(Task::Copy(job)), .. } => {
                // How far host memory reaches is the program's to answer for.
                let host = |side: &Side| self.memory.around(side.address).is_some_and(|one| !one.on_device());
                let gone = |side| !host(side) && ours(side.address, job.reach(side));
                (job.staged.is_none() && gone(&job.from)) || gone(&job.to)
            }
            Op::Work { task: Some(Task::Set(job)), .. } => ours(job.address, job.reach()),
            Op::Write(word, _) | Op::WaitValue(Condition { word, .. }) => {
                let (address, bytes) = (word.address, word.bytes());
                self.memory.check(address, bytes).is_err() && !self.is_in_pool(address, bytes)
            }
            _ => false,
        }
    }

    /// What a kernel runs into.
    fn fault_of(&mut self, process: &Process, ordinal: i32, kernel: &Kernel) -> Option<Fault> {
        for (address, bytes) in kernel.ranges() {
            if address % 4 != 0 {
                return Some(Fault::Misaligned);
            }
            if bytes > 0 && self.memory.check(address, bytes).is_err() {
                return Some(Fault::WildAddress);
            }
            self.bring_managed(process, address, Some(ordinal));
        }
        kernel.own_fault()
    }

    /// Whether everything in a stream is complete.
    pub(crate) fn is_idle(&mut self, process: &Process, stream: StreamHandle) -> Done<bool> {
        self.pump(process);
        Ok(self.streams.get(stream)?.queue.is_empty())
    }
}
