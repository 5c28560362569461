//! What placement keeps room for: the mix of tasks that arrive, and where devices are free, as they were at the
//! last look. Looks are taken as arrivals come, so that the same commands lead to the same outlook, and a plan is
//! a function of the state alone.

use std::sync::Arc;

use crate::ask::Ask;
use crate::cluster::{Cluster, Node};
use crate::ids::Name;
use crate::mix::Mix;
use crate::units::MemoryMib;

/// Arrivals between two looks: a sixth of all so far, at most this many. Few arrivals say little, and each new
/// one much.
const LOOK_EVERY_MAX: u64 = 512;
/// See [`LOOK_EVERY_MAX`].
const LOOK_EVERY_PART: u64 = 6;

/// The mix and the free devices at the last look.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Rises with every look.
    pub(crate) epoch: u64,
    /// Shapes with their weights, in a stable order; only those that want devices.
    pub(crate) shapes: Vec<(Arc<Ask>, u64)>,
    /// What was free, by class of node, in a stable order.
    pub(crate) supply: Vec<Supply>,
    /// How many arrivals it rests on.
    arrivals: u64,
    next_look: u64,
}

/// Nodes of equal hardware.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    /// Model of the first device.
    pub(crate) model: Name,
    /// Memory of the first device.
    pub(crate) memory: MemoryMib,
    /// Devices of a node.
    pub(crate) devices: u16,
    /// Processor of a node, in thousandths of a core.
    pub(crate) cpu: u32,
    /// Host memory of a node.
    pub(crate) host_memory: u64,
}

/// What was free on all nodes of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Supply {
    pub(crate) class: Class,
    /// Thousandths of devices.
    pub(crate) free_milli: u64,
    /// How many nodes had so many idle devices.
    pub(crate) nodes_by_idle: Vec<u64>,
}

impl Class {
    /// The class of a node; `None` if it has no device.
    pub(crate) fn of(node: &Node) -> Option<Self> {
        let first = &node.devices.first()?.info;
        Some(Self {
            model: first.model.clone(),
            memory: first.memory,
            devices: u16::try_from(node.devices.len()).unwrap_or(u16::MAX),
            cpu: node.cpu.0,
            host_memory: node.host_memory.0,
        })
    }
}

/// With fewer arrivals than this there is no mix to speak of.
const ARRIVALS_MIN: u64 = 100;

impl Outlook {
    /// Whether enough arrived to know what room is good for.
    pub(crate) const fn is_known(&self) -> bool {
        self.arrivals >= ARRIVALS_MIN
    }

    /// Whether enough arrived since the last look.
    pub(crate) const fn is_due(&self, mix: &Mix) -> bool {
        mix.arrivals() >= self.next_look
    }

    /// Takes another look.
    pub(crate) fn look(&mut self, mix: &Mix, cluster: &Cluster) {
        self.epoch += 1;
        self.arrivals = mix.arrivals();
        let pause = (mix.arrivals() / LOOK_EVERY_PART).clamp(1, LOOK_EVERY_MAX);
        self.next_look = mix.arrivals() + pause;
        let wants_devices = |(ask, _): &(&Arc<Ask>, u64)| ask.devices.max > 0;
        self.shapes = mix.shapes().filter(wants_devices).map(|(ask, weight)| (ask.clone(), weight)).collect();
        self.supply = supply(cluster);
    }
}

fn supply(cluster: &Cluster) -> Vec<Supply> {
    let mut all: Vec<Supply> = Vec::new();
    for node in cluster.nodes().filter(|node| node.takes_tasks()) {
        let Some(class) = Class::of(node) else { continue };
        let at = all.iter().position(|known| known.class == class).unwrap_or_else(|| {
            all.push(Supply { class, free_milli: 0, nodes_by_idle: Vec::new() });
            all.len() - 1
        });
        let usable = node.devices.iter().filter(|slot| slot.info.unusable.is_none());
        let idle = usable.clone().filter(|slot| slot.free_milli.is_full()).count();
        let supply = &mut all[at];
        supply.free_milli += usable.map(|slot| u64::from(slot.free_milli.get())).sum::<u64>();
        if supply.nodes_by_idle.len() <= idle {
            supply.nodes_by_idle.resize(idle + 1, 0);
        }
        supply.nodes_by_idle[idle] += 1;
    }
    all.sort_by(|a, b| a.class.cmp(&b.class));
    all
}
