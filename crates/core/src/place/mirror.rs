//! What of the cluster is free, in the flat form that a round computes with: the truth of [`Cluster`] less what
//! is kept for somebody and what the round gave away already.
//!
//! Nodes stand in the order of their ids. Whatever changes goes into a log, so that scores made earlier know
//! which of them to make again.

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::GrantPart;
use crate::cluster::{Cluster, DeviceSlot, Node};
use crate::ids::{DeviceIndex, Name, NodeId};
use crate::outlook::Class;
use crate::units::MemoryMib;

/// A model and its memory, as a number: what constraints ask about.
pub(super) type Kind = u16;

/// One device as a round sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(super) index: DeviceIndex,
    pub(super) kind: Kind,
    /// Which devices are close to it: equal numbers are closest.
    pub(super) nvlink: u16,
    pub(super) numa: u16,
    /// Compute that may be had, in thousandths; 0 where no task may start.
    pub(super) milli: u32,
    /// Memory that may be had, in MiB.
    pub(super) memory: u64,
    /// Memory of the whole device.
    memory_total: u64,
    /// Whether no task may start there, whatever becomes free: it is out of order, or kept for somebody.
    is_shut: bool,
    /// What is left of it as a whole, in thousandths: the smaller of compute and memory.
    pub(super) room: u32,
}

impl Slot {
    /// Whether nobody holds any of it.
    pub(super) const fn is_idle(&self) -> bool {
        self.room == 1_000
    }

    /// Whether another device of the node is of the same kind and as free.
    pub(super) const fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.milli == other.milli && self.memory == other.memory
    }

    /// What would be left of it as a whole.
    pub(super) fn room_after(&self, milli: u32, memory: u64) -> u32 {
        room(self.milli - milli, self.memory - memory, self.memory_total)
    }
}

fn room(milli: u32, memory: u64, memory_total: u64) -> u32 {
    let by_memory = (memory * 1_000).checked_div(memory_total).unwrap_or(1_000);
    milli.min(u32::try_from(by_memory).unwrap_or(1_000))
}

/// One node as a round sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(super) id: NodeId,
    pub(super) takes_tasks: bool,
    /// Its place among the classes; `None` without devices.
    pub(super) class: Option<u16>,
    pub(super) cpu: u32,
    pub(super) host_memory: u64,
    pub(super) slots: Vec<Slot>,
    /// Whether its processor and host memory are kept for somebody.
    is_host_hidden: bool,
}

impl Spot {
    /// Takes in what is free of the node now, less what is out of sight.
    fn look(&mut self, node: &Node, hidden: &Hidden) {
        for (slot, device) in self.slots.iter_mut().zip(&node.devices) {
            (slot.is_shut, slot.milli, slot.memory) = seen(node, device, hidden);
            slot.room = room(slot.milli, slot.memory, slot.memory_total);
        }
        self.is_host_hidden = hidden.hosts.contains(&node.id);
        (self.cpu, self.host_memory) =
            if self.is_host_hidden { (0, 0) } else { (node.cpu_free.0, node.host_memory_free.0) };
    }

    /// Takes a part away; what is not there counts as nothing.
    pub(crate) fn take(&mut self, part: &GrantPart) {
        self.cpu = self.cpu.saturating_sub(part.cpu.0);
        self.host_memory = self.host_memory.saturating_sub(part.host_memory.0);
        for slice in &part.slices {
            if let Some(slot) = self.slot_mut(slice.device) {
                slot.milli = slot.milli.saturating_sub(slice.milli.get());
                slot.memory = slot.memory.saturating_sub(slice.memory.0);
                slot.room = room(slot.milli, slot.memory, slot.memory_total);
            }
        }
    }

    /// Puts a part back, at most to what the node has; what is out of sight stays so.
    pub(crate) fn put_back(&mut self, node: &Node, part: &GrantPart) {
        if !self.is_host_hidden {
            self.cpu = self.cpu.saturating_add(part.cpu.0).min(node.cpu.0);
            self.host_memory = self.host_memory.saturating_add(part.host_memory.0).min(node.host_memory.0);
        }
        for slice in &part.slices {
            if let Some(slot) = self.slot_mut(slice.device).filter(|slot| !slot.is_shut) {
                slot.milli = (slot.milli + slice.milli.get()).min(1_000);
                slot.memory = slot.memory.saturating_add(slice.memory.0).min(slot.memory_total);
                slot.room = room(slot.milli, slot.memory, slot.memory_total);
            }
        }
    }

    /// Takes a device out of sight.
    pub(super) fn hide(&mut self, device: DeviceIndex) {
        if let Some(slot) = self.slot_mut(device) {
            slot.is_shut = true;
            (slot.milli, slot.memory) = (0, 0);
            slot.room = room(0, 0, slot.memory_total);
        }
    }

    /// Takes processor and host memory out of sight.
    pub(super) fn hide_host(&mut self) {
        self.is_host_hidden = true;
        (self.cpu, self.host_memory) = (0, 0);
    }

    fn slot_mut(&mut self, device: DeviceIndex) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.index == device)
    }
}

/// Whether a device is shut, and what compute and memory of it may be had.
fn seen(node: &Node, device: &DeviceSlot, hidden: &Hidden) -> (bool, u32, u64) {
    let is_shut = device.info.unusable.is_some()
        || (!hidden.devices.is_empty() && hidden.devices.contains(&(node.id, device.info.index)));
    if is_shut { (true, 0, 0) } else { (false, device.free_milli.get(), device.free_memory.0) }
}

/// A kind of device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KindInfo {
    pub(super) model: Name,
    pub(super) memory: MemoryMib,
}

/// Devices and nodes that are kept for somebody, and so out of sight of everybody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    pub(crate) devices: BTreeSet<(NodeId, DeviceIndex)>,
    pub(crate) hosts: BTreeSet<NodeId>,
}

impl Hidden {
    fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.devices.iter().map(|&(node, _)| node).chain(self.hosts.iter().copied())
    }
}

/// All nodes as a round sees them.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) spots: Vec<Spot>,
    pub(super) kinds: Vec<KindInfo>,
    pub(super) classes: Vec<Class>,
    positions: BTreeMap<NodeId, usize>,
    hidden: Hidden,
    /// How far the cluster's journal has been read.
    cursor: u64,
    /// Spots that differ from the cluster because a round gave something away.
    edited: BTreeSet<usize>,
    log: Vec<u32>,
    /// The number of the log's first entry.
    log_begin: u64,
    /// Largest processor and number of devices of any node, for scores that compare them.
    pub(super) cpu_max: u32,
    pub(super) devices_max: u32,
}

/// Entries of the log; whoever is further behind makes all scores again.
const LOG_MAX: usize = 16_384;

impl Mirror {
    /// Takes in what changed in the cluster since the last time, and what is kept now.
    pub(super) fn sync(&mut self, cluster: &Cluster, hidden: Hidden) {
        let journal = cluster.journal_since(self.cursor);
        self.cursor = cluster.journal_end();
        let mut stale: BTreeSet<NodeId> = self.edited.iter().map(|&at| self.spots[at].id).collect();
        self.edited.clear();
        if hidden != self.hidden {
            stale.extend(self.hidden.nodes().chain(hidden.nodes()));
            self.hidden = hidden;
        }
        match journal {
            Some(ids) => stale.extend(ids),
            None => return self.rebuild(cluster),
        }
        if stale.iter().any(|id| !self.positions.contains_key(id) && cluster.node(*id).is_some()) {
            return self.rebuild(cluster);
        }
        for id in stale {
            let (Some(&at), Some(node)) = (self.positions.get(&id), cluster.node(id)) else { continue };
            let spot = self.spot(node);
            if self.spots[at] != spot {
                self.spots[at] = spot;
                self.measure(node);
                self.note(at);
            }
        }
    }

    fn rebuild(&mut self, cluster: &Cluster) {
        self.positions = cluster.nodes().enumerate().map(|(at, node)| (node.id, at)).collect();
        self.spots = Vec::with_capacity(self.positions.len());
        for node in cluster.nodes() {
            let spot = self.spot(node);
            self.measure(node);
            self.spots.push(spot);
        }
        self.log_begin += self.log.len() as u64 + 1;
        self.log.clear();
    }

    /// Where a node stands in the order of ids.
    pub(super) fn position(&self, node: NodeId) -> Option<usize> {
        self.positions.get(&node).copied()
    }

    fn measure(&mut self, node: &Node) {
        self.cpu_max = self.cpu_max.max(node.cpu.0);
        self.devices_max = self.devices_max.max(u32::try_from(node.devices.len()).unwrap_or(u32::MAX));
    }

    fn spot(&mut self, node: &Node) -> Spot {
        let mut slots = Vec::with_capacity(node.devices.len());
        for slot in &node.devices {
            let (is_shut, milli, memory) = seen(node, slot, &self.hidden);
            slots.push(Slot {
                index: slot.info.index,
                kind: self.kind(&slot.info.model, slot.info.memory),
                nvlink: slot.info.closeness.nvlink.unwrap_or(0),
                numa: slot.info.closeness.numa.unwrap_or(0),
                milli,
                memory,
                memory_total: slot.info.memory.0,
                is_shut,
                room: room(milli, memory, slot.info.memory.0),
            });
        }
        let is_host_hidden = self.hidden.hosts.contains(&node.id);
        Spot {
            id: node.id,
            takes_tasks: node.takes_tasks(),
            class: Class::of(node).map(|class| self.class(class)),
            cpu: if is_host_hidden { 0 } else { node.cpu_free.0 },
            host_memory: if is_host_hidden { 0 } else { node.host_memory_free.0 },
            slots,
            is_host_hidden,
        }
    }

    /// The nodes that look otherwise with this out of sight instead, less what a round gave away of them.
    pub(super) fn with_hidden<'p>(
        &self,
        cluster: &Cluster,
        hidden: &Hidden,
        given: impl Iterator<Item = &'p GrantPart> + Clone,
    ) -> Vec<(usize, Spot)> {
        if *hidden == self.hidden {
            return Vec::new();
        }
        let nodes: BTreeSet<NodeId> = self.hidden.nodes().chain(hidden.nodes()).collect();
        let look = |id| {
            let (at, node) = (self.position(id)?, cluster.node(id)?);
            let mut spot = self.spots[at].clone();
            spot.look(node, hidden);
            given.clone().filter(|part| part.node == id).for_each(|part| spot.take(part));
            Some((at, spot))
        };
        nodes.into_iter().filter_map(look).collect()
    }

    /// Takes this out of sight instead, less what a round gave away.
    pub(super) fn hide<'p>(
        &mut self,
        cluster: &Cluster,
        hidden: Hidden,
        given: impl Iterator<Item = &'p GrantPart> + Clone,
    ) {
        for (at, spot) in self.with_hidden(cluster, &hidden, given) {
            if self.spots[at] != spot {
                self.spots[at] = spot;
                self.note(at);
            }
        }
        self.hidden = hidden;
    }

    fn kind(&mut self, model: &Name, memory: MemoryMib) -> Kind {
        let known = self.kinds.iter().position(|kind| kind.memory == memory && kind.model == *model);
        let at = known.unwrap_or_else(|| {
            self.kinds.push(KindInfo { model: model.clone(), memory });
            self.kinds.len() - 1
        });
        Kind::try_from(at).expect("fewer than 65,536 models of GPU exist")
    }

    fn class(&mut self, class: Class) -> u16 {
        let known = self.classes.iter().position(|known| *known == class);
        let at = known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        });
        u16::try_from(at).expect("fewer than 65,536 kinds of machine exist")
    }

    /// Takes away what a round gave.
    pub(super) fn take(&mut self, part: &GrantPart) {
        let Some(&at) = self.positions.get(&part.node) else { return };
        self.spots[at].take(part);
        self.edited.insert(at);
        self.note(at);
    }

    fn note(&mut self, at: usize) {
        if self.log.len() >= LOG_MAX {
            self.log.drain(..LOG_MAX / 2);
            self.log_begin += (LOG_MAX / 2) as u64;
        }
        self.log.push(u32::try_from(at).expect("a mirror has fewer than 2^32 nodes"));
    }

    /// Positions that changed since `from`; `None` if that is too long ago to know.
    pub(super) fn changed_since(&self, from: u64) -> Option<&[u32]> {
        let skip = usize::try_from(from.checked_sub(self.log_begin)?).ok()?;
        self.log.get(skip..)
    }

    /// The number the next change will have.
    pub(super) fn log_end(&self) -> u64 {
        self.log_begin + self.log.len() as u64
    }
}
