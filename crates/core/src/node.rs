//! What control plane and nodes say to each other: orders one way, reports the other.
//!
//! In one process they travel through a channel, between machines through a wire. Both ways may drop,
//! repeat and reorder; every message carries a [`Fence`], and one with an older fence changes nothing.

use std::borrow::Cow;

use std::sync::Arc;

use crate::ask::GrantPart;
use crate::ids::{DeviceIndex, Fence, Name, NodeId, SpecHash, TaskId};
use crate::spec::Spec;
use crate::units::{CpuMilli, MemoryMib, Millis, Timestamp};

/// What the control plane wants of a node. Orders are idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Start this attempt, once. A node that has seen this attempt or a later one ignores it.
    Launch(Launch),
    /// End the attempt: SIGTERM, then `grace`, then nothing of it is left.
    Stop {
        /// Which task.
        task: TaskId,
        /// Which attempt of it.
        fence: Fence,
        /// From SIGTERM to SIGKILL.
        grace: Millis,
    },
    /// The end of this attempt is durable; its exit record may go. Its log stays.
    Forget {
        /// Which task.
        task: TaskId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// Change share or cap of a running attempt.
    Regrant {
        /// Which task.
        task: TaskId,
        /// The new fence.
        fence: Fence,
        /// The new parts on this node.
        part: GrantPart,
    },
    /// Freeze the attempt and give its device memory back.
    Suspend {
        /// Which task.
        task: TaskId,
        /// The new fence.
        fence: Fence,
    },
    /// Go on with a suspended attempt.
    Resume {
        /// Which task.
        task: TaskId,
        /// The new fence.
        fence: Fence,
    },
}

/// All a node needs to start one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Which task.
    pub task: TaskId,
    /// Which attempt of it.
    pub fence: Fence,
    /// What it may use on this node.
    pub part: GrantPart,
    /// What to run: the shell resolves the hash to the text, see [`Delivery`].
    pub spec: SpecHash,
    /// Ends the attempt as timed out when it has run this long, on the node's boot-time clock.
    pub time_limit: Option<Millis>,
    /// From SIGTERM to SIGKILL when the time limit is reached.
    pub stop_grace: Millis,
    /// For the task's environment.
    pub project: Name,
    /// For the task's environment.
    pub name: Option<Name>,
}

/// An order with the text a launch needs, as it leaves the control plane.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For whom.
    pub node: NodeId,
    /// What to do.
    pub order: Order,
    /// The program of a launch; `None` with every other order.
    pub spec: Option<Arc<Spec>>,
}

/// What a node has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The node is here: what it has, and every attempt whose end is not yet acknowledged.
    Hello {
        /// What the node offers.
        inventory: Inventory,
        /// Running and ended attempts the node still holds.
        attempts: Vec<HeldAttempt>,
    },
    /// The inventory changed: slow GPUs were found, one was lost, telemetry moved.
    Inventory(Inventory),
    /// The task's program runs (its exec succeeded).
    Started {
        /// Which task.
        task: TaskId,
        /// Which attempt of it.
        fence: Fence,
        /// When.
        at: Timestamp,
    },
    /// The attempt is over and nothing of it is left on the node.
    Exited {
        /// Which task.
        task: TaskId,
        /// Which attempt of it.
        fence: Fence,
        /// How and when.
        exit: Exit,
    },
    /// Resized as ordered.
    Regranted {
        /// Which task.
        task: TaskId,
        /// The order's fence.
        fence: Fence,
    },
    /// Suspended as ordered.
    Suspended {
        /// Which task.
        task: TaskId,
        /// The order's fence.
        fence: Fence,
    },
    /// Resumed as ordered.
    Resumed {
        /// Which task.
        task: TaskId,
        /// The order's fence.
        fence: Fence,
    },
    /// The node is gone and its attempts with it (self-fenced or machine lost).
    Lost,
}

/// One attempt a node knows of when it says hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAttempt {
    /// Which task.
    pub task: TaskId,
    /// Which attempt of it.
    pub fence: Fence,
    /// When the program began, if it has.
    pub started: Option<Timestamp>,
    /// Its end, if it has one.
    pub exit: Option<Exit>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// When.
    pub at: Timestamp,
    /// In what way.
    pub how: ExitKind,
    /// Processor time used by everything of the attempt.
    pub cpu_ms: u64,
    /// Largest resident memory of the attempt, in KiB.
    pub rss_max_kib: u64,
    /// Which device failed under the attempt and how, if one did: then the end is not the program's fault.
    /// Nodes leave it empty; the state fills it in, from what it knows of the devices.
    pub sick: Option<String>,
}

/// In what way an attempt ended, as the node saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitKind {
    /// The program ended by itself.
    Code(u8),
    /// A signal ended it (ours after a stop, or somebody's).
    Signal(u8),
    /// The kernel ended it for using more host memory than it may.
    OutOfMemory,
    /// It ran into its time limit.
    TimeLimit,
    /// It never ran: the user's part is wrong (no such program, no such folder).
    BadSpec(String),
    /// It never ran, or its guardian vanished: the machine's part is wrong.
    Infrastructure(String),
}

/// What a node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The machine's name.
    pub hostname: Name,
    /// Processor to hand out.
    pub cpu: CpuMilli,
    /// Host memory to hand out.
    pub host_memory: MemoryMib,
    /// The devices found so far, by rising index.
    pub devices: Vec<Device>,
    /// What the operator says of the machine, as `key=value`, sorted.
    pub labels: Vec<Name>,
    /// Sentences about what this node can and cannot do (`cgroup v2: kill, no memory limit`).
    pub abilities: Vec<Ability>,
    /// Whether the search for devices is over.
    pub probed: bool,
}

impl Inventory {
    /// A machine whose search for devices is over, and of which nothing else is known: add what matters.
    pub fn of(hostname: impl Into<Name>, devices: impl IntoIterator<Item = Device>) -> Self {
        Self {
            hostname: hostname.into(),
            cpu: CpuMilli(0),
            host_memory: MemoryMib(0),
            devices: devices.into_iter().collect(),
            labels: Vec::new(),
            abilities: Vec::new(),
            probed: true,
        }
    }
}

/// The ability to hide our data and configuration folders from tasks.
pub const HIDES_OUR_DATA: &str = "mount_namespace";

/// Something the node detected about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// Short and stable: `cgroup`, `mount_namespace`, `nvml`.
    pub name: Cow<'static, str>,
    /// Whether it works in full here.
    pub works: bool,
    /// What was found, in a sentence for an operator.
    pub detail: String,
}

/// One GPU as the node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its place on the node.
    pub index: DeviceIndex,
    /// The driver's name for this very device, stable across restarts.
    pub uuid: Name,
    /// `NVIDIA H200`.
    pub model: Name,
    /// Memory that tasks can use.
    pub memory: MemoryMib,
    /// Whether this is no hardware at all.
    pub simulated: bool,
    /// PCI address, if there is one.
    pub pci: Option<Name>,
    /// Driver version, if there is one.
    pub driver: Option<Name>,
    /// Whether MIG mode is on; `None` where the device has no such mode.
    pub mig: Option<bool>,
    /// What is close to it.
    pub closeness: Closeness,
    /// Why no task may start here, if so.
    pub unusable: Option<String>,
    /// The latest fault of its own. Those that a program brought about are not counted as such.
    pub fault: Option<Fault>,
    /// What it does right now, where it can be read.
    pub telemetry: Telemetry,
}

impl Device {
    /// A healthy device that is no hardware, next to nothing, with no readings: add what matters.
    pub fn simulated(index: u16, model: impl Into<Name>, memory: MemoryMib) -> Self {
        Self {
            index: DeviceIndex(index),
            uuid: format!("SIM-{index}").into(),
            model: model.into(),
            memory,
            simulated: true,
            pci: None,
            driver: None,
            mig: None,
            closeness: Closeness::default(),
            unusable: None,
            fault: None,
            telemetry: Telemetry::default(),
        }
    }
}

/// Something that went wrong with a device, by no fault of the programs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When the node heard of it.
    pub at: Timestamp,
    /// What, in a few words: `XID 48, a memory error that could not be corrected`.
    pub what: String,
}

/// What a device is close to, where that is known: devices with equal numbers talk to each other fast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Closeness {
    /// Its group of NVLink peers.
    pub nvlink: Option<u16>,
    /// The part of the host's memory and processors it is attached to.
    pub numa: Option<u16>,
}

/// Readings of one device; each may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Power draw in milliwatts.
    pub power_mw: Option<u32>,
    /// Temperature in degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Share of time the device was busy, in percent.
    pub utilization_percent: Option<u32>,
    /// Memory in use.
    pub memory_used: Option<MemoryMib>,
    /// Memory errors since the driver was loaded that could not be corrected.
    pub memory_errors: Option<u64>,
    /// When this was read, to within a few seconds; `None` where nothing could be.
    pub read_at: Option<Timestamp>,
}
