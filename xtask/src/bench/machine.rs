//! What the numbers were measured on; written beside every number.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

pub(super) fn describe(work: &Path) -> Value {
    json!({
        "cpu": cpu_model(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_mib": field_kib("/proc/meminfo", "MemTotal:").map(|kib| kib / 1024),
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "disk": disk_of(work),
        "load": first_line("/proc/loadavg"),
        "date": answer("date", &["--utc", "--iso-8601=seconds"]),
        "git_commit": commit(),
    })
}

/// The commit, with a mark if what was built is not what is committed.
fn commit() -> Option<String> {
    let commit = answer("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = answer("git", &["status", "--porcelain", "--untracked-files=no"])
        .is_some_and(|text| !text.is_empty());
    Some(if changed { format!("{commit} with changes") } else { commit })
}

/// The 1-minute load average.
pub(super) fn load() -> f64 {
    first_line("/proc/loadavg").and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0.0)
}

fn cpu_model() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// File system, device and options of the mount that holds the folder.
fn disk_of(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter(|fields| fields.len() > 3 && folder.starts_with(fields[1]));
    let nearest = holding.max_by_key(|fields| fields[1].len())?;
    Some(format!("{} on {} ({})", nearest[2], nearest[0], nearest[3]))
}

/// A number of KiB from a file of `Name:   123 kB` lines.
pub(super) fn field_kib(path: impl AsRef<Path>, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn first_line(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

fn answer(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
