//! The probe, and what the node makes of it, against a stand-in for the driver's library, through a real child process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use fastgpu_core::node::Inventory;
use fastgpu_node::devices::{DeviceConfig, DeviceSource};
use fastgpu_node::doctor::{self, CheckStatus};
use fastgpu_node::probe::{Probe, ProbeCommand, ProbeError, Readings};
use tempfile::TempDir;

/// Far more than a call against the stand-in takes, even on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// Deadline for calls that are known to hang.
const SHORT: Duration = Duration::from_millis(300);

/// The program of `examples/probe_child.rs`. Cargo builds it for `cargo test`; when only this test was
/// asked for (`--test probe`), it is built here.
fn probe_child() -> PathBuf {
    static CHILD: OnceLock<PathBuf> = OnceLock::new();
    CHILD
        .get_or_init(|| {
            let test = std::env::current_exe().expect("a test knows its program");
            let folder = test.parent().and_then(Path::parent).expect("it lies in deps").join("examples");
            let child = folder.join("probe_child");
            if !child.exists() {
                let built = Command::new(env!("CARGO"))
                    .args(["build", "--quiet", "--example", "probe_child"])
                    .current_dir(env!("CARGO_MANIFEST_DIR"))
                    .status();
                assert!(
                    built.is_ok_and(|status| status.success()) && child.exists(),
                    "cargo builds {}",
                    child.display()
                );
            }
            child
        })
        .clone()
}

/// A driver of its own for each test.
struct StandIn {
    folder: TempDir,
}

impl StandIn {
    fn new(flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml_standin/nvml_standin.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("libnvidia-ml.so.1"))
            .arg(format!("-DMOOD_FILE=\"{}\"", folder.path().join("mood").display()))
            .args(flags)
            .arg(source)
            .status();
        assert!(built.expect("`cc` is there").success(), "the stand-in compiles");
        Self { folder }
    }

    fn with_mood(mood: char) -> Self {
        let driver = Self::new(&[]);
        driver.mood(mood);
        driver
    }

    /// Replaces the file in one step, so that no reader meets an empty one.
    fn mood(&self, mood: char) {
        let fresh = self.folder.path().join("mood.new");
        let written = fs::write(&fresh, mood.to_string());
        written.and_then(|()| fs::rename(fresh, self.folder.path().join("mood"))).expect("a folder of ours");
    }

    fn command(&self) -> ProbeCommand {
        command(&self.folder.path().join("libnvidia-ml.so.1"))
    }

    fn probe(&self) -> Probe {
        Probe::new(self.command())
    }
}

fn command(library: &Path) -> ProbeCommand {
    ProbeCommand {
        program: probe_child(),
        args: Vec::new(),
        nvml_path: Some(library.to_owned()),
        library_path: None,
        env: Vec::new(),
    }
}

fn failure(result: Result<Readings, ProbeError>) -> ProbeError {
    let error = result.expect_err("this driver does not work");
    let sentence = error.sentence();
    assert!(sentence.len() > 20 && !sentence.contains('\n'), "a sentence for a person: {sentence}");
    error
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn an_inventory_has_all_that_the_driver_tells_and_misses_what_it_does_not() {
    let driver = StandIn::new(&[]);
    let (mut probe, readings) = Probe::start(driver.command(), LONG).unwrap();
    assert_eq!(readings.driver.as_deref(), Some("580.65.06"));
    let [first, second] = &readings.devices[..] else { panic!("two devices: {readings:?}") };
    assert_eq!(first.uuid.as_deref(), Some("GPU-00000000-1111-2222-3333-444444444444"));
    assert_eq!(first.name.as_deref(), Some("NVIDIA H200"));
    assert_eq!(first.pci.as_deref(), Some("00000000:3B:00.0"));
    assert_eq!(first.memory_total_bytes, Some(143_771 << 20));
    assert_eq!(first.memory_reserved_bytes, Some(600 << 20));
    assert_eq!((first.mig, first.power_mw, first.temperature_c), (Some(false), Some(75_000), Some(40)));
    assert_eq!((second.index, second.mig, second.power_mw, second.temperature_c), (1, None, None, Some(41)));

    let pid = probe.child_pid().expect("the child stays");
    let telemetry = probe.telemetry(LONG).unwrap();
    assert_eq!(telemetry.devices[0].utilization_percent, Some(12));
    assert_eq!(telemetry.devices[0].memory_used_bytes, Some(1_024 << 20));
    assert_eq!(telemetry.devices[0].name, None, "only what moves is asked again");
    assert_eq!(probe.child_pid(), Some(pid), "one child answers it all");
    drop(probe);
    assert!(!exists(pid), "nothing of the probe is left");
}

#[test]
fn a_driver_without_the_newer_functions_still_answers() {
    let driver = StandIn::new(&["-DOLD_DRIVER"]);
    let readings = driver.probe().inventory(LONG).unwrap();
    assert_eq!(readings.devices.len(), 2);
    assert_eq!(readings.devices[0].name.as_deref(), Some("NVIDIA H200"));
    assert_eq!((readings.devices[0].memory_total_bytes, readings.devices[0].mig), (None, None));
    assert_eq!(readings.devices[0].trouble, None);
}

#[test]
fn a_driver_without_devices_is_an_empty_inventory() {
    let readings = StandIn::with_mood('z').probe().inventory(LONG).unwrap();
    assert_eq!(readings.devices, []);
}

#[test]
fn what_the_driver_refuses_is_named() {
    let driver = StandIn::new(&[]);
    let mut probe = driver.probe();
    for (mood, expected) in
        [('n', ProbeError::NotLoaded), ('v', ProbeError::VersionMismatch), ('p', ProbeError::NoPermission)]
    {
        driver.mood(mood);
        assert_eq!(failure(probe.inventory(LONG)), expected);
        assert_eq!(probe.child_pid(), None, "no process idles beside a driver that is not there");
    }
    driver.mood('u');
    assert!(matches!(failure(probe.inventory(LONG)), ProbeError::Driver { .. }));
    driver.mood('o');
    assert_eq!(probe.inventory(LONG).unwrap().devices.len(), 2, "a driver that comes later is found at once");
}

#[test]
fn a_missing_or_foreign_library_is_named() {
    let absent = failure(Probe::new(command(Path::new("/nonexistent/libnvidia-ml.so.1"))).inventory(LONG));
    assert!(absent.is_absence());
    assert!(absent.to_string().contains("/nonexistent/libnvidia-ml.so.1"), "{absent}");

    let folder = TempDir::new().unwrap();
    let text = folder.path().join("libnvidia-ml.so.1");
    fs::write(&text, "not a library").unwrap();
    assert!(matches!(failure(Probe::new(command(&text)).inventory(LONG)), ProbeError::NoLibrary { .. }));

    let foreign = failure(StandIn::new(&["-DNOT_NVML"]).probe().inventory(LONG));
    assert!(matches!(foreign, ProbeError::NotNvml { .. }), "{foreign}");
}

#[test]
fn a_start_that_hangs_for_ever_costs_one_deadline_and_leaves_no_process() {
    let driver = StandIn::with_mood('H');
    let mut probe = driver.probe();
    let began = Instant::now();
    let error = failure(probe.inventory(SHORT));
    assert_eq!(error, ProbeError::Hung { waited: SHORT, doing: "looking for devices" });
    assert!(began.elapsed() < LONG);
    assert_eq!(probe.child_pid(), None);
    driver.mood('o');
    assert!(
        matches!(failure(probe.inventory(LONG)), ProbeError::Resting { .. }),
        "not started again at once"
    );
    assert!(probe.rest_left() <= Duration::from_secs(1));
}

#[test]
fn a_device_call_that_hangs_later_is_ended_and_the_driver_is_asked_again_after_a_rest() {
    let driver = StandIn::new(&[]);
    let mut probe = driver.probe();
    probe.inventory(LONG).unwrap();
    let pid = probe.child_pid().unwrap();
    driver.mood('h');
    assert!(matches!(failure(probe.telemetry(SHORT)), ProbeError::Hung { .. }));
    assert!(!exists(pid), "the hung child is gone");
    driver.mood('o');
    let until = Instant::now() + LONG;
    let readings = loop {
        match probe.inventory(LONG) {
            Ok(readings) => break readings,
            Err(ProbeError::Resting { left, .. }) if Instant::now() < until => std::thread::sleep(left),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(readings.devices.len(), 2);
}

#[test]
fn a_library_that_crashes_takes_only_the_child_with_it() {
    let driver = StandIn::with_mood('a');
    let mut probe = driver.probe();
    let error = failure(probe.inventory(LONG));
    let ProbeError::Crashed { how, .. } = &error else { panic!("{error}") };
    assert!(how.contains("signal: 6"), "{how}");
}

#[test]
fn a_device_that_fell_off_the_bus_does_not_hide_the_other() {
    let readings = StandIn::with_mood('l').probe().inventory(LONG).unwrap();
    assert_eq!(readings.devices[0].trouble, None);
    assert!(readings.devices[1].trouble.is_some());
}

#[test]
fn a_library_that_prints_is_not_misread_and_one_that_floods_is_stopped() {
    let (_probe, readings) = Probe::start(StandIn::new(&["-DPRINTS"]).command(), LONG).unwrap();
    assert_eq!(readings.devices.len(), 2);
    let error = failure(StandIn::new(&["-DFLOODS"]).probe().inventory(LONG));
    assert!(matches!(error, ProbeError::TooMuch { .. }), "{error}");
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let mut missing = command(Path::new("libnvidia-ml.so.1"));
    missing.program = "/nonexistent/fastgpu".into();
    let error = failure(Probe::new(missing).inventory(LONG));
    assert!(error.to_string().contains("`/nonexistent/fastgpu`"), "{error}");
}

#[test]
fn a_child_dies_with_the_thread_that_asked_even_when_nobody_closes_its_input() {
    let driver = StandIn::with_mood('H');
    let mut child = Command::new(probe_child())
        .args(["--parent", "1", "--nvml", "libnvidia-ml.so.1"])
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(!child.wait().unwrap().success(), "a child whose parent is another one ends at once");

    let probe = std::thread::spawn(move || {
        let mut probe = driver.probe();
        driver.mood('o');
        probe.inventory(LONG).unwrap();
        (probe.child_pid().unwrap(), std::mem::ManuallyDrop::new(probe))
    });
    let (pid, mut forgotten) = probe.join().unwrap();
    // Its thread is gone, so the kernel ended it although nobody closed its input.
    let error = forgotten.telemetry(LONG).expect_err("the child is gone");
    assert!(matches!(error, ProbeError::Crashed { .. }), "{error}");
    assert!(!exists(pid));
}

/// A source at a pace for tests, and everything it says.
fn source(driver: &StandIn, deadline: Duration) -> (DeviceSource, Receiver<Inventory>) {
    let config = DeviceConfig {
        period: Duration::from_millis(20),
        deadline,
        first_deadline: Duration::from_secs(4),
        search_period: Duration::from_millis(100),
        ..DeviceConfig::new(driver.command(), None)
    };
    let (say, said) = mpsc::channel();
    let source = DeviceSource::start(config, move |inventory| drop(say.send(inventory)), |_| ());
    (source.expect("a thread and a pipe"), said)
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

#[test]
fn the_node_is_there_at_once_and_its_devices_when_the_driver_has_told_of_them() {
    let driver = StandIn::with_mood('s');
    let (source, said) = source(&driver, LONG);
    let first = source.current();
    assert!(!first.probed && first.devices.is_empty() && first.cpu.0 >= 1_000 && first.host_memory.0 > 0);
    let found = wait_for(&said, |inventory| inventory.probed);
    assert_eq!(usable(&found), 2);
    let device = &found.devices[0];
    assert_eq!((&*device.model, device.memory.0, device.simulated), ("NVIDIA H200", 143_171, false));
    assert_eq!(device.telemetry.power_mw, Some(75_000));
    assert_eq!(found.abilities[0].detail, "driver 580.65.06, 2 devices");
    assert_eq!(source.current(), found);
    source.stop();
    assert_eq!(said.try_iter().count(), 0, "readings that do not move are not repeated");
}

#[test]
fn devices_of_a_driver_that_comes_later_appear() {
    let driver = StandIn::with_mood('n');
    let (_source, said) = source(&driver, LONG);
    let none = wait_for(&said, |inventory| inventory.probed);
    assert!(none.devices.is_empty() && !none.abilities[0].works);
    assert!(none.abilities[0].detail.contains("driver is not loaded; run `sudo modprobe nvidia`"));
    driver.mood('z');
    let empty = wait_for(&said, |inventory| inventory.abilities[0].works);
    assert!(empty.abilities[0].detail.ends_with("reports no devices"));
    driver.mood('o');
    wait_for(&said, |inventory| usable(inventory) == 2);
}

#[test]
fn a_hung_driver_makes_its_devices_unusable_with_a_reason_until_it_answers_again() {
    let driver = StandIn::new(&[]);
    let (_source, said) = source(&driver, SHORT);
    wait_for(&said, |inventory| usable(inventory) == 2);
    driver.mood('h');
    let hung = wait_for(&said, |inventory| usable(inventory) == 0);
    let reason = hung.devices[0].unusable.as_deref().unwrap();
    assert!(reason.starts_with("the NVIDIA driver did not answer within 300 ms"), "{reason}");
    assert_eq!(&*hung.devices[0].model, "NVIDIA H200", "what was known stays known");
    driver.mood('o');
    wait_for(&said, |inventory| usable(inventory) == 2);
}

#[test]
fn one_lost_device_becomes_unusable_and_comes_back_alone() {
    let driver = StandIn::new(&[]);
    let (_source, said) = source(&driver, LONG);
    let before = wait_for(&said, |inventory| usable(inventory) == 2);
    driver.mood('l');
    let lost = wait_for(&said, |inventory| usable(inventory) == 1);
    assert_eq!(lost.devices[1].uuid, before.devices[1].uuid);
    assert!(lost.devices[1].unusable.as_deref().unwrap().contains("cannot use this device"));
    driver.mood('o');
    wait_for(&said, |inventory| usable(inventory) == 2);
}

#[test]
fn stopping_does_not_wait_for_a_driver_that_hangs() {
    let driver = StandIn::with_mood('H');
    let config = DeviceConfig { first_deadline: LONG, ..DeviceConfig::new(driver.command(), None) };
    let source = DeviceSource::start(config, |_| (), |_| ()).unwrap();
    let began = Instant::now();
    source.stop();
    assert!(began.elapsed() < LONG / 2, "took {:?}", began.elapsed());
}

#[test]
fn the_doctor_finds_the_driver_or_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let driver = StandIn::new(&[]);
    let checks = doctor::checks(folder.path(), &driver.command());
    let named = |name: &str| checks.iter().find(|check| check.name == name).expect(name);
    assert_eq!(named("driver").found, "driver 580.65.06; NVIDIA H200, NVIDIA L4");
    assert!(!named("namespaces").found.contains("probe process"), "{:?}", named("namespaces"));
    for check in &checks {
        assert_eq!(check.fix.is_some(), check.status != CheckStatus::Ok, "{check:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");

    driver.mood('v');
    let sick = doctor::checks(folder.path(), &driver.command());
    assert_eq!((sick[0].name, sick[0].status), ("driver", CheckStatus::Fail));
    assert!(sick[0].fix.as_deref().unwrap().contains("restart the machine"));

    let none = doctor::checks(folder.path(), &command(Path::new("/nonexistent/libnvidia-ml.so.1")));
    assert_eq!(none[0].status, CheckStatus::Warn, "a machine without GPUs is not broken");
}
