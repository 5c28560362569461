//! Clock rates, performance states, and what holds the clocks down.

use crate::abi::{Answer, Code, Handle, Out, Room};
use crate::call::{call, refuse, tell};
use crate::gauge;
use crate::layout::Violation;
use crate::session::Gpu;
use fastgpu_softgpu::models::Architecture;

/// Nothing runs.
const REASON_IDLE: u64 = 0x1;
/// The power limit is lower than what it came with, and reached.
const REASON_POWER_CAP: u64 = 0x4;
/// Every reason there is a bit for.
const REASONS: u64 = 0x1ff;
/// Rates differ by this much, in MHz.
const STEP_MHZ: u32 = 15;
/// Lists of rates are not longer than this: the lowest rate is 210 MHz, the highest below 4 GHz.
const RATES_MAX: usize = 256;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClockInfo(device: Handle, kind: u32, megahertz: Out<u32>) -> u32 {
    tell(device, megahertz, |gpu| match kind {
        // Only this question takes any kind for a sound one.
        4.. => Err(Code::NotSupported),
        _ => gpu.clock_mhz(kind, When::Now),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxClockInfo(device: Handle, kind: u32, megahertz: Out<u32>) -> u32 {
    tell(device, megahertz, |gpu| gpu.clock_mhz(kind, When::Most))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClock(device: Handle, kind: u32, which: u32, megahertz: Out<u32>) -> u32 {
    tell(device, megahertz, |gpu| match which {
        0 => gpu.clock_mhz(kind, When::Now),
        1..=3 if kind == 3 => Err(Code::NotSupported),
        3 if kind == 2 => Err(Code::NotSupported),
        1..=3 => gpu.clock_mhz(kind, When::Most),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetApplicationsClock(device: Handle, kind: u32, megahertz: Out<u32>) -> u32 {
    tell(device, megahertz, |gpu| application_clock(gpu, kind))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDefaultApplicationsClock(device: Handle, kind: u32, megahertz: Out<u32>) -> u32 {
    tell(device, megahertz, |gpu| application_clock(gpu, kind))
}

fn application_clock(gpu: &mut Gpu<'_>, kind: u32) -> Answer<u32> {
    if kind == 3 { Err(Code::NotSupported) } else { gpu.clock_mhz(kind, When::Most) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxCustomerBoostClock(device: Handle, kind: u32, megahertz: Out<u32>) -> u32 {
    tell(device, megahertz, |gpu| match kind {
        0 | 1 => gpu.clock_mhz(kind, When::Most),
        2 | 3 => Err(Code::NotSupported),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedMemoryClocks(device: Handle, count: Out<u32>, room: Room<u32>) -> u32 {
    call(|session| {
        count.check()?;
        let clocks = session.with_gpu(device, |gpu| Ok(gpu.model.clocks))?;
        let both = [clocks.memory_max, clocks.memory_idle];
        room.fill(count, if both[0] == both[1] { &both[..1] } else { &both })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedGraphicsClocks(
    device: Handle,
    memory_megahertz: u32,
    count: Out<u32>,
    room: Room<u32>,
) -> u32 {
    call(|session| {
        count.check()?;
        let clocks = session.with_gpu(device, |gpu| Ok(gpu.model.clocks))?;
        if memory_megahertz != clocks.memory_max && memory_megahertz != clocks.memory_idle {
            return Err(Code::NotFound);
        }
        let rates = (0u32..).map(|step| clocks.max.saturating_sub(step * STEP_MHZ));
        let rates: Vec<u32> = rates.take_while(|rate| *rate >= clocks.idle).take(RATES_MAX).collect();
        room.fill(count, &rates)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAutoBoostedClocksEnabled(
    device: Handle,
    _on: Out<u32>,
    _default: Out<u32>,
) -> u32 {
    refuse(device, Code::NotSupported)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAdaptiveClockInfoStatus(device: Handle, status: Out<u32>) -> u32 {
    tell(device, status, |_| Ok(1))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClkMonStatus(device: Handle, status: Room<u32>) -> u32 {
    // No clock has a fault, so the list behind the two words is empty.
    call(|session| {
        session.with_gpu(device, |_| Ok(()))?;
        status.put(0, 0)?;
        status.put(1, 0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPerformanceState(device: Handle, state: Out<u32>) -> u32 {
    tell(device, state, |gpu| Ok(gpu.performance_state()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedPerformanceStates(device: Handle, room: Room<u32>, bytes: u32) -> u32 {
    call(|session| {
        let idle = session.with_gpu(device, |gpu| Ok(gpu.idle_state()))?;
        let known: &[u32] = if idle == 0 { &[0] } else { &[0, idle] };
        let fits = bytes as usize / size_of::<u32>();
        if fits < known.len() {
            return Err(Code::InsufficientSize);
        }
        // 32 says "no more".
        (0..fits).try_for_each(|at| room.put(at, known.get(at).copied().unwrap_or(32)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(device: Handle, reasons: Out<u64>) -> u32 {
    tell(device, reasons, |gpu| Ok(gpu.clock_reasons()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksEventReasons(device: Handle, reasons: Out<u64>) -> u32 {
    tell(device, reasons, |gpu| Ok(gpu.clock_reasons()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedClocksThrottleReasons(device: Handle, reasons: Out<u64>) -> u32 {
    tell(device, reasons, |_| Ok(REASONS))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedClocksEventReasons(device: Handle, reasons: Out<u64>) -> u32 {
    tell(device, reasons, |_| Ok(REASONS))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetViolationStatus(device: Handle, policy: u32, violation: Out<Violation>) -> u32 {
    tell(device, violation, |gpu| match policy {
        0..=5 | 10 | 11 => {
            Ok(Violation { reference_us: gpu.session.ledger.wall_us(gpu.now_ns()), violation_ns: 0 })
        }
        _ => Err(Code::InvalidArgument),
    })
}

/// Which rate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    Most,
}

impl Gpu<'_> {
    /// Graphics and multiprocessors run at one rate; video at the usual part of it.
    pub(crate) fn clock_mhz(&self, kind: u32, when: When) -> Answer<u32> {
        let (sm, memory) = match when {
            When::Now => (self.sm_clock_mhz(), self.memory_clock_mhz()),
            When::Most => (self.model.clocks.max, self.model.clocks.memory_max),
        };
        match kind {
            0 | 1 => Ok(sm),
            2 => Ok(memory),
            3 => Ok(sm.min(self.video_max_mhz()) / STEP_MHZ * STEP_MHZ),
            _ => Err(Code::InvalidArgument),
        }
    }

    /// As measured on an H100, and about so elsewhere.
    fn video_max_mhz(&self) -> u32 {
        let thousandths = if self.model.architecture == Architecture::Hopper { 781 } else { 900 };
        self.model.clocks.max * thousandths / 1_000
    }

    /// A device runs at its highest rate as long as any program has a context on it.
    pub(crate) fn sm_clock_mhz(&self) -> u32 {
        if self.has_contexts() { self.model.clocks.max } else { self.model.clocks.idle }
    }

    pub(crate) fn memory_clock_mhz(&self) -> u32 {
        if self.has_contexts() { self.model.clocks.memory_max } else { self.model.clocks.memory_idle }
    }

    /// Wide memory never slows down, and such devices have one performance state.
    pub(crate) fn has_wide_memory(&self) -> bool {
        self.model.clocks.memory_idle == self.model.clocks.memory_max
    }

    fn idle_state(&self) -> u32 {
        if self.has_wide_memory() { 0 } else { 8 }
    }

    pub(crate) fn performance_state(&self) -> u32 {
        if self.has_contexts() { 0 } else { self.idle_state() }
    }

    pub(crate) fn clock_reasons(&self) -> u64 {
        let at_ns = gauge::taken_at(self.model, self.now_ns());
        let busy = gauge::percent(&self.state.schedule.busy, at_ns, gauge::period_ns(self.model));
        let capped = gauge::power_limit_mw(&self.state, self.model) < self.model.power.limit;
        match busy {
            // A context that rests keeps the clocks up, so the device does not count as idle.
            0 if !self.has_contexts() => REASON_IDLE,
            90.. if capped => REASON_POWER_CAP,
            _ => 0,
        }
    }
}
