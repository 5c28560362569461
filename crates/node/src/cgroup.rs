//! Control groups: what this machine offers, and a pool of groups for attempts.
//!
//! Version 2 is used to end everything of an attempt with one write, and to limit memory where the
//! controller was given to us. On a hybrid machine the memory and pids controllers sit on version 1
//! hierarchies and are used there. Whatever is missing is said in an ability, and the guardian does
//! without: see `leftovers`.
//!
//! A group outlives its attempt and serves the next one: making and removing three directories per attempt
//! would cost more than everything else in a launch but its fork. A process is born into its version 2
//! group (`spawn_borrowing`), since moving it there later takes a lock over the whole machine.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::complaints::complain;
use crate::protocol::WireAbility;

/// Processes and threads of one attempt: far above what a training run with its loaders needs, far below
/// what would starve the machine of pids.
const PIDS_MAX: u32 = 32_768;
/// Groups kept for reuse: as many as attempts may end in one burst on a large machine.
const IDLE_SLOTS_MAX: usize = 64;
/// How long a group may take to become empty after everything in it was killed.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What the machine offers.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    /// Our folder in the version 2 hierarchy.
    unified: Option<PathBuf>,
    unified_memory: bool,
    unified_pids: bool,
    /// Our folders in version 1 hierarchies.
    legacy_memory: Option<PathBuf>,
    legacy_pids: Option<PathBuf>,
    idle: Vec<u32>,
    next_slot: u32,
}

/// The groups of one attempt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AttemptGroups {
    pub(crate) slot: Option<u32>,
    /// The version 2 group: born into, killed as one.
    pub(crate) unified: Option<PathBuf>,
    /// Version 1 groups, entered by the task before it begins.
    pub(crate) legacy: Vec<PathBuf>,
    /// The group whose counters tell of an out-of-memory kill.
    pub(crate) memory: Option<PathBuf>,
}

impl AttemptGroups {
    /// Every folder, for the record.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.unified.iter().chain(&self.legacy).cloned().collect()
    }

    /// How often the kernel has killed in this group for memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some(folder) = &self.memory else { return 0 };
        ["memory.events", "memory.oom_control"]
            .iter()
            .filter_map(|name| fs::read_to_string(folder.join(name)).ok())
            .filter_map(|text| {
                text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
            })
            .sum()
    }

    /// The pids in the attempt's group, where there is one.
    pub(crate) fn members(&self) -> Vec<i32> {
        self.unified.iter().chain(&self.legacy).next().map_or_else(Vec::new, |folder| members(folder))
    }

    /// Empties the groups, and removes the one that was killed as a whole: on some kernels whatever is born
    /// into a group that was ever killed dies at birth, so the next attempt gets a fresh one.
    pub(crate) fn retire(&self) {
        self.folders().iter().for_each(|folder| drain(folder));
        if let Some(folder) = &self.unified {
            remove_group(folder);
        }
    }

    /// Kills everything in the group at once; says whether that could be ordered.
    pub(crate) fn kill(&self) -> bool {
        self.unified.as_ref().is_some_and(|folder| write(&folder.join("cgroup.kill"), "1").is_ok())
    }
}

fn members(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 1).collect()
}

/// One write to one of the kernel's files.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.write_all(text.as_bytes())
}

impl Cgroups {
    /// Finds out what works here by trying it.
    pub(crate) fn detect(node_dir: &Path, wanted: bool) -> (Self, Vec<WireAbility>) {
        if !wanted {
            let detail = "turned off by the settings; tasks are ended process by process";
            return (Self::default(), vec![ability("cgroup", false, detail), no_memory_limit()]);
        }
        let own = own_groups();
        let name = folder_name(node_dir);
        let mut found = Self::default();
        let mut why_not = "no version 2 hierarchy is mounted".to_owned();
        if let Some(parent) = &own.unified {
            match prepare(&parent.join(&name), "cgroup.kill") {
                Ok(folder) => {
                    // Refused unless these controllers were given to us; then version 1 may have them.
                    for controller in ["+memory", "+pids"] {
                        let _ = write(&parent.join("cgroup.subtree_control"), controller);
                        let _ = write(&folder.join("cgroup.subtree_control"), controller);
                    }
                    let enabled =
                        fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
                    found.unified_memory = enabled.split_ascii_whitespace().any(|name| name == "memory");
                    found.unified_pids = enabled.split_ascii_whitespace().any(|name| name == "pids");
                    found.unified = Some(folder);
                }
                Err(error) => why_not = format!("{} cannot be used: {error}", parent.display()),
            }
        }
        let legacy = |parent: &Option<PathBuf>, probe| {
            parent.as_ref().and_then(|p| prepare(&p.join(&name), probe).ok())
        };
        if !found.unified_memory {
            found.legacy_memory = legacy(&own.memory, "memory.limit_in_bytes");
        }
        if !found.unified_pids {
            found.legacy_pids = legacy(&own.pids, "pids.max");
        }
        let abilities = found.abilities(&why_not);
        (found, abilities)
    }

    fn abilities(&self, why_not: &str) -> Vec<WireAbility> {
        let group = match (&self.unified, self.unified_pids, &self.legacy_pids) {
            (Some(_), true, _) => ability("cgroup", true, "version 2: kill and pids"),
            (Some(_), false, Some(_)) => ability("cgroup", true, "version 2: kill; version 1: pids"),
            (Some(_), false, None) => ability("cgroup", true, "version 2: kill; pids are not limited"),
            (None, ..) => {
                let detail = format!("no kill by group ({why_not}); tasks are ended process by process");
                ability("cgroup", false, &detail)
            }
        };
        let memory = match (self.unified_memory, &self.legacy_memory) {
            (true, _) => ability("memory_limit", true, "version 2"),
            (false, Some(_)) => ability("memory_limit", true, "version 1"),
            (false, None) => no_memory_limit(),
        };
        vec![group, memory]
    }

    /// Takes back what is left of earlier keepers: groups that no living attempt uses are emptied
    /// and removed.
    pub(crate) fn reclaim(&mut self, used: &BTreeSet<u32>) {
        let mut seen: BTreeSet<u32> = used.clone();
        for base in [&self.unified, &self.legacy_pids, &self.legacy_memory].into_iter().flatten() {
            let names = fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.file_name());
            seen.extend(names.filter_map(|name| name.to_str()?.strip_prefix("slot-")?.parse::<u32>().ok()));
        }
        self.next_slot = seen.last().map_or(0, |&last| last.saturating_add(1));
        for &slot in seen.difference(used) {
            let groups = self.folders_of(slot);
            groups.unified.iter().chain(&groups.legacy).for_each(|folder| drain(folder));
            self.remove(slot);
        }
    }

    fn folders_of(&self, slot: u32) -> AttemptGroups {
        let name = format!("slot-{slot}");
        let legacy_memory = self.legacy_memory.as_ref().map(|base| base.join(&name));
        AttemptGroups {
            slot: Some(slot),
            unified: self.unified.as_ref().map(|base| base.join(&name)),
            legacy: self
                .legacy_pids
                .iter()
                .map(|base| base.join(&name))
                .chain(legacy_memory.clone())
                .collect(),
            memory: legacy_memory.or_else(|| Some(self.unified.as_ref()?.join(&name))),
        }
    }

    /// Groups for a new attempt, limited to `memory_mib` (0: not limited).
    pub(crate) fn take(&mut self, memory_mib: u64) -> AttemptGroups {
        if self.unified.is_none() && self.legacy_pids.is_none() && self.legacy_memory.is_none() {
            return AttemptGroups::default();
        }
        if let Some(slot) = self.idle.pop()
            && self.make_again(slot).is_ok()
            && let Ok(groups) = self.limited(slot, memory_mib)
        {
            return groups;
        }
        let slot = self.next_slot;
        self.next_slot += 1;
        match self.make_slot(slot).and_then(|()| self.limited(slot, memory_mib)) {
            Ok(groups) => groups,
            Err(error) => {
                complain(&format!("control group slot-{slot} could not be used: {error}"));
                self.remove(slot);
                AttemptGroups::default()
            }
        }
    }

    /// Makes a slot's groups anew if its guardian has removed them, see [`AttemptGroups::retire`].
    fn make_again(&self, slot: u32) -> io::Result<()> {
        let name = format!("slot-{slot}");
        if self.unified.as_ref().is_none_or(|base| base.join(name).exists()) {
            return Ok(());
        }
        self.make_slot(slot)
    }

    /// Makes the groups that serve one attempt after another.
    fn make_slot(&self, slot: u32) -> io::Result<()> {
        let name = format!("slot-{slot}");
        let lasting = [(&self.unified, self.unified_pids), (&self.legacy_pids, true)];
        for (base, limits_pids) in lasting.into_iter().filter_map(|(base, pids)| Some((base.as_ref()?, pids)))
        {
            let folder = base.join(&name);
            make(&folder)?;
            if limits_pids {
                write(&folder.join("pids.max"), &PIDS_MAX.to_string())?;
            }
        }
        Ok(())
    }

    /// The groups of a slot that exists, with this attempt's limits.
    fn limited(&self, slot: u32, memory_mib: u64) -> io::Result<AttemptGroups> {
        let name = format!("slot-{slot}");
        let mut groups = AttemptGroups { slot: Some(slot), ..AttemptGroups::default() };
        if let Some(base) = &self.unified {
            let folder = base.join(&name);
            if self.unified_memory {
                let limit = if memory_mib == 0 { "max".to_owned() } else { bytes(memory_mib) };
                write(&folder.join("memory.max"), &limit)?;
                // Without this a task over its limit would swap instead of ending.
                let _ = write(&folder.join("memory.swap.max"), if memory_mib == 0 { "max" } else { "0" });
                groups.memory = Some(folder.clone());
            }
            groups.unified = Some(folder);
        }
        if let Some(base) = &self.legacy_pids {
            groups.legacy.push(base.join(&name));
        }
        if let (Some(base), 1..) = (&self.legacy_memory, memory_mib) {
            // A fresh one each time: the pages of the last task would count against this one.
            let folder = base.join(&name);
            let _ = fs::remove_dir(&folder);
            make(&folder)?;
            write(&folder.join("memory.limit_in_bytes"), &bytes(memory_mib))?;
            let _ = write(&folder.join("memory.memsw.limit_in_bytes"), &bytes(memory_mib));
            groups.legacy.push(folder.clone());
            groups.memory = Some(folder);
        }
        Ok(groups)
    }

    /// The attempt is over: its groups serve the next one.
    pub(crate) fn give_back(&mut self, slot: u32) {
        if self.idle.len() >= IDLE_SLOTS_MAX {
            self.remove(slot);
        } else if !self.idle.contains(&slot) {
            self.idle.push(slot);
        }
    }

    /// The slot's groups were killed from outside: they serve nobody any more.
    pub(crate) fn remove(&self, slot: u32) {
        let groups = self.folders_of(slot);
        for folder in groups.unified.iter().chain(&groups.legacy) {
            remove_group(folder);
        }
    }

    /// Leaves nothing behind.
    pub(crate) fn remove_all(&mut self) {
        for slot in std::mem::take(&mut self.idle) {
            self.remove(slot);
        }
        for base in [&self.unified, &self.legacy_pids, &self.legacy_memory].into_iter().flatten() {
            remove_group(base);
        }
    }
}

/// Kills what is left in a group and waits until it is empty.
pub(crate) fn drain(folder: &Path) {
    let deadline = Instant::now() + DRAIN_MAX;
    while !members(folder).is_empty() && Instant::now() < deadline {
        if write(&folder.join("cgroup.kill"), "1").is_err() {
            for pid in members(folder) {
                let _ = crate::sys::kill(pid, libc::SIGKILL);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Removes a group and groups the task made inside it.
fn remove_group(folder: &Path) {
    if fs::remove_dir(folder).is_ok() {
        return;
    }
    let inner = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_group(&entry.path());
    }
    let _ = fs::remove_dir(folder);
}

fn ability(name: &str, works: bool, detail: &str) -> WireAbility {
    WireAbility { name: name.to_owned(), works, detail: detail.to_owned() }
}

fn no_memory_limit() -> WireAbility {
    ability("memory_limit", false, "no memory controller can be used; host memory is counted, not limited")
}

fn bytes(mib: u64) -> String {
    mib.saturating_mul(1024 * 1024).to_string()
}

/// Makes a group; one that is there already is fine.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Makes our folder and checks that the kernel filled it with what we need.
fn prepare(folder: &Path, needed: &str) -> io::Result<PathBuf> {
    make(folder)?;
    File::options().write(true).open(folder.join(needed))?;
    Ok(folder.to_path_buf())
}

/// The same for the same node folder, so that a restarted keeper finds its groups again.
fn folder_name(node_dir: &Path) -> String {
    // FNV-1a, as a hash.
    let hash =
        node_dir.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("fastgpu-{hash:016x}")
}

/// The groups this process is in.
#[derive(Debug, Default)]
struct OwnGroups {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
}

fn own_groups() -> OwnGroups {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    find_own_groups(&membership, &mounts)
}

/// Joins what `/proc/self/cgroup` says about us with where `/proc/self/mountinfo` says it is mounted.
fn find_own_groups(membership: &str, mounts: &str) -> OwnGroups {
    let path_of = |controller: &str| {
        membership.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            controllers.split(',').any(|name| name == controller).then_some(path)
        })
    };
    let mut own = OwnGroups::default();
    for line in mounts.lines() {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let head: Vec<&str> = head.split(' ').collect();
        let tail: Vec<&str> = tail.split(' ').collect();
        let (&[_, _, _, root, at, ..], &[kind, _, options, ..]) = (&head[..], &tail[..]) else { continue };
        let place = |controller| {
            let path = Path::new(path_of(controller)?);
            // In a container the mount may show only a part of the hierarchy.
            let inside = path.strip_prefix(root).or_else(|_| path.strip_prefix("/")).ok()?;
            let folder = Path::new(at).join(inside);
            Some(if folder.exists() { folder } else { PathBuf::from(at) })
        };
        let has = |name: &str| options.split(',').any(|option| option == name);
        match kind {
            "cgroup2" => own.unified = own.unified.or_else(|| place("")),
            "cgroup" if has("memory") => own.memory = own.memory.or_else(|| place("memory")),
            "cgroup" if has("pids") => own.pids = own.pids.or_else(|| place("pids")),
            _ => {}
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_groups_are_found_in_hybrid_and_pure_hierarchies() {
        let mounts = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
35 31 0:32 / /nowhere/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /nowhere/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /nowhere/unified rw,relatime - cgroup2 cgroup2 rw
";
        let own = find_own_groups("8:pids:/\n4:memory:/a/b\n0::/\n", mounts);
        assert_eq!(own.unified, Some("/nowhere/unified".into()));
        assert_eq!(own.pids, Some("/nowhere/pids".into()));
        assert_eq!(own.memory, Some("/nowhere/memory".into()), "a group out of sight means the mount's root");
        let own =
            find_own_groups("0::/user.slice\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert!(own.unified.is_some() && own.memory.is_none() && own.pids.is_none());
        assert!(find_own_groups("", "").unified.is_none());
    }

    #[test]
    fn a_keeper_finds_its_groups_by_its_folder() {
        assert_eq!(folder_name(Path::new("/a")), folder_name(Path::new("/a")));
        assert_ne!(folder_name(Path::new("/a")), folder_name(Path::new("/b")));
    }
}
