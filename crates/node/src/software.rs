//! The software GPUs of a node: where their libraries and their ledger lie, and how they are made ready.
//!
//! ```text
//! <node>/softgpu/lib-<hash>/    libcuda.so.1 and libnvidia-ml.so.1, as they came with this build
//! <node>/softgpu/place          where the ledger lies, and what it was made for
//! /dev/shm/fastgpu-<uid>-…/     the ledger, in memory: it is as long-lived as the devices it stands for
//! ```
//!
//! The libraries are unpacked here, never linked into this program. What they do is theirs; that a task
//! finds them is in [`crate::environment`], that it may see them in [`crate::hide`].

pub mod fault;

mod place;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};

use fastgpu_core::ids::{DeviceIndex, Name};
use fastgpu_core::node::{Device, Telemetry};
use fastgpu_core::units::MemoryMib;
use fastgpu_softgpu::ledger::{FOLDER_VARIABLE, Ledger};
use fastgpu_softgpu::models::DRIVER_VERSION;

use crate::folder::{NodeFolder, make_private_folder};
use crate::probe::ProbeCommand;
use crate::simulate::SimulateSpec;

/// The loader's variable for folders that come first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// The software GPUs of this node, ready to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software {
    /// Where the two libraries are.
    pub libraries: PathBuf,
    /// The ledger's folder.
    pub ledger: PathBuf,
    /// What it was made from.
    pub spec: SimulateSpec,
}

impl Software {
    /// Unpacks the libraries and makes the devices, or finds them as they were: with the same specification
    /// and since the same start of the machine, programs that use them go on undisturbed.
    ///
    /// # Errors
    /// When the node's folder or the machine's shared memory cannot be written.
    pub fn prepare(node_dir: &Path, spec: &SimulateSpec, hostname: &Name) -> io::Result<Self> {
        let folder = NodeFolder::at(node_dir).softgpu();
        make_private_folder(&folder)?;
        let libraries = unpack::unpack(&folder)?;
        let ledger = place::prepare(&folder, spec, seed(hostname, &folder))?;
        Ok(Self { libraries, ledger, spec: spec.clone() })
    }

    /// The software GPUs that a server has made in this folder, if it has any.
    ///
    /// # Errors
    /// When what lies there cannot be read.
    pub fn find(node_dir: &Path) -> io::Result<Option<Self>> {
        let folder = NodeFolder::at(node_dir).softgpu();
        let Some((ledger, spec)) = place::find(&folder)? else { return Ok(None) };
        Ok(Some(Self { libraries: unpack::folder(&folder), ledger, spec }))
    }

    /// The ledger itself.
    ///
    /// # Errors
    /// When it is gone, or was made by another version.
    pub fn open(&self) -> io::Result<Ledger> {
        Ledger::open(&self.ledger)
    }

    /// The devices as the node lists them before the probe has read them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        let ledger = self.open()?;
        let devices = (0u16..).zip(0..ledger.device_count());
        Ok(devices.map(|(index, place)| listed(index, &ledger, place)).collect())
    }

    /// How to ask the software NVML instead of the driver's.
    #[must_use]
    pub fn probe(&self, command: ProbeCommand) -> ProbeCommand {
        let mut command = command;
        command.nvml_path = Some(self.libraries.join(unpack::NVML));
        command.env.push((FOLDER_VARIABLE.into(), self.ledger.clone().into_os_string()));
        command
    }

    /// What a task's environment needs so that its programs use these devices. `own` is the library path
    /// that it would have without.
    #[must_use]
    pub fn variables(&self, own: Option<&str>) -> [(&'static str, String); 2] {
        let ours = self.libraries.to_string_lossy();
        let path = match own {
            Some(own) if !own.is_empty() => format!("{ours}:{own}"),
            _ => ours.into_owned(),
        };
        [(LIBRARY_PATH, path), (FOLDER_VARIABLE, self.ledger.to_string_lossy().into_owned())]
    }

    /// Lets go of the memory of a node's devices, unless a server or a program still uses it.
    ///
    /// # Errors
    /// When what lies there cannot be read.
    pub fn remove_unused(node_dir: &Path) -> io::Result<()> {
        match Self::find(node_dir)? {
            Some(software) if !place::is_in_use(&software.ledger) => software.remove(),
            _ => {}
        }
        Ok(())
    }

    /// Lets go of the memory that the devices take, for good.
    pub fn remove(&self) {
        place::remove(&self.ledger);
    }
}

fn listed(index: u16, ledger: &Ledger, place: usize) -> Device {
    let device = ledger.facts(place);
    let uuid = device.uuid.iter().enumerate().fold("GPU-".to_owned(), |text, (at, byte)| {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        format!("{text}{dash}{byte:02x}")
    });
    let [domain, bus, slot] = device.pci;
    let model: Name = fastgpu_softgpu::ledger::processes::text(&device.name).into();
    Device {
        index: DeviceIndex(index),
        uuid: uuid.into(),
        closeness: crate::simulate::closeness(index, &model),
        model,
        memory: MemoryMib(device.capacity_bytes() / (1 << 20)),
        simulated: true,
        pci: Some(format!("{domain:08X}:{bus:02X}:{slot:02X}.0").into()),
        driver: Some(DRIVER_VERSION.into()),
        mig: None,
        unusable: None,
        fault: None,
        telemetry: Telemetry::default(),
    }
}

/// FNV-1a of the machine's name and the node's folder: software GPUs keep their UUIDs, and two nodes have different
/// ones, on one machine too.
fn seed(hostname: &str, folder: &Path) -> u64 {
    let bytes = hostname.bytes().chain([0]).chain(folder.as_os_str().as_encoded_bytes().iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(node: &Path, spec: &str) -> Software {
        Software::prepare(node, &spec.parse().unwrap(), &"node-a".into()).unwrap()
    }

    #[test]
    fn the_devices_are_those_that_were_asked_for_and_stay_the_same() {
        let node = tempfile::tempdir().unwrap();
        let software = prepare(node.path(), "2xA100-80GB,L4");
        let devices = software.devices().unwrap();
        let models: Vec<_> = devices.iter().map(|device| (&*device.model, device.memory.0)).collect();
        assert_eq!(models[0], ("NVIDIA A100-SXM4-80GB", 81_152));
        assert_eq!(models[2], ("NVIDIA L4", 22_563));
        assert!(devices.iter().all(|device| device.simulated && device.uuid.starts_with("GPU-")));
        assert_eq!(prepare(node.path(), "2xA100-80GB,L4").devices().unwrap(), devices);
        assert_eq!(Software::find(node.path()).unwrap(), Some(software.clone()));
        software.remove();
    }

    #[test]
    fn other_devices_are_another_ledger_and_the_old_one_is_gone() {
        let node = tempfile::tempdir().unwrap();
        let before = prepare(node.path(), "1xT4");
        let after = prepare(node.path(), "2xT4");
        assert_eq!(after.devices().unwrap().len(), 2);
        assert!(before.ledger != after.ledger && !before.ledger.exists());
        after.remove();
        assert!(!after.ledger.exists());
        assert_eq!(Software::find(node.path()).unwrap(), None);
    }

    #[test]
    fn devices_that_a_program_uses_are_not_exchanged_for_others() {
        let node = tempfile::tempdir().unwrap();
        let software = prepare(node.path(), "1xT4");
        software.open().unwrap().attach().unwrap();
        let other = "2xT4".parse().unwrap();
        let refused = Software::prepare(node.path(), &other, &"node-a".into()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        assert!(refused.to_string().contains("`1xT4`"), "{refused}");
        assert_eq!(prepare(node.path(), "1xT4"), software);
        software.remove();
    }

    #[test]
    fn a_ledger_that_a_node_uses_is_not_taken_away() {
        let node = tempfile::tempdir().unwrap();
        Software::remove_unused(node.path()).unwrap();
        let software = prepare(node.path(), "1xT4");
        Software::remove_unused(node.path()).unwrap();
        assert!(software.ledger.exists(), "this process is the node");
        software.remove();
    }

    #[test]
    fn the_libraries_are_unpacked_once_and_mended_when_they_were_damaged() {
        let node = tempfile::tempdir().unwrap();
        let software = prepare(node.path(), "1xT4");
        let library = software.libraries.join(unpack::NVML);
        let whole = std::fs::read(&library).unwrap();
        assert!(whole.starts_with(b"\x7fELF"));
        std::fs::write(&library, "torn").unwrap();
        prepare(node.path(), "1xT4");
        assert_eq!(std::fs::read(&library).unwrap(), whole);
        software.remove();
    }

    #[test]
    fn two_nodes_have_different_devices() {
        let seeds = [("node-a", "/n"), ("node-b", "/n"), ("node-a", "/m")]
            .map(|(machine, folder)| seed(machine, Path::new(folder)));
        assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2] && seeds[1] != seeds[2]);
    }

    #[test]
    fn a_task_finds_our_libraries_first_and_then_its_own() {
        let spec = "1xT4".parse().unwrap();
        let software = Software { libraries: "/n/lib".into(), ledger: "/m".into(), spec };
        assert_eq!(software.variables(None)[0].1, "/n/lib");
        assert_eq!(software.variables(Some("/opt/lib"))[0].1, "/n/lib:/opt/lib");
    }
}
