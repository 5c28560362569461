//! Power, energy, temperature, fans.

use crate::abi::{Answer, Code, Handle, Out, Room, versioned};
use crate::call::{of_device, tell, tell_two};
use crate::gauge;
use crate::layout::{FanSpeed, TemperatureV1, Versioned};
use crate::session::Gpu;

/// Where the clocks are taken down, in degrees.
pub(crate) const SLOWDOWN_C: u32 = 89;
/// Where the device switches itself off.
pub(crate) const SHUTDOWN_C: u32 = 95;
/// The warmest it should be used at.
pub(crate) const OPERATING_MAX_C: u32 = 87;
/// The same for its memory.
const MEMORY_MAX_C: u32 = 95;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerUsage(device: Handle, milliwatts: Out<u32>) -> u32 {
    tell(device, milliwatts, |gpu| Ok(gauge::power_average_mw(&gpu.state, gpu.model)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEnergyConsumption(device: Handle, millijoules: Out<u64>) -> u32 {
    tell(device, millijoules, |gpu| Ok(gauge::energy_mj(&gpu.state, gpu.model)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerManagementMode(device: Handle, mode: Out<u32>) -> u32 {
    tell(device, mode, |_| Ok(1))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerManagementLimit(device: Handle, milliwatts: Out<u32>) -> u32 {
    tell(device, milliwatts, |gpu| Ok(gauge::power_limit_mw(&gpu.state, gpu.model)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: Handle, milliwatts: Out<u32>) -> u32 {
    tell(device, milliwatts, |gpu| Ok(gauge::power_limit_mw(&gpu.state, gpu.model)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerManagementDefaultLimit(device: Handle, milliwatts: Out<u32>) -> u32 {
    tell(device, milliwatts, |gpu| Ok(gpu.model.power.limit))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    device: Handle,
    min: Out<u32>,
    max: Out<u32>,
) -> u32 {
    tell_two(device, min, max, |gpu| Ok((gpu.model.power.min, gpu.model.power.max)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceSetPowerManagementLimit(device: Handle, milliwatts: u32) -> u32 {
    of_device(device, |gpu| {
        only_root()?;
        if !(gpu.model.power.min..=gpu.model.power.max).contains(&milliwatts) {
            return Err(Code::InvalidArgument);
        }
        gpu.settings()?.power_limit_mw = milliwatts;
        Ok(())
    })
}

/// What changes a device for everybody takes root, as with a driver.
pub(crate) fn only_root() -> Answer<()> {
    // SAFETY: geteuid cannot fail and touches no memory.
    let user = unsafe { libc::geteuid() };
    if user == 0 { Ok(()) } else { Err(Code::NoPermission) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerState(device: Handle, state: Out<u32>) -> u32 {
    tell(device, state, |gpu| Ok(gpu.performance_state()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerSource(device: Handle, source: Out<u32>) -> u32 {
    tell(device, source, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(device: Handle, sensor: u32, celsius: Out<u32>) -> u32 {
    tell(device, celsius, |gpu| match sensor {
        0 => Ok(gpu.temperature_c()),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperatureV(device: Handle, temperature: Out<TemperatureV1>) -> u32 {
    tell(device, temperature, |gpu| {
        let mut answer = temperature.get()?;
        if answer.version != versioned::<TemperatureV1>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        if answer.sensor != 0 {
            return Err(Code::InvalidArgument);
        }
        answer.celsius = i32::try_from(gpu.temperature_c()).unwrap_or(i32::MAX);
        Ok(answer)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMarginTemperature(device: Handle, margin: Out<Versioned>) -> u32 {
    tell(device, margin, |gpu| {
        let mut answer = margin.get()?;
        if answer.version != versioned::<Versioned>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        answer.value = OPERATING_MAX_C.saturating_sub(gpu.temperature_c());
        Ok(answer)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperatureThreshold(device: Handle, threshold: u32, celsius: Out<u32>) -> u32 {
    tell(device, celsius, |gpu| match threshold {
        0 => Ok(SHUTDOWN_C),
        1 => Ok(SLOWDOWN_C),
        2 if gpu.has_wide_memory() => Ok(MEMORY_MAX_C),
        3 => Ok(OPERATING_MAX_C),
        2 | 4..=7 => Err(Code::NotSupported),
        _ => Err(Code::InvalidArgument),
    })
}

/// Percent that fans turn at: from a third at rest to all at the slowdown threshold.
fn fan_percent(gpu: &mut Gpu<'_>) -> Answer<u32> {
    if gpu.model.fans == 0 {
        return Err(Code::NotSupported);
    }
    let above = gpu.temperature_c().saturating_sub(30);
    Ok((30 + above * 70 / (SLOWDOWN_C - 30)).min(100))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumFans(device: Handle, fans: Out<u32>) -> u32 {
    tell(device, fans, |gpu| Ok(gpu.model.fans))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeed(device: Handle, percent: Out<u32>) -> u32 {
    tell(device, percent, fan_percent)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeed_v2(device: Handle, fan: u32, percent: Out<u32>) -> u32 {
    tell(device, percent, |gpu| match gpu.model.fans {
        fans if fan < fans => fan_percent(gpu),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTargetFanSpeed(device: Handle, fan: u32, percent: Out<u32>) -> u32 {
    tell(device, percent, |gpu| match gpu.model.fans {
        fans if fan < fans => fan_percent(gpu),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeedRPM(device: Handle, speed: Out<FanSpeed>) -> u32 {
    tell(device, speed, |gpu| {
        let mut answer = speed.get()?;
        if answer.version != versioned::<FanSpeed>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        answer.speed = fan_percent(gpu)? * 30;
        Ok(answer)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMinMaxFanSpeed(device: Handle, min: Out<u32>, max: Out<u32>) -> u32 {
    tell_two(device, min, max, |gpu| match gpu.model.fans {
        0 => Err(Code::InvalidArgument),
        _ => Ok((30, 100)),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanControlPolicy_v2(device: Handle, fan: u32, policy: Out<u32>) -> u32 {
    tell(device, policy, |gpu| match gpu.model.fans {
        0 => Err(Code::NotSupported),
        fans if fan < fans => Ok(0),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetThermalSettings(device: Handle, sensor: u32, settings: Room<u32>) -> u32 {
    of_device(device, |gpu| {
        // Sensor 0 is the chip's; 15 asks for all there are, which is that one.
        if !matches!(sensor, 0 | 15) {
            return Err(Code::InvalidArgument);
        }
        let words = [1, 1, 0, SHUTDOWN_C, gpu.temperature_c(), 1];
        words.iter().enumerate().try_for_each(|(at, word)| settings.put(at, *word))
    })
}

impl Gpu<'_> {
    pub(crate) fn temperature_c(&mut self) -> u32 {
        gauge::temperature_c(&mut self.state, self.model)
    }
}
