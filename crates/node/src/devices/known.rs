//! From what the driver says now and what was known before to the node's devices. Pure.
//!
//! **Invariant**: a device keeps its index as long as the process lives, also when another one vanishes
//! and the driver counts anew. A device that was seen once stays listed, unusable at worst: tasks may
//! hold it.

use fastgpu_core::ids::{DeviceIndex, Name};
use fastgpu_core::node::{Closeness, Device, Telemetry};
use fastgpu_core::units::{MemoryMib, Timestamp};

use super::MENDED_BY;
use super::health::{Health, Remedy, Trouble};
use crate::probe::{DeviceReading, Readings};

/// How old the time of readings may be that have not changed since.
const STAMP_AGE_MS_MAX: i64 = 10_000;

/// One device, and how the driver knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The driver's number in its last inventory; `None` when it was not in there.
    driver_index: Option<u32>,
    /// Whether the inventory that is being merged has it.
    listed: bool,
    /// Whether the driver told us its UUID; without, it has a name of ours.
    has_uuid: bool,
    /// Whether the last reading was one of trouble.
    troubled: bool,
    health: Health,
    /// What its health was said to be last.
    sick: Option<Trouble>,
    pub(super) device: Device,
}

/// Devices that are known before the driver was asked.
pub(super) fn listed(devices: &[Device]) -> Vec<Known> {
    let known = devices.iter().map(|device| Known {
        driver_index: Some(device.index.0.into()),
        listed: true,
        has_uuid: true,
        troubled: false,
        health: Health::default(),
        sick: None,
        device: device.clone(),
    });
    known.collect()
}

/// The devices after an inventory of `now`; new ones are no hardware where `simulated` says so.
pub(super) fn merge(
    mut known: Vec<Known>,
    readings: &Readings,
    simulated: bool,
    now: Timestamp,
) -> Vec<Known> {
    for old in &mut known {
        old.listed = false;
    }
    let driver: Option<Name> = readings.driver.as_deref().map(Name::from);
    // Devices that say who they are come first, so that one which does not cannot take a place of theirs.
    let (named, nameless): (Vec<_>, Vec<_>) =
        readings.devices.iter().partition(|reading| reading.uuid.is_some());
    for reading in named.into_iter().chain(nameless) {
        match place_of(&known, reading) {
            Some(place) => renew(&mut known[place], reading, driver.as_ref(), now),
            None => {
                if let Some(index) = free_index(&known, reading.index) {
                    known.push(fresh(index, simulated, reading, driver.as_ref(), now));
                }
            }
        }
    }
    for gone in known.iter_mut().filter(|old| !old.listed) {
        gone.driver_index = None;
        gone.device.telemetry = Telemetry::default();
        gone.device.unusable = Some(
            "the NVIDIA driver no longer lists this device; look at `sudo dmesg | grep -i xid` and restart \
             the machine"
                .to_owned(),
        );
    }
    known.sort_by_key(|one| one.device.index);
    known
}

/// Takes over what moves. False when the driver speaks of other devices, or of trouble that is new or
/// over: then a whole inventory is needed.
pub(super) fn update(known: &mut [Known], telemetry: &Readings, now: Timestamp) -> bool {
    let listed = known.iter().filter(|one| one.driver_index.is_some()).count();
    if listed != telemetry.devices.len() {
        return false;
    }
    let mut is_all = true;
    for reading in &telemetry.devices {
        let Some(one) = known.iter_mut().find(|one| one.driver_index == Some(reading.index)) else {
            return false;
        };
        let other_device =
            one.has_uuid && reading.uuid.as_deref().is_some_and(|uuid| *one.device.uuid != *uuid);
        if other_device {
            return false;
        }
        // Of all of them: what a driver reports it reports once.
        one.health.take(reading, now);
        is_all &= one.troubled == reading.trouble.is_some() && one.sick == one.health.trouble(now);
        one.device.fault = one.health.fault().cloned();
        one.device.telemetry = readings_that_move(reading);
    }
    is_all
}

/// Readings with their time. Those that say the same as before keep theirs for a while: a device that rests
/// has nothing new to tell.
pub(super) fn stamped(before: Telemetry, fresh: Telemetry, now: Timestamp) -> Telemetry {
    if fresh == Telemetry::default() {
        return fresh;
    }
    let young = |at: Timestamp| now.0.saturating_sub(at.0) < STAMP_AGE_MS_MAX;
    let kept = before.read_at.filter(|at| young(*at) && Telemetry { read_at: None, ..before } == fresh);
    Telemetry { read_at: Some(kept.unwrap_or(now)), ..fresh }
}

/// No task may start on any of them, for this reason.
pub(super) fn lose_all(known: &mut [Known], reason: &str) {
    for one in known {
        one.device.telemetry = Telemetry::default();
        one.device.unusable = Some(reason.to_owned());
    }
}

/// Who this is: by UUID, else by the number of a device that does not speak for itself, now or before.
fn place_of(known: &[Known], reading: &DeviceReading) -> Option<usize> {
    let uuid = reading.uuid.as_deref();
    let same_uuid = |old: &Known| old.has_uuid && uuid.is_some_and(|uuid| *old.device.uuid == *uuid);
    let same_number = |old: &Known| {
        !old.listed && old.driver_index == Some(reading.index) && (uuid.is_none() || !old.has_uuid)
    };
    known.iter().position(same_uuid).or_else(|| known.iter().position(same_number))
}

/// The driver's own number where it is free, else the next one after all.
fn free_index(known: &[Known], wanted: u32) -> Option<DeviceIndex> {
    let taken = |index: u16| known.iter().any(|one| one.device.index.0 == index);
    let next = known.iter().map(|one| one.device.index.0).max().map_or(Some(0), |last| last.checked_add(1));
    u16::try_from(wanted).ok().filter(|index| !taken(*index)).or(next).map(DeviceIndex)
}

fn fresh(
    index: DeviceIndex,
    simulated: bool,
    reading: &DeviceReading,
    driver: Option<&Name>,
    now: Timestamp,
) -> Known {
    let device = Device {
        index,
        uuid: format!("unreadable-{index}").into(),
        model: "unknown".into(),
        memory: MemoryMib::ZERO,
        simulated,
        pci: None,
        driver: None,
        mig: None,
        closeness: Closeness::default(),
        unusable: None,
        fault: None,
        telemetry: Telemetry::default(),
    };
    let mut known = Known {
        driver_index: None,
        listed: false,
        has_uuid: false,
        troubled: false,
        health: Health::default(),
        sick: None,
        device,
    };
    renew(&mut known, reading, driver, now);
    known
}

/// A lost device keeps what was known of it; everything readable is taken anew.
fn renew(known: &mut Known, reading: &DeviceReading, driver: Option<&Name>, now: Timestamp) {
    known.health.take(reading, now);
    known.sick = known.health.trouble(now);
    let device = &mut known.device;
    if let Some(uuid) = &reading.uuid {
        device.uuid = uuid.as_str().into();
        known.has_uuid = true;
    }
    if let Some(name) = &reading.name {
        device.model = name.as_str().into();
    }
    if let Some(total) = reading.memory_total_bytes {
        let usable = total.saturating_sub(reading.memory_reserved_bytes.unwrap_or(0));
        device.memory = MemoryMib(usable / (1 << 20));
    }
    if let Some(pci) = &reading.pci {
        device.pci = Some(pci.as_str().into());
    }
    if reading.mig.is_some() {
        device.mig = reading.mig;
    }
    device.driver = driver.cloned().or_else(|| device.driver.take());
    device.telemetry = readings_that_move(reading);
    device.fault = known.health.fault().cloned();
    device.unusable = match (&reading.trouble, &known.sick) {
        (Some(trouble), _) if device.simulated => Some(format!("software GPU: {trouble}; {MENDED_BY}")),
        (None, Some(sick)) => Some(out_of_service(device, sick)),
        _ => unusable(device, known.has_uuid, reading),
    };
    known.driver_index = Some(reading.index);
    known.listed = true;
    known.troubled = reading.trouble.is_some();
}

fn unusable(device: &Device, has_uuid: bool, reading: &DeviceReading) -> Option<String> {
    if let Some(trouble) = &reading.trouble {
        return Some(format!(
            "the NVIDIA driver cannot use this device: {trouble}; look at `sudo dmesg | grep -i xid` and \
             restart the machine"
        ));
    }
    if !has_uuid {
        return Some("the NVIDIA driver does not tell the UUID of this device; update the driver".to_owned());
    }
    if device.memory == MemoryMib::ZERO {
        return Some(
            "the NVIDIA driver does not tell how much memory this device has; update the driver to 510 or \
             later"
                .to_owned(),
        );
    }
    // A program that is given a device in MIG mode by its UUID finds one slice of it, or none.
    device.mig.unwrap_or(false).then(|| {
        format!(
            "MIG mode is on and its slices are not handed out; turn it off with `sudo nvidia-smi -i {} -mig 0`",
            device.uuid
        )
    })
}

fn out_of_service(device: &Device, sick: &Trouble) -> String {
    let reason = &sick.reason;
    let uuid = &device.uuid;
    match sick.remedy {
        Remedy::Rest => format!("{reason}; it rests for a minute"),
        _ if device.simulated => format!("software GPU: {reason}; {MENDED_BY}"),
        Remedy::Reset => format!(
            "{reason}; when nothing runs on it, stop the server, reset the device with \
             `sudo nvidia-smi --gpu-reset -i {uuid}` and start the server again"
        ),
        Remedy::Restart => format!("{reason}; look at `sudo dmesg | grep -i xid` and restart the machine"),
    }
}

fn readings_that_move(reading: &DeviceReading) -> Telemetry {
    Telemetry {
        power_mw: reading.power_mw,
        temperature_c: reading.temperature_c,
        utilization_percent: reading.utilization_percent,
        memory_used: reading.memory_used_bytes.map(|bytes| MemoryMib(bytes / (1 << 20))),
        memory_errors: reading.memory_errors,
        // Set when it is published.
        read_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn reading(index: u32, uuid: &str) -> DeviceReading {
        DeviceReading {
            index,
            uuid: Some(uuid.to_owned()),
            name: Some("NVIDIA H200".to_owned()),
            memory_total_bytes: Some(143_771 << 20),
            memory_reserved_bytes: Some(771 << 20),
            memory_used_bytes: Some(10 << 20),
            ..DeviceReading::default()
        }
    }

    fn lost(index: u32) -> DeviceReading {
        DeviceReading { index, trouble: Some("GPU is lost".to_owned()), ..DeviceReading::default() }
    }

    fn readings(devices: Vec<DeviceReading>) -> Readings {
        Readings { driver: Some("580".to_owned()), devices }
    }

    /// `0 A, 1 B!`: index and UUID of each, with `!` when unusable.
    fn shown(known: &[Known]) -> String {
        let one = |one: &Known| {
            let mark = if one.device.unusable.is_some() { "!" } else { "" };
            format!("{} {}{mark}", one.device.index.0, one.device.uuid)
        };
        known.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_memory_of_a_device_is_what_tasks_can_use() {
        let known = merge(Vec::new(), &readings(vec![reading(0, "A")]), false, NOW);
        assert_eq!(known[0].device.memory, MemoryMib(143_000));
        assert_eq!(known[0].device.driver.as_deref(), Some("580"));
    }

    #[test]
    fn a_device_keeps_its_index_when_another_vanishes_and_when_it_comes_back() {
        let all = readings(vec![reading(0, "A"), reading(1, "B"), reading(2, "C")]);
        let known = merge(Vec::new(), &all, false, NOW);
        let known = merge(known, &readings(vec![reading(0, "A"), reading(1, "C")]), false, NOW);
        assert_eq!(shown(&known), "0 A, 1 B!, 2 C");
        let known = merge(known, &all, false, NOW);
        assert_eq!(shown(&known), "0 A, 1 B, 2 C");
        let known = merge(known, &readings(vec![reading(0, "D"), reading(1, "A")]), false, NOW);
        assert_eq!(shown(&known), "0 A, 1 B!, 2 C!, 3 D");
    }

    #[test]
    fn a_lost_device_keeps_its_name_and_one_that_never_spoke_gets_one_later() {
        let known = merge(Vec::new(), &readings(vec![reading(0, "A"), lost(1)]), false, NOW);
        assert_eq!(shown(&known), "0 A, 1 unreadable-gpu-1!");
        let known = merge(known, &readings(vec![lost(0), reading(1, "B")]), false, NOW);
        assert_eq!(shown(&known), "0 A!, 1 B");
        assert_eq!(known[0].device.memory, MemoryMib(143_000));
    }

    #[test]
    fn telemetry_is_taken_over_only_when_it_speaks_of_the_same_devices() {
        let mut known = merge(Vec::new(), &readings(vec![reading(0, "A"), reading(1, "B")]), false, NOW);
        let mut warm = reading(1, "B");
        warm.temperature_c = Some(71);
        assert!(update(&mut known, &readings(vec![reading(0, "A"), warm]), NOW));
        assert_eq!(known[1].device.telemetry.temperature_c, Some(71));
        assert_eq!(known[1].device.telemetry.memory_used, Some(MemoryMib(10)));
        assert!(!update(&mut known, &readings(vec![reading(0, "A")]), NOW), "one is missing");
        assert!(
            !update(&mut known, &readings(vec![reading(0, "B"), reading(1, "A")]), NOW),
            "they changed places"
        );
        assert!(!update(&mut known, &readings(vec![reading(0, "A"), lost(1)]), NOW), "trouble is new");
    }

    #[test]
    fn what_cannot_be_handed_out_says_why() {
        let mut sliced = reading(0, "A");
        sliced.mig = Some(true);
        let mut old = reading(1, "B");
        old.memory_total_bytes = None;
        let known = merge(Vec::new(), &readings(vec![sliced, old]), false, NOW);
        assert!(known[0].device.unusable.as_deref().unwrap().contains("`sudo nvidia-smi -i A -mig 0`"));
        assert!(known[1].device.unusable.as_deref().unwrap().contains("510"));
    }

    #[test]
    fn readings_that_stay_the_same_keep_their_time_for_a_while() {
        let warm = Telemetry { temperature_c: Some(60), ..Telemetry::default() };
        let first = stamped(Telemetry::default(), warm, Timestamp(5_000));
        assert_eq!(first.read_at, Some(Timestamp(5_000)));
        assert_eq!(stamped(first, warm, Timestamp(14_999)), first);
        assert_eq!(stamped(first, warm, Timestamp(15_000)).read_at, Some(Timestamp(15_000)));
        let warmer = Telemetry { temperature_c: Some(61), ..warm };
        assert_eq!(stamped(first, warmer, Timestamp(6_000)).read_at, Some(Timestamp(6_000)));
        assert_eq!(stamped(first, Telemetry::default(), Timestamp(6_000)).read_at, None, "nothing was read");
    }
}
