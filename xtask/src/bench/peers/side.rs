//! What every side of a comparison does, and the helpers that sides of other makers need.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::root::program;

/// Slots of every side.
pub(super) const SLOTS: usize = super::super::DEVICES;
/// What every side runs.
pub(super) const PROGRAM: &str = "/bin/true";
/// At a hundredth of the pace that is wanted, a run would still end.
pub(super) const RUN_WAIT: Duration = Duration::from_secs(300);
/// How long a daemon gets to come up, and to go.
const DAEMON_WAIT: Duration = Duration::from_secs(20);

/// One run: so many programs, in a fresh folder on the disk that is measured.
pub(super) struct Work<'a> {
    pub(super) folder: &'a Path,
    pub(super) tasks: usize,
}

/// Somebody who runs programs in slots.
pub(super) trait Side {
    /// Name, version and how it was set up.
    fn label(&self) -> String;

    /// More in one run would take too long.
    fn tasks_max(&self) -> usize {
        usize::MAX
    }

    /// Runs the program so often, from the first acknowledged submit to the last end that a client sees, and checks
    /// that all of them succeeded.
    fn tasks_per_s(&self, work: &Work<'_>) -> anyhow::Result<f64>;
}

pub(super) fn rate(tasks: usize, since: Instant) -> f64 {
    tasks as f64 / since.elapsed().as_secs_f64()
}

/// Where a program is, by a path or among the folders of `PATH`.
pub(super) fn find_program(name: &Path) -> anyhow::Result<PathBuf> {
    let beside = |folder: PathBuf| folder.join(name);
    let places = if name.components().count() > 1 {
        vec![std::path::absolute(name)?]
    } else {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).map(beside).collect()
    };
    places
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("`{}` is not here", name.display()))
}

/// What a program says, all told, if it ends well.
pub(super) fn answer(command: &mut Command) -> anyhow::Result<String> {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&stdout).into_owned();
    ensure!(status.success(), "{command:?}: {status}: {told}{}", String::from_utf8_lossy(&stderr));
    Ok(told)
}

/// Asks again until the answer is yes.
pub(super) fn wait_until(what: &str, span: Duration, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + span;
    while !ready() {
        ensure!(Instant::now() < deadline, "{what}: not after {} s", span.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(super) fn wait_for_daemon(what: &str, ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    wait_until(what, DAEMON_WAIT, ready)
}

/// Runs a program that must end well within the time of a run.
pub(super) fn run_to_end(command: &mut Command) -> anyhow::Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + RUN_WAIT;
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{command:?}: {status}");
            return Ok(());
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("{command:?}: not after {} s", RUN_WAIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process in the background that ends with us.
pub(super) struct Daemon(Child);

impl Daemon {
    /// What it says goes to a file beside its data.
    pub(super) fn start(command: &mut Command, said: &Path) -> anyhow::Result<Self> {
        let said = std::fs::File::create(said)?;
        let child = command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).spawn()?;
        Ok(Self(child))
    }

    /// Waits for an end that it was asked for.
    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        wait_for_daemon("an end", || self.0.try_wait().is_ok_and(|ended| ended.is_some()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Makes cargo or apt fetch something by its name.
pub(super) fn fetch(words: &[&str]) -> anyhow::Result<()> {
    println!("  {}", words.join(" "));
    let status = program(words[0]).args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "`{}`: {status}", words.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_or_path() {
        assert!(find_program(Path::new("sh")).is_ok());
        assert!(find_program(Path::new("/bin/sh")).is_ok());
        assert!(find_program(Path::new("no-such-program-here")).is_err());
    }

    #[test]
    fn a_daemon_does_not_outlive_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(program("sleep").arg("3600"), &folder.path().join("said")).unwrap();
        let pid = i32::try_from(daemon.0.id()).unwrap();
        assert!(super::super::super::process::Process::read(pid).is_some());
        drop(daemon);
        assert!(super::super::super::process::Process::read(pid).is_none());
    }
}
