//! Checks that only read the system: files, limits, disk, clock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use fastgpu_core::units::MemoryMib;
use rustix::fs::{Access, access, statfs, statvfs};
use rustix::process::{Resource, geteuid, getrlimit};

use super::Finding;

/// Below this the store refuses to grow soon: its reserve and some logs must fit.
const FREE_MIN: MemoryMib = MemoryMib(256);
/// Below this an operator wants to know: a few attempts may keep 64 MiB of log each.
const FREE_GOOD: MemoryMib = MemoryMib(2_048);
/// How often a write is made durable to find the usual cost.
const SYNCS: usize = 20;
/// When a slow disk has shown enough; must stay below the limit of a check.
const SYNCS_MAX: Duration = Duration::from_millis(600);
/// A commit waits for this; above it, acknowledgements are noticeably slow.
const SYNC_GOOD: Duration = Duration::from_millis(10);
/// One page of the database.
const SYNC_BYTES: usize = 4_096;
/// Connections, logs that are read, and the store, with room.
const FILES_GOOD: u64 = 1_024;
/// A guardian and its task for each attempt, and the threads of the tasks.
const PROCESSES_GOOD: u64 = 4_096;
/// 2025-01-01: before FastGPU existed, the clock is not set.
const CLOCK_MIN: Duration = Duration::from_secs(1_735_689_600);
/// How far files may lie in the future: clocks are set by small steps.
const CLOCK_STEP: Duration = Duration::from_secs(300);

/// The files through which programs reach the driver. `root` is `/` but in tests.
pub(super) fn device_files(root: &Path) -> Finding {
    let loaded = root.join("proc/driver/nvidia/version").exists();
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let dev = root.join("dev");
    let is_gpu = |name: &String| {
        name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut gpus: Vec<String> = names(&dev).into_iter().filter(is_gpu).collect();
    gpus.sort_by_key(|name| (name.len(), name.clone()));
    let make = "run `sudo nvidia-modprobe -u -c 0`, or pass the GPUs into the container (`--gpus all`)";
    if gpus.is_empty() {
        return if loaded {
            Finding::fail("the driver is loaded, but there is no `/dev/nvidia0`", make)
        } else {
            Finding::ok("none, as on any machine without NVIDIA GPUs")
        };
    }
    let needed = gpus.iter().map(String::as_str).chain(["nvidiactl", "nvidia-uvm"]);
    let mut closed = Vec::new();
    for name in needed {
        let path = dev.join(name);
        if !path.exists() {
            return Finding::fail(format!("`/dev/{name}` is missing"), make);
        }
        if access(&path, Access::READ_OK | Access::WRITE_OK).is_err() {
            closed.push(format!("`/dev/{name}`"));
        }
    }
    if closed.is_empty() {
        return Finding::ok(format!("{} and what belongs to them", gpus.join(", ")));
    }
    let fix = "let this user read and write them: `sudo chmod a+rw /dev/nvidia*`, or add it to their group";
    Finding::fail(format!("no access to {}", closed.join(", ")), fix)
}

/// The folder itself, or the nearest one above that exists: where it will be made.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    folder.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned)
}

/// A file of ours for a moment; gone again whatever happens.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn new(folder: &Path, purpose: &str) -> io::Result<Self> {
        let path = folder.join(format!(".fastgpu-doctor-{purpose}-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the data folder can be written, has room, and lies on a disk that keeps what it is given.
pub(super) fn data_folder(folder: &Path) -> Finding {
    let shown = folder.display();
    let elsewhere = "choose another folder with `--data-dir`";
    let Some(there) = nearest(folder) else {
        return Finding::fail(format!("`{shown}` lies in no folder that exists"), elsewhere);
    };
    if folder.exists() && !folder.is_dir() {
        return Finding::fail(format!("`{shown}` is not a folder"), elsewhere);
    }
    if let Err(error) = Scratch::new(&there, "write") {
        let fix = format!("make it writable for this user, or {elsewhere}");
        return Finding::fail(format!("`{}` cannot be written: {error}", there.display()), fix);
    }
    let free = match statvfs(&there) {
        Ok(disk) => MemoryMib(disk.f_bavail.saturating_mul(disk.f_frsize) / (1 << 20)),
        Err(error) => {
            return Finding::warn(format!("free space of `{shown}` is unknown: {error}"), elsewhere);
        }
    };
    if free < FREE_GOOD {
        let finding = if free < FREE_MIN { Finding::fail } else { Finding::warn };
        return finding(
            format!("`{shown}` has {} left", rounded(free)),
            format!("free some space, or {elsewhere}"),
        );
    }
    if let Some(kind) = statfs(&there).ok().and_then(|disk| unsuitable(disk.f_type)) {
        return Finding::warn(format!("`{shown}` lies on {kind}"), elsewhere);
    }
    let there_yet = if folder.exists() { "" } else { ", will be created" };
    Finding::ok(format!("`{shown}`, {} free{there_yet}", rounded(free)))
}

/// Whole GiB where there are some: nobody counts the MiB of a disk.
fn rounded(size: MemoryMib) -> MemoryMib {
    if size.0 < 1_024 { size } else { MemoryMib(size.0 / 1_024 * 1_024) }
}

/// File systems on which nothing durable can be promised, by the kernel's number.
fn unsuitable(kind: impl TryInto<i64>) -> Option<&'static str> {
    match kind.try_into().ok()? {
        0x0102_1994 => Some("a file system in memory: all is lost when the machine restarts"),
        0x6969 => Some("NFS, where the locks of the database cannot be relied on"),
        0xFF53_4D42 | 0xFE53_4D42 => Some("SMB, where the locks of the database cannot be relied on"),
        _ => None,
    }
}

/// How long it takes until a write is durable: what every acknowledgement waits for.
pub(super) fn disk_sync(folder: &Path) -> Finding {
    let Some(there) = nearest(folder) else {
        return Finding::fail(
            "not measured: no folder to write to",
            "choose another folder with `--data-dir`",
        );
    };
    let median = match sync_median(&there) {
        Ok(median) => median,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Finding::warn("not measured: the data folder cannot be written", "see `data folder`");
        }
        Err(error) => {
            let fix = "choose another folder with `--data-dir`, or look at `sudo dmesg` for the disk";
            return Finding::fail(
                format!("a write to `{}` cannot be made durable: {error}", there.display()),
                fix,
            );
        }
    };
    let shown = format!("{}.{:02} ms", median.as_millis(), median.as_micros() % 1_000 / 10);
    if median <= SYNC_GOOD {
        return Finding::ok(format!("a durable write takes {shown} (median)"));
    }
    let fix = "keep the data folder on a local SSD; one submit waits for one such write";
    Finding::warn(format!("a durable write takes {shown} (median)"), fix)
}

fn sync_median(folder: &Path) -> io::Result<Duration> {
    let mut scratch = Scratch::new(folder, "sync")?;
    let page = [0x46; SYNC_BYTES];
    let began = Instant::now();
    let mut taken = Vec::with_capacity(SYNCS);
    while taken.len() < SYNCS && (taken.is_empty() || began.elapsed() < SYNCS_MAX) {
        let start = Instant::now();
        scratch.file.write_all(&page)?;
        scratch.file.sync_data()?;
        taken.push(start.elapsed());
    }
    taken.sort();
    Ok(taken[taken.len() / 2])
}

/// The limit of open files of this user's processes.
pub(super) fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    match limit.current {
        Some(files) if files < FILES_GOOD => Finding::warn(
            format!("a process may open {files} files"),
            format!("`ulimit -n 65536`, or `LimitNOFILE=65536` in the service; at least {FILES_GOOD}"),
        ),
        Some(files) => Finding::ok(format!("a process may open {files} files")),
        None => Finding::ok("a process may open any number of files"),
    }
}

/// The limit of this user's processes and threads.
pub(super) fn processes() -> Finding {
    let limit = getrlimit(Resource::Nproc).current.filter(|_| !geteuid().is_root());
    match limit {
        Some(processes) if processes < PROCESSES_GOOD => Finding::warn(
            format!("this user may have {processes} processes and threads, those of tasks included"),
            format!("`ulimit -u 65536`, or `LimitNPROC=65536` in the service; at least {PROCESSES_GOOD}"),
        ),
        Some(processes) => Finding::ok(format!("this user may have {processes} processes and threads")),
        None => Finding::ok("the number of processes is not limited"),
    }
}

/// Whether the clock is set, and not behind what was already written.
pub(super) fn clock(folder: &Path) -> Finding {
    let written = nearest(folder).and_then(|folder| fs::metadata(folder).ok()?.modified().ok());
    clock_at(SystemTime::now(), written)
}

fn clock_at(now: SystemTime, written: Option<SystemTime>) -> Finding {
    let fix = "set it: `sudo timedatectl set-ntp true`";
    if now < SystemTime::UNIX_EPOCH + CLOCK_MIN {
        return Finding::fail("the clock shows a time before 2025", fix);
    }
    let ahead = written.and_then(|written| written.duration_since(now).ok()).unwrap_or_default();
    if ahead > CLOCK_STEP {
        let found =
            format!("the data folder was changed {} s in the future: the clock is behind", ahead.as_secs());
        return Finding::warn(found, fix);
    }
    Finding::ok("set, and not behind the data folder")
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus::{Fail, Ok, Warn};
    use super::*;

    #[test]
    fn device_files_are_all_there_or_the_missing_one_is_named() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        assert_eq!(device_files(root.path()).status, Ok, "no GPU is not a fault");
        make("proc/driver/nvidia/version");
        assert_eq!(device_files(root.path()).status, Fail);
        make("dev/nvidia0");
        make("dev/nvidia-caps");
        make("dev/nvidiactl");
        assert_eq!(device_files(root.path()).found, "`/dev/nvidia-uvm` is missing");
        make("dev/nvidia-uvm");
        assert_eq!(device_files(root.path()).found, "nvidia0 and what belongs to them");
    }

    #[test]
    fn a_data_folder_that_is_not_there_yet_is_looked_at_where_it_will_be() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(data_folder(&file).status, Fail);
        let finding = data_folder(&root.path().join("a/b"));
        assert!(finding.status < Fail, "{finding:?}");
        assert_eq!(data_folder(Path::new("/proc/fastgpu")).status, Fail);
        let left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["file"], "nothing is left behind");
    }

    #[test]
    fn the_cost_of_a_durable_write_is_measured_within_the_limit_of_a_check() {
        let root = tempfile::tempdir().unwrap();
        assert!(sync_median(root.path()).unwrap() > Duration::ZERO);
        assert!(disk_sync(root.path()).found.contains("ms (median)"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert_eq!(disk_sync(Path::new("/proc/fastgpu")).status, Fail);
    }

    #[test]
    fn a_clock_that_is_not_set_or_behind_is_noticed() {
        let now = SystemTime::UNIX_EPOCH + CLOCK_MIN + Duration::from_secs(86_400);
        assert_eq!(clock_at(SystemTime::UNIX_EPOCH, None).status, Fail);
        assert_eq!(clock_at(now, Some(now + Duration::from_secs(10))).status, Ok);
        assert_eq!(clock_at(now, Some(now + Duration::from_secs(3_600))).status, Warn);
    }

    #[test]
    fn limits_are_read() {
        assert!(open_files().found.contains("files"));
        assert!(processes().found.contains("processes"));
    }
}
