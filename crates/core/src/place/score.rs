//! Which place is the best: one number per node and shape, smaller is better, by [`Placement`].
//!
//! Scores are coarse on purpose, and of equal ones the first node in the order of ids wins: a stable order
//! gathers small losses on few nodes instead of spreading them, which is worth more than a finer score.

use crate::ask::GrantPart;
use crate::cluster::Cluster;
use crate::place::find::Wanted;
use crate::place::mirror::{Slot, Spot};
use crate::place::shape::{Shape, closest};
use crate::place::tree::NONE;
use crate::place::view::Ground;
use crate::place::worth::{Standing, Worth};
use crate::policy::Placement;
use crate::retry::mixed;

/// A device that is missing from what was asked for at most weighs more than any other difference.
const MISSING: u32 = 1 << 26;
/// The largest cost of a place that lacks nothing.
const COST_MAX: u32 = MISSING - 1;
/// More missing devices than this make no difference.
const MISSING_MAX: u32 = 62;

/// What scores depend on besides node and shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scorer<'a> {
    placement: Placement,
    worth: &'a Worth,
    cpu_max: u32,
    devices_max: u32,
    /// Makes random choices of equal tasks differ.
    salt: u64,
}

impl<'a> Scorer<'a> {
    pub(super) const fn new(wanted: Wanted<'_>, ground: &'a Ground) -> Self {
        let Wanted { placement, salt, .. } = wanted;
        let Ground { mirror, worth } = ground;
        Self { placement, worth, cpu_max: mirror.cpu_max, devices_max: mirror.devices_max, salt }
    }

    /// Changes when scores made earlier no longer count.
    pub(super) fn epoch(&self) -> u64 {
        let by_placement = match self.placement {
            Placement::Fragmentation => self.worth.epoch() << 20,
            // A fraction of the largest node: a larger one changes them all.
            Placement::BestFit => u64::from(self.cpu_max) << 20,
            Placement::Packing | Placement::Spreading | Placement::Random => 0,
        };
        by_placement | u64::from(self.devices_max)
    }

    /// Whether scores rest on what nodes are worth.
    pub(super) fn is_by_worth(&self) -> bool {
        self.placement == Placement::Fragmentation && self.worth.is_known
    }

    /// The score of a place for `shape` on `spot`; [`NONE`] if it has none. `standing` matters if scores rest on
    /// [worth](Self::is_by_worth).
    pub(super) fn score(&self, shape: &Shape, spot: &Spot, standing: Standing, cluster: &Cluster) -> u32 {
        let Some(count) = shape.count_on(spot, cluster).filter(|&count| count >= shape.min) else {
            return NONE;
        };
        // Who takes as many as there are lacks none on the largest node.
        let most = shape.max.min(self.devices_max as usize);
        let missing = u32::try_from(most.saturating_sub(count)).unwrap_or(MISSING_MAX).min(MISSING_MAX);
        let cost = match self.placement {
            Placement::Fragmentation if self.worth.is_known => self.worth.cost(shape, spot, standing, count),
            // Until the mix is known, the tightest fit keeps large holes large.
            Placement::Fragmentation => tight(shape, spot, count),
            Placement::BestFit => self.best_fit(shape, spot, count),
            Placement::Packing => packing(shape, spot, count),
            Placement::Spreading => spreading(spot),
            // Any place is as good; the caller draws.
            Placement::Random => 0,
        };
        missing * MISSING + cost.min(COST_MAX)
    }

    /// The devices that `shape` gets on `spot`, whose score said that there are enough.
    pub(super) fn choose(&self, shape: &Shape, spot: &Spot, cluster: &Cluster) -> GrantPart {
        let fitting: Vec<usize> =
            (0..spot.slots.len()).filter(|&place| shape.need(&spot.slots[place]).is_some()).collect();
        let count = fitting.len().min(shape.max);
        let whole = fitting
            .first()
            .is_some_and(|&place| shape.need(&spot.slots[place]).is_some_and(|(milli, _)| milli == 1_000));
        let chosen = match (count, whole) {
            (0, _) => Vec::new(),
            (_, true) => closest(&spot.slots, &fitting, count),
            (_, false) => self.shares(shape, spot, fitting, count),
        };
        shape.part(spot, &chosen, cluster)
    }

    /// The devices for shares: by cost to the mix, else the fullest that has room, or the emptiest.
    fn shares(&self, shape: &Shape, spot: &Spot, mut fitting: Vec<usize>, count: usize) -> Vec<usize> {
        let left = |place: usize| {
            let slot = &spot.slots[place];
            let (milli, memory) = shape.need(slot).expect("only what fits is listed");
            (slot.milli - milli, slot.memory - memory)
        };
        match self.placement {
            Placement::Fragmentation if self.worth.is_known => fitting.sort_by_key(|&place| {
                let slot = &spot.slots[place];
                (self.worth.drop_of(shape, spot, slot), left(place), place)
            }),
            Placement::Spreading => fitting.sort_by_key(|&place| (std::cmp::Reverse(left(place)), place)),
            Placement::Random => {
                fitting.sort_by_key(|&place| mixed(self.salt.wrapping_add(place as u64 + 1)))
            }
            Placement::Fragmentation | Placement::BestFit | Placement::Packing => {
                fitting.sort_by_key(|&place| (left(place), place));
            }
        }
        fitting.truncate(count);
        fitting
    }

    /// What is left of the node in processor and compute, as parts of the largest node, in hundredths.
    fn best_fit(&self, shape: &Shape, spot: &Spot, count: usize) -> u32 {
        let (cpu_left, _) = shape.host_left(spot);
        let taken: u64 = taken(shape, spot, count);
        let gpu_left = free_milli(spot) - taken;
        let (cpu_max, gpu_max) = (u64::from(self.cpu_max.max(1)), u64::from(self.devices_max.max(1)) * 1_000);
        let both = u64::from(cpu_left) * gpu_max + gpu_left * cpu_max;
        // One hundred less the score, rounded up as the score is rounded down.
        u32::try_from((50 * both).div_ceil(cpu_max * gpu_max)).unwrap_or(COST_MAX)
    }
}

/// What `count` devices of the shape take of the node, in thousandths.
fn taken(shape: &Shape, spot: &Spot, count: usize) -> u64 {
    spot.slots.iter().filter_map(|slot| shape.need(slot)).take(count).map(|(milli, _)| u64::from(milli)).sum()
}

fn free_milli(spot: &Spot) -> u64 {
    spot.slots.iter().map(|slot| u64::from(slot.milli)).sum()
}

fn is_whole(slot: &Slot) -> bool {
    slot.milli == 1_000
}

/// The least left: compute of the device for a share, idle devices of the node for whole ones; then memory in
/// GiB, then idle devices that a share (or a task without a GPU) would sit among.
fn tight(shape: &Shape, spot: &Spot, count: usize) -> u32 {
    let small = |value: u64, bits: u32| u32::try_from(value).unwrap_or(u32::MAX).min((1 << bits) - 1);
    let mut left: Vec<(u32, u64)> = spot
        .slots
        .iter()
        .filter_map(|slot| shape.need(slot).map(|(milli, memory)| (slot.milli - milli, slot.memory - memory)))
        .collect();
    let spare = left.len().saturating_sub(count);
    left.sort_unstable();
    left.truncate(count);
    let is_share = count == 1 && shape.ask.share != crate::ask::Share::Milli(crate::units::GpuMilli::FULL);
    let by_compute = if is_share { left[0].0 } else { small(spare as u64 * 16, 10) };
    let by_memory = left.iter().map(|&(_, memory)| memory).sum::<u64>() / 1_024;
    let idle =
        if is_share || count == 0 { spot.slots.iter().filter(|slot| slot.is_idle()).count() } else { 0 };
    small(u64::from(by_compute), 10) << 15 | small(by_memory, 10) << 5 | small(idle as u64, 5)
}

/// Devices in use first, the fullest of them; then idle devices of nodes in use; then empty nodes.
fn packing(shape: &Shape, spot: &Spot, count: usize) -> u32 {
    let all = spot.slots.len();
    if count == 0 || all == 0 {
        return 0;
    }
    let whole = spot.slots.iter().filter(|slot| is_whole(slot)).count();
    let mut free: Vec<u32> =
        spot.slots.iter().filter(|slot| shape.need(slot).is_some()).map(|slot| slot.milli).collect();
    free.sort_unstable();
    free.truncate(count);
    let opened = free.iter().filter(|&&milli| milli == 1_000).count();
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let score = if whole == all {
        33_u32.saturating_sub(small(whole)).max(small(whole).min(33))
    } else if opened > 0 {
        50_u32.saturating_sub(small(opened)).max(33)
    } else {
        100_u32.saturating_sub(free.iter().map(|milli| milli / 10).sum::<u32>() / 10).max(50)
    };
    100 - score
}

/// The node with the most free compute, then with the most free processor.
fn spreading(spot: &Spot) -> u32 {
    const CORES_MAX: u32 = 1 << 10;
    let free = u32::try_from(free_milli(spot)).unwrap_or(u32::MAX).min(0xffff);
    let cores = (spot.cpu / 1_000).min(CORES_MAX - 1);
    (0xffff - free) * CORES_MAX + (CORES_MAX - 1 - cores)
}
