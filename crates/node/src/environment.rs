//! The environment of a task: clean, and the same wherever the server was started.
//!
//! Nothing of the server's own environment gets in but what the settings named ([`AgentConfig::base_env`]);
//! then come the words about the task itself, then what the user asked for, which wins. On software GPUs their
//! libraries stand before whatever library path there is, whoever named it.
//!
//! [`AgentConfig::base_env`]: crate::agent::AgentConfig::base_env

use std::collections::BTreeMap;

use fastgpu_core::ids::DeviceIndex;
use fastgpu_core::node::{Inventory, Launch};
use fastgpu_core::spec::Spec;

use crate::software::Software;

/// A device of the grant that this node does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node has no {0}")]
pub(crate) struct NoSuchDevice(DeviceIndex);

/// The whole environment of one attempt, as `KEY=value`, by rising key.
pub(crate) fn of_attempt(
    base: &[(String, String)],
    launch: &Launch,
    spec: &Spec,
    inventory: &Inventory,
    software: Option<&Software>,
) -> Result<Vec<String>, NoSuchDevice> {
    let mut uuids = Vec::new();
    let mut usable = Vec::new();
    for slice in &launch.part.slices {
        let device = inventory.devices.iter().find(|device| device.index == slice.device);
        let device = device.ok_or(NoSuchDevice(slice.device))?;
        uuids.push(&*device.uuid);
        // A software GPU without its libraries would be looked for among the real ones.
        if !device.simulated || software.is_some() {
            usable.push(&*device.uuid);
        }
    }
    let mut env: BTreeMap<&str, String> =
        base.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    env.insert("FASTGPU_TASK_ID", launch.task.to_string());
    env.insert("FASTGPU_ATTEMPT", launch.fence.attempt.to_string());
    env.insert("FASTGPU_GPUS", uuids.join(","));
    env.insert("FASTGPU_PROJECT", launch.project.to_string());
    env.insert("FASTGPU_TASK_NAME", launch.name.as_deref().unwrap_or_default().to_owned());
    // An empty list hides every device from a task that was granted none.
    env.insert("CUDA_VISIBLE_DEVICES", usable.join(","));
    env.insert("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned());
    env.extend(spec.env.iter().map(|(key, value)| (key.as_str(), value.clone())));
    if let Some(software) = software {
        let own = env.get("LD_LIBRARY_PATH").cloned();
        env.extend(software.variables(own.as_deref()));
    }
    Ok(env.into_iter().map(|(key, value)| format!("{key}={value}")).collect())
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ask::{Backend, GrantPart, Slice};
    use fastgpu_core::ids::{Fence, NodeId, SpecHash, TaskId};
    use fastgpu_core::node::Device;
    use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis};

    use super::*;

    fn device(index: u16, simulated: bool) -> Device {
        let uuid = format!("GPU-{index}").into();
        Device { uuid, simulated, ..Device::simulated(index, "A100", MemoryMib(1)) }
    }

    fn launch(devices: &[u16]) -> Launch {
        let slices = devices
            .iter()
            .map(|&index| Slice {
                device: DeviceIndex(index),
                milli: GpuMilli::FULL,
                memory: MemoryMib(1),
                backend: Backend::Exclusive,
            })
            .collect();
        Launch {
            task: TaskId::new(1).unwrap(),
            fence: Fence { attempt: 2, version: 1 },
            part: GrantPart { node: NodeId(0), cpu: CpuMilli(0), host_memory: MemoryMib(0), slices },
            spec: SpecHash([0; 32]),
            time_limit: None,
            stop_grace: Millis(0),
            project: "default".into(),
            name: None,
        }
    }

    fn inventory() -> Inventory {
        Inventory {
            cpu: CpuMilli(1_000),
            host_memory: MemoryMib(1),
            ..Inventory::of("here", [device(0, false), device(1, false), device(2, true)])
        }
    }

    #[test]
    fn devices_are_named_by_uuid_and_simulated_ones_without_libraries_are_hidden_from_cuda() {
        let mut spec = Spec::default();
        spec.env.insert("HOME".into(), "/mine".into());
        let base = [("HOME".to_owned(), "/base".to_owned()), ("PATH".to_owned(), "/bin".to_owned())];
        let env = of_attempt(&base, &launch(&[1, 2]), &spec, &inventory(), None).unwrap();
        assert_eq!(
            env,
            [
                "CUDA_DEVICE_ORDER=PCI_BUS_ID",
                "CUDA_VISIBLE_DEVICES=GPU-1",
                "FASTGPU_ATTEMPT=2",
                "FASTGPU_GPUS=GPU-1,GPU-2",
                "FASTGPU_PROJECT=default",
                "FASTGPU_TASK_ID=t-0000000000001",
                "FASTGPU_TASK_NAME=",
                "HOME=/mine",
                "PATH=/bin",
            ]
        );
        let missing = of_attempt(&base, &launch(&[7]), &spec, &inventory(), None);
        assert_eq!(missing.unwrap_err().to_string(), "this node has no gpu-7");
    }

    #[test]
    fn software_gpus_are_found_by_their_libraries_whatever_path_the_user_names() {
        let devices = "1xT4".parse().unwrap();
        let software = Software { libraries: "/n/lib".into(), ledger: "/m".into(), spec: devices };
        let mut spec = Spec::default();
        spec.env.insert("LD_LIBRARY_PATH".into(), "/mine".into());
        let env = of_attempt(&[], &launch(&[2]), &spec, &inventory(), Some(&software)).unwrap();
        for expected in
            ["CUDA_VISIBLE_DEVICES=GPU-2", "LD_LIBRARY_PATH=/n/lib:/mine", "FASTGPU_SOFTGPU_DIR=/m"]
        {
            assert!(env.iter().any(|pair| pair == expected), "{expected} in {env:?}");
        }
    }
}
