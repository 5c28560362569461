//! Software GPUs as the node sees them: the probe reads them through their NVML, by the way of real ones, and copes with
//! every fault that can be ordered.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use fastgpu_core::node::Inventory;
use fastgpu_core::units::MemoryMib;
use fastgpu_node::devices::{DeviceConfig, DeviceSource};
use fastgpu_node::doctor::{self, CheckStatus};
use fastgpu_node::probe::{Probe, ProbeCommand, ProbeError};
use fastgpu_node::software::Software;
use fastgpu_node::software::fault::{DeviceFault, DriverFault};
use fastgpu_softgpu::ledger::layout::Class;
use tempfile::TempDir;

/// Far more than a call takes, even on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// Deadline for calls that are known to hang.
const SHORT: Duration = Duration::from_millis(400);

/// The program of `examples/probe_child.rs`, built here when only this test was asked for.
fn probe_child() -> PathBuf {
    static CHILD: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let test = std::env::current_exe().expect("a test knows its program");
        let folder = test.parent().and_then(Path::parent).expect("it lies in deps").join("examples");
        let child = folder.join("probe_child");
        if !child.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo
                .args(["build", "--quiet", "--example", "probe_child"])
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(cargo.status().is_ok_and(|status| status.success()), "cargo builds {}", child.display());
        }
        child
    };
    CHILD.get_or_init(find).clone()
}

fn command() -> ProbeCommand {
    ProbeCommand {
        program: probe_child(),
        args: Vec::new(),
        nvml_path: None,
        library_path: None,
        env: Vec::new(),
    }
}

/// Software GPUs of its own for each test, gone at its end.
struct World {
    data: TempDir,
    software: Software,
}

impl World {
    fn new(spec: &str) -> Self {
        let data = TempDir::new().expect("a temporary folder");
        let node = data.path().join("node");
        let software = Software::prepare(&node, &spec.parse().expect("a specification"), &"here".into());
        Self { software: software.expect("there is room"), data }
    }

    fn probe(&self) -> Probe {
        Probe::new(self.software.probe(command()))
    }

    /// A pace for tests.
    fn config(&self, deadline: Duration) -> DeviceConfig {
        DeviceConfig {
            period: Duration::from_millis(20),
            deadline,
            first_deadline: LONG,
            search_period: Duration::from_millis(100),
            ..DeviceConfig::new(command(), Some(self.software.clone()))
        }
    }

    /// A source, and everything it says.
    fn source(&self, deadline: Duration) -> (DeviceSource, Receiver<Inventory>) {
        let config = self.config(deadline);
        let (say, said) = mpsc::channel();
        let source = DeviceSource::start(config, move |inventory| drop(say.send(inventory)), |_| ());
        (source.expect("a thread and a pipe"), said)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.software.remove();
    }
}

/// The first inventory that is as wanted, within reason.
fn wait_for(said: &Receiver<Inventory>, wanted: impl Fn(&Inventory) -> bool) -> Inventory {
    let until = Instant::now() + LONG;
    let mut last = None;
    loop {
        match said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(inventory) if wanted(&inventory) => return inventory,
            Ok(inventory) => last = Some(inventory),
            Err(_) => panic!("the inventory never came; the last one was {last:#?}"),
        }
    }
}

fn usable(inventory: &Inventory) -> usize {
    inventory.devices.iter().filter(|device| device.unusable.is_none()).count()
}

fn read(inventory: &Inventory) -> bool {
    inventory.devices.iter().all(|device| device.telemetry.read_at.is_some())
}

#[test]
fn the_probe_reads_software_gpus_as_it_reads_real_ones() {
    let world = World::new("2xH100,L4");
    let readings = world.probe().inventory(LONG).unwrap();
    assert!(readings.driver.as_deref().unwrap().starts_with("580."));
    let [first, _, third] = &readings.devices[..] else { panic!("three devices: {readings:?}") };
    assert_eq!(first.name.as_deref(), Some("NVIDIA H100 80GB HBM3"));
    assert_eq!((first.memory_total_bytes, first.memory_used_bytes), (Some(81_559 << 20), Some(0)));
    assert_eq!((first.power_mw, first.mig, first.utilization_percent), (Some(70_000), Some(false), Some(0)));
    assert_eq!((third.name.as_deref(), third.mig), (Some("NVIDIA L4"), None));
    let listed = world.software.devices().unwrap();
    for (reading, device) in readings.devices.iter().zip(&listed) {
        assert_eq!(
            reading.uuid.as_deref(),
            Some(&*device.uuid),
            "what is listed at once is what is read later"
        );
        assert_eq!(reading.pci.as_deref(), device.pci.as_deref());
        assert_eq!(reading.trouble, None);
    }
}

#[test]
fn software_gpus_are_there_at_once_and_their_use_is_followed() {
    let world = World::new("1xA100-80GB");
    let (source, said) = world.source(LONG);
    let first = source.current();
    assert!(first.probed && usable(&first) == 1 && first.devices[0].memory == MemoryMib(81_152));
    let followed = wait_for(&said, read);
    let device = &followed.devices[0];
    assert_eq!(
        (device.memory, device.simulated, &device.uuid),
        (MemoryMib(81_152), true, &first.devices[0].uuid)
    );
    assert!(
        followed.abilities[0].works
            && followed.abilities[0].detail.starts_with("software GPUs (1xA100-80GB)")
    );

    let ledger = world.software.open().unwrap();
    let own = ledger.attach().unwrap();
    let charged = ledger.device(0).charge(own.slot, own.pid, Class::Memory, 3 << 30);
    assert!(charged.is_ok(), "there is room");
    let used = |inventory: &Inventory| inventory.devices[0].telemetry.memory_used;
    wait_for(&said, |inventory| used(inventory) == Some(MemoryMib(3 << 10)));
    ledger.device(0).release(own.slot, Class::Memory, 3 << 30);
    wait_for(&said, |inventory| used(inventory) == Some(MemoryMib(0)));
}

#[test]
fn a_device_that_falls_off_the_bus_is_out_of_use_until_it_is_mended() {
    let world = World::new("3xT4");
    let (_source, said) = world.source(LONG);
    wait_for(&said, |inventory| usable(inventory) == 3 && read(inventory));
    world.software.break_device(1, DeviceFault::OffBus).unwrap();
    let lost = wait_for(&said, |inventory| usable(inventory) == 2);
    let why = lost.devices[1].unusable.as_deref().unwrap();
    assert!(why.starts_with("software GPU: ") && why.contains("simulate-fault"), "{why}");
    world.software.break_device(1, DeviceFault::Clear).unwrap();
    wait_for(&said, |inventory| usable(inventory) == 3);
    assert!(
        world
            .software
            .break_device(3, DeviceFault::Hang)
            .unwrap_err()
            .to_string()
            .contains("3 software GPUs")
    );
}

#[test]
fn a_management_library_that_hangs_costs_a_deadline_and_not_the_node() {
    let world = World::new("2xT4");
    let (source, said) = world.source(SHORT);
    wait_for(&said, |inventory| usable(inventory) == 2 && read(inventory));
    world.software.break_driver(&DriverFault::NvmlHang).unwrap();
    let hung = wait_for(&said, |inventory| usable(inventory) == 0);
    let why = hung.devices[0].unusable.as_deref().unwrap();
    assert!(why.starts_with("software GPU: the NVIDIA driver did not answer within 400 ms"), "{why}");
    world.software.break_driver(&DriverFault::Clear).unwrap();
    wait_for(&said, |inventory| usable(inventory) == 2);

    world.software.break_driver(&DriverFault::NvmlHang).unwrap();
    wait_for(&said, |inventory| usable(inventory) == 0);
    let began = Instant::now();
    source.stop();
    assert!(began.elapsed() < LONG / 2, "a stop does not wait for a driver: {:?}", began.elapsed());
}

#[test]
fn a_slow_management_library_is_waited_for_up_to_the_deadline() {
    let world = World::new("1xT4");
    let slow = DriverFault::NvmlSlow(Duration::from_millis(20));
    world.software.break_driver(&slow).unwrap();
    let began = Instant::now();
    let readings = world.probe().inventory(LONG).unwrap();
    assert!(
        readings.devices.len() == 1 && began.elapsed() >= Duration::from_millis(200),
        "ten calls and more"
    );
    world.software.break_driver(&DriverFault::NvmlSlow(LONG)).unwrap();
    let error = world.probe().inventory(SHORT).unwrap_err();
    assert!(matches!(error, ProbeError::Hung { .. }), "{error}");
}

#[test]
fn a_driver_of_another_version_is_named_and_so_is_its_end() {
    let world = World::new("1xT4");
    let mut probe = world.probe();
    world.software.break_driver(&DriverFault::DriverVersion("590.48.01".to_owned())).unwrap();
    assert_eq!(probe.inventory(LONG).unwrap_err(), ProbeError::VersionMismatch);
    world.software.break_driver(&DriverFault::Clear).unwrap();
    assert_eq!(probe.inventory(LONG).unwrap().devices.len(), 1);
}

#[test]
fn the_doctor_asks_the_software_gpus_of_the_server_in_the_folder() {
    let world = World::new("2xH100,L4");
    let looked = || {
        let checks = doctor::checks(world.data.path(), &command());
        checks.into_iter().find(|check| check.name == "software GPUs").expect("it is asked")
    };
    let check = looked();
    assert_eq!((check.status, check.fix), (CheckStatus::Ok, None));
    assert!(check.found.ends_with("2 x NVIDIA H100 80GB HBM3, NVIDIA L4"), "{}", check.found);
    world.software.break_device(0, DeviceFault::Xid(79)).unwrap();
    let sick = looked();
    assert_eq!(sick.status, CheckStatus::Warn);
    assert!(sick.fix.unwrap().contains("simulate-fault"), "no advice for real hardware");
}

#[test]
fn a_driver_that_is_exchanged_under_a_running_node_is_noticed_and_so_is_its_return() {
    let world = World::new("2xT4");
    let (say, said) = mpsc::channel();
    let config = DeviceConfig { renew_period: Duration::from_millis(50), ..world.config(LONG) };
    let _source = DeviceSource::start(config, move |inventory| drop(say.send(inventory)), |_| ()).unwrap();
    wait_for(&said, |inventory| usable(inventory) == 2 && read(inventory));
    // The child that runs goes on as if nothing had happened; only a fresh one finds the driver as programs do.
    world.software.break_driver(&DriverFault::DriverVersion("590.48.01".to_owned())).unwrap();
    let exchanged = wait_for(&said, |inventory| usable(inventory) == 0);
    assert!(exchanged.devices[1].unusable.as_deref().unwrap().contains("different versions"));
    assert!(!exchanged.abilities[0].works);
    world.software.break_driver(&DriverFault::Clear).unwrap();
    wait_for(&said, |inventory| usable(inventory) == 2 && inventory.abilities[0].works);
}

#[test]
fn whoever_asks_for_a_look_hears_of_it_after_what_it_found() {
    let world = World::new("1xA100-80GB");
    let (say, said) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    // Without being asked it would look again in an hour.
    let hour = Duration::from_secs(3_600);
    let config = DeviceConfig { period: hour, search_period: hour, renew_period: hour, ..world.config(LONG) };
    let source = DeviceSource::start(
        config,
        move |inventory| drop(say.send(inventory)),
        move |number| {
            let _ = tell.send(number);
        },
    )
    .unwrap();
    wait_for(&said, read);
    for (fault, what) in [(48, Some("XID 48, ")), (31, None), (119, Some("XID 119,"))] {
        world.software.break_device(0, DeviceFault::Xid(fault)).unwrap();
        let number = source.looker().look();
        while told.recv_timeout(LONG).expect("a look is taken") < number {}
        let found = source.current();
        let device = &found.devices[0];
        let fault = device.fault.as_ref().map(|fault| &*fault.what);
        assert_eq!(fault.map(|fault| &fault[..8]), what, "{device:#?}");
        assert_eq!(device.unusable.is_some(), what.is_some(), "{device:#?}");
        world.software.break_device(0, DeviceFault::Clear).unwrap();
        let number = source.looker().look();
        while told.recv_timeout(LONG).expect("a look is taken") < number {}
    }
}

#[test]
fn a_device_that_was_lost_when_its_probe_began_is_listened_to_again_once_it_is_back() {
    let world = World::new("1xA100-80GB");
    let mut probe = world.probe();
    world.software.break_device(0, DeviceFault::OffBus).unwrap();
    assert!(probe.telemetry(LONG).unwrap().devices[0].trouble.is_some());
    world.software.break_device(0, DeviceFault::Clear).unwrap();
    assert_eq!(probe.telemetry(LONG).unwrap().devices[0].trouble, None);
    world.software.break_device(0, DeviceFault::Xid(48)).unwrap();
    let heard = &probe.telemetry(LONG).unwrap().devices[0].xids;
    assert_eq!(heard.iter().map(|report| report.xid).collect::<Vec<_>>(), [48]);
}
