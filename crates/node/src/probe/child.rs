//! The probe process itself: loads NVML, answers questions line by line, and may hang or crash.
//!
//! The library is loaded when the first question is read, never before, so that a parent which is gone
//! is noticed (end of input) before a driver gets the chance to hang.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::{Device, Nvml};
use rustix::mount::MountPropagationFlags;
use rustix::process::{Pid, Signal, geteuid, getppid, set_parent_process_death_signal};
use rustix::thread::UnshareFlags;

use super::watch::Watch;
use super::wire::{Answer, Ask, DEVICES_MAX, DeviceReading, QUESTION_BYTES_MAX, Question, Readings, Trouble};
use crate::sys;

/// The library every driver installs.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// NVML's numbers of what [`numbers`] reads.
const NUMBERS: [u32; 4] = [4, 144, 145, 230];
/// What a child says when what it tried works.
pub(super) const TRIED_WELL: &str = "works";

/// The probe child: reads questions on stdin until it ends, answers on stdout. `args` are what the
/// parent appended to the subcommand: `--parent PID [--nvml PATH] [--try namespaces]`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let mut library = OsString::from(LIBRARY);
    let mut parent = None;
    let mut tries = false;
    while let Some(arg) = args.next() {
        match (arg.to_str(), args.next()) {
            (Some("--nvml"), Some(path)) => library = path,
            (Some("--try"), Some(what)) if what == "namespaces" => tries = true,
            (Some("--parent"), Some(pid)) => parent = pid.to_str().and_then(|pid| pid.parse().ok()),
            _ => return ExitCode::from(2),
        }
    }
    if !tied_to(parent) {
        return ExitCode::FAILURE;
    }
    if tries {
        return try_namespaces();
    }
    // A closed pipe is the normal end: the parent is gone or wants no more.
    match answer_all(&library, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What the doctor asks: this process has one thread and ends at once, so it may try what the server
/// itself must not do. Says [`TRIED_WELL`], or why not.
fn try_namespaces() -> ExitCode {
    let flags =
        if geteuid().is_root() { UnshareFlags::NEWNS } else { UnshareFlags::NEWUSER | UnshareFlags::NEWNS };
    #[expect(
        deprecated,
        reason = "only sharing of open files makes it unsafe, and these flags leave that alone"
    )]
    let tried = rustix::thread::unshare(flags);
    // Some systems allow the namespace and then nothing in it.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    let tried = tried.and_then(|()| rustix::mount::mount_change("/", slave));
    let said = tried.map_or_else(|error| error.to_string(), |()| TRIED_WELL.to_owned());
    match io::stdout().write_all(said.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Dies with the parent, even inside a driver call that never returns. False when the parent is gone.
fn tied_to(parent: Option<i32>) -> bool {
    let Some(parent) = parent.filter(|pid| *pid > 0).and_then(Pid::from_raw) else { return true };
    set_parent_process_death_signal(Some(Signal::KILL)).is_ok() && getppid() == Some(parent)
}

fn answer_all(library: &OsString, input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut driver = None;
    let mut is_small = false;
    loop {
        let mut line = Vec::new();
        (&mut input).take(QUESTION_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let question: Question = serde_json::from_slice(&line)?;
        let result = open(&mut driver, library).and_then(|driver| read(driver, question.ask));
        let mut answer = serde_json::to_vec(&Answer { seq: question.seq, result })?;
        answer.push(b'\n');
        output.write_all(&answer)?;
        output.flush()?;
        // What is done once is done: the driver is loaded, the devices are found.
        if !std::mem::replace(&mut is_small, true) {
            sys::drop_code_pages();
        }
    }
}

/// The opened driver, and what listens to its reports.
struct Driver {
    /// Never shut down, on purpose: a driver may hang in that too, and the kernel cleans up.
    nvml: &'static Nvml,
    watches: Vec<Watch>,
}

fn open<'a>(driver: &'a mut Option<Driver>, library: &OsString) -> Result<&'a mut Driver, Trouble> {
    match driver {
        Some(open) => Ok(open),
        None => {
            let fresh = Nvml::builder().lib_path(library).init();
            let nvml = Box::leak(Box::new(fresh.map_err(|error| trouble("starting", &error))?));
            Ok(driver.insert(Driver { nvml, watches: Vec::new() }))
        }
    }
}

fn trouble(step: &str, error: &NvmlError) -> Trouble {
    match error {
        NvmlError::LibloadingError(detail) => Trouble::NoLibrary { detail: detail.to_string() },
        NvmlError::FailedToLoadSymbol(detail) => Trouble::NotNvml { detail: detail.clone() },
        NvmlError::DriverNotLoaded => Trouble::NotLoaded,
        NvmlError::LibRmVersionMismatch => Trouble::VersionMismatch,
        NvmlError::NoPermission => Trouble::NoPermission,
        other => Trouble::Driver { step: step.to_owned(), detail: other.to_string() },
    }
}

fn read(driver: &mut Driver, ask: Ask) -> Result<Readings, Trouble> {
    let nvml = driver.nvml;
    let count = nvml.device_count().map_err(|error| trouble("counting the devices", &error))?;
    if count > DEVICES_MAX {
        let detail = format!("it reports {count} devices; at most {DEVICES_MAX} are believed");
        return Err(Trouble::Driver { step: "counting the devices".to_owned(), detail });
    }
    for index in 0..count {
        if driver.watches.iter().all(|watch| watch.index != index) {
            driver.watches.push(Watch::start(nvml, index));
        }
    }
    let version = nvml.sys_driver_version().ok();
    let mut devices: Vec<_> = (0..count).map(|index| read_device(nvml, index, ask)).collect();
    for device in &mut devices {
        let is_ill = device.trouble.is_some() || device.recovery_action.is_some_and(|action| action > 0);
        if let Some(watch) = driver.watches.iter_mut().find(|watch| watch.index == device.index) {
            watch.renew(nvml, is_ill);
            device.xids = watch.news(is_ill);
        }
    }
    Ok(Readings { driver: version, devices })
}

fn read_device(nvml: &Nvml, index: u32, ask: Ask) -> DeviceReading {
    let mut reading = DeviceReading { index, ..DeviceReading::default() };
    let device = match nvml.device_by_index(index) {
        Ok(device) => device,
        Err(error) => {
            reading.trouble = Some(trouble_words(&error));
            return reading;
        }
    };
    let lost = &mut reading.trouble;
    reading.uuid = known(device.uuid(), lost);
    let memory = known(device.memory_info(), lost);
    reading.memory_used_bytes = memory.as_ref().map(|memory| memory.used);
    reading.power_mw = known(device.power_usage(), lost);
    reading.temperature_c = known(device.temperature(TemperatureSensor::Gpu), lost);
    reading.utilization_percent = known(device.utilization_rates(), lost).map(|rates| rates.gpu);
    let [errors, pending, failed, action] = numbers(&device, lost);
    reading.memory_errors = errors;
    reading.remap_pending = pending.is_some_and(|rows| rows > 0);
    reading.remap_failed = failed.is_some_and(|rows| rows > 0);
    reading.recovery_action = action.map(|action| u32::try_from(action).unwrap_or(u32::MAX));
    if ask == Ask::Inventory {
        reading.memory_total_bytes = memory.as_ref().map(|memory| memory.total);
        reading.memory_reserved_bytes = memory.as_ref().map(|memory| memory.reserved);
        reading.name = known(device.name(), lost);
        reading.pci = known(device.pci_info(), lost).map(|pci| pci.bus_id);
        reading.mig = known(device.mig_mode(), lost).map(|mode| mode.current == 1);
    }
    reading
}

/// Several small readings in one call: memory errors that could not be corrected, rows whose remapping is pending
/// or failed, and the recovery action.
fn numbers(device: &Device<'_>, lost: &mut Option<String>) -> [Option<u64>; 4] {
    let samples = known(device.field_values_for(&NUMBERS.map(FieldId)), lost).unwrap_or_default();
    let mut samples = samples.into_iter();
    NUMBERS.map(|_| match known(samples.next()?.and_then(|sample| sample.value), lost)? {
        SampleValue::U32(value) => Some(value.into()),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::F64(_) => None,
    })
}

/// A reading that a device, a driver or a right does not offer is simply missing; a lost device is news.
fn known<T>(reading: Result<T, NvmlError>, lost: &mut Option<String>) -> Option<T> {
    match reading {
        Ok(value) => Some(value),
        Err(error @ (NvmlError::GpuLost | NvmlError::ResetRequired)) => {
            lost.get_or_insert_with(|| trouble_words(&error));
            None
        }
        Err(_) => None,
    }
}

/// What `nvidia-smi` says too, so that it can be looked up.
fn trouble_words(error: &NvmlError) -> String {
    match error {
        NvmlError::GpuLost => "GPU is lost".to_owned(),
        NvmlError::ResetRequired => "GPU requires reset".to_owned(),
        other => other.to_string(),
    }
}
