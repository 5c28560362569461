//! The models behind the readings: how busy, how much power, how warm. Pure, and the same for every caller.
//!
//! * **Utilization** lags as a driver's does: a device's figure is that of the last whole period of a fifth or
//!   sixth of a second, a process's that of the second before the end of that period.
//! * **Power** is what the model draws at rest, plus the busy share of what is left up to the power limit.
//!   The energy counter is exactly the integral of that.
//! * **Temperature** goes towards a line between rest and full power with a time constant of 15 s.

use fastgpu_softgpu::ledger::layout::{DeviceState, Gauges};
use fastgpu_softgpu::models::{Architecture, Model};
use fastgpu_softgpu::schedule::{BUCKET_NS, BusyHistory};

/// A second in whole buckets, in nanoseconds.
pub(crate) const SECOND_NS: u64 = 96 * BUCKET_NS;
/// How far back a "present" power reading looks.
const INSTANT_NS: u64 = 5 * BUCKET_NS;

/// A device at rest in a cooled room, in thousandths of a degree.
const REST_MC: u64 = 33_000;
/// How much warmer a device at its limit is, in thousandths of a degree.
const RISE_MC: u64 = 32_000;
/// How fast a heat sink follows, in nanoseconds.
const TIME_CONSTANT_NS: f64 = 15e9;

/// How often a driver renews its figures, in nanoseconds of whole buckets: about a fifth of a second on an
/// H100 (measured), a sixth on older ones.
pub(crate) fn period_ns(model: &Model) -> u64 {
    if model.architecture >= Architecture::Hopper { 19 * BUCKET_NS } else { 16 * BUCKET_NS }
}

/// When the figures that are told now were taken: the end of the last whole period.
pub(crate) fn taken_at(model: &Model, now_ns: u64) -> u64 {
    let period_ns = period_ns(model);
    now_ns / period_ns * period_ns
}

/// Percent of the window before `at_ns` that something ran.
pub(crate) fn percent(history: &BusyHistory, at_ns: u64, window_ns: u64) -> u32 {
    let busy_ns = history.within(at_ns, window_ns);
    // In the first second of a device's life there is less than a window.
    let window_ns = window_ns.min(at_ns.max(BUCKET_NS));
    u32::try_from((busy_ns * 100 + window_ns / 2) / window_ns).unwrap_or(100).min(100)
}

/// When something ran last, to within a bucket, in nanoseconds; `None` if it never did.
pub(crate) fn last_busy(history: &BusyHistory) -> Option<u64> {
    let busy = history.buckets.iter().filter(|bucket| bucket.busy_ns > 0);
    busy.map(|bucket| bucket.number * BUCKET_NS).max()
}

/// The power limit in force, in milliwatts.
pub(crate) fn power_limit_mw(state: &DeviceState, model: &Model) -> u32 {
    match state.gauges.power_limit_mw {
        0 => model.power.limit,
        set => set,
    }
}

/// Power with this many nanoseconds busy out of a window, in milliwatts.
fn power_mw(state: &DeviceState, model: &Model, busy_ns: u64, window_ns: u64) -> u32 {
    let idle = u64::from(model.power.idle);
    let span = u64::from(power_limit_mw(state, model)).saturating_sub(idle);
    let drawn = idle + span * busy_ns.min(window_ns) / window_ns.max(1);
    u32::try_from(drawn).unwrap_or(u32::MAX)
}

/// Power now, in milliwatts.
pub(crate) fn power_instant_mw(state: &DeviceState, model: &Model) -> u32 {
    let busy_ns = state.schedule.busy.within(state.schedule.now_ns, INSTANT_NS);
    power_mw(state, model, busy_ns, INSTANT_NS)
}

/// Power over the last second, in milliwatts: what a driver tells by default.
pub(crate) fn power_average_mw(state: &DeviceState, model: &Model) -> u32 {
    let at_ns = taken_at(model, state.schedule.now_ns);
    let window_ns = SECOND_NS.min(at_ns.max(BUCKET_NS));
    power_mw(state, model, state.schedule.busy.within(at_ns, SECOND_NS), window_ns)
}

/// Power over one period that ended at `at_ns`, in milliwatts.
pub(crate) fn power_of_period_mw(state: &DeviceState, model: &Model, at_ns: u64) -> u32 {
    let period_ns = period_ns(model);
    power_mw(state, model, state.schedule.busy.within(at_ns, period_ns), period_ns)
}

/// Energy since the device was made, in millijoules. A limit that was changed counts for the whole past.
pub(crate) fn energy_mj(state: &DeviceState, model: &Model) -> u64 {
    let idle = u128::from(model.power.idle);
    let span = u128::from(power_limit_mw(state, model)).saturating_sub(idle);
    let schedule = &state.schedule;
    let picojoules = idle * u128::from(schedule.now_ns) + span * u128::from(schedule.busy_ns);
    u64::try_from(picojoules / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Temperature of the chip, in degrees. Carries the gauge on from whoever read it last.
pub(crate) fn temperature_c(state: &mut DeviceState, model: &Model) -> u32 {
    let (now_ns, busy_ns) = (state.schedule.now_ns, state.schedule.busy_ns);
    let limit = u64::from(power_limit_mw(state, model)) * RISE_MC / u64::from(model.power.limit.max(1));
    let gauges = &mut state.gauges;
    *gauges = warmed(*gauges, now_ns, busy_ns, limit);
    u32::try_from((gauges.temperature_mc + 500) / 1_000).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a device's life, used for a ratio")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a temperature above zero")]
fn warmed(before: Gauges, now_ns: u64, busy_ns: u64, rise_mc: u64) -> Gauges {
    if before.temperature_mc == 0 {
        // Nobody looked before, so it began at rest when it was made.
        let first =
            Gauges { temperature_mc: REST_MC, temperature_at_ns: 0, temperature_busy_ns: 0, ..before };
        return warmed(first, now_ns.max(1), busy_ns, rise_mc);
    }
    let span_ns = now_ns.saturating_sub(before.temperature_at_ns);
    if span_ns == 0 {
        return before;
    }
    let share = busy_ns.saturating_sub(before.temperature_busy_ns) as f64 / span_ns as f64;
    let goal = REST_MC as f64 + rise_mc as f64 * share.min(1.0);
    let left = (-(span_ns as f64) / TIME_CONSTANT_NS).exp();
    let temperature = goal + (before.temperature_mc as f64 - goal) * left;
    Gauges {
        temperature_mc: temperature as u64,
        temperature_at_ns: now_ns,
        temperature_busy_ns: busy_ns,
        ..before
    }
}
