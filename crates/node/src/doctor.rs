//! What `fastgpu doctor` looks at: everything FastGPU leans on here, tried for real, with a fix for
//! whatever is wrong. What is made for a try is removed again.
//!
//! Each check runs on a thread of its own, so that a hanging disk or driver becomes a finding and the
//! others still answer. Start at [`checks`]; what a check reads of the system is in `system`.

mod system;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroups;
use crate::devices::{MENDED_BY, health};
use crate::probe::{Probe, ProbeCommand, ProbeError, Readings};
use crate::software::Software;

/// No check but the driver's needs longer on a healthy machine.
const CHECK_MAX: Duration = Duration::from_secs(1);
/// Waking the GPUs up takes seconds without persistence mode; a doctor must not call that a fault.
const DRIVER_MAX: Duration = Duration::from_secs(10);
/// What a check may take beyond the deadline of the call it makes.
const SLACK: Duration = Duration::from_millis(700);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// FastGPU runs, but something it offers is missing or slow.
    Warn,
    /// FastGPU or its GPUs cannot be used like this.
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Short and stable: `driver`, `data folder`.
    pub name: &'static str,
    /// How bad it is.
    pub status: CheckStatus,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// What a check says; its name is added to it.
#[derive(Debug)]
struct Finding {
    status: CheckStatus,
    found: String,
    fix: Option<String>,
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self { status: CheckStatus::Ok, found: found.into(), fix: None }
    }

    fn warn(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: CheckStatus::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    fn fail(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: CheckStatus::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Looks at everything, in at most [`DRIVER_MAX`] and a little; on a healthy machine in far less.
#[must_use]
pub fn checks(data_dir: &Path, probe: &ProbeCommand) -> Vec<Check> {
    let software = software(data_dir, probe);
    let running = [
        begin("driver", DRIVER_MAX + SLACK, {
            let (probe, is_needed) = (probe.clone(), software.is_none());
            move || if is_needed { driver(&probe) } else { driver_beside_software(&probe) }
        }),
        begin("device files", CHECK_MAX, || system::device_files(Path::new("/"))),
        begin("control groups", CHECK_MAX, control_groups),
        begin("namespaces", CHECK_MAX, {
            let probe = probe.clone();
            move || namespaces(&probe)
        }),
        begin("data folder", CHECK_MAX, on_folder(data_dir, system::data_folder)),
        begin("disk sync", CHECK_MAX, on_folder(data_dir, system::disk_sync)),
        begin("open files", CHECK_MAX, system::open_files),
        begin("processes", CHECK_MAX, system::processes),
        begin("clock", CHECK_MAX, on_folder(data_dir, system::clock)),
    ];
    let mut found: Vec<_> = running.into_iter().map(Running::finish).collect();
    // Beside the driver; there only where a server has made some.
    if let Some(check) = software {
        found.insert(1, check.finish());
    }
    found
}

/// Asks the software GPUs of the server in this folder the way it does itself.
fn software(data_dir: &Path, probe: &ProbeCommand) -> Option<Running> {
    let software = Software::find(&data_dir.join("node")).ok().flatten()?;
    let probe = software.probe(probe.clone());
    Some(begin("software GPUs", DRIVER_MAX + SLACK, move || {
        let finding = driver(&probe);
        // Nothing of this machine is broken, whatever they say.
        let fix = finding.fix.map(|_| MENDED_BY.to_owned());
        Finding { fix, status: finding.status.min(CheckStatus::Warn), ..finding }
    }))
}

fn on_folder(folder: &Path, check: fn(&Path) -> Finding) -> impl FnOnce() -> Finding + Send + use<> {
    let folder: PathBuf = folder.to_owned();
    move || check(&folder)
}

/// A check under way.
struct Running {
    name: &'static str,
    limit: Duration,
    until: Instant,
    finding: mpsc::Receiver<Finding>,
}

/// A thread that never comes back is left behind: this process ends soon, and nothing can end the thread.
fn begin(name: &'static str, limit: Duration, check: impl FnOnce() -> Finding + Send + 'static) -> Running {
    let (tell, finding) = mpsc::channel();
    // Without a thread the sender is dropped, and the check counts as not finished.
    let _ = thread::Builder::new().name(format!("doctor {name}")).spawn(move || drop(tell.send(check())));
    Running { name, limit, until: Instant::now() + limit, finding }
}

impl Running {
    fn finish(self) -> Check {
        let left = self.until.saturating_duration_since(Instant::now());
        let finding = self.finding.recv_timeout(left).unwrap_or_else(|_| {
            let found = format!("no answer within {} s", self.limit.as_secs());
            Finding::fail(found, "look at `sudo dmesg` for a disk or driver that hangs")
        });
        Check { name: self.name, status: finding.status, found: finding.found, fix: finding.fix }
    }
}

fn driver(command: &ProbeCommand) -> Finding {
    match Probe::start(command.clone(), DRIVER_MAX) {
        Ok((_, readings)) => driver_readings(&readings),
        Err(error) => {
            let finding = if error.is_absence() { Finding::warn } else { Finding::fail };
            finding(error.to_string(), error.help().unwrap_or_default())
        }
    }
}

/// A server with software GPUs does without a driver.
fn driver_beside_software(command: &ProbeCommand) -> Finding {
    match Probe::start(command.clone(), DRIVER_MAX) {
        Err(error) if error.is_absence() => {
            Finding::ok("there is none, and none is needed: the GPUs of this server are software GPUs")
        }
        _ => driver(command),
    }
}

fn driver_readings(readings: &Readings) -> Finding {
    let version = readings.driver.as_deref().unwrap_or("of unknown version");
    if readings.devices.is_empty() {
        let fix = "check with `lspci | grep -i nvidia` that the machine sees its GPUs";
        return Finding::warn(format!("driver {version} works and reports no devices"), fix);
    }
    if let Some(finding) = ailments(version, readings) {
        return finding;
    }
    let models: Vec<_> =
        readings.devices.iter().map(|device| device.name.as_deref().unwrap_or("unknown model")).collect();
    Finding::ok(format!("driver {version}; {}", counted(&models)))
}

/// Devices that are not well: those that do not answer, memory errors that could not be corrected, and what the
/// driver wants done.
fn ailments(version: &str, readings: &Readings) -> Option<Finding> {
    const RESTART: &str = "look at `sudo dmesg | grep -i xid` and restart the machine";
    const RESET: &str = "when nothing runs on it, stop the server and reset the device with \
                         `sudo nvidia-smi --gpu-reset -i NUMBER`; if errors come again, have it replaced";
    let (mut found, mut is_bad, mut is_lost) = (Vec::new(), false, false);
    for device in &readings.devices {
        let errors = device.memory_errors.filter(|&errors| errors > 0).map(|errors| match errors {
            1 => "1 memory error that could not be corrected".to_owned(),
            _ => format!("{errors} memory errors that could not be corrected"),
        });
        let wish =
            device.recovery_action.filter(|&action| action > 0).map(|action| health::wish(action).to_owned());
        let pending = device.remap_pending.then(|| "broken rows of memory wait for a reset".to_owned());
        let failed = device.remap_failed.then(|| "broken rows of memory cannot be replaced".to_owned());
        is_lost |= device.trouble.is_some();
        is_bad |= device.trouble.is_some() || wish.is_some() || failed.is_some();
        let ills: Vec<_> =
            [device.trouble.clone(), errors, wish, pending, failed].into_iter().flatten().collect();
        if !ills.is_empty() {
            found.push(format!("device {}: {}", device.index, ills.join(", ")));
        }
    }
    let finding = if is_bad { Finding::fail } else { Finding::warn };
    let fix = if is_lost { RESTART } else { RESET };
    (!found.is_empty()).then(|| finding(format!("driver {version}; {}", found.join("; ")), fix.to_owned()))
}

/// `8 x NVIDIA H200, NVIDIA L4`: neighbours of one kind are counted.
fn counted(models: &[&str]) -> String {
    let runs = models.chunk_by(|a, b| a == b);
    let shown = runs
        .map(|run| if run.len() == 1 { run[0].to_owned() } else { format!("{} x {}", run.len(), run[0]) });
    shown.collect::<Vec<_>>().join(", ")
}

/// Tries what the keeper would, under a name of its own.
fn control_groups() -> Finding {
    let (mut groups, abilities) = Cgroups::detect(Path::new(&format!("doctor-{}", std::process::id())), true);
    groups.remove_all();
    let found: Vec<_> =
        abilities.iter().map(|ability| format!("{}: {}", ability.name, ability.detail)).collect();
    let found = found.join("; ");
    if abilities.iter().all(|ability| ability.works) {
        return Finding::ok(found);
    }
    Finding::warn(found, "run FastGPU as root, or as a systemd service with `Delegate=yes`")
}

fn namespaces(command: &ProbeCommand) -> Finding {
    match command.try_namespaces(CHECK_MAX - SLACK / 2) {
        Ok(()) => Finding::ok("a task can be kept from seeing the server's data and settings"),
        Err(refusal @ ProbeError::Refused { .. }) => {
            let fix = "run FastGPU as root, or allow user namespaces: `sudo sysctl user.max_user_namespaces=10000` \
                       and, on Ubuntu, `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`";
            Finding::warn(format!("tasks can see the server's data and settings: {refusal}"), fix)
        }
        Err(error) => Finding::warn(error.to_string(), error.help().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::DeviceReading;

    fn reading(index: u32, name: &str) -> DeviceReading {
        DeviceReading { index, name: Some(name.to_owned()), ..DeviceReading::default() }
    }

    #[test]
    fn devices_are_counted_and_trouble_comes_first() {
        let mut readings = Readings {
            driver: Some("580".to_owned()),
            devices: vec![reading(0, "NVIDIA H200"), reading(1, "NVIDIA H200"), reading(2, "NVIDIA L4")],
        };
        assert_eq!(driver_readings(&readings).found, "driver 580; 2 x NVIDIA H200, NVIDIA L4");
        readings.devices[1].trouble = Some("GPU is lost".to_owned());
        let finding = driver_readings(&readings);
        assert_eq!(
            (finding.status, &*finding.found),
            (CheckStatus::Fail, "driver 580; device 1: GPU is lost")
        );
    }

    #[test]
    fn a_device_that_answers_and_is_not_well_is_a_finding_beside_a_lost_one() {
        let worn = DeviceReading { memory_errors: Some(2), remap_pending: true, ..DeviceReading::default() };
        let mut readings = Readings { driver: Some("580".to_owned()), devices: vec![worn] };
        let finding = driver_readings(&readings);
        assert_eq!(finding.status, CheckStatus::Warn);
        assert_eq!(
            finding.found,
            "driver 580; device 0: 2 memory errors that could not be corrected, \
             broken rows of memory wait for a reset"
        );
        assert!(finding.fix.unwrap().contains("--gpu-reset"));
        let lost =
            DeviceReading { index: 1, trouble: Some("GPU is lost".to_owned()), ..DeviceReading::default() };
        readings.devices.push(lost);
        let finding = driver_readings(&readings);
        assert_eq!(finding.status, CheckStatus::Fail);
        assert!(
            finding.found.contains("2 memory errors") && finding.found.ends_with("device 1: GPU is lost")
        );
    }

    #[test]
    fn a_check_that_never_ends_is_a_finding() {
        let (_keep, never) = mpsc::channel::<()>();
        let running = begin("slow", Duration::from_millis(20), move || {
            let _ = never.recv();
            Finding::ok("")
        });
        let check = running.finish();
        assert_eq!((check.name, check.status), ("slow", CheckStatus::Fail));
        assert!(check.fix.is_some());
    }

    #[test]
    fn a_check_that_breaks_is_a_finding_too() {
        let running = begin("broken", CHECK_MAX, || panic!("a bug in a check"));
        assert_eq!(running.finish().status, CheckStatus::Fail);
    }
}
