//! HyperQueue: a server with a journal and one worker, everything submitted as one array.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::PeerWishes;
use super::side::{
    Daemon, PROGRAM, SLOTS, Side, Work, answer, find_program, rate, run_to_end, wait_for_daemon,
};
use crate::root::program;

/// Names the binary where no flag does.
const VARIABLE: &str = "FASTGPU_BENCH_HQ";
/// Its default: the journal is written and synced so often, not at the end of each task.
const FLUSH_PERIOD: &str = "30s";

/// What becomes of what the programs write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logs {
    /// A file for each stream of each task, as it does when nothing is said.
    Files,
    None,
}

struct HyperQueue {
    binary: PathBuf,
    version: String,
    logs: Logs,
}

pub(super) fn find(wishes: &PeerWishes, logs: Logs) -> anyhow::Result<Box<dyn Side>> {
    let named = wishes.hq.clone().or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    let binary = find_program(named.as_deref().unwrap_or(Path::new("hq"))).with_context(|| {
        let wanted = named.as_deref().unwrap_or(Path::new("hq")).display();
        format!("no registry has it by name; build it, and name `hq` with --hq PATH or {VARIABLE} ({wanted})")
    })?;
    let told = answer(program(&binary).arg("--version"))?;
    let version = told.split_whitespace().last().unwrap_or("?").to_owned();
    Ok(Box::new(HyperQueue { binary, version, logs }))
}

impl HyperQueue {
    fn command(&self, work: &Work<'_>, words: &[&str]) -> Command {
        let mut command = program(&self.binary);
        // Its files of output go below the folder that it is called in.
        command.arg("--server-dir").arg(work.folder.join("server")).args(words).current_dir(work.folder);
        command
    }

    fn start(&self, work: &Work<'_>) -> anyhow::Result<[Daemon; 2]> {
        let mut words = vec!["server", "start", "--host", "127.0.0.1", "--journal", "journal"];
        words.extend(["--journal-flush-period", FLUSH_PERIOD]);
        let server = Daemon::start(&mut self.command(work, &words), &work.folder.join("server.log"))?;
        wait_for_daemon("HyperQueue's server", || {
            answer(&mut self.command(work, &["server", "info"])).is_ok()
        })?;
        let slots = SLOTS.to_string();
        let words = ["worker", "start", "--cpus", &slots, "--detect-resources", "none", "--manager", "none"];
        let worker = Daemon::start(&mut self.command(work, &words), &work.folder.join("worker.log"))?;
        wait_for_daemon("HyperQueue's worker", || {
            answer(&mut self.command(work, &["worker", "list"])).is_ok_and(|list| list.contains("RUNNING"))
        })?;
        Ok([server, worker])
    }

    fn finished(&self, work: &Work<'_>) -> anyhow::Result<u64> {
        let list = answer(&mut self.command(work, &["job", "list", "--all", "--output-mode", "json"]))?;
        let list: Value = serde_json::from_str(&list)?;
        list[0]["task_stats"]["finished"].as_u64().with_context(|| format!("no finished tasks in {list}"))
    }
}

impl Side for HyperQueue {
    fn label(&self) -> String {
        let logs = match self.logs {
            Logs::Files => "log files",
            Logs::None => "no logs",
        };
        format!("HyperQueue {}, {logs}, journal flushed every {FLUSH_PERIOD}", self.version)
    }

    fn tasks_per_s(&self, work: &Work<'_>) -> anyhow::Result<f64> {
        let [mut server, mut worker] = self.start(work)?;
        let array = format!("1-{}", work.tasks);
        let mut words = vec!["submit", "--array", &array];
        if self.logs == Logs::None {
            words.extend(["--stdout", "none", "--stderr", "none"]);
        }
        words.extend(["--", PROGRAM]);
        answer(&mut self.command(work, &words))?;
        let began = Instant::now();
        run_to_end(&mut self.command(work, &["job", "wait", "last"]))?;
        let rate = rate(work.tasks, began);
        let finished = self.finished(work)?;
        ensure!(finished == work.tasks as u64, "{finished} of {} tasks finished", work.tasks);
        answer(&mut self.command(work, &["server", "stop"]))?;
        server.wait()?;
        worker.wait()?;
        Ok(rate)
    }
}
