//! The node's folder: where everything lies that keeper and guardians must remember.
//!
//! ```text
//! keeper.sock  keeper.lock  keeper.json  keeper.log
//! attempts/<task>.<attempt>/record    one line of JSON per step of the attempt's life
//! attempts/<task>.<attempt>/log.<n>   the output, see `log`
//! done/<task>.<attempt>/              the same, once the end is acknowledged, if there is output
//! ends  ends.old                      the ends of those without, see `ends`
//! spare/<number>/                     what was the folder of such an attempt, and will be another's
//! work/<task>.<attempt>/              the attempt's working folder, when the task named none
//! softgpu/                            libraries of software GPUs, see `software`
//! ```
//!
//! A record only ever grows by whole lines, each written by one call, into a block that the first line
//! already took: a full disk does not lose an end, and a torn last line is as if it were not there.
//! A guardian holds the record locked while it lives, so "does it live?" is asked of the lock, and no pid
//! is believed without its start time.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fastgpu_core::ids::{Fence, TaskId};
use fastgpu_core::node::Exit;
use fastgpu_core::units::Timestamp;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::protocol::{LaunchWords, WireExit};

/// The version of the record's lines. A record of another version is kept, and its attempt is failed.
pub(crate) const RECORD_VERSION: u32 = 1;
/// A record is a handful of short lines; what is longer is not ours.
const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// Which attempt: also the name of its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptKey {
    /// Which task.
    pub task: TaskId,
    /// Which attempt of it.
    pub attempt: u32,
}

impl AttemptKey {
    /// The attempt that a launch speaks of; `None` when its id is none.
    pub(crate) fn of(words: &LaunchWords) -> Option<Self> {
        Some(Self { task: TaskId::new(words.task)?, attempt: words.attempt })
    }
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.attempt)
    }
}

/// A name that no attempt's folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an attempt")]
pub struct NotAnAttempt;

impl FromStr for AttemptKey {
    type Err = NotAnAttempt;

    fn from_str(text: &str) -> Result<Self, NotAnAttempt> {
        let (task, attempt) = text.rsplit_once('.').ok_or(NotAnAttempt)?;
        let key = Self {
            task: task.parse().map_err(|_| NotAnAttempt)?,
            attempt: attempt.parse().map_err(|_| NotAnAttempt)?,
        };
        if key.to_string() == text { Ok(key) } else { Err(NotAnAttempt) }
    }
}

/// The node's folder and the places in it.
#[derive(Debug, Clone)]
pub struct NodeFolder {
    root: PathBuf,
}

impl NodeFolder {
    /// Makes the folder and its parts where they are missing; ours alone.
    pub fn create(root: &Path) -> io::Result<Self> {
        for part in ["", "attempts", "done", "spare", "work", "softgpu"] {
            make_private_folder(&root.join(part))?;
        }
        Ok(Self { root: std::fs::canonicalize(root)? })
    }

    /// Names the places without touching the disk.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Attempts whose end is not acknowledged.
    #[must_use]
    pub fn attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// Attempts whose end is acknowledged, kept for their logs.
    #[must_use]
    pub fn done(&self) -> PathBuf {
        self.root.join("done")
    }

    /// Folders of attempts, emptied for later ones.
    #[must_use]
    pub fn spare(&self) -> PathBuf {
        self.root.join("spare")
    }

    /// Working folders.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Libraries of software GPUs; tasks may see them.
    #[must_use]
    pub fn softgpu(&self) -> PathBuf {
        self.root.join("softgpu")
    }

    /// One attempt that is not yet acknowledged.
    #[must_use]
    pub fn attempt(&self, key: AttemptKey) -> PathBuf {
        self.attempts().join(key.to_string())
    }

    /// Where the keeper listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("keeper.sock")
    }

    /// Held locked by the one keeper of this folder.
    #[must_use]
    pub fn keeper_lock(&self) -> PathBuf {
        self.root.join("keeper.lock")
    }

    /// What the agent tells a keeper before it starts.
    #[must_use]
    pub fn keeper_settings(&self) -> PathBuf {
        self.root.join("keeper.json")
    }

    /// Where a keeper and its guardians complain.
    #[must_use]
    pub fn keeper_log(&self) -> PathBuf {
        self.root.join("keeper.log")
    }
}

/// Makes a folder that only its owner may enter; one that is there already is fine.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// One step of an attempt's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Written by the keeper before it forks.
    Meta(Meta),
    /// Written by the guardian as its first act.
    Guardian { pid: i32, start: u64 },
    /// The program runs.
    Started { at: i64 },
    /// Nothing of the attempt is left.
    Exit(WireExit),
}

/// What a keeper must know of an attempt that it did not start itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) record_version: u32,
    pub(crate) fence_version: u32,
    /// The boot in which it was started: after another one nothing of it can live.
    pub(crate) boot: String,
    /// Its place in the control group pool, and the folders it means.
    pub(crate) slot: Option<u32>,
    pub(crate) cgroups: Vec<PathBuf>,
}

/// All that a record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) meta: Option<Meta>,
    pub(crate) guardian: Option<(i32, u64)>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) exit: Option<Exit>,
}

impl Record {
    /// Reads what whole lines there are; anything else is as if it were not there.
    fn parse(text: &str) -> Self {
        let mut record = Self::default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Meta(meta)) if meta.record_version == RECORD_VERSION => record.meta = Some(meta),
                Ok(Line::Guardian { pid, start }) => record.guardian = Some((pid, start)),
                Ok(Line::Started { at }) => record.started = Some(Timestamp(at)),
                Ok(Line::Exit(exit)) => record.exit = Some(exit.into()),
                Ok(Line::Meta(_)) | Err(_) => {}
            }
        }
        record
    }

    /// Whether the attempt's fence was written; else this is the first version, as with every new attempt.
    pub(crate) fn fence(&self, attempt: u32) -> Fence {
        Fence { attempt, version: self.meta.as_ref().map_or(1, |meta| meta.fence_version) }
    }
}

/// The open record of one attempt.
#[derive(Debug)]
pub(crate) struct RecordFile(File);

impl RecordFile {
    /// Creates and locks the record of a new attempt.
    pub(crate) fn create(attempt_folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(attempt_folder.join("record"))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(file))
    }

    /// Empties the record in a folder that no attempt has.
    pub(crate) fn empty(folder: &Path) -> io::Result<()> {
        let file =
            OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(folder.join("record"))?;
        file.set_len(0)
    }

    /// Opens and locks the empty record in a folder that no attempt has, for the one that gets it.
    pub(crate) fn take_empty(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).append(true).custom_flags(libc::O_NOFOLLOW).open(folder.join("record"))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        if file.metadata()?.len() > 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self(file))
    }

    /// Opens the record of a known attempt, made anew if it is missing.
    pub(crate) fn open(attempt_folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(attempt_folder.join("record"))?;
        Ok(Self(file))
    }

    pub(crate) fn from_file(file: File) -> Self {
        Self(file)
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    /// Locks the record if no guardian holds it: the proof that none lives.
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn read(&mut self) -> io::Result<Record> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        (&self.0).take(RECORD_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Record::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Adds lines, by one call.
    pub(crate) fn add(&mut self, lines: &[&Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.0.write_all(&text)
    }

    /// Ends a torn last line, so that the next one is whole.
    pub(crate) fn mend(&mut self) -> io::Result<()> {
        let length = self.0.seek(SeekFrom::End(0))?;
        if length == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.0.seek(SeekFrom::Start(length - 1))?;
        self.0.read_exact(&mut last)?;
        if last[0] == b'\n' { Ok(()) } else { self.0.write_all(b"\n") }
    }
}

/// The end that the record in this folder tells of, if one can be read.
pub(crate) fn read_exit(attempt_folder: &Path) -> Option<Exit> {
    let flags = libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(attempt_folder.join("record")).ok()?;
    RecordFile(file).read().ok()?.exit
}

/// The start time of a process in clock ticks since boot, which no later process with its pid can share.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat_start_time(&stat)
}

/// The 22nd field of `/proc/<pid>/stat`, counted behind the name, which may hold anything.
fn stat_start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The name of this boot.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use fastgpu_core::node::ExitKind;

    use super::*;

    #[test]
    fn a_torn_last_line_is_as_if_it_were_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordFile::create(folder.path()).unwrap();
        file.add(&[&Line::Started { at: 5 }]).unwrap();
        file.0.write_all(br#"{"exit":{"at":6,"how":{"co"#).unwrap();
        assert_eq!(file.read().unwrap(), Record { started: Some(Timestamp(5)), ..Record::default() });
        let exit = Exit { at: Timestamp(7), how: ExitKind::Code(3), cpu_ms: 1, rss_max_kib: 2, sick: None };
        file.mend().unwrap();
        file.add(&[&Line::Exit(exit.clone().into())]).unwrap();
        assert_eq!(file.read().unwrap().exit, Some(exit));
    }

    #[test]
    fn a_record_full_of_rubbish_reads_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("record"), [0xff, 0, b'\n', b'{', b'\n', b'[', b'\n']).unwrap();
        assert_eq!(RecordFile::open(folder.path()).unwrap().read().unwrap(), Record::default());
    }

    #[test]
    fn folder_names_parse_only_as_they_print() {
        let key = AttemptKey { task: TaskId::new(77).unwrap(), attempt: 3 };
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in ["", ".", "..", "t-0.1", "t-000000000002d.01", "t-000000000002d.+1", "t-000000000002d"] {
            assert!(bad.parse::<AttemptKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_start_time_is_read_behind_a_hostile_name() {
        let stat = "7 (a) R 1) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(stat_start_time(stat), Some(4242));
        assert!(start_time(1).is_some());
    }
}
