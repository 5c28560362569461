//! task-spooler: one client process for each task, which waits until its task has ended; nothing is on disk but the
//! output.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::PeerWishes;
use super::side::{PROGRAM, RUN_WAIT, SLOTS, Side, Work, answer, fetch, find_program, rate, wait_until};
use crate::root::program;

/// Debian's name for it; others call it `ts`.
const NAME: &str = "tsp";

struct TaskSpooler {
    binary: PathBuf,
    version: String,
}

pub(super) fn find(wishes: &PeerWishes) -> anyhow::Result<Box<dyn Side>> {
    if wishes.install && find_program(Path::new(NAME)).is_err() {
        fetch(&["apt-get", "install", "--yes", "task-spooler"])?;
    }
    let binary =
        find_program(Path::new(NAME)).context("`--install` fetches Debian's package task-spooler")?;
    let told = answer(program(&binary).arg("-V"))?;
    let version = told.split_whitespace().find(|word| word.starts_with('v')).unwrap_or("?").to_owned();
    Ok(Box::new(TaskSpooler { binary, version }))
}

/// Its server starts with the first client and is told to go at the end, whatever happened.
struct Queue<'a> {
    of: &'a TaskSpooler,
    folder: &'a Path,
}

impl Queue<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = program(&self.of.binary);
        command.args(words).stdin(Stdio::null()).current_dir(self.folder);
        command.env("TS_SOCKET", self.folder.join("socket")).env("TMPDIR", self.folder);
        command.env("TS_SLOTS", SLOTS.to_string()).env("TS_MAXFINISHED", "10");
        command
    }

    fn is_idle(&self) -> bool {
        let listed = answer(&mut self.command(&["-l"]));
        listed.is_ok_and(|list| {
            let states = list.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
            !states.into_iter().any(|state| matches!(state, "queued" | "running" | "allocating"))
        })
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        self.command(&["-K"]).status().ok();
    }
}

impl Side for TaskSpooler {
    fn label(&self) -> String {
        format!("task-spooler {}, log files, a client for each task, nothing synced", self.version)
    }

    fn tasks_per_s(&self, work: &Work<'_>) -> anyhow::Result<f64> {
        let queue = Queue { of: self, folder: work.folder };
        answer(&mut queue.command(&["-l"]))?;
        let mut began = None;
        for _ in 0..work.tasks {
            let submitted = queue.command(&[PROGRAM]).stdout(Stdio::null()).status()?;
            ensure!(submitted.success(), "a submit to task-spooler failed: {submitted}");
            began.get_or_insert_with(Instant::now);
        }
        let began = began.context("no tasks")?;
        // Waits for the one that was added last.
        answer(&mut queue.command(&["-w"]))?;
        wait_until("task-spooler's last tasks", RUN_WAIT, || queue.is_idle())?;
        let rate = rate(work.tasks, began);
        let outputs = std::fs::read_dir(work.folder)?.flatten();
        let outputs =
            outputs.filter(|file| file.file_name().to_string_lossy().starts_with("ts-out.")).count();
        ensure!(outputs == work.tasks, "{outputs} outputs of {} tasks", work.tasks);
        Ok(rate)
    }
}
