//! What a task asks for and what it is granted.

use crate::ids::{DeviceIndex, Fence, Name, NodeId};
use crate::units::{CpuMilli, GpuMilli, MemoryMib};

/// What one task needs of the cluster, in full. Two tasks with equal asks have the same *shape*.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// How many devices, at least and at most; `0..=0` is a task without a GPU. All or nothing.
    pub devices: DeviceCount,
    /// How much of each device.
    pub share: Share,
    /// Where the devices may be.
    pub constraints: Constraints,
    /// How the task ranks against others when devices are short.
    pub class: Class,
    /// How hard the share must hold.
    pub isolation: Isolation,
    /// Processor, per node of the grant.
    pub cpu: CpuMilli,
    /// Host memory, per node of the grant.
    pub host_memory: MemoryMib,
}

/// A range of devices with `min <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceCount {
    /// The fewest the task can run with.
    pub min: u16,
    /// The most it can use.
    pub max: u16,
}

impl Ask {
    /// Devices times share, in thousandths; a memory cap alone counts as a whole device.
    #[must_use]
    pub fn milli(&self) -> u64 {
        let each = match self.share {
            Share::Milli(milli) | Share::Both(milli, _) => u64::from(milli.get()),
            Share::Cap(_) => 1_000,
        };
        u64::from(self.devices.max) * each
    }
}

impl DeviceCount {
    /// Exactly `count`.
    #[must_use]
    pub const fn exactly(count: u16) -> Self {
        Self { min: count, max: count }
    }
}

/// The part of each device that is asked for. `share` and `cap` complete each other: a share without a
/// cap gets its proportion of memory, a cap without a share gets the share that covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// This much compute, and its proportion of memory, rounded down.
    Milli(GpuMilli),
    /// This much memory, and the share that covers it, rounded up.
    Cap(MemoryMib),
    /// Both, each as said.
    Both(GpuMilli, MemoryMib),
}

impl Share {
    /// The compute and memory this means on a device with `usable` memory; `None` if it has too little.
    #[must_use]
    pub fn on(self, usable: MemoryMib) -> Option<(GpuMilli, MemoryMib)> {
        let (milli, cap) = match self {
            Self::Milli(milli) => (milli, milli.of(usable)),
            Self::Cap(cap) => (cap.share_of(usable), cap),
            Self::Both(milli, cap) => (milli, cap),
        };
        (cap <= usable).then_some((milli, cap))
    }

    /// Whether whole devices are asked for, so that nothing else may run beside the task.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Milli(milli) | Self::Both(milli, _) if milli.is_full())
    }
}

/// Limits on where a task may run. An empty list allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraints {
    /// Device models, any of them, compared without case, as a part of the driver's name (`a100`).
    pub models: Vec<Name>,
    /// Memory a device must have in all.
    pub device_memory_min: MemoryMib,
    /// Nodes by name, any of them.
    pub nodes: Vec<Name>,
    /// Labels a node must carry, all of them, as `key=value`.
    pub labels: Vec<Name>,
    /// Whether devices of several nodes may form one grant.
    pub spread: Spread,
}

/// Whether one grant may span nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spread {
    /// All devices on one node.
    #[default]
    OneNode,
    /// As few nodes as will do.
    AnyNodes,
}

/// How a task ranks when devices are short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Never preempted.
    Guaranteed,
    /// The usual.
    #[default]
    Standard,
    /// Cheap, first to go.
    Spot,
}

/// How hard a share must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// Fair among friends: an interposer or plain sharing will do.
    #[default]
    Soft,
    /// A wall: whole devices or MIG only.
    Hard,
}

/// What enforces a share on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// The whole device belongs to the task.
    Exclusive,
    /// A hardware slice.
    Mig,
    /// NVIDIA's multi-process service.
    Mps,
    /// Our interposer in the task's process.
    Interposer,
    /// A software GPU.
    Software,
    /// Counted, but nothing enforces it yet.
    Unenforced,
}

/// What a task holds while it is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which placement this is, and which version of it.
    pub fence: Fence,
    /// At least one part per node; a task without a GPU has one part without a device.
    pub parts: Vec<GrantPart>,
}

impl Grant {
    /// The nodes of the grant, each once, in order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let mut last = None;
        self.parts.iter().map(|part| part.node).filter(move |&node| last.replace(node) != Some(node))
    }

    /// The node the task's process runs on.
    #[must_use]
    pub fn first_node(&self) -> NodeId {
        self.parts.first().expect("a grant has at least one part").node
    }
}

/// What a task holds on one node: host resources once, and a slice of each of its devices there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantPart {
    /// Where.
    pub node: NodeId,
    /// Processor held on this node.
    pub cpu: CpuMilli,
    /// Host memory held on this node.
    pub host_memory: MemoryMib,
    /// Slices of devices, by rising index.
    pub slices: Vec<Slice>,
}

/// A part of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Which device of the node.
    pub device: DeviceIndex,
    /// Compute share.
    pub milli: GpuMilli,
    /// Memory cap.
    pub memory: MemoryMib,
    /// What enforces them.
    pub backend: Backend,
}
