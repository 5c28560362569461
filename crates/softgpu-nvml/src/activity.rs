//! How busy a device is, now and lately, and the samples of the last second.

use crate::abi::{Answer, Code, Handle, Out, Room};
use crate::call::{call, refuse, tell, tell_two};
use crate::gauge;
use crate::layout::{DynamicPstates, Sample, SessionStats, Utilization};
use crate::session::Gpu;
use fastgpu_softgpu::models::Architecture;

/// How often the figures of the other engines are renewed, in microseconds.
const PERIOD_US: u32 = 100_000;
/// Whole periods that the ledger remembers.
const PERIODS_KEPT: u64 = 5;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, rates: Out<Utilization>) -> u32 {
    tell(device, rates, |gpu| Ok(gpu.utilization()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderUtilization(device: Handle, percent: Out<u32>, period: Out<u32>) -> u32 {
    tell_two(device, percent, period, |_| Ok((0, PERIOD_US)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDecoderUtilization(device: Handle, percent: Out<u32>, period: Out<u32>) -> u32 {
    tell_two(device, percent, period, |_| Ok((0, PERIOD_US)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetJpgUtilization(device: Handle, percent: Out<u32>, period: Out<u32>) -> u32 {
    tell_two(device, percent, period, |_| Ok((0, PERIOD_US)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetOfaUtilization(device: Handle, percent: Out<u32>, period: Out<u32>) -> u32 {
    tell_two(device, percent, period, |_| Ok((0, PERIOD_US)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderCapacity(device: Handle, codec: u32, percent: Out<u32>) -> u32 {
    // H.264, HEVC, and AV1 where the encoder is new enough.
    tell(device, percent, |gpu| match codec {
        0 | 1 => Ok(100),
        2 if gpu.model.architecture == Architecture::Ada => Ok(100),
        2 => Err(Code::NotSupported),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderStats(
    device: Handle,
    sessions: Out<u32>,
    frames: Out<u32>,
    latency: Out<u32>,
) -> u32 {
    tell_two(device, sessions, frames, |_| latency.put(0).map(|()| (0, 0)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderSessions(device: Handle, count: Out<u32>, _sessions: usize) -> u32 {
    tell(device, count, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFBCStats(device: Handle, stats: Out<SessionStats>) -> u32 {
    tell(device, stats, |_| Ok(SessionStats { sessions: 0, frames_per_second: 0, latency_us: 0 }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFBCSessions(device: Handle, count: Out<u32>, _sessions: usize) -> u32 {
    tell(device, count, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDynamicPstatesInfo(device: Handle, info: Out<DynamicPstates>) -> u32 {
    tell(device, info, |gpu| {
        let Utilization { gpu: graphics, memory } = gpu.utilization();
        let mut parts = [[0; 4]; 8];
        for (part, percent) in parts.iter_mut().zip([graphics, memory, 0, 0]) {
            *part = [1, percent, 0, 0];
        }
        Ok(DynamicPstates { flags: 0, parts })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSamples(
    device: Handle,
    kind: u32,
    last_seen_us: u64,
    value_type: Out<u32>,
    count: Out<u32>,
    room: Room<Sample>,
) -> u32 {
    call(|session| {
        value_type.check()?;
        let fits = count.get()?;
        let samples = session.with_gpu(device, |gpu| gpu.samples(kind, last_seen_us))?;
        // Every kind we have is an unsigned number.
        value_type.put(1)?;
        if room.is_null() {
            return count.put(u32::try_from(PERIODS_KEPT).unwrap_or(0));
        }
        if samples.is_empty() {
            return Err(Code::NotFound);
        }
        let newest = samples.len().saturating_sub(fits as usize);
        count.put(u32::try_from(samples.len() - newest).unwrap_or(0))?;
        samples[newest..].iter().enumerate().try_for_each(|(at, sample)| room.put(at, *sample))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAccountingStats(device: Handle, _pid: u32, _stats: usize) -> u32 {
    refuse(device, Code::NotFound)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAccountingPids(device: Handle, count: Out<u32>, _pids: usize) -> u32 {
    tell(device, count, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAccountingBufferSize(device: Handle, size: Out<u32>) -> u32 {
    tell(device, size, |_| Ok(4_000))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAccountingMode(device: Handle, mode: Out<u32>) -> u32 {
    tell(device, mode, |_| Ok(0))
}

impl Gpu<'_> {
    pub(crate) fn utilization(&self) -> Utilization {
        self.utilization_at(gauge::taken_at(self.model, self.now_ns()))
    }

    /// The memory's figure: all the time in which copies ran, and half of that in which kernels did.
    fn utilization_at(&self, at_ns: u64) -> Utilization {
        let period_ns = gauge::period_ns(self.model);
        let schedule = &self.state.schedule;
        let kernels = gauge::percent(&schedule.busy, at_ns, period_ns);
        let copies = gauge::percent(&schedule.copying, at_ns, period_ns);
        Utilization { gpu: kernels, memory: (copies + kernels / 2).min(100) }
    }

    /// The last second in periods, oldest first, without what the caller has seen.
    fn samples(&self, kind: u32, last_seen_us: u64) -> Answer<Vec<Sample>> {
        let value_at = |at_ns: u64| -> Answer<u32> {
            Ok(match kind {
                0 => gauge::power_of_period_mw(&self.state, self.model, at_ns),
                1 => self.utilization_at(at_ns).gpu,
                2 => self.utilization_at(at_ns).memory,
                3 | 4 | 8 | 9 => 0,
                5 => self.sm_clock_mhz(),
                6 => self.memory_clock_mhz(),
                7 => return Err(Code::NotSupported),
                _ => return Err(Code::InvalidArgument),
            })
        };
        let period_ns = gauge::period_ns(self.model);
        let newest = self.now_ns() / period_ns;
        let kept = newest.saturating_sub(PERIODS_KEPT - 1).max(1)..=newest;
        let samples = kept.map(|period| {
            let at_ns = period * period_ns;
            let at_us = self.session.ledger.wall_us(at_ns);
            value_at(at_ns).map(|value| Sample { at_us, value: value.into() })
        });
        let samples = samples.collect::<Answer<Vec<_>>>()?;
        Ok(samples.into_iter().filter(|sample| sample.at_us > last_seen_us).collect())
    }
}
