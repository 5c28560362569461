//! Ending everything of an attempt, whatever it tried: sessions of its own, double forks, ignored signals.
//!
//! The guardian is a subreaper: every descendant whose parent ends becomes its child. So nothing is left
//! exactly when `wait` says that there is no child, and this module only has to hasten that. With a
//! version 2 control group one write kills everything at once; without one, descendants are stopped until
//! no new one appears, and then killed.
//!
//! A pid read from a list may have a new owner when it is used. So a process is first pinned by a pidfd,
//! then looked for in the list again, and only then signalled.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::cgroup::AttemptGroups;
use crate::sys::{self, Reaped};

/// How often descendants are stopped and counted again before they are killed; each round only meets what
/// was forked while the one before it ran.
const STOP_ROUNDS_MAX: u32 = 8;

/// How long a keeper, which does nothing else meanwhile, waits until what a vanished guardian left is gone. Only
/// what hangs in the kernel takes longer.
const STRAYS_WAIT_MAX: Duration = Duration::from_millis(500);
const STRAYS_WAIT: Duration = Duration::from_millis(2);

/// Asks every process of the attempt to end.
pub(crate) fn ask_to_end(groups: &AttemptGroups) {
    // Where there is a group, it is asked alone: looking through all processes of a large machine takes
    // longer than many a grace. What has left it is found when it comes to killing.
    let list = || match groups.unified {
        Some(_) => groups.members().into_iter().collect(),
        None => everything(groups),
    };
    // A stopped process would not hear the first without the second.
    signal_each(&list, &[Signal::TERM, Signal::CONT]);
}

/// Kills every process of the attempt that can be found now. Call again until none is left.
pub(crate) fn kill(groups: &AttemptGroups, thorough: bool) {
    if groups.kill() && !thorough {
        return;
    }
    stop_and_kill(&|| everything(groups));
}

/// Holds everything in the list still first, lest it forks while it is being killed.
fn stop_and_kill(list: &impl Fn() -> BTreeSet<i32>) {
    let mut seen = BTreeSet::new();
    for _ in 0..STOP_ROUNDS_MAX {
        let found = signal_each(list, &[Signal::STOP]);
        if found.iter().all(|pid| seen.contains(pid)) {
            break;
        }
        seen.extend(found);
    }
    signal_each(list, &[Signal::KILL]);
}

/// Members of the group, and descendants that have left it.
fn everything(groups: &AttemptGroups) -> BTreeSet<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = descendants(own);
    found.extend(groups.members());
    found.remove(&own);
    found
}

fn signal_each(list: &impl Fn() -> BTreeSet<i32>, signals: &[Signal]) -> BTreeSet<i32> {
    let pinned: Vec<_> = list()
        .into_iter()
        .filter_map(|pid| {
            Some((pid, rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?))
        })
        .collect();
    let still = list();
    let mut reached = BTreeSet::new();
    for (pid, pidfd) in pinned {
        let sent = |&signal: &Signal| rustix::process::pidfd_send_signal(&pidfd, signal).is_ok();
        if still.contains(&pid) && signals.iter().all(sent) {
            reached.insert(pid);
        }
    }
    reached
}

/// Every process below `ancestor`.
fn descendants(ancestor: i32) -> BTreeSet<i32> {
    below(vec![ancestor], &children_of_all())
}

/// Who has which children.
fn children_of_all() -> BTreeMap<i32, Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(parent) = parent_of(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

fn below(mut open: Vec<i32>, children: &BTreeMap<i32, Vec<i32>>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    while let Some(parent) = open.pop() {
        for &pid in children.get(&parent).into_iter().flatten() {
            if found.insert(pid) {
                open.push(pid);
            }
        }
    }
    found
}

/// The 4th field of `/proc/<pid>/stat`, counted behind the name, which may hold anything.
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Ends what a vanished guardian left behind: the members of its groups, and any process that carries the
/// attempt's name in its environment.
pub(crate) fn end_orphans(groups: &[std::path::PathBuf], task: &str, attempt: u32) {
    for folder in groups {
        crate::cgroup::drain(folder);
    }
    let list = || named(task, attempt);
    for _ in 0..STOP_ROUNDS_MAX {
        if signal_each(&list, &[Signal::KILL]).is_empty() {
            return;
        }
    }
}

/// Ends what vanished guardians left to this keeper, whatever it made of its environment: our children that
/// are no guardians, and everything below them.
pub(crate) fn end_strays(guardians: &BTreeSet<i32>) {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let list = || {
        let children = children_of_all();
        let ours = children.get(&own).into_iter().flatten().copied();
        let strays: Vec<i32> = ours.filter(|pid| !guardians.contains(pid)).collect();
        let mut found = below(strays.clone(), &children);
        found.extend(strays);
        found
    };
    let deadline = Instant::now() + STRAYS_WAIT_MAX;
    while !list().is_empty() && Instant::now() < deadline {
        stop_and_kill(&list);
        std::thread::sleep(STRAYS_WAIT);
        while let Ok(Reaped::One(_)) = sys::reap() {}
    }
}

fn named(task: &str, attempt: u32) -> BTreeSet<i32> {
    let (task, attempt) = (format!("FASTGPU_TASK_ID={task}"), format!("FASTGPU_ATTEMPT={attempt}"));
    let has =
        |environ: &[u8], pair: &str| environ.split(|&byte| byte == 0).any(|entry| entry == pair.as_bytes());
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            has(&environ, &task) && has(&environ, &attempt)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_behind_a_hostile_name() {
        assert_eq!(parent_of("7 (a) R 1) S 42 7 7 0"), Some(42));
        assert_eq!(parent_of("7"), None);
    }

    #[test]
    fn a_child_is_a_descendant_and_a_stranger_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(descendants(own).contains(&pid));
        assert!(!descendants(pid).contains(&own));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
