//! The libraries as files: written once per build, in a folder that is named by what is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::folder::make_private_folder;

/// What programs know the driver's library as.
pub(super) const CUDA: &str = "libcuda.so.1";
/// What programs know the management library as.
pub(super) const NVML: &str = "libnvidia-ml.so.1";

/// Made by the build script.
const FILES: [(&str, &[u8]); 2] = [
    (CUDA, include_bytes!(concat!(env!("OUT_DIR"), "/libcuda.so.1"))),
    (NVML, include_bytes!(concat!(env!("OUT_DIR"), "/libnvidia-ml.so.1"))),
];

/// Where this build's libraries are.
pub(super) fn folder(softgpu: &Path) -> PathBuf {
    softgpu.join(concat!("lib-", env!("FASTGPU_SOFTGPU_HASH")))
}

/// Writes what is missing or damaged. Folders of other builds stay: tasks that run may use them.
pub(super) fn unpack(softgpu: &Path) -> io::Result<PathBuf> {
    let folder = folder(softgpu);
    make_private_folder(&folder)?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) {
            continue;
        }
        // Under another name first: a program must not load half of it.
        let draft = folder.join(format!("{name}.{}", std::process::id()));
        fs::write(&draft, bytes)?;
        fs::rename(&draft, &path)?;
    }
    Ok(folder)
}
