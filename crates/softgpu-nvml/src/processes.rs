//! Who is on a device and how much memory each holds, in every version; and how busy each keeps it.

use fastgpu_softgpu::ledger::layout::Process;

use crate::abi::{Answer, Code, Handle, Out, Room, versioned};
use crate::call::{call, of_device};
use crate::gauge;
use crate::layout::{
    ProcessDetail, ProcessDetailList, ProcessUse, ProcessUseList, ProcessUseV1, ProcessV1, ProcessV2,
};
use crate::session::{Gpu, Session};

/// "No such instance": devices are not sliced.
const NO_INSTANCE: u32 = u32::MAX;

/// A live process on a device.
#[derive(Debug, Clone, Copy)]
struct Present {
    slot: u32,
    process: Process,
    used_bytes: u64,
}

/// Every live process that has a context or holds memory there, by the order of attaching.
fn present(session: &Session, device: Handle) -> Answer<Vec<Present>> {
    let live = session.ledger.processes();
    session.with_gpu(device, |gpu| {
        let here = live.into_iter().map(|(slot, process)| {
            let used_bytes = gpu.state.accounts[slot as usize].shown();
            (Present { slot, process, used_bytes }, gpu.has_context_of(slot))
        });
        Ok(here.filter(|(one, context)| *context || one.used_bytes > 0).map(|(one, _)| one).collect())
    })
}

fn list<T: Copy>(device: Handle, count: Out<u32>, room: Room<T>, shape: impl Fn(&Present) -> T) -> u32 {
    call(|session| {
        count.check()?;
        let shapes: Vec<T> = present(session, device)?.iter().map(shape).collect();
        room.fill(count, &shapes)
    })
}

fn shape_v1(one: &Present) -> ProcessV1 {
    ProcessV1 { pid: one.process.pid, used_bytes: one.used_bytes }
}

fn shape_v2(one: &Present) -> ProcessV2 {
    ProcessV2 {
        pid: one.process.pid,
        used_bytes: one.used_bytes,
        gpu_instance: NO_INSTANCE,
        compute_instance: NO_INSTANCE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses(
    device: Handle,
    count: Out<u32>,
    room: Room<ProcessV1>,
) -> u32 {
    list(device, count, room, shape_v1)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v2(
    device: Handle,
    count: Out<u32>,
    room: Room<ProcessV2>,
) -> u32 {
    list(device, count, room, shape_v2)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: Handle,
    count: Out<u32>,
    room: Room<ProcessV2>,
) -> u32 {
    list(device, count, room, shape_v2)
}

/// Nothing draws on a software GPU, and nothing shares one by MPS.
fn nobody(device: Handle, count: Out<u32>) -> u32 {
    of_device(device, |_| count.put(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses(device: Handle, count: Out<u32>, _room: usize) -> u32 {
    nobody(device, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v2(device: Handle, count: Out<u32>, _room: usize) -> u32 {
    nobody(device, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(device: Handle, count: Out<u32>, _room: usize) -> u32 {
    nobody(device, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMPSComputeRunningProcesses(device: Handle, count: Out<u32>, _room: usize) -> u32 {
    nobody(device, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMPSComputeRunningProcesses_v2(
    device: Handle,
    count: Out<u32>,
    _room: usize,
) -> u32 {
    nobody(device, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMPSComputeRunningProcesses_v3(
    device: Handle,
    count: Out<u32>,
    _room: usize,
) -> u32 {
    nobody(device, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRunningProcessDetailList(device: Handle, question: Out<ProcessDetailList>) -> u32 {
    call(|session| {
        let mut asked = question.get()?;
        if asked.version != versioned::<ProcessDetailList>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        // 0 asks for compute, 1 for graphics, 2 for MPS.
        let found = match asked.mode {
            0 => present(session, device)?,
            1 | 2 => session.with_gpu(device, |_| Ok(Vec::new()))?,
            _ => return Err(Code::InvalidArgument),
        };
        let fits = asked.count;
        asked.count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        question.put(asked)?;
        if fits < asked.count {
            return Err(Code::InsufficientSize);
        }
        found.iter().enumerate().try_for_each(|(at, one)| {
            let plain = shape_v2(one);
            asked.list.put(
                at,
                ProcessDetail {
                    pid: plain.pid,
                    used_bytes: plain.used_bytes,
                    gpu_instance: plain.gpu_instance,
                    compute_instance: plain.compute_instance,
                    protected_bytes: 0,
                },
            )
        })
    })
}

/// How long a driver remembers how busy a process was, in nanoseconds.
const REMEMBERED_NS: u64 = 14_000_000_000;

/// How busy each process kept the device in the newest second in which it did anything, as of when. Those that
/// did nothing for long are left out, and what is not newer than `last_seen_us`.
fn uses(session: &Session, device: Handle, last_seen_us: u64) -> Answer<Vec<ProcessUse>> {
    let found = present(session, device)?;
    session.with_gpu(device, |gpu| {
        let newest_ns = gauge::taken_at(gpu.model, gpu.now_ns());
        let busy = found.iter().filter_map(|one| {
            let at_ns = gpu.last_busy_period_end(one.slot)?.min(newest_ns);
            let at_us = session.ledger.wall_us(at_ns);
            let sm = gpu.percent_of(one.slot, at_ns);
            let told = sm > 0 && at_us > last_seen_us && newest_ns - at_ns <= REMEMBERED_NS;
            told.then_some(ProcessUse { pid: one.process.pid, at_us, sm, memory: 0, encoder: 0, decoder: 0 })
        });
        Ok(busy.collect())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Handle,
    room: Room<ProcessUse>,
    count: Out<u32>,
    last_seen_us: u64,
) -> u32 {
    call(|session| {
        let fits = count.get()?;
        let found = uses(session, device, last_seen_us)?;
        if room.is_null() || fits == 0 {
            // Asked how many there can be, a driver names the room for all it can remember.
            count.put(u32::try_from(found.len().max(1)).unwrap_or(u32::MAX))?;
            return Err(Code::InsufficientSize);
        }
        if found.is_empty() {
            count.put(0)?;
            return Err(Code::NotFound);
        }
        room.fill(count, &found)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetProcessesUtilizationInfo(device: Handle, question: Out<ProcessUseList>) -> u32 {
    call(|session| {
        let mut asked = question.get()?;
        if asked.version != versioned::<ProcessUseList>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        let found = uses(session, device, asked.last_seen_us)?;
        let fits = asked.count as usize;
        asked.count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        question.put(asked)?;
        if asked.list.is_null() || fits < found.len() {
            return Err(Code::InsufficientSize);
        }
        found.iter().enumerate().try_for_each(|(at, one)| {
            asked.list.put(
                at,
                ProcessUseV1 {
                    at_us: one.at_us,
                    pid: one.pid,
                    sm: one.sm,
                    memory: one.memory,
                    encoder: 0,
                    decoder: 0,
                    jpeg: 0,
                    ofa: 0,
                },
            )
        })
    })
}

impl Gpu<'_> {
    fn has_context_of(&self, slot: u32) -> bool {
        let schedule = &self.state.schedule;
        schedule.contexts[..schedule.contexts_high as usize].iter().any(|context| context.owner == slot + 1)
    }

    /// The end of the last period in which a process ran anything, in nanoseconds.
    fn last_busy_period_end(&self, slot: u32) -> Option<u64> {
        let schedule = &self.state.schedule;
        let used = &schedule.contexts[..schedule.contexts_high as usize];
        let own = used.iter().filter(|context| context.owner == slot + 1);
        let last = own.filter_map(|context| gauge::last_busy(&context.busy)).max()?;
        Some(gauge::taken_at(self.model, last) + gauge::period_ns(self.model))
    }

    fn percent_of(&self, slot: u32, at_ns: u64) -> u32 {
        let schedule = &self.state.schedule;
        let used = &schedule.contexts[..schedule.contexts_high as usize];
        let own = used.iter().filter(|context| context.owner == slot + 1);
        own.map(|context| gauge::percent(&context.busy, at_ns, gauge::SECOND_NS)).sum::<u32>().min(100)
    }
}
