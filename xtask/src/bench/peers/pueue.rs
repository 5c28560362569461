//! pueue: a daemon, and a client for each task; its state is a file that it never syncs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::PeerWishes;
use super::side::{
    Daemon, PROGRAM, SLOTS, Side, Work, answer, fetch, find_program, rate, run_to_end, wait_for_daemon,
};
use crate::root::program;

/// It does some twenty tasks a second, whatever the machine.
const TASKS_MAX: usize = 100;
const SETTINGS: &str = "pueue.yml";

struct Pueue {
    client: PathBuf,
    daemon: PathBuf,
    version: String,
}

pub(super) fn find(wishes: &PeerWishes) -> anyhow::Result<Box<dyn Side>> {
    let fetched = crate::root::target_dir()?.join("bench/peers");
    let here =
        |name: &str| find_program(&fetched.join("bin").join(name)).or_else(|_| find_program(Path::new(name)));
    if wishes.install && here("pueued").is_err() {
        let root = fetched.display().to_string();
        fetch(&["cargo", "install", "--locked", "--root", &root, "pueue"])?;
    }
    let client = here("pueue").context("`--install` builds it from crates.io")?;
    let daemon = here("pueued").context("`--install` builds it from crates.io")?;
    let told = answer(program(&client).arg("--version"))?;
    let version = told.split_whitespace().last().unwrap_or("?").to_owned();
    Ok(Box::new(Pueue { client, daemon, version }))
}

impl Pueue {
    fn command(&self, binary: &Path, work: &Work<'_>, words: &[&str]) -> Command {
        let mut command = program(binary);
        command.arg("--config").arg(work.folder.join(SETTINGS)).args(words).current_dir(work.folder);
        command
    }

    fn client(&self, work: &Work<'_>, words: &[&str]) -> Command {
        self.command(&self.client, work, words)
    }

    fn succeeded(&self, work: &Work<'_>) -> anyhow::Result<usize> {
        let status: Value = serde_json::from_str(&answer(&mut self.client(work, &["status", "--json"]))?)?;
        let tasks = status["tasks"].as_object().context("a status without tasks")?;
        Ok(tasks.values().filter(|task| task["status"]["Done"]["result"] == "Success").count())
    }
}

/// A folder and a socket of its own.
fn settings(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "client: {{}}\ndaemon: {{}}\nshared:\n  pueue_directory: {folder}/data\n  runtime_directory: {folder}\n  \
         use_unix_socket: true\n  unix_socket_path: {folder}/socket\n"
    )
}

impl Side for Pueue {
    fn label(&self) -> String {
        format!(
            "pueue {}, {TASKS_MAX} tasks, log files, a client call for each, nothing synced",
            self.version
        )
    }

    fn tasks_max(&self) -> usize {
        TASKS_MAX
    }

    fn tasks_per_s(&self, work: &Work<'_>) -> anyhow::Result<f64> {
        std::fs::create_dir(work.folder.join("data"))?;
        std::fs::write(work.folder.join(SETTINGS), settings(work.folder))?;
        let _daemon =
            Daemon::start(&mut self.command(&self.daemon, work, &[]), &work.folder.join("daemon.log"))?;
        let slots = SLOTS.to_string();
        wait_for_daemon("pueue's daemon", || answer(&mut self.client(work, &["parallel", &slots])).is_ok())?;
        let mut began = None;
        for _ in 0..work.tasks {
            let submitted = self.client(work, &["add", "--", PROGRAM]).stdout(Stdio::null()).status()?;
            ensure!(submitted.success(), "a submit to pueue failed: {submitted}");
            began.get_or_insert_with(Instant::now);
        }
        let began = began.context("no tasks")?;
        run_to_end(&mut self.client(work, &["wait"]))?;
        let rate = rate(work.tasks, began);
        let succeeded = self.succeeded(work)?;
        ensure!(succeeded == work.tasks, "{succeeded} of {} tasks succeeded", work.tasks);
        Ok(rate)
    }
}
