//! `fastgpu simulate-fault`: breaks a software GPU of this machine, or mends it.
//!
//! It goes to the ledger in the node's folder and to no server: who may enter that folder runs the server,
//! and no token lets anybody else break things.

use std::time::Duration;

use fastgpu_core::ids::DeviceIndex;
use fastgpu_core::node::Device;
use fastgpu_node::software::Software;
use fastgpu_node::software::fault::{DeviceFault, DriverFault, NVML_DELAY_MAX};
use serde::Serialize;

use crate::args::{FaultVerb, SimulateFaultArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// Longest version that the driver's interface has room for.
const VERSION_CHARS_MAX: usize = 31;

#[derive(Serialize)]
struct Done {
    gpus: Vec<u16>,
    fault: String,
}

/// What is to be broken.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Device(DeviceFault),
    Driver(DriverFault),
    /// Everything is to be mended.
    Clear,
}

pub(super) fn run(flags: &SimulateFaultArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let fault = fault_of(&flags.fault)?;
    let software = find(settings)?;
    let devices = software.devices().map_err(|error| unreadable(&error))?;
    let chosen: Vec<u16> = match flags.gpu.as_str() {
        "all" => devices.iter().map(|device| device.index.0).collect(),
        one => vec![index_of(one, &devices)?],
    };
    let failed = |error: std::io::Error| Failure::new(format!("the fault cannot be set: {error}"));
    match &fault {
        Fault::Driver(fault) if flags.gpu == "all" => software.break_driver(fault).map_err(failed)?,
        Fault::Driver(_) => {
            return Err(Failure::usage("the driver is one for all GPUs of the machine").help(format!(
                "write `all` for the GPU: `fastgpu simulate-fault all {}`",
                typed(&flags.fault)
            )));
        }
        Fault::Device(fault) => break_devices(&software, &chosen, *fault)?,
        Fault::Clear => {
            break_devices(&software, &chosen, DeviceFault::Clear)?;
            if flags.gpu == "all" {
                software.break_driver(&DriverFault::Clear).map_err(failed)?;
            }
        }
    }
    let done = Done { gpus: chosen, fault: word_of(&flags.fault) };
    out.one(&done, &flags.gpu, |out| {
        let name = DeviceIndex(done.gpus[0]).to_string();
        let (whom, gpu) = match flags.gpu.as_str() {
            "all" => ("every software GPU", "all"),
            _ => (&*name, &*name),
        };
        let undo = match fault {
            Fault::Clear => String::new(),
            _ => format!("; mend it with `fastgpu simulate-fault {gpu} clear`"),
        };
        out.data(&format!("{whom}: {}{undo}", done.fault))
    })?;
    Ok(0)
}

fn break_devices(software: &Software, chosen: &[u16], fault: DeviceFault) -> Result<(), Failure> {
    chosen.iter().try_for_each(|index| {
        software
            .break_device(usize::from(*index), fault)
            .map_err(|error| Failure::new(format!("gpu-{index}: {error}")))
    })
}

fn find(settings: &Settings) -> Result<Software, Failure> {
    let folder = settings.data_dir.join("node");
    Software::find(&folder).map_err(|error| unreadable(&error))?.ok_or_else(|| {
        Failure::new(format!("there are no software GPUs in {}", settings.data_dir.display())).help(
            "start some with `fastgpu up --simulate 8xH100`, or name the server's folder with `--data-dir`",
        )
    })
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(format!("the software GPUs of this machine cannot be reached: {error}"))
        .help("run this on the server's machine and under the server's account")
}

/// The place of a GPU that is named as anything prints it: `gpu-0`, `gpu0`, `0`, or by its UUID.
fn index_of(text: &str, devices: &[Device]) -> Result<u16, Failure> {
    if let Some(device) = devices.iter().find(|device| device.uuid.eq_ignore_ascii_case(text)) {
        return Ok(device.index.0);
    }
    let digits = text.strip_prefix("gpu").map_or(text, |rest| rest.strip_prefix('-').unwrap_or(rest));
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no GPU"))
            .help("write `gpu-0`, as `fastgpu gpus` names them, a UUID, or `all`")
    })
}

/// The fault of the whole driver as it is typed.
fn typed(verb: &FaultVerb) -> String {
    match verb {
        FaultVerb::NvmlSlow { time } => format!("nvml-slow {time}"),
        FaultVerb::DriverVersion { claimed } => format!("driver-version {claimed}"),
        _ => "nvml-hang".to_owned(),
    }
}

fn fault_of(verb: &FaultVerb) -> Result<Fault, Failure> {
    Ok(match verb {
        FaultVerb::Xid { number } => Fault::Device(DeviceFault::Xid(u64::from(*number))),
        FaultVerb::Ecc { count, uncorrected } => {
            Fault::Device(DeviceFault::Ecc { count: u64::from(*count), uncorrected: *uncorrected })
        }
        FaultVerb::Hang => Fault::Device(DeviceFault::Hang),
        FaultVerb::OffBus => Fault::Device(DeviceFault::OffBus),
        FaultVerb::AllocFail { after } => Fault::Device(DeviceFault::AllocFail { after: *after }),
        FaultVerb::NvmlSlow { time } => Fault::Driver(DriverFault::NvmlSlow(delay_of(time)?)),
        FaultVerb::NvmlHang => Fault::Driver(DriverFault::NvmlHang),
        FaultVerb::DriverVersion { claimed: version } => {
            let sound = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if !sound || version.is_empty() || version.len() > VERSION_CHARS_MAX {
                return Err(Failure::usage(format!("`{version}` is no driver version"))
                    .help("write digits and dots, as in `590.48.01`"));
            }
            Fault::Driver(DriverFault::DriverVersion(version.clone()))
        }
        FaultVerb::Clear => Fault::Clear,
    })
}

fn delay_of(text: &str) -> Result<Duration, Failure> {
    let parsed = fastgpu_api::units::span_text(text).ok().map(|span| Duration::from_millis(span.0));
    parsed.filter(|delay| *delay <= NVML_DELAY_MAX).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no time up to {} s", NVML_DELAY_MAX.as_secs()))
            .help("write for example `500ms` or `3s`")
    })
}

fn word_of(verb: &FaultVerb) -> String {
    match verb {
        FaultVerb::Xid { number } => format!("XID {number} was reported"),
        FaultVerb::Ecc { count, uncorrected: false } => {
            format!("{count} corrected memory errors were counted")
        }
        FaultVerb::Ecc { count, uncorrected: true } => {
            format!("{count} memory errors that cannot be corrected were counted")
        }
        FaultVerb::Hang => "hangs: work is taken and never finished".to_owned(),
        FaultVerb::OffBus => "fell off the bus".to_owned(),
        FaultVerb::AllocFail { after: 0 } => "allocations fail".to_owned(),
        FaultVerb::AllocFail { after } => format!("allocations fail after {after} more"),
        FaultVerb::NvmlSlow { time } => format!("each call of the management library takes {time} longer"),
        FaultVerb::NvmlHang => "calls of the management library do not come back".to_owned(),
        FaultVerb::DriverVersion { claimed } => format!("the driver says it is {claimed}"),
        FaultVerb::Clear => "nothing is wrong any more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_named_as_they_are_listed() {
        let named = ["gpu-3", "gpu3", "3", "gpu-12"].map(|text| index_of(text, &[]).unwrap());
        assert_eq!(named, [3, 3, 3, 12]);
        for bad in ["", "gpu", "gpu-", "gpu--1", "-1", "+1", "three", "70000", "GPU-0000"] {
            assert!(index_of(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_delay_has_a_limit_and_a_version_is_one() {
        assert_eq!(delay_of("500ms").unwrap(), Duration::from_millis(500));
        assert!(delay_of("61s").is_err() && delay_of("soon").is_err());
        assert!(fault_of(&FaultVerb::DriverVersion { claimed: "590;rm".into() }).is_err());
    }
}
