//! How much of what is free nobody could use: the measure of the FGD paper (USENIX ATC 2023).
//!
//! For a mix of tasks, what is free on a machine is wasted on a task that cannot run there at all, and on one that
//! can run there in as far as it lies on devices too small for it; a task without a GPU uses none of it. The
//! waste is the average over the mix.

use std::collections::BTreeMap;

use fastgpu_core::ask::Ask;
use fastgpu_core::cluster::Node;
use fastgpu_core::units::CpuMilli;

use crate::cluster::{Gpu, Machines};

/// The different GPUs of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    /// Each once, in order of appearance.
    pub all: Vec<Gpu>,
    /// For each machine the kinds of its GPUs, by index.
    pub of_machine: Vec<Vec<usize>>,
}

impl Kinds {
    /// Finds them.
    #[must_use]
    pub fn of(machines: &Machines) -> Self {
        let mut kinds = Self::default();
        for machine in &machines.0 {
            let mut own = Vec::with_capacity(machine.gpus.len());
            for gpu in &machine.gpus {
                let known = kinds.all.iter().position(|kind| kind == gpu);
                own.push(known.unwrap_or_else(|| {
                    kinds.all.push(gpu.clone());
                    kinds.all.len() - 1
                }));
            }
            kinds.of_machine.push(own);
        }
        kinds
    }
}

/// The usual tasks and how usual they are.
#[derive(Debug, Clone, Default)]
pub struct Mix {
    shapes: Vec<Shape>,
}

#[derive(Debug, Clone)]
struct Shape {
    weight: f64,
    count: usize,
    cpu: CpuMilli,
    /// Compute and memory it needs of a GPU of each kind; `None` if it cannot use such a GPU.
    needs: Vec<Option<(u32, u64)>>,
}

impl Mix {
    /// The most frequent of the asks, until they make up `percent` of all; at most `most` shapes. Two asks that
    /// `key` makes equal count as one.
    #[must_use]
    pub fn of<'a, K: Ord>(
        asks: impl Iterator<Item = &'a Ask>,
        key: impl Fn(&Ask) -> K,
        percent: u64,
        most: usize,
        kinds: &Kinds,
    ) -> Self {
        let mut counts: BTreeMap<K, (u64, &Ask)> = BTreeMap::new();
        let mut total = 0;
        for ask in asks {
            counts.entry(key(ask)).or_insert((0, ask)).0 += 1;
            total += 1;
        }
        let mut ranked: Vec<(K, u64, &Ask)> =
            counts.into_iter().map(|(key, (count, ask))| (key, count, ask)).collect();
        ranked.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        let mut kept = 0;
        let mut shapes = Vec::new();
        for (_, count, ask) in ranked {
            if kept * 100 >= percent * total || shapes.len() >= most {
                break;
            }
            kept += count;
            shapes.push((count, ask));
        }
        let shapes =
            shapes.into_iter().map(|(count, ask)| Shape::of(ask, ratio(count, kept), kinds)).collect();
        Self { shapes }
    }

    /// What of a machine's free compute is wasted on the mix, in thousandths of a device.
    #[must_use]
    pub fn waste(&self, node: &Node, kinds: &[usize]) -> f64 {
        let free: u32 = node.devices.iter().map(|slot| slot.free_milli.get()).sum();
        if free == 0 || !node.present {
            return 0.0;
        }
        self.shapes.iter().map(|shape| shape.weight * f64::from(shape.waste(node, kinds, free))).sum()
    }
}

impl Shape {
    fn of(ask: &Ask, weight: f64, kinds: &Kinds) -> Self {
        let need = |gpu: &Gpu| {
            let models = &ask.constraints.models;
            let is_named = fastgpu_core::place::fit::allows_model(ask, &gpu.model) || models.is_empty();
            let (milli, memory) = ask.share.on(gpu.memory).filter(|_| is_named)?;
            (gpu.memory >= ask.constraints.device_memory_min).then_some((milli.get(), memory.0))
        };
        Self {
            weight,
            count: usize::from(ask.devices.min),
            cpu: ask.cpu,
            needs: kinds.all.iter().map(need).collect(),
        }
    }

    fn waste(&self, node: &Node, kinds: &[usize], free: u32) -> u32 {
        if self.count == 0 || self.cpu > node.cpu_free {
            return free;
        }
        let (mut fitting, mut too_small) = (0, 0);
        for (slot, &kind) in node.devices.iter().zip(kinds) {
            let (milli, memory) = (slot.free_milli.get(), slot.free_memory.0);
            match self.needs[kind] {
                Some(need) if slot.info.unusable.is_none() && milli >= need.0 && memory >= need.1 => {
                    fitting += 1
                }
                _ => too_small += milli,
            }
        }
        if fitting >= self.count { too_small } else { free }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of tasks are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
