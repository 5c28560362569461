//! Init, shutdown, versions, error texts, names of processes.

use std::ffi::{CStr, c_char};
use std::fs;

use fastgpu_softgpu::ledger::processes::text;
use fastgpu_softgpu::models::DRIVER_VERSION;

use crate::abi::{Code, Out, Text, number, versioned};
use crate::call::call;
use crate::layout::DriverBranch;
use crate::session;

/// CUDA of that driver: `1000 * major + 10 * minor`.
const CUDA_VERSION: u32 = 13_000;
/// A process's name is not longer than this, however much there would be to say.
const NAME_BYTES_MAX: usize = 1_024;

#[unsafe(no_mangle)]
extern "C" fn nvmlInit() -> u32 {
    number(session::begin())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> u32 {
    number(session::begin())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: u32) -> u32 {
    number(session::begin())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> u32 {
    number(session::end())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: u32) -> *const c_char {
    sentence(code).as_ptr()
}

fn sentence(code: u32) -> &'static CStr {
    match code {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        5 => c"Already Initialized",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        8 => c"Insufficient External Power",
        9 => c"Driver Not Loaded",
        10 => c"Timeout",
        11 => c"Interrupt Request Issue",
        12 => c"NVML Shared Library Not Found",
        13 => c"Function Not Found",
        14 => c"Corrupted infoROM",
        15 => c"GPU is lost",
        16 => c"GPU requires reset",
        17 => c"GPU access blocked by the operating system",
        18 => c"Driver/library version mismatch",
        19 => c"In use by another client",
        20 => c"Insufficient Memory",
        21 => c"No data",
        22 => c"vGPU ECC not supported",
        23 => c"Insufficient Resources",
        24 => c"Invalid Frequency",
        25 => c"Argument version mismatch",
        26 => c"Requested functionality has been deprecated",
        27 => c"System is not in ready state",
        28 => c"No supported GPUs were found",
        29 => c"Resource not in correct state to perform requested operation",
        30 => c"Reset type is not supported for given device",
        _ => c"Unknown Error",
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(version: Text, bytes: u32) -> u32 {
    call(|session| {
        let registry = session.ledger.registry_view();
        let said = text(&registry.driver_version);
        version.put(bytes, if said.is_empty() { DRIVER_VERSION } else { said })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetNVMLVersion(version: Text, bytes: u32) -> u32 {
    call(|_| version.put(bytes, &format!("13.{DRIVER_VERSION}")))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion(version: Out<u32>) -> u32 {
    cuda_version(version)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: Out<u32>) -> u32 {
    cuda_version(version)
}

fn cuda_version(version: Out<u32>) -> u32 {
    call(|session| match session.ledger.registry_view().cuda_version {
        0 => version.put(CUDA_VERSION),
        said => version.put(said),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverBranch(branch: Out<DriverBranch>, bytes: u32) -> u32 {
    call(|_| {
        let mut answer = branch.get()?;
        if answer.version != versioned::<DriverBranch>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        if bytes == 0 {
            return Err(Code::InvalidArgument);
        }
        answer.branch = crate::abi::fixed("r580_00");
        branch.put(answer)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetProcessName(pid: u32, name: Text, bytes: u32) -> u32 {
    call(|_| {
        name.check()?;
        if bytes == 0 {
            return Err(Code::InvalidArgument);
        }
        let line = fs::read(format!("/proc/{pid}/cmdline")).map_err(|_| Code::NotFound)?;
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
        // Cut to the room there is, as the driver does.
        let length = first.len().min(NAME_BYTES_MAX).min(bytes as usize - 1);
        let shown = String::from_utf8_lossy(&first[..length]);
        name.put(bytes, &shown)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlUnitGetCount(count: Out<u32>) -> u32 {
    call(|_| count.put(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGetExcludedDeviceCount(count: Out<u32>) -> u32 {
    call(|_| count.put(0))
}
