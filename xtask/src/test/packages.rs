//! System packages that tests need beyond git, a C compiler and the Rust toolchain: Python with `requests`.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::answers;
use crate::root::target_dir;

const MISSING: &str = "python3 with `requests` is missing: \
    run `cargo xtask test --install` as root, or install the packages python3 and python3-requests";

/// What was found, or why a part cannot run.
pub(super) struct Packages {
    pub(super) python: Result<OsString, String>,
}

impl Packages {
    pub(super) fn find(install: bool) -> anyhow::Result<Self> {
        if let Some(python) = find_python() {
            return Ok(Self { python: Ok(python) });
        }
        if !install {
            println!("{MISSING}");
            return Ok(Self { python: Err(MISSING.to_owned()) });
        }
        install_with_apt();
        if find_python().is_none() {
            install_with_pip()?;
        }
        let python = find_python().ok_or_else(|| "python3 with `requests` could not be installed".to_owned());
        Ok(Self { python })
    }
}

/// The first interpreter that has `requests`; a version manager's may lack what the system's has.
fn find_python() -> Option<OsString> {
    let own = target_dir().ok()?.join("python/bin/python3");
    let candidates = ["python3".into(), "/usr/bin/python3".into(), own.into_os_string()];
    candidates.into_iter().find(|python: &OsString| answers(python, &["-c", "import requests"]))
}

/// Does what it can; whether it was enough is seen by looking again.
fn install_with_apt() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: system packages cannot be installed");
        return;
    }
    if !answers("apt-get", &["--version"]) {
        println!("apt-get is not here: system packages cannot be installed");
        return;
    }
    shown("apt-get", &["update", "--quiet"]);
    let words = ["install", "--quiet", "--yes", "--no-install-recommends", "python3", "python3-requests"];
    shown("apt-get", &words);
}

/// Into a virtual environment of our own: the system's Python stays as it is.
fn install_with_pip() -> anyhow::Result<()> {
    let folder = target_dir()?.join("python");
    if shown("python3", &[OsStr::new("-m"), "venv".as_ref(), folder.as_os_str()]) {
        shown(folder.join("bin/python3"), &["-m", "pip", "install", "--quiet", "requests"]);
    }
    Ok(())
}

/// Runs it in sight; true if it ended well.
pub(super) fn shown<W: AsRef<OsStr>>(program: impl AsRef<OsStr>, words: &[W]) -> bool {
    let program = program.as_ref();
    println!(
        "$ {} {}",
        program.display(),
        words.iter().map(|w| w.as_ref().display().to_string()).collect::<Vec<_>>().join(" ")
    );
    let mut command = Command::new(program);
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
    let done = command.status().is_ok_and(|status| status.success());
    if !done {
        println!("{} did not end well", program.display());
    }
    done
}
