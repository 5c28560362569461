//! What a task asks for and what it holds, as JSON.

use fastgpu_core::ask::{
    Ask, Backend, Class, Constraints, DeviceCount, GrantPart, Isolation, Share, Slice, Spread,
};
use fastgpu_core::ids::{DeviceIndex, NodeId};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib};
use serde::{Deserialize, Serialize};

use super::{Shared, Wrong, is_default};

#[derive(Serialize, Deserialize)]
pub(crate) struct AskRow {
    devices_min: u16,
    devices_max: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    milli: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    cap_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    models: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    device_memory_min_mib: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    nodes: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    spread: SpreadRow,
    #[serde(default, skip_serializing_if = "is_default")]
    class: ClassRow,
    #[serde(default, skip_serializing_if = "is_default")]
    isolation: IsolationRow,
    #[serde(default, skip_serializing_if = "is_default")]
    cpu_milli: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    host_memory_mib: u64,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SpreadRow {
    #[default]
    OneNode,
    AnyNodes,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClassRow {
    Guaranteed,
    #[default]
    Standard,
    Spot,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsolationRow {
    #[default]
    Soft,
    Hard,
}

impl AskRow {
    pub(crate) fn of(ask: &Ask) -> Self {
        let (milli, cap) = match ask.share {
            Share::Milli(milli) => (Some(milli), None),
            Share::Cap(cap) => (None, Some(cap)),
            Share::Both(milli, cap) => (Some(milli), Some(cap)),
        };
        Self {
            devices_min: ask.devices.min,
            devices_max: ask.devices.max,
            milli: milli.map(GpuMilli::get),
            cap_mib: cap.map(|cap| cap.0),
            models: ask.constraints.models.iter().map(|model| model.to_string()).collect(),
            device_memory_min_mib: ask.constraints.device_memory_min.0,
            nodes: ask.constraints.nodes.iter().map(|node| node.to_string()).collect(),
            labels: ask.constraints.labels.iter().map(|label| label.to_string()).collect(),
            spread: match ask.constraints.spread {
                Spread::OneNode => SpreadRow::OneNode,
                Spread::AnyNodes => SpreadRow::AnyNodes,
            },
            class: match ask.class {
                Class::Guaranteed => ClassRow::Guaranteed,
                Class::Standard => ClassRow::Standard,
                Class::Spot => ClassRow::Spot,
            },
            isolation: match ask.isolation {
                Isolation::Soft => IsolationRow::Soft,
                Isolation::Hard => IsolationRow::Hard,
            },
            cpu_milli: ask.cpu.0,
            host_memory_mib: ask.host_memory.0,
        }
    }

    pub(crate) fn into_core(self, shared: &mut Shared) -> Result<Ask, Wrong> {
        let milli = self.milli.map(gpu_milli).transpose()?;
        let share = match (milli, self.cap_mib.map(MemoryMib)) {
            (Some(milli), None) => Share::Milli(milli),
            (None, Some(cap)) => Share::Cap(cap),
            (Some(milli), Some(cap)) => Share::Both(milli, cap),
            (None, None) => return Err("an ask without share and cap".to_owned()),
        };
        Ok(Ask {
            devices: DeviceCount { min: self.devices_min, max: self.devices_max },
            share,
            constraints: Constraints {
                models: self.models.iter().map(|model| shared.name(model)).collect(),
                device_memory_min: MemoryMib(self.device_memory_min_mib),
                nodes: self.nodes.iter().map(|node| shared.name(node)).collect(),
                labels: self.labels.iter().map(|label| shared.name(label)).collect(),
                spread: match self.spread {
                    SpreadRow::OneNode => Spread::OneNode,
                    SpreadRow::AnyNodes => Spread::AnyNodes,
                },
            },
            class: match self.class {
                ClassRow::Guaranteed => Class::Guaranteed,
                ClassRow::Standard => Class::Standard,
                ClassRow::Spot => Class::Spot,
            },
            isolation: match self.isolation {
                IsolationRow::Soft => Isolation::Soft,
                IsolationRow::Hard => Isolation::Hard,
            },
            cpu: CpuMilli(self.cpu_milli),
            host_memory: MemoryMib(self.host_memory_mib),
        })
    }
}

fn gpu_milli(raw: u32) -> Result<GpuMilli, Wrong> {
    GpuMilli::new(raw).ok_or_else(|| format!("a share of {raw} thousandths"))
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PartRow {
    node: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    cpu_milli: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    host_memory_mib: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    slices: Vec<SliceRow>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct SliceRow {
    device: u16,
    milli: u32,
    memory_mib: u64,
    backend: BackendRow,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BackendRow {
    Exclusive,
    Mig,
    Mps,
    Interposer,
    Software,
    Unenforced,
}

impl PartRow {
    pub(crate) fn all_of(parts: &[GrantPart]) -> Vec<Self> {
        parts.iter().map(Self::of).collect()
    }

    pub(crate) fn all_into_core(parts: Vec<Self>) -> Result<Vec<GrantPart>, Wrong> {
        parts.into_iter().map(Self::into_core).collect()
    }

    fn of(part: &GrantPart) -> Self {
        Self {
            node: part.node.0,
            cpu_milli: part.cpu.0,
            host_memory_mib: part.host_memory.0,
            slices: part.slices.iter().map(SliceRow::of).collect(),
        }
    }

    fn into_core(self) -> Result<GrantPart, Wrong> {
        Ok(GrantPart {
            node: NodeId(self.node),
            cpu: CpuMilli(self.cpu_milli),
            host_memory: MemoryMib(self.host_memory_mib),
            slices: self.slices.into_iter().map(SliceRow::into_core).collect::<Result<_, _>>()?,
        })
    }
}

impl SliceRow {
    fn of(slice: &Slice) -> Self {
        Self {
            device: slice.device.0,
            milli: slice.milli.get(),
            memory_mib: slice.memory.0,
            backend: match slice.backend {
                Backend::Exclusive => BackendRow::Exclusive,
                Backend::Mig => BackendRow::Mig,
                Backend::Mps => BackendRow::Mps,
                Backend::Interposer => BackendRow::Interposer,
                Backend::Software => BackendRow::Software,
                Backend::Unenforced => BackendRow::Unenforced,
            },
        }
    }

    fn into_core(self) -> Result<Slice, Wrong> {
        Ok(Slice {
            device: DeviceIndex(self.device),
            milli: gpu_milli(self.milli)?,
            memory: MemoryMib(self.memory_mib),
            backend: match self.backend {
                BackendRow::Exclusive => Backend::Exclusive,
                BackendRow::Mig => Backend::Mig,
                BackendRow::Mps => Backend::Mps,
                BackendRow::Interposer => Backend::Interposer,
                BackendRow::Software => Backend::Software,
                BackendRow::Unenforced => Backend::Unenforced,
            },
        })
    }
}
