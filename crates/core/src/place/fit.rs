//! Does an ask fit, and where exactly? Best fit: the fullest device, then the fullest node, that still has
//! room, so that large holes stay large.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::ask::{Ask, Backend, GrantPart, Slice, Spread};
use crate::cluster::{Cluster, DeviceSlot, Node};
use crate::ids::{DeviceIndex, NodeId};
use crate::units::{CpuMilli, GpuMilli, MemoryMib};

/// What is free on one node, as a round sees it: the cluster's truth less what the round gave away already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free {
    cpu: CpuMilli,
    host_memory: MemoryMib,
    /// Free compute and memory per device, in the node's order of devices.
    devices: Vec<(GpuMilli, MemoryMib)>,
}

impl Free {
    /// What of `node` is free now.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let devices = node.devices.iter().map(|slot| (slot.free_milli, slot.free_memory)).collect();
        Self { cpu: node.cpu_free, host_memory: node.host_memory_free, devices }
    }

    /// Takes a part away; what is not there counts as nothing.
    pub fn take(&mut self, node: &Node, part: &GrantPart) {
        self.cpu = self.cpu.checked_sub(part.cpu).unwrap_or_default();
        self.host_memory = self.host_memory.checked_sub(part.host_memory).unwrap_or_default();
        for slice in &part.slices {
            if let Some(free) = self.device_mut(node, slice.device) {
                free.0 = free.0.checked_sub(slice.milli).unwrap_or(GpuMilli::ZERO);
                free.1 = free.1.checked_sub(slice.memory).unwrap_or_default();
            }
        }
    }

    /// Puts a part back, at most to what the node has.
    pub fn put_back(&mut self, node: &Node, part: &GrantPart) {
        self.cpu = CpuMilli((self.cpu.0 + part.cpu.0).min(node.cpu.0));
        self.host_memory = MemoryMib((self.host_memory.0 + part.host_memory.0).min(node.host_memory.0));
        for slice in &part.slices {
            let whole = node.device(slice.device).map_or(MemoryMib::ZERO, |slot| slot.info.memory);
            if let Some(free) = self.device_mut(node, slice.device) {
                free.0 = free.0.checked_add(slice.milli).unwrap_or(GpuMilli::FULL);
                free.1 = MemoryMib((free.1.0 + slice.memory.0).min(whole.0));
            }
        }
    }

    /// Takes `device` out of sight, because it is kept for somebody.
    pub fn hide(&mut self, node: &Node, device: DeviceIndex) {
        if let Some(free) = self.device_mut(node, device) {
            *free = (GpuMilli::ZERO, MemoryMib::ZERO);
        }
    }

    /// Takes processor and host memory out of sight, because they are kept for somebody.
    pub fn hide_host(&mut self) {
        self.cpu = CpuMilli(0);
        self.host_memory = MemoryMib::ZERO;
    }

    fn device_mut(&mut self, node: &Node, index: DeviceIndex) -> Option<&mut (GpuMilli, MemoryMib)> {
        let position = node.devices.iter().position(|slot| slot.info.index == index)?;
        self.devices.get_mut(position)
    }
}

/// What a round sees of the cluster.
#[derive(Debug, Clone)]
pub struct View<'a> {
    cluster: &'a Cluster,
    /// Nodes that differ from the cluster's truth.
    own: BTreeMap<NodeId, Free>,
}

impl<'a> View<'a> {
    /// The cluster as it is.
    #[must_use]
    pub fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, own: BTreeMap::new() }
    }

    /// The cluster behind the view.
    #[must_use]
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Changes what is seen of one node.
    pub fn edit(&mut self, node: &Node, edit: impl FnOnce(&mut Free)) {
        edit(self.own.entry(node.id).or_insert_with(|| Free::of(node)));
    }

    /// Takes away what a grant holds, on all of its nodes.
    pub fn take(&mut self, parts: &[GrantPart]) {
        self.each(parts, Free::take);
    }

    /// Puts back what a grant held, on all of its nodes.
    pub fn put_back(&mut self, parts: &[GrantPart]) {
        self.each(parts, Free::put_back);
    }

    fn each(&mut self, parts: &[GrantPart], change: impl Fn(&mut Free, &Node, &GrantPart)) {
        let cluster = self.cluster;
        for part in parts {
            if let Some(node) = cluster.node(part.node) {
                self.edit(node, |free| change(free, node, part));
            }
        }
    }

    /// What is seen of one node.
    pub(crate) fn free(&self, node: &Node) -> Free {
        self.own.get(&node.id).cloned().unwrap_or_else(|| Free::of(node))
    }

    /// Whether `count` devices of `node` would serve the ask if that much of it were free.
    pub(crate) fn serves(&self, ask: &Ask, node: &Node, free: &Free, count: usize) -> bool {
        ask.cpu <= free.cpu
            && ask.host_memory <= free.host_memory
            && offers_of(ask, node, Some(free)).len() >= count
    }

    /// Finds a place on one of `nodes` (every node if `None`), or says that there is none.
    #[must_use]
    pub fn place(&self, ask: &Ask, nodes: Option<&BTreeSet<NodeId>>) -> Option<Vec<GrantPart>> {
        match ask.constraints.spread {
            Spread::AnyNodes if ask.devices.max > 1 => self.place_on_many(ask, nodes),
            _ => self.place_on_one(ask, nodes),
        }
    }

    /// The node where the most of the devices fit, up to what is asked for; of equal ones the best fit.
    fn place_on_one(&self, ask: &Ask, nodes: Option<&BTreeSet<NodeId>>) -> Option<Vec<GrantPart>> {
        let best = match nodes {
            Some(nodes) => {
                best_of(nodes.iter().filter_map(|&id| self.cluster.node(id)), |node| self.fit(ask, node))
            }
            None => best_of(self.cluster.nodes(), |node| self.fit(ask, node)),
        };
        best.map(|(_, part)| vec![part])
    }

    /// Fewest nodes first: fills the node with the most fitting devices, then the next.
    fn place_on_many(&self, ask: &Ask, nodes: Option<&BTreeSet<NodeId>>) -> Option<Vec<GrantPart>> {
        let mut offers: Vec<(NodeId, Vec<Offer>)> = self
            .cluster
            .nodes()
            .filter(|node| nodes.is_none_or(|nodes| nodes.contains(&node.id)))
            .filter(|node| node.takes_tasks() && allows_node(ask, node) && self.host_fits(ask, node))
            .map(|node| (node.id, self.offers(ask, node)))
            .filter(|(_, devices)| !devices.is_empty())
            .collect();
        let all: usize = offers.iter().map(|(_, devices)| devices.len()).sum();
        if all < usize::from(ask.devices.min) {
            return None;
        }
        offers.sort_by_key(|(id, devices)| (Reverse(devices.len()), *id));
        let mut missing = all.min(usize::from(ask.devices.max));
        let mut parts = Vec::new();
        for (node, mut devices) in offers {
            if missing == 0 {
                break;
            }
            devices.truncate(missing);
            missing -= devices.len();
            parts.push(part(ask, node, devices.into_iter().map(|offer| offer.slice).collect()));
        }
        parts.sort_by_key(|part| part.node);
        Some(parts)
    }

    /// The best way to have the asked devices on one node, with its score: smaller is better.
    fn fit(&self, ask: &Ask, node: &Node) -> Option<(Score, GrantPart)> {
        if !node.takes_tasks() || !allows_node(ask, node) || !self.host_fits(ask, node) {
            return None;
        }
        let mut offers = self.offers(ask, node);
        let count = offers.len().min(usize::from(ask.devices.max));
        if count < usize::from(ask.devices.min) {
            return None;
        }
        let spare = 1_000 * (offers.len() - count);
        offers.truncate(count);
        let is_shared = count == 1 && offers.first().is_some_and(|offer| !offer.slice.milli.is_full());
        let score = Score {
            missing: usize::from(ask.devices.max) - count,
            // A share: what is left of its device. Whole devices: what is left of the node.
            left: if is_shared { offers[0].left_milli as usize } else { spare },
            left_memory: offers.iter().map(|offer| offer.left_memory).sum(),
            // A share opens a new device where few are whole, and a task without a GPU stays off them.
            idle: if is_shared || count == 0 {
                node.devices.iter().filter(|slot| slot.is_idle()).count()
            } else {
                0
            },
            cpu: self.own.get(&node.id).map_or(node.cpu_free, |free| free.cpu).0,
        };
        let slices = offers.into_iter().map(|offer| offer.slice).collect();
        Some((score, part(ask, node.id, slices)))
    }

    /// What every device of `node` that could serve would give, the tightest fit first.
    fn offers(&self, ask: &Ask, node: &Node) -> Vec<Offer> {
        offers_of(ask, node, self.own.get(&node.id))
    }

    fn host_fits(&self, ask: &Ask, node: &Node) -> bool {
        let (cpu, memory) = self
            .own
            .get(&node.id)
            .map_or((node.cpu_free, node.host_memory_free), |free| (free.cpu, free.host_memory));
        ask.cpu <= cpu && ask.host_memory <= memory
    }
}

/// What one device would give.
struct Offer {
    left_milli: u32,
    left_memory: u64,
    slice: Slice,
}

/// How much a placement leaves over, in the order in which it counts. Smaller is better: what is left small
/// serves small asks, and large holes stay large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// Devices the task could use and does not get.
    missing: usize,
    /// Compute left on the device (a share) or on the node (whole devices), in thousandths.
    left: usize,
    /// Memory left on the devices: the smaller device is as good, if it will do.
    left_memory: u64,
    /// Idle devices of the node: a share opens a new device where the fewest are whole.
    idle: usize,
    /// Processor free on the node.
    cpu: u32,
}

/// What every device of `node` that could serve would give, the tightest fit first; `own` is what is free of it,
/// if not what the cluster says.
fn offers_of(ask: &Ask, node: &Node, own: Option<&Free>) -> Vec<Offer> {
    if ask.devices.max == 0 {
        return Vec::new();
    }
    let mut offers: Vec<Offer> = node
        .devices
        .iter()
        .enumerate()
        .filter(|(_, slot)| allows_device(ask, slot))
        .filter_map(|(position, slot)| {
            let (milli, memory) = ask.share.on(slot.info.memory)?;
            let (free_milli, free_memory) =
                own.map_or((slot.free_milli, slot.free_memory), |free| free.devices[position]);
            let left_milli = free_milli.checked_sub(milli)?.get();
            let left_memory = free_memory.checked_sub(memory)?.0;
            let backend = backend(slot, milli);
            let slice = Slice { device: slot.info.index, milli, memory, backend };
            Some(Offer { left_milli, left_memory, slice })
        })
        .collect();
    offers.sort_by_key(|offer| (offer.left_milli, offer.left_memory, offer.slice.device));
    offers
}

/// The best offer; of equal ones the first, so that the order of nodes is stable.
fn best_of<'n>(
    nodes: impl Iterator<Item = &'n Node>,
    mut offer: impl FnMut(&'n Node) -> Option<(Score, GrantPart)>,
) -> Option<(Score, GrantPart)> {
    let mut best: Option<(Score, GrantPart)> = None;
    for node in nodes {
        if let Some(candidate) = offer(node)
            && best.as_ref().is_none_or(|(score, _)| candidate.0 < *score)
        {
            best = Some(candidate);
        }
    }
    best
}

fn part(ask: &Ask, node: NodeId, mut slices: Vec<Slice>) -> GrantPart {
    slices.sort_by_key(|slice| slice.device);
    GrantPart { node, cpu: ask.cpu, host_memory: ask.host_memory, slices }
}

/// What enforces a share of this device today.
pub(super) fn backend(slot: &DeviceSlot, milli: GpuMilli) -> Backend {
    match (slot.info.simulated, milli.is_full()) {
        (true, _) => Backend::Software,
        (false, true) => Backend::Exclusive,
        (false, false) => Backend::Unenforced,
    }
}

/// Whether the ask's constraints allow this node at all.
#[must_use]
pub fn allows_node(ask: &Ask, node: &Node) -> bool {
    is_named(ask, node) && has_labels(ask, node)
}

/// Whether the node carries all labels that the ask wants.
#[must_use]
pub fn has_labels(ask: &Ask, node: &Node) -> bool {
    ask.constraints.labels.iter().all(|label| node.labels.contains(label))
}

/// Whether the ask names this node, or none.
#[must_use]
pub fn is_named(ask: &Ask, node: &Node) -> bool {
    ask.constraints.nodes.is_empty()
        || ask.constraints.nodes.iter().any(|name| **name == *node.hostname || **name == *node.id.to_string())
}

/// Whether the ask's constraints allow this device at all, whoever holds it.
#[must_use]
pub fn allows_device(ask: &Ask, slot: &DeviceSlot) -> bool {
    slot.info.unusable.is_none() && allows_kind(ask, &slot.info.model, slot.info.memory)
}

/// Whether the ask's constraints allow devices of this model with this much memory.
pub(crate) fn allows_kind(ask: &Ask, model: &str, memory: MemoryMib) -> bool {
    memory >= ask.constraints.device_memory_min
        && allows_model(ask, model)
        && (ask.isolation == crate::ask::Isolation::Soft || ask.share.is_whole())
}

/// Whether the ask names this model, or none.
#[must_use]
pub fn allows_model(ask: &Ask, model: &str) -> bool {
    let models = &ask.constraints.models;
    models.is_empty() || models.iter().any(|wanted| contains_ignoring_case(model, wanted))
}

fn contains_ignoring_case(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len().max(1)).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}
