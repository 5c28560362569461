//! What nodes say, in a journal: without readings of devices and without words about failures, which may repeat
//! what a user typed.

use fastgpu_core::ids::{DeviceIndex, Fence};
use fastgpu_core::node::{
    Ability, Closeness, Device, Exit, ExitKind, Fault, HeldAttempt, Inventory, Report, Telemetry,
};
use fastgpu_core::units::{CpuMilli, MemoryMib, Timestamp};
use serde::{Deserialize, Serialize};

use super::task_id;
use crate::rows::exit::ExitRow;
use crate::rows::{Shared, Wrong, is_default};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportRow {
    Hello { inventory: InventoryRow, attempts: Vec<HeldRow> },
    Inventory(InventoryRow),
    Started { task: u64, fence: FenceRow, at: i64 },
    Exited { task: u64, fence: FenceRow, exit: ExitRow },
    Regranted { task: u64, fence: FenceRow },
    Suspended { task: u64, fence: FenceRow },
    Resumed { task: u64, fence: FenceRow },
    Lost,
}

#[derive(Serialize, Deserialize)]
pub(super) struct FenceRow {
    attempt: u32,
    version: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct HeldRow {
    task: u64,
    fence: FenceRow,
    #[serde(default, skip_serializing_if = "is_default")]
    started: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<ExitRow>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct InventoryRow {
    hostname: String,
    cpu_milli: u32,
    host_memory_mib: u64,
    devices: Vec<DeviceRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    abilities: Vec<(String, bool)>,
    probed: bool,
}

#[derive(Serialize, Deserialize)]
struct DeviceRow {
    index: u16,
    uuid: String,
    model: String,
    memory_mib: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    simulated: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    mig: Option<bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    nvlink: Option<u16>,
    #[serde(default, skip_serializing_if = "is_default")]
    numa: Option<u16>,
    #[serde(default, skip_serializing_if = "is_default")]
    unusable: Option<String>,
    /// When, and what.
    #[serde(default, skip_serializing_if = "is_default")]
    fault: Option<(i64, String)>,
}

impl ReportRow {
    pub(super) fn of(report: &Report) -> Self {
        let row = FenceRow::of;
        match report {
            Report::Hello { inventory, attempts } => Self::Hello {
                inventory: InventoryRow::of(inventory),
                attempts: attempts.iter().map(HeldRow::of).collect(),
            },
            Report::Inventory(inventory) => Self::Inventory(InventoryRow::of(inventory)),
            Report::Started { task, fence, at } => {
                Self::Started { task: task.get(), fence: row(*fence), at: at.0 }
            }
            Report::Exited { task, fence, exit } => {
                Self::Exited { task: task.get(), fence: row(*fence), exit: exit_row(exit) }
            }
            Report::Regranted { task, fence } => Self::Regranted { task: task.get(), fence: row(*fence) },
            Report::Suspended { task, fence } => Self::Suspended { task: task.get(), fence: row(*fence) },
            Report::Resumed { task, fence } => Self::Resumed { task: task.get(), fence: row(*fence) },
            Report::Lost => Self::Lost,
        }
    }

    pub(super) fn into_core(self, shared: &mut Shared) -> Result<Report, Wrong> {
        Ok(match self {
            Self::Hello { inventory, attempts } => Report::Hello {
                inventory: inventory.into_core(shared)?,
                attempts: attempts.into_iter().map(HeldRow::into_core).collect::<Result<_, _>>()?,
            },
            Self::Inventory(inventory) => Report::Inventory(inventory.into_core(shared)?),
            Self::Started { task, fence, at } => {
                Report::Started { task: task_id(task)?, fence: fence.into_core(), at: Timestamp(at) }
            }
            Self::Exited { task, fence, exit } => {
                Report::Exited { task: task_id(task)?, fence: fence.into_core(), exit: exit.into_core() }
            }
            Self::Regranted { task, fence } => {
                Report::Regranted { task: task_id(task)?, fence: fence.into_core() }
            }
            Self::Suspended { task, fence } => {
                Report::Suspended { task: task_id(task)?, fence: fence.into_core() }
            }
            Self::Resumed { task, fence } => {
                Report::Resumed { task: task_id(task)?, fence: fence.into_core() }
            }
            Self::Lost => Report::Lost,
        })
    }
}

impl FenceRow {
    const fn of(fence: Fence) -> Self {
        Self { attempt: fence.attempt, version: fence.version }
    }

    const fn into_core(self) -> Fence {
        Fence { attempt: self.attempt, version: self.version }
    }
}

impl HeldRow {
    fn of(held: &HeldAttempt) -> Self {
        Self {
            task: held.task.get(),
            fence: FenceRow::of(held.fence),
            started: held.started.map(|at| at.0),
            exit: held.exit.as_ref().map(exit_row),
        }
    }

    fn into_core(self) -> Result<HeldAttempt, Wrong> {
        Ok(HeldAttempt {
            task: task_id(self.task)?,
            fence: self.fence.into_core(),
            started: self.started.map(Timestamp),
            exit: self.exit.map(ExitRow::into_core),
        })
    }
}

/// An end without what was said about it.
fn exit_row(exit: &Exit) -> ExitRow {
    let how = match &exit.how {
        ExitKind::BadSpec(_) => ExitKind::BadSpec(String::new()),
        ExitKind::Infrastructure(_) => ExitKind::Infrastructure(String::new()),
        other => other.clone(),
    };
    ExitRow::of(&Exit { how, ..exit.clone() })
}

impl InventoryRow {
    fn of(inventory: &Inventory) -> Self {
        Self {
            hostname: inventory.hostname.to_string(),
            cpu_milli: inventory.cpu.0,
            host_memory_mib: inventory.host_memory.0,
            devices: inventory.devices.iter().map(DeviceRow::of).collect(),
            labels: inventory.labels.iter().map(|label| label.to_string()).collect(),
            abilities: inventory.abilities.iter().map(|one| (one.name.to_string(), one.works)).collect(),
            probed: inventory.probed,
        }
    }

    fn into_core(self, shared: &mut Shared) -> Result<Inventory, Wrong> {
        let ability =
            |(name, works): (String, bool)| Ability { name: name.into(), works, detail: String::new() };
        Ok(Inventory {
            hostname: shared.name(&self.hostname),
            cpu: CpuMilli(self.cpu_milli),
            host_memory: MemoryMib(self.host_memory_mib),
            devices: self.devices.into_iter().map(|row| row.into_core(shared)).collect(),
            labels: self.labels.iter().map(|label| shared.name(label)).collect(),
            abilities: self.abilities.into_iter().map(ability).collect(),
            probed: self.probed,
        })
    }
}

impl DeviceRow {
    fn of(device: &Device) -> Self {
        Self {
            index: device.index.0,
            uuid: device.uuid.to_string(),
            model: device.model.to_string(),
            memory_mib: device.memory.0,
            simulated: device.simulated,
            mig: device.mig,
            nvlink: device.closeness.nvlink,
            numa: device.closeness.numa,
            unusable: device.unusable.clone(),
            fault: device.fault.as_ref().map(|fault| (fault.at.0, fault.what.clone())),
        }
    }

    fn into_core(self, shared: &mut Shared) -> Device {
        Device {
            index: DeviceIndex(self.index),
            uuid: shared.name(&self.uuid),
            model: shared.name(&self.model),
            memory: MemoryMib(self.memory_mib),
            simulated: self.simulated,
            pci: None,
            driver: None,
            mig: self.mig,
            closeness: Closeness { nvlink: self.nvlink, numa: self.numa },
            unusable: self.unusable,
            fault: self.fault.map(|(at, what)| Fault { at: Timestamp(at), what }),
            telemetry: Telemetry::default(),
        }
    }
}

/// An inventory as a journal tells it.
pub(super) fn without_readings(inventory: &Inventory) -> Inventory {
    let mut told = inventory.clone();
    for device in &mut told.devices {
        device.pci = None;
        device.driver = None;
        device.telemetry = Telemetry::default();
    }
    for ability in &mut told.abilities {
        ability.detail.clear();
    }
    told
}
