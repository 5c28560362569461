//! What the free room of a node is worth to the tasks that arrive, and what a placement costs of it.
//!
//! The worth of a node is what its free devices will expectedly be filled with ([`table::Table`]), as far as its
//! processor and host memory reach, and a bonus for each block of idle devices that large tasks still find. A
//! placement costs the worth it takes away, times the price of the node's class ([`price`]): where demand that
//! can go nowhere else presses, room is dear. The idea of scoring by lost room is that of fragmentation gradient
//! descent (Weng et al., USENIX ATC'23); worth looks further ahead than one arrival, and knows of processor and
//! memory.

mod price;
mod table;

use crate::ask::{Ask, Spread};
use crate::outlook::{Class, Outlook};
use crate::place::fit::allows_kind;
use crate::place::mirror::{Mirror, Slot, Spot};
use crate::place::shape::Shape;
use table::{Scarcity, Table};

/// Costs are rounded to this many units, 5 thousandths of a device: what is nearly equal goes to the first node.
const ROUND: i64 = 80;
/// Added to a cost, which may be negative, to make a score of it.
const BIAS: i64 = 1 << 24;

/// The worth of nodes under one outlook.
#[derive(Debug, Default)]
pub(super) struct Worth {
    epoch: u64,
    /// Whether enough arrived to know what room is good for.
    pub(super) is_known: bool,
    /// By class of the mirror.
    tables: Vec<Table>,
}

/// What a node is worth, before anything is placed on it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// Devices that nobody holds any of.
    idle: usize,
    /// The worth of its devices alone.
    devices: i64,
    /// With processor, host memory and blocks.
    all: i64,
}

/// One shape of the mix, as it would be on nodes of one class.
#[derive(Debug, Clone, Copy)]
struct Wish {
    /// Of each device, in thousandths: the larger of share and memory.
    milli: u32,
    devices: usize,
    cpu: u32,
    host_memory: u64,
    weight: i64,
}

impl Wish {
    /// What `ask` wants of a node of `class`; `None` if such nodes can never serve it.
    fn on(ask: &Ask, weight: u64, class: &Class) -> Option<Self> {
        let (milli, memory) =
            ask.share.on(class.memory).filter(|_| allows_kind(ask, &class.model, class.memory))?;
        let on_node = usize::from(class.devices);
        let asked = usize::from(ask.devices.min.max(1));
        let devices = if ask.constraints.spread == Spread::AnyNodes { asked.min(on_node) } else { asked };
        let fits = devices <= on_node && ask.cpu.0 <= class.cpu && ask.host_memory.0 <= class.host_memory;
        fits.then(|| Self {
            milli: milli.max(memory.share_of(class.memory)).get(),
            devices,
            cpu: ask.cpu.0,
            host_memory: ask.host_memory.0,
            weight: i64::try_from(weight).unwrap_or(i64::MAX >> 20),
        })
    }

    /// Thousandths of devices in all.
    fn demand(&self) -> i64 {
        i64::from(self.milli) * i64::try_from(self.devices).unwrap_or(i64::MAX >> 20)
    }
}

impl Worth {
    /// Takes in a new outlook, and classes of nodes that came since.
    pub(super) fn sync(&mut self, outlook: &Outlook, mirror: &Mirror) {
        if self.epoch == outlook.epoch && (!self.is_known || self.tables.len() == mirror.classes.len()) {
            return;
        }
        self.epoch = outlook.epoch;
        self.is_known = outlook.is_known();
        if !self.is_known {
            self.tables.clear();
            return;
        }
        let prices = price::prices(outlook);
        let scarcity = Scarcity::of(outlook);
        self.tables = mirror
            .classes
            .iter()
            .map(|class| {
                let wishes: Vec<Wish> =
                    outlook.shapes.iter().filter_map(|(ask, weight)| Wish::on(ask, *weight, class)).collect();
                let at = outlook.supply.iter().position(|supply| supply.class == *class);
                let price = at.map_or(price::EVEN, |at| prices[at]);
                Table::new(&wishes, &scarcity, price)
            })
            .collect();
    }

    /// Changes when scores made earlier no longer count.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What a node is worth as it stands.
    pub(super) fn standing(&self, spot: &Spot) -> Standing {
        let Some(table) = self.table(spot) else { return Standing::default() };
        let idle = spot.slots.iter().filter(|slot| slot.is_idle()).count();
        let devices = spot.slots.iter().map(|slot| table.left(slot.room)).sum();
        Standing { idle, devices, all: table.node(devices, idle, spot.cpu, spot.host_memory) }
    }

    /// What `count` devices for `shape` on `spot`, which stands so, cost of its worth; smaller is better.
    pub(super) fn cost(&self, shape: &Shape, spot: &Spot, standing: Standing, count: usize) -> u32 {
        // A node without devices loses nothing.
        let Some(table) = self.table(spot) else { return 0 };
        let (lost, opened) = loss(table, shape, spot, count);
        let (cpu_left, memory_left) = shape.host_left(spot);
        let after = table.node(standing.devices - lost, standing.idle - opened, cpu_left, memory_left);
        let cost = (((standing.all - after) * table.price) >> 8).div_euclid(ROUND);
        u32::try_from((cost + BIAS).max(0)).unwrap_or(u32::MAX)
    }

    fn table(&self, spot: &Spot) -> Option<&Table> {
        spot.class.map(|class| &self.tables[usize::from(class)])
    }

    /// What a share of this device costs of its worth.
    pub(super) fn drop_of(&self, shape: &Shape, spot: &Spot, slot: &Slot) -> i64 {
        self.table(spot).and_then(|table| drop_in(table, shape, slot)).unwrap_or(0)
    }
}

/// The worth of devices that `count` of the cheapest for `shape` take away, and how many idle ones they open.
fn loss(table: &Table, shape: &Shape, spot: &Spot, count: usize) -> (i64, usize) {
    let drop_of = |slot: &Slot| Some((drop_in(table, shape, slot)?, slot.is_idle()));
    if count == 1 {
        // Devices often stand in rows that are alike: one says it for all.
        let firsts = spot.slots.chunk_by(Slot::is_like).map(|row| &row[0]);
        let (lost, idle) = firsts.filter_map(drop_of).min_by_key(|&(lost, _)| lost).unwrap_or_default();
        return (lost, usize::from(idle));
    }
    let mut drops: Vec<(i64, bool)> = spot.slots.iter().filter_map(drop_of).collect();
    drops.sort_by_key(|&(lost, _)| lost);
    drops.truncate(count);
    (drops.iter().map(|&(lost, _)| lost).sum(), drops.iter().filter(|&&(_, idle)| idle).count())
}

/// The worth that a device loses to the shape; `None` if it has no room for it.
fn drop_in(table: &Table, shape: &Shape, slot: &Slot) -> Option<i64> {
    let (milli, memory) = shape.need(slot)?;
    Some(table.left(slot.room) - table.left(slot.room_after(milli, memory)))
}
