//! What `/proc` says about the processes of a server under test, which are found by its folder.

use std::path::{Path, PathBuf};

use super::machine::field_kib;

/// The kernel counts processor time in hundredths of a second on every Linux that FastGPU runs on.
const TICKS_PER_S: f64 = 100.0;
/// What a guardian calls itself; the kernel keeps 15 characters.
const GUARDIAN: &str = "fastgpu-guard";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) name: String,
    /// In ticks since boot: a pid alone may by now be somebody else.
    started: u64,
}

impl Process {
    pub(super) fn read(pid: i32) -> Option<Self> {
        let (name, fields) = stat(pid)?;
        Some(Self { pid, name, started: fields.get(19)?.parse().ok()? })
    }

    /// True while anything of it is left, a zombie included.
    pub(super) fn is_there(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }

    pub(super) fn is_guardian(&self) -> bool {
        self.name.starts_with(GUARDIAN)
    }

    pub(super) fn rss_kib(&self) -> u64 {
        field_kib(format!("/proc/{}/status", self.pid), "VmRSS:").unwrap_or(0)
    }

    /// Its fair part of the memory that it shares.
    pub(super) fn pss_kib(&self) -> Option<u64> {
        field_kib(format!("/proc/{}/smaps_rollup", self.pid), "Pss:")
    }

    /// User and system time so far.
    pub(super) fn cpu_s(&self) -> f64 {
        let spent = stat(self.pid).map(|(_, fields)| {
            fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
        });
        spent.unwrap_or(0.0) / TICKS_PER_S
    }
}

/// The name, and the fields after it: the third of `stat` is the first here.
fn stat(pid: i32) -> Option<(String, Vec<String>)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A name may hold spaces and brackets; the last bracket closes it.
    let (head, tail) = text.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    Some((name, tail.split_whitespace().map(str::to_owned).collect()))
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Server, keeper, guardians: all that name the folder among their arguments.
pub(super) fn with_argument(folder: &Path) -> Vec<Process> {
    let wanted = folder.as_os_str().as_encoded_bytes();
    let named = pids().filter(|pid| mentions(&PathBuf::from(format!("/proc/{pid}/cmdline")), wanted));
    named.filter_map(Process::read).collect()
}

/// Tasks: all that were started with this among their environment.
pub(super) fn with_environment(words: &str) -> Vec<Process> {
    let named =
        pids().filter(|pid| mentions(&PathBuf::from(format!("/proc/{pid}/environ")), words.as_bytes()));
    named.filter_map(Process::read).collect()
}

/// Tasks of a server: all that work in its folder. A server and its helpers work elsewhere.
pub(super) fn working_in(folder: &Path) -> Vec<Process> {
    let works_there =
        |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    pids().filter(works_there).filter_map(Process::read).collect()
}

fn mentions(file: &Path, wanted: &[u8]) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.windows(wanted.len()).any(|part| part == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_what_it_was_started_with_and_gone_when_reaped() {
        let folder = tempfile::tempdir().unwrap();
        let mark = format!("MARK={}", folder.path().display());
        let script = "read line";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(folder.path())
            .env("MARK", folder.path())
            .current_dir(folder.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = Process::read(pid).expect("it waits for a line");
        // The kernel lets go of us a moment before the new program's words stand in `/proc`.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !with_argument(folder.path()).iter().any(|found| found.pid == pid) {
            assert!(std::time::Instant::now() < deadline, "its words never came");
        }
        assert!(with_environment(&mark).iter().any(|found| found.pid == pid));
        assert!(working_in(folder.path()).iter().any(|found| found.pid == pid));
        assert!(process.is_there() && process.rss_kib() > 0);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!process.is_there());
    }
}
