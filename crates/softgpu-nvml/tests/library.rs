//! The built library, loaded as programs do: by its file, through the `nvml-wrapper` crate.
//!
//! Which ledger a process uses is said by its environment, so each story runs in a process of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use fastgpu_softgpu::fault::Health;
use fastgpu_softgpu::ledger::layout::Class;
use fastgpu_softgpu::ledger::{Creation, FOLDER_VARIABLE, Ledger};
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor, TopologyLevel};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;

const INSIDE: &str = "FASTGPU_TEST_INSIDE";

/// Nothing links it, so cargo builds it for no test: it is built here, once, the way programs find it.
fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let test = std::env::current_exe().expect("a test knows its program");
        let folder = test.parent().and_then(Path::parent).expect("it lies in deps");
        if std::env::var_os(INSIDE).is_none() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--lib"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            cargo.arg("--target-dir").arg(folder.parent().expect("the profile's folder is in target"));
            assert!(cargo.status().is_ok_and(|status| status.success()), "cargo builds the library");
        }
        folder.join("libnvidia_ml.so")
    };
    LIBRARY.get_or_init(find).clone()
}

/// Tells a story to a process whose ledger has these devices.
fn in_world(test: &str, devices: &str, story: impl FnOnce(&Nvml, &Ledger)) {
    if std::env::var_os(INSIDE).is_some() {
        let ledger = Ledger::from_environment().expect("the ledger was made");
        return story(&Nvml::builder().lib_path(library().as_os_str()).init().expect("it starts"), &ledger);
    }
    library();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spec = devices.parse().expect("a specification");
    Ledger::open_or_create(folder.path(), &Creation::of(&spec)).expect("there is room");
    let ran = Command::new(std::env::current_exe().expect("a test knows its program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .env(FOLDER_VARIABLE, folder.path())
        .output()
        .expect("this very program starts");
    assert!(
        ran.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn every_name_of_the_drivers_library_is_exported_and_nothing_else() {
    let listed = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library())
        .output()
        .expect("binutils are there");
    let text = String::from_utf8(listed.stdout).unwrap();
    let exported: BTreeSet<_> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let wanted: BTreeSet<_> = include_str!("../exports.txt").lines().collect();
    assert!(wanted.len() > 400);
    assert_eq!(exported.symmetric_difference(&wanted).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn devices_are_found_by_every_name_and_are_what_their_model_is() {
    in_world("devices_are_found_by_every_name_and_are_what_their_model_is", "2xA100-40GB,T4", |nvml, _| {
        assert_eq!(nvml.device_count().unwrap(), 3);
        assert_eq!(nvml.sys_cuda_driver_version().unwrap(), 13_000);
        let device = nvml.device_by_index(2).unwrap();
        assert_eq!(device.name().unwrap(), "Tesla T4");
        let same = [
            nvml.device_by_uuid(device.uuid().unwrap()).unwrap().index().unwrap(),
            nvml.device_by_pci_bus_id(device.pci_info().unwrap().bus_id).unwrap().index().unwrap(),
        ];
        assert_eq!(same, [2, 2]);
        let capability = device.cuda_compute_capability().unwrap();
        assert_eq!((capability.major, capability.minor), (7, 5));
        assert_eq!(device.power_management_limit_default().unwrap(), 70_000);
        assert_eq!(device.num_cores().unwrap(), 2_560);
        assert!(device.is_ecc_enabled().unwrap().currently_enabled);
        assert_eq!(device.clock_info(Clock::SM).unwrap(), 300, "it rests");
        assert_eq!(device.max_clock_info(Clock::SM).unwrap(), 1_590);
        assert!((30..=40).contains(&device.temperature(TemperatureSensor::Gpu).unwrap()));
        assert!(matches!(device.fan_speed(0), Err(NvmlError::InvalidArg | NvmlError::NotSupported)));
        assert!(matches!(nvml.device_by_index(3), Err(NvmlError::InvalidArg)));
        let (first, second) = (nvml.device_by_index(0).unwrap(), nvml.device_by_index(1).unwrap());
        let level = first.topology_common_ancestor(second).unwrap();
        assert_eq!(level, TopologyLevel::Node);
        assert!(first.link_wrapper_for(11).is_active().unwrap());
        assert!(matches!(device.link_wrapper_for(0).is_active(), Err(NvmlError::NotSupported)));
    });
}

#[test]
fn memory_and_processes_are_the_ledgers() {
    in_world("memory_and_processes_are_the_ledgers", "1xH100", |nvml, ledger| {
        let device = nvml.device_by_index(0).unwrap();
        let before = device.memory_info().unwrap();
        assert_eq!((before.total >> 20, before.reserved >> 20, before.used), (81_559, 480, 0));
        let own = ledger.attach().unwrap();
        assert!(ledger.device(0).charge(own.slot, own.pid, Class::Memory, 5 << 30).is_ok());
        let after = device.memory_info().unwrap();
        assert_eq!((after.used, before.free - after.free), (5 << 30, 5 << 30));
        let processes = device.running_compute_processes().unwrap();
        let [process] = &processes[..] else { panic!("one process: {processes:?}") };
        assert_eq!(process.pid, std::process::id());
        assert!(matches!(process.used_gpu_memory, UsedGpuMemory::Used(bytes) if bytes == 5 << 30));
        assert_eq!(device.running_graphics_processes().unwrap().len(), 0);
        ledger.device(0).release(own.slot, Class::Memory, 5 << 30);
        assert_eq!(device.running_compute_processes().unwrap().len(), 0);
    });
}

#[test]
fn faults_are_reported_counted_and_survived() {
    in_world("faults_are_reported_counted_and_survived", "2xH100", |nvml, ledger| {
        let device = nvml.device_by_index(1).unwrap();
        let events = nvml.create_event_set().unwrap();
        let events = device
            .register_events(EventTypes::CRITICAL_XID_ERROR, events)
            .map_err(|failed| failed.error)
            .unwrap();
        assert!(matches!(events.wait(1), Err(NvmlError::Timeout)));
        ledger.device(1).report_xid(94, 0);
        ledger.ring_fault();
        let event = events.wait(10_000).unwrap();
        assert!(matches!(event.event_data, Some(XidError::Value(94))), "{event:?}");
        assert!(matches!(events.wait(1), Err(NvmlError::Timeout)), "each is told once");

        ledger.device(1).report_xid(79, 0);
        assert_eq!(ledger.device(1).faults.health(), Health::Lost);
        assert!(matches!(device.name(), Err(NvmlError::GpuLost)));
        assert!(nvml.device_by_index(0).unwrap().name().is_ok(), "the others work on");
        ledger.device(1).clear_faults();
        assert!(device.name().is_ok());
    });
}

#[test]
fn what_is_not_there_is_said_and_counted_by_name() {
    in_world("what_is_not_there_is_said_and_counted_by_name", "1xH100", |nvml, ledger| {
        assert!(matches!(nvml.hic_versions(), Err(NvmlError::NotSupported)));
        assert!(matches!(nvml.hic_versions(), Err(NvmlError::NotSupported)));
        let registry = ledger.registry();
        let counted: Vec<_> = registry.counted().map(|(name, calls)| (name.to_owned(), calls)).collect();
        let [(name, calls)] = &counted[..] else { panic!("one name: {counted:?}") };
        assert_eq!(name, "nvmlSystemGetHicVersion");
        assert!(*calls >= 2);
    });
}
