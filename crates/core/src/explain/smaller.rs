//! Smaller asks that would start now, nearest first, as what to type.

use crate::ask::{Ask, DeviceCount, Share, Spread};
use crate::capacity::gpus;
use crate::cluster::DeviceSlot;
use crate::place::fit::{allows_device, allows_node};
use crate::state::State;
use crate::units::{CpuMilli, GpuMilli, MemoryMib};

/// Says whether an ask would start now.
type Fits<'a> = &'a dyn Fn(&Ask) -> bool;

/// What would start instead of `ask`, each with one thing less. If nothing does, the same with several things less
/// at once.
pub(super) fn that_start(state: &State, ask: &Ask, fits: Fits<'_>) -> Vec<String> {
    let fewer = fewer_devices(ask, fits);
    let share = match fewer {
        Some(_) if ask.devices.min > 1 => None,
        _ => smaller_share(state, ask, fits),
    };
    let found = [spread(ask, fits), fewer, share, any_model(ask, fits), no_host_part(ask, fits)];
    let found: Vec<String> = found.into_iter().flatten().collect();
    if found.is_empty() { least(state, ask, fits).into_iter().collect() } else { found }
}

fn spread(ask: &Ask, fits: Fits<'_>) -> Option<String> {
    let mut other = ask.clone();
    other.constraints.spread = Spread::AnyNodes;
    (ask.devices.max > 1 && other != *ask && fits(&other)).then(|| "`--spread`".to_owned())
}

fn fewer_devices(ask: &Ask, fits: Fits<'_>) -> Option<String> {
    (1..ask.devices.min).rev().find_map(|count| {
        let mut other = ask.clone();
        other.devices = DeviceCount::exactly(count);
        fits(&other).then(|| flags(ask, &other))
    })
}

/// The largest share of one device.
fn smaller_share(state: &State, ask: &Ask, fits: Fits<'_>) -> Option<String> {
    if ask.devices.min == 0 {
        return None;
    }
    let mut shares: Vec<Share> = usable(state, ask).filter_map(|slot| share_left(ask.share, slot)).collect();
    shares.sort_unstable();
    shares.dedup();
    shares.into_iter().rev().find_map(|share| {
        let mut other = ask.clone();
        other.devices = DeviceCount::exactly(1);
        other.share = share;
        (other != *ask && fits(&other)).then(|| flags(ask, &other))
    })
}

fn any_model(ask: &Ask, fits: Fits<'_>) -> Option<String> {
    let mut other = ask.clone();
    other.constraints.models.clear();
    (other != *ask && fits(&other)).then(|| "any model of GPU: leave out `--gpu-model`".to_owned())
}

fn no_host_part(ask: &Ask, fits: Fits<'_>) -> Option<String> {
    let mut other = ask.clone();
    (other.cpu, other.host_memory) = (CpuMilli(0), MemoryMib::ZERO);
    (other != *ask && fits(&other)).then(|| "less `--cpu` and `--mem`".to_owned())
}

/// The largest share of one device of any model, with nothing of the host.
fn least(state: &State, ask: &Ask, fits: Fits<'_>) -> Option<String> {
    let mut other = ask.clone();
    other.constraints.models.clear();
    (other.cpu, other.host_memory) = (CpuMilli(0), MemoryMib::ZERO);
    let mut words = smaller_share(state, &other, fits)?;
    if other.constraints.models != ask.constraints.models {
        words.push_str(", any model of GPU");
    }
    if (other.cpu, other.host_memory) != (ask.cpu, ask.host_memory) {
        words.push_str(", less `--cpu` and `--mem`");
    }
    Some(words)
}

/// The most that a device can give of a share now; `None` if that is nothing.
fn share_left(asked: Share, slot: &DeviceSlot) -> Option<Share> {
    let (milli, memory) = (slot.free_milli, slot.free_memory);
    let left = match asked {
        Share::Milli(most) => Share::Milli(most.min(milli).min(covered_by(memory, slot.info.memory))),
        Share::Cap(most) => Share::Cap(most.min(memory).min(milli.of(slot.info.memory))),
        Share::Both(most, cap) => Share::Both(most.min(milli), cap.min(memory)),
    };
    let (milli, cap) = parts(left);
    (milli != Some(GpuMilli::ZERO) && cap != Some(MemoryMib::ZERO)).then_some(left)
}

/// The largest share whose part of `total` memory is at most `free`.
fn covered_by(free: MemoryMib, total: MemoryMib) -> GpuMilli {
    let below = free.0.saturating_add(1).saturating_mul(1_000).saturating_sub(1);
    let milli = below.checked_div(total.0).unwrap_or(1_000).min(1_000);
    u32::try_from(milli).ok().and_then(GpuMilli::new).unwrap_or(GpuMilli::FULL)
}

const fn parts(share: Share) -> (Option<GpuMilli>, Option<MemoryMib>) {
    match share {
        Share::Milli(milli) => (Some(milli), None),
        Share::Cap(cap) => (None, Some(cap)),
        Share::Both(milli, cap) => (Some(milli), Some(cap)),
    }
}

/// What to type for `to` where `from` was typed before.
fn flags(from: &Ask, to: &Ask) -> String {
    let ((milli_before, cap_before), (milli, cap)) = (parts(from.share), parts(to.share));
    let mut flags = Vec::new();
    if from.devices != to.devices || milli_before != milli {
        flags.push(match (milli, to.devices.min) {
            (Some(milli), count) if milli.is_full() => format!("`--gpu {count}`"),
            (Some(milli), 1) => format!("`--gpu {milli}`"),
            (_, count) => gpus(count),
        });
    }
    if let Some(cap) = cap.filter(|_| cap_before != cap) {
        flags.push(format!("`--gpu-memory {}MiB`", cap.0));
    }
    flags.join(" and ")
}

fn usable<'s>(state: &'s State, ask: &'s Ask) -> impl Iterator<Item = &'s DeviceSlot> {
    state
        .cluster()
        .nodes()
        .filter(|node| node.takes_tasks() && allows_node(ask, node))
        .flat_map(|node| &node.devices)
        .filter(|slot| allows_device(ask, slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_memory_covers_is_the_largest_that_fits_into_it() {
        for total in [1, 7, 999, 1_000, 1_001, 14_913, 81_559] {
            let total = MemoryMib(total);
            for free in (0..=total.0).step_by(usize::try_from(total.0 / 13).unwrap().max(1)) {
                let share = covered_by(MemoryMib(free), total);
                assert!(share.of(total) <= MemoryMib(free), "{share} of {total} is more than {free}");
                let more = share.checked_add(GpuMilli::new(1).unwrap());
                assert!(more.is_none_or(|more| more.of(total) > MemoryMib(free)), "{share} of {total}");
            }
        }
        assert_eq!(covered_by(MemoryMib(5), MemoryMib::ZERO), GpuMilli::FULL);
    }
}
