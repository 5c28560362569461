//! What free devices, processor and host memory of one class of nodes are worth, in sixteenths of a thousandth of
//! a device.

use crate::ask::Ask;
use crate::outlook::Outlook;

use super::Wish;

/// A whole device, in thousandths.
const ONE: usize = 1_000;
/// Units per thousandth of a device.
const UNITS: i64 = 16;
/// Steps of the tables for processor and host memory.
const STEPS: usize = 256;
/// Processor per whole device and step, in thousandths of a core: 64 cores for a device are always enough.
const CPU_STEP: i64 = 250;
/// Host memory per whole device and step, in MiB: 256 GiB for a device are always enough.
const MEMORY_STEP: i64 = 1_024;
/// All that a table of processor or memory says: everything can be used.
const ALL: i64 = 4_096;
/// Of so many arrivals that look at a leftover, one is its last chance: what is hardly ever asked for is not
/// worth waiting for.
const CHANCES: i64 = 100;
/// Shapes of several devices that are looked at, the most frequent first.
const BLOCKS_MAX: usize = 12;

/// The tables of one class.
#[derive(Debug)]
pub(super) struct Table {
    /// What a device with so many thousandths left will expectedly be filled with.
    left: Vec<i64>,
    blocks: Vec<Block>,
    /// The part of the devices' worth that can be used, by processor (host memory) per device.
    cpu: Vec<i64>,
    memory: Vec<i64>,
    /// Multiplies costs; 256 is even.
    pub(super) price: i64,
}

/// A task of several devices, and what it is worth that it still finds them.
#[derive(Debug)]
struct Block {
    devices: usize,
    cpu: u32,
    host_memory: u64,
    bonus: i64,
}

impl Table {
    pub(super) fn new(wishes: &[Wish], scarcity: &Scarcity, price: i64) -> Self {
        Self {
            left: leftovers(wishes),
            blocks: blocks(wishes, scarcity),
            cpu: usable(wishes, CPU_STEP, |wish| i64::from(wish.cpu)),
            memory: usable(wishes, MEMORY_STEP, |wish| {
                i64::try_from(wish.host_memory).unwrap_or(i64::MAX >> 20)
            }),
            price,
        }
    }

    /// The worth of a device with this many thousandths left, before anything else is looked at.
    pub(super) fn left(&self, milli: u32) -> i64 {
        self.left[(milli as usize).min(ONE)]
    }

    /// The worth of a node whose devices are worth `worth`, with so many of them idle, and so much processor and
    /// host memory.
    pub(super) fn node(&self, worth: i64, idle: usize, cpu: u32, host_memory: u64) -> i64 {
        if worth == 0 {
            return 0;
        }
        let by_cpu = at(&self.cpu, CPU_STEP, i64::from(cpu), worth);
        let by_memory =
            at(&self.memory, MEMORY_STEP, i64::try_from(host_memory).unwrap_or(i64::MAX >> 20), worth);
        let bonus: i64 = self
            .blocks
            .iter()
            .filter(|block| idle >= block.devices)
            .map(|block| {
                let mut fitting = (idle / block.devices) as u64;
                // Mostly there is enough, and a product says so sooner than a quotient.
                if u64::from(cpu) < fitting * u64::from(block.cpu) {
                    fitting = u64::from(cpu / block.cpu);
                }
                if host_memory < fitting.saturating_mul(block.host_memory) {
                    fitting = host_memory / block.host_memory;
                }
                block.bonus * i64::try_from(fitting).unwrap_or(0)
            })
            .sum();
        ((worth * by_cpu / ALL) * by_memory / ALL) + bonus
    }
}

/// What the table says for `have` beside devices that are worth `worth`, interpolated.
fn at(table: &[i64], step: i64, have: i64, worth: i64) -> i64 {
    let whole = UNITS * ONE as i64;
    let (asked, unit) = (have.saturating_mul(whole * 16), worth * step);
    if asked >= unit * (STEPS as i64 * 16) {
        return table[STEPS];
    }
    let sixteenths = asked / unit;
    let cell = usize::try_from(sixteenths >> 4).expect("less than the last step, and not negative");
    table[cell] + (((table[cell + 1] - table[cell]) * (sixteenths & 15)) >> 4)
}

/// The expected fill of a device with r left: `V(r) = Σ w(m) (m + V(r − m)) / (Σ w(m) + w₀)` over the arrivals of
/// one device with `m ≤ r`, where `w₀` stands for the end of the game.
fn leftovers(wishes: &[Wish]) -> Vec<i64> {
    let mut levels: Vec<(usize, i64)> = wishes
        .iter()
        .filter(|wish| wish.devices == 1)
        .map(|wish| (wish.milli as usize, wish.weight))
        .collect();
    levels.sort_unstable();
    levels.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let all: i64 = levels.iter().map(|&(_, weight)| weight).sum();
    let mut worth = vec![0; ONE + 1];
    if levels.is_empty() {
        // Nothing is known: room is worth what it is.
        for (milli, worth) in worth.iter_mut().enumerate() {
            *worth = UNITS * milli as i64;
        }
        return worth;
    }
    let end = (all / CHANCES).max(1);
    for room in 1..=ONE {
        let (mut fill, mut weights) = (0, end);
        for &(milli, weight) in levels.iter().take_while(|&&(milli, _)| milli <= room) {
            fill += weight * (UNITS * milli as i64 + worth[room - milli]);
            weights += weight;
        }
        worth[room] = fill / weights;
    }
    worth
}

/// The most frequent shapes of several devices; the bonus of a size is split over the shapes of that size.
fn blocks(wishes: &[Wish], scarcity: &Scarcity) -> Vec<Block> {
    let mut several: Vec<&Wish> = wishes.iter().filter(|wish| wish.devices > 1).collect();
    several.sort_by_key(|wish| (std::cmp::Reverse(wish.weight), wish.devices, wish.cpu, wish.host_memory));
    several.truncate(BLOCKS_MAX);
    let of_size = |devices: usize| -> i64 {
        several.iter().filter(|wish| wish.devices == devices).map(|wish| wish.weight).sum::<i64>().max(1)
    };
    several
        .iter()
        .map(|wish| Block {
            devices: wish.devices,
            cpu: wish.cpu,
            host_memory: wish.host_memory,
            bonus: scarcity.bonus(wish.devices) * wish.weight / of_size(wish.devices),
        })
        .collect()
}

/// How scarce blocks of idle devices are, by their size, in 256ths: how many will be asked for before the free
/// room is gone, for each that there is, at most one.
#[derive(Debug)]
pub(super) struct Scarcity(Vec<i64>);

impl Scarcity {
    pub(super) fn of(outlook: &Outlook) -> Self {
        let anywhere = |(ask, weight): &(std::sync::Arc<Ask>, u64)| {
            outlook.supply.iter().find_map(|supply| Wish::on(ask, *weight, &supply.class))
        };
        let wishes: Vec<Wish> = outlook.shapes.iter().filter_map(anywhere).collect();
        let demand: i64 = wishes.iter().map(|wish| wish.weight * wish.demand()).sum::<i64>().max(1);
        let free: u64 = outlook.supply.iter().map(|supply| supply.free_milli).sum();
        let size_max =
            outlook.supply.iter().map(|supply| usize::from(supply.class.devices)).max().unwrap_or(0);
        let scarcity = |devices: usize| {
            let asked: i64 =
                wishes.iter().filter(|wish| wish.devices == devices).map(|wish| wish.weight).sum();
            let nodes = outlook.supply.iter().flat_map(|supply| supply.nodes_by_idle.iter().enumerate());
            let have: u64 = nodes.map(|(idle, nodes)| nodes * (idle / devices) as u64).sum();
            let wanted = i128::from(asked) * i128::from(free) * 256 / i128::from(demand);
            i64::try_from(wanted / i128::from(have.max(1))).unwrap_or(i64::MAX).min(256)
        };
        Self((0..=size_max).map(|size| if size > 1 { scarcity(size) } else { 0 }).collect())
    }

    /// What one more block of this size is worth: its size, times half the square of its scarcity and an eighth
    /// of it. What is hardly scarce is hardly worth anything, and nothing is worth more than itself.
    fn bonus(&self, devices: usize) -> i64 {
        let scarcity = self.0.get(devices).copied().unwrap_or(0);
        let part = scarcity * scarcity / 512 + scarcity / 8;
        UNITS * (devices * ONE) as i64 * part / 256
    }
}

/// The part of the devices that can be used if there is so much of something for each: over the devices that are
/// asked for, the mean of `min(1, has / asks)`.
fn usable(wishes: &[Wish], step: i64, of: impl Fn(&Wish) -> i64) -> Vec<i64> {
    let mut rates: Vec<(i64, i64)> = wishes
        .iter()
        .map(|wish| {
            let demand = wish.demand().max(1);
            (of(wish).saturating_mul(ONE as i64) / demand, wish.weight * demand / ONE as i64)
        })
        .collect();
    rates.sort_unstable();
    let all: i64 = rates.iter().map(|&(_, weight)| weight).sum();
    if all == 0 {
        return vec![ALL; STEPS + 1];
    }
    let inverse = |&(rate, weight): &(i64, i64)| (i128::from(weight) << 20) / i128::from(rate.max(1));
    let mut above: i128 = rates.iter().map(inverse).sum();
    let mut below = 0;
    let mut next = 0;
    (0..=STEPS)
        .map(|cell| {
            let has = cell as i64 * step;
            while next < rates.len() && rates[next].0 <= has {
                below += rates[next].1;
                above -= inverse(&rates[next]);
                next += 1;
            }
            let all_of = i128::from(below) * i128::from(ALL);
            let part_of = (above * i128::from(has) * i128::from(ALL)) >> 20;
            i64::try_from((all_of + part_of) / i128::from(all)).unwrap_or(ALL).min(ALL)
        })
        .collect()
}
