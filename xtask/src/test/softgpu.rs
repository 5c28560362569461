//! The tests of the software GPU that are no Rust: C programs, NVIDIA's runtime and Python's bindings on it.
//!
//! They need a virtual environment with pinned wheels, `target/cuda-python`; [`environment`] makes it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use super::answers;
use super::packages::shown;
use crate::root::{program, project_root, target_dir};

/// What must be built before the tests run; `cargo test` builds no libraries for C.
pub(super) const BUILD: [&str; 7] =
    ["build", "-p", "fastgpu-softgpu", "-p", "fastgpu-softgpu-cuda", "-p", "fastgpu-softgpu-nvml"];

const MISSING: &str =
    "the wheels of NVIDIA's runtime are missing: run `cargo xtask test --install`, which needs PyPI";

/// The interpreter of the environment with exactly the pinned wheels, made anew when the pins have changed.
pub(super) fn environment(install: bool) -> anyhow::Result<Result<OsString, String>> {
    let folder = target_dir()?.join("cuda-python");
    let pins = project_root()?.join("tests/softgpu/requirements.txt");
    let wanted = std::fs::read(&pins)?;
    let done = folder.join("installed");
    let python = folder.join("bin/python3");
    let is_there = || std::fs::read(&done).is_ok_and(|found| found == wanted) && answers(&python, &["-V"]);
    if is_there() {
        return Ok(Ok(python.into_os_string()));
    }
    if install && make(&folder, &python, pins.as_os_str()) {
        std::fs::write(&done, &wanted)?;
        return Ok(Ok(python.into_os_string()));
    }
    Ok(Err(MISSING.to_owned()))
}

/// The system's own interpreter may come without `venv`; then another one on the path may have it.
fn make(folder: &std::path::Path, python: &std::path::Path, pins: &OsStr) -> bool {
    let venv = [OsStr::new("-m"), "venv".as_ref(), "--clear".as_ref(), folder.as_os_str()];
    let made = ["python3", "/usr/bin/python3"].iter().any(|name| shown(name, &venv));
    let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).chain([pins]).collect();
    made && shown(python, &words)
}

/// The standard library's runner over `tests/softgpu`.
pub(super) fn tests(python: &OsStr) -> anyhow::Result<Command> {
    let mut command = program(python);
    command.args(["-B", "-m", "unittest", "discover", "--start-directory", "tests/softgpu", "--verbose"]);
    command.current_dir(project_root()?).env("FASTGPU_TARGET", debug_folder()?);
    Ok(command)
}

fn debug_folder() -> anyhow::Result<PathBuf> {
    Ok(target_dir()?.join("debug"))
}
