//! An ask made ready for many nodes: what it takes of each kind of device, and which devices of a node it gets.

use std::sync::Arc;

use crate::ask::{Ask, GrantPart, Slice, Spread};
use crate::cluster::{Cluster, Node};
use crate::place::fit::{allows_kind, allows_node, backend};
use crate::place::mirror::{KindInfo, Slot, Spot};
use crate::units::{CpuMilli, GpuMilli, MemoryMib};

/// An ask with what it means on each kind of device.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(super) ask: Arc<Ask>,
    pub(crate) min: usize,
    pub(super) max: usize,
    cpu: u32,
    host_memory: u64,
    /// Compute and memory of each device, by kind; `None` where the kind will not do.
    needs: Vec<Option<(u32, u64)>>,
    /// Whether only some nodes will do, whatever is free on them.
    picky: bool,
}

impl Shape {
    pub(super) fn of(ask: &Arc<Ask>) -> Self {
        let constraints = &ask.constraints;
        Self {
            ask: ask.clone(),
            min: usize::from(ask.devices.min),
            max: usize::from(ask.devices.max),
            cpu: ask.cpu.0,
            host_memory: ask.host_memory.0,
            needs: Vec::new(),
            picky: !constraints.nodes.is_empty() || !constraints.labels.is_empty(),
        }
    }

    /// The same for no more devices than it needs at least.
    pub(super) fn at_least(self) -> Self {
        Self { max: self.min, ..self }
    }

    /// Whether a task may be spread over several nodes.
    pub(super) fn may_span(ask: &Ask) -> bool {
        ask.constraints.spread == Spread::AnyNodes && ask.devices.max > 1
    }

    /// Whether it may be spread over several nodes.
    pub(crate) fn spans(&self) -> bool {
        Self::may_span(&self.ask) && self.max > 1
    }

    /// Whether it may go to this node, whatever is free there.
    pub(crate) fn may_use(&self, node: &Node) -> bool {
        node.takes_tasks() && (!self.picky || allows_node(&self.ask, node))
    }

    /// Takes in kinds that became known since.
    pub(super) fn learn(&mut self, kinds: &[KindInfo]) {
        for kind in &kinds[self.needs.len()..] {
            let allowed = allows_kind(&self.ask, &kind.model, kind.memory);
            let needs = self.ask.share.on(kind.memory).filter(|_| allowed);
            self.needs.push(needs.map(|(milli, memory)| (milli.get(), memory.0)));
        }
    }

    /// What it takes of this device, if the device has that free.
    pub(super) fn need(&self, slot: &Slot) -> Option<(u32, u64)> {
        self.needs[usize::from(slot.kind)]
            .filter(|&(milli, memory)| milli <= slot.milli && memory <= slot.memory)
    }

    /// How many devices of `spot` would do now, at most as many as asked for; `None` if the node will not do.
    pub(crate) fn count_on(&self, spot: &Spot, cluster: &Cluster) -> Option<usize> {
        if !spot.takes_tasks || self.cpu > spot.cpu || self.host_memory > spot.host_memory {
            return None;
        }
        if self.picky && !cluster.node(spot.id).is_some_and(|node| allows_node(&self.ask, node)) {
            return None;
        }
        let mut count = 0;
        for slot in &spot.slots {
            if count == self.max {
                break;
            }
            count += usize::from(self.need(slot).is_some());
        }
        Some(count)
    }

    /// The processor and host memory that is left on `spot` after it came.
    pub(super) fn host_left(&self, spot: &Spot) -> (u32, u64) {
        (spot.cpu - self.cpu, spot.host_memory - self.host_memory)
    }

    /// The grant on `spot` of the devices at these places among its slots.
    pub(super) fn part(&self, spot: &Spot, chosen: &[usize], cluster: &Cluster) -> GrantPart {
        let node = cluster.node(spot.id).expect("the mirror holds known nodes only");
        let mut slices: Vec<Slice> = chosen
            .iter()
            .map(|&place| {
                let slot = &spot.slots[place];
                let (milli, memory) = self.need(slot).expect("chosen because it fits");
                let milli = GpuMilli::new(milli).expect("a need is at most a device");
                let device = node.device(slot.index).expect("the mirror holds known devices only");
                Slice {
                    device: slot.index,
                    milli,
                    memory: MemoryMib(memory),
                    backend: backend(device, milli),
                }
            })
            .collect();
        slices.sort_by_key(|slice| slice.device);
        GrantPart { node: spot.id, cpu: CpuMilli(self.cpu), host_memory: MemoryMib(self.host_memory), slices }
    }
}

/// The `count` whole devices of `fitting` that are closest to each other: within the smallest group of NVLink
/// peers that has enough, else of one NUMA node, else any; of equal groups the one with the least to spare, so
/// that large groups stay whole.
pub(super) fn closest(slots: &[Slot], fitting: &[usize], count: usize) -> Vec<usize> {
    for group_of in
        [|slot: &Slot| (slot.nvlink, slot.numa), |slot: &Slot| (slot.nvlink, 0), |slot: &Slot| (0, slot.numa)]
    {
        let mut groups: Vec<((u16, u16), usize)> = Vec::new();
        for &place in fitting {
            let group = group_of(&slots[place]);
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, size)) => *size += 1,
                None => groups.push((group, 1)),
            }
        }
        let enough = groups.iter().filter(|&&(_, size)| size >= count);
        if let Some(&(group, _)) = enough.min_by_key(|&&(_, size)| size) {
            return fitting
                .iter()
                .copied()
                .filter(|&place| group_of(&slots[place]) == group)
                .take(count)
                .collect();
        }
    }
    fitting.iter().copied().take(count).collect()
}
