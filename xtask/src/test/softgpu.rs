//! The tests of the software GPU that are no Rust: C programs, NVIDIA's runtime and Python's bindings on it.
//!
//! They need a virtual environment with pinned wheels, `target/cuda-python`; [`environment`] makes it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::answers;
use super::packages::shown;
use crate::root::{program, project_root, target_dir};

/// What must be built before the tests run; `cargo test` builds no libraries for C.
pub(super) const BUILD: [&str; 7] =
    ["build", "-p", "fastgpu-softgpu", "-p", "fastgpu-softgpu-cuda", "-p", "fastgpu-softgpu-nvml"];

const MISSING: &str =
    "the wheels of NVIDIA's runtime are missing: run `cargo xtask test --install`, which needs PyPI";

/// What is installed beside the environment's own packages: the folder in it, the pins, and more words for pip.
///
/// The wheel with the old runtime is for another interpreter, which does not matter to what it carries.
const BESIDE: [(&str, &str, &[&str]); 2] = [
    (
        "ten",
        "requirements-ten.txt",
        &["--platform", "manylinux1_x86_64", "--python-version", "3.8", "--only-binary=:all:"],
    ),
    ("cupy", "requirements-cupy.txt", &[]),
];

/// The interpreter of the environment with exactly the pinned wheels, made anew when the pins have changed.
pub(super) fn environment(install: bool) -> anyhow::Result<Result<OsString, String>> {
    let folder = target_dir()?.join("cuda-python");
    let pins = project_root()?.join("tests/softgpu");
    let mut wanted = Vec::new();
    for name in BESIDE.iter().map(|(_, name, _)| *name).chain(["requirements.txt"]) {
        wanted.extend(std::fs::read(pins.join(name))?);
    }
    let done = folder.join("installed");
    let python = folder.join("bin/python3");
    let is_there = || std::fs::read(&done).is_ok_and(|found| found == wanted) && answers(&python, &["-V"]);
    if is_there() {
        return Ok(Ok(python.into_os_string()));
    }
    if install && make(&folder, &python, &pins) {
        std::fs::write(&done, &wanted)?;
        return Ok(Ok(python.into_os_string()));
    }
    Ok(Err(MISSING.to_owned()))
}

/// The system's own interpreter may come without `venv`; then another one on the path may have it.
fn make(folder: &Path, python: &Path, pins: &Path) -> bool {
    let venv = [OsStr::new("-m"), "venv".as_ref(), "--clear".as_ref(), folder.as_os_str()];
    let install = |pins: PathBuf, more: Vec<OsString>| {
        let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        let words = words.iter().map(OsString::from).chain([pins.into_os_string()]).chain(more);
        shown(python, &words.collect::<Vec<_>>())
    };
    ["python3", "/usr/bin/python3"].iter().any(|name| shown(name, &venv))
        && install(pins.join("requirements.txt"), Vec::new())
        && BESIDE.iter().all(|(name, list, more)| {
            let target = ["--no-deps".into(), "--target".into(), folder.join(name).into_os_string()];
            install(pins.join(list), more.iter().map(OsString::from).chain(target).collect())
        })
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
