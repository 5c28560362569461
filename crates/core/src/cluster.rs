//! Nodes and devices, and what of them is free.
//!
//! The truth is who holds what; what is free follows from it by [`Node::recount`]. A device can vanish while
//! it is held (a driver died) or be held before it is known (right after a restart): neither loses a grant.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ask::{Grant, GrantPart, Slice};
use crate::ids::{DeviceIndex, Name, NodeId, TaskId};
use crate::node::{Ability, Closeness, Device, Inventory};
use crate::part::{Effects, Figures, Part, Rules};
use crate::task::Task;
use crate::units::{CpuMilli, GpuMilli, MemoryMib, Timestamp};

/// Changes of nodes that are remembered; whoever missed more looks at every node.
const JOURNAL_MAX: usize = 16_384;

/// All nodes.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    /// Nodes on which something became free, or that changed, since the last round.
    changed: BTreeSet<NodeId>,
    /// Rises when what nodes have in all is another.
    offers: u64,
    /// Every change of a node, the latest last, for those who keep a copy of what is free.
    journal: VecDeque<NodeId>,
    /// How many changes there ever were.
    journal_end: u64,
    /// Devices of all nodes.
    devices: u64,
}

/// One machine and what of it is free.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub hostname: Name,
    /// Whether it takes no new tasks, by an operator's wish.
    pub drained: bool,
    /// Whether it is connected.
    pub present: bool,
    /// Processor in all.
    pub cpu: CpuMilli,
    /// Processor not held.
    pub cpu_free: CpuMilli,
    /// Host memory in all.
    pub host_memory: MemoryMib,
    /// Host memory not held.
    pub host_memory_free: MemoryMib,
    /// What the operator says of it, as `key=value`, sorted.
    pub labels: Vec<Name>,
    /// What it found out about itself.
    pub abilities: Vec<Ability>,
    /// Whether its search for devices is over.
    pub probed: bool,
    /// Its devices, by rising index.
    pub devices: Vec<DeviceSlot>,
    held: BTreeMap<TaskId, GrantPart>,
}

/// One device and what of it is free.
#[derive(Debug, Clone)]
pub struct DeviceSlot {
    /// What it is.
    pub info: Device,
    /// Whether its node has it no more; it stays in sight as long as tasks hold it.
    pub gone: bool,
    /// Compute not held.
    pub free_milli: GpuMilli,
    /// Memory not held.
    pub free_memory: MemoryMib,
    /// Who holds a slice of it, by task.
    pub holders: Vec<(TaskId, Slice)>,
}

impl DeviceSlot {
    /// Whether nobody holds any of it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.holders.is_empty()
    }
}

impl Cluster {
    /// All nodes, by rising id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// How many devices all nodes have, whatever their condition.
    #[must_use]
    pub const fn devices(&self) -> u64 {
        self.devices
    }

    /// Nodes a round must look at again.
    pub(crate) fn changed(&self) -> &BTreeSet<NodeId> {
        &self.changed
    }

    /// The changes from number `from` on; `None` if they are too many to remember.
    pub(crate) fn journal_since(&self, from: u64) -> Option<impl Iterator<Item = NodeId> + '_> {
        let missed = usize::try_from(self.journal_end.checked_sub(from)?).ok()?;
        let skip = self.journal.len().checked_sub(missed)?;
        Some(self.journal.iter().skip(skip).copied())
    }

    /// The number of the next change.
    pub(crate) const fn journal_end(&self) -> u64 {
        self.journal_end
    }

    /// Notes that a node is not what it was.
    fn note(&mut self, id: NodeId) {
        if self.journal.len() == JOURNAL_MAX {
            self.journal.pop_front();
        }
        self.journal.push_back(id);
        self.journal_end += 1;
    }

    /// Rises when what nodes have in all is another.
    pub(crate) const fn offers(&self) -> u64 {
        self.offers
    }

    pub(crate) fn clear_changed(&mut self) {
        self.changed.clear();
    }

    /// Makes the next round look at every node again.
    pub(crate) fn touch_all(&mut self) {
        self.changed.extend(self.nodes.keys().copied());
        // Everybody who keeps a copy makes it anew.
        self.journal.clear();
        self.journal_end += 1;
    }

    pub(crate) fn remember(&mut self, id: NodeId, hostname: Name, drained: bool) {
        self.entry(id, &hostname).drained = drained;
        self.note(id);
    }

    /// Takes in what a node says of itself.
    pub(crate) fn set_inventory(&mut self, id: NodeId, inventory: Inventory) {
        let node = self.entry(id, &inventory.hostname);
        let before = node.offer();
        let devices_before = node.devices.len() as u64;
        node.hostname = inventory.hostname;
        node.present = true;
        node.cpu = inventory.cpu;
        node.host_memory = inventory.host_memory;
        node.labels = inventory.labels;
        node.abilities = inventory.abilities;
        node.probed = inventory.probed;
        let gone = std::mem::take(&mut node.devices);
        node.devices = inventory.devices.into_iter().map(DeviceSlot::new).collect();
        // A device that tasks hold does not disappear from sight before they end.
        for mut slot in gone.into_iter().filter(|slot| !slot.is_idle()) {
            if node.devices.iter().all(|known| known.info.index != slot.info.index) {
                slot.gone = true;
                slot.info.unusable = Some("the driver does not list this device any more".to_owned());
                node.devices.push(slot);
            }
        }
        node.devices.sort_by_key(|slot| slot.info.index);
        node.recount();
        let devices = node.devices.len() as u64;
        // Readings alone (power, temperature) give no task a place.
        if node.offer() != before {
            self.changed.insert(id);
            self.offers += 1;
        }
        self.devices = self.devices - devices_before + devices;
        self.note(id);
    }

    pub(crate) fn set_absent(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.present = false;
            self.note(id);
        }
    }

    /// Returns whether the node is known.
    pub(crate) fn set_drained(&mut self, id: NodeId, drained: bool) -> bool {
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        node.drained = drained;
        self.changed.insert(id);
        self.note(id);
        true
    }

    /// Whether every part of a grant is free right now.
    pub(crate) fn has_room(&self, parts: &[GrantPart]) -> bool {
        parts.iter().all(|part| self.nodes.get(&part.node).is_some_and(|node| node.has_room(part)))
    }

    /// Marks a grant as held.
    fn take(&mut self, task: TaskId, grant: &Grant) {
        for part in &grant.parts {
            let unknown: Name = part.node.to_string().into();
            let node = self.entry(part.node, &unknown);
            node.held.insert(task, part.clone());
            node.recount();
            self.note(part.node);
        }
    }

    /// Marks a grant as free again.
    fn give_back(&mut self, task: TaskId, grant: &Grant) {
        for part in &grant.parts {
            if let Some(node) = self.nodes.get_mut(&part.node) {
                node.held.remove(&task);
                node.recount();
                self.changed.insert(part.node);
                self.note(part.node);
            }
        }
    }

    fn entry(&mut self, id: NodeId, hostname: &Name) -> &mut Node {
        self.nodes.entry(id).or_insert_with(|| Node {
            id,
            hostname: hostname.clone(),
            drained: false,
            present: false,
            cpu: CpuMilli(0),
            cpu_free: CpuMilli(0),
            host_memory: MemoryMib::ZERO,
            host_memory_free: MemoryMib::ZERO,
            labels: Vec::new(),
            abilities: Vec::new(),
            probed: false,
            devices: Vec::new(),
            held: BTreeMap::new(),
        })
    }

    /// Asserts that no device and no node is promised twice.
    fn assert_nothing_is_oversold(&self) {
        for node in self.nodes.values().filter(|node| node.present) {
            let cpu: u64 = node.held.values().map(|part| u64::from(part.cpu.0)).sum();
            assert!(cpu <= u64::from(node.cpu.0), "{}: {cpu} of {:?} processor held", node.id, node.cpu);
            let memory: u64 = node.held.values().map(|part| part.host_memory.0).sum();
            assert!(memory <= node.host_memory.0, "{}: {memory} of {:?} held", node.id, node.host_memory);
            for slot in &node.devices {
                let milli: u32 = slot.holders.iter().map(|(_, slice)| slice.milli.get()).sum();
                let memory: u64 = slot.holders.iter().map(|(_, slice)| slice.memory.0).sum();
                assert!(milli <= 1_000, "{} {}: {milli} thousandths held", node.id, slot.info.index);
                assert!(memory <= slot.info.memory.0, "{} {}: {memory} MiB held", node.id, slot.info.index);
                assert_eq!(milli + slot.free_milli.get(), 1_000, "{} {}", node.id, slot.info.index);
            }
        }
    }
}

impl Part for Cluster {
    fn moved(
        &mut self,
        _: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let (before, after) = (old.and_then(grant_of), new.and_then(grant_of));
        // Who goes on with the same devices frees nothing, and no round has to look.
        if before.map(|(_, grant)| &grant.parts) != after.map(|(_, grant)| &grant.parts) {
            before.into_iter().for_each(|(id, grant)| self.give_back(id, grant));
            after.into_iter().for_each(|(id, grant)| self.take(id, grant));
        }
        Effects::Nothing
    }

    fn assert_sound(&self, _: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        self.assert_nothing_is_oversold();
        let nodes = self.nodes.values();
        let held: BTreeSet<(NodeId, TaskId)> =
            nodes.clone().flat_map(|node| node.held().map(|(task, _)| (node.id, task))).collect();
        let granted: BTreeSet<(NodeId, TaskId)> = tasks
            .values()
            .filter_map(grant_of)
            .flat_map(|(id, grant)| grant.nodes().map(move |node| (node, id)))
            .collect();
        assert_eq!(held, granted, "what is held and what is granted differ");
        assert_eq!(self.devices, nodes.map(|node| node.devices.len() as u64).sum::<u64>());
    }
}

fn grant_of(task: &Task) -> Option<(TaskId, &Grant)> {
    task.state.hold().map(|hold| (task.id, &hold.grant))
}

impl Node {
    /// Who holds what here.
    pub fn held(&self) -> impl Iterator<Item = (TaskId, &GrantPart)> {
        self.held.iter().map(|(&task, part)| (task, part))
    }

    /// What a task holds here.
    #[must_use]
    pub fn part_of(&self, task: TaskId) -> Option<&GrantPart> {
        self.held.get(&task)
    }

    /// Whether new tasks may come here.
    #[must_use]
    pub fn takes_tasks(&self) -> bool {
        self.present && !self.drained
    }

    /// The device with this index.
    #[must_use]
    pub fn device(&self, index: DeviceIndex) -> Option<&DeviceSlot> {
        self.devices.iter().find(|slot| slot.info.index == index)
    }

    fn has_room(&self, part: &GrantPart) -> bool {
        self.takes_tasks()
            && part.cpu <= self.cpu_free
            && part.host_memory <= self.host_memory_free
            && part.slices.iter().all(|slice| {
                self.device(slice.device).is_some_and(|slot| {
                    slot.info.unusable.is_none()
                        && slice.milli <= slot.free_milli
                        && slice.memory <= slot.free_memory
                })
            })
    }

    /// What placement depends on.
    fn offer(&self) -> Offer {
        let device = |slot: &DeviceSlot| {
            let info = &slot.info;
            (info.index, info.model.clone(), info.memory, info.closeness, info.unusable.is_none())
        };
        let devices = self.devices.iter().map(device).collect();
        let labels = self.labels.clone();
        Offer { present: self.present, cpu: self.cpu, host_memory: self.host_memory, labels, devices }
    }

    /// What is free is what there is less what is held; less than nothing counts as nothing.
    fn recount(&mut self) {
        self.cpu_free = self.cpu;
        self.host_memory_free = self.host_memory;
        for slot in &mut self.devices {
            slot.free_milli = GpuMilli::FULL;
            slot.free_memory = slot.info.memory;
            slot.holders.clear();
        }
        for (&task, part) in &self.held {
            self.cpu_free = self.cpu_free.checked_sub(part.cpu).unwrap_or_default();
            self.host_memory_free = self.host_memory_free.checked_sub(part.host_memory).unwrap_or_default();
            for slice in &part.slices {
                if let Some(slot) = self.devices.iter_mut().find(|slot| slot.info.index == slice.device) {
                    slot.free_milli = slot.free_milli.checked_sub(slice.milli).unwrap_or(GpuMilli::ZERO);
                    slot.free_memory = slot.free_memory.checked_sub(slice.memory).unwrap_or_default();
                    slot.holders.push((task, *slice));
                }
            }
        }
    }
}

impl DeviceSlot {
    fn new(info: Device) -> Self {
        let free_memory = info.memory;
        Self { info, gone: false, free_milli: GpuMilli::FULL, free_memory, holders: Vec::new() }
    }
}

/// What of a node placement depends on, to tell a change from a mere reading.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    present: bool,
    cpu: CpuMilli,
    host_memory: MemoryMib,
    labels: Vec<Name>,
    devices: Vec<(DeviceIndex, Name, MemoryMib, Closeness, bool)>,
}
