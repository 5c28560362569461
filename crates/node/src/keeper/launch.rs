//! Starting an attempt: its folder, its record, its groups, its guardian.
//!
//! An attempt's folder is made exactly once, and never again after that: whoever finds it there has been
//! ordered to launch twice, and only answers. A guardian that waits gets the attempt; if none does, one is
//! forked. What fails before there is a guardian is the machine's part.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use fastgpu_core::ids::Fence;
use rustix::process::{Pid, PidfdFlags};

use super::guardians::{OwnGuardian, Waiting};
use super::{Held, Keeper};
use crate::cgroup::AttemptGroups;
use crate::duty::{self, Duty, Message};
use crate::folder::{AttemptKey, Line, Meta, RECORD_VERSION, RecordFile};
use crate::guardian::{self, Birth};
use crate::protocol::LaunchWords;
use crate::sys::{self, Forked};

/// Obeys a launch, once.
pub(super) fn launch(keeper: &mut Keeper, words: Box<LaunchWords>) {
    let Some(key) = AttemptKey::of(&words) else { return };
    let fence = Fence { attempt: words.attempt, version: words.version };
    if keeper.attempts.contains_key(&key) {
        return keeper.say_again(key);
    }
    if keeper.is_past(key) {
        return keeper.say_past(key, words.version);
    }
    fastgpu_failpoints::hit("keeper.launch.before_folder");
    let groups = keeper.cgroups.take(words.host_memory_mib);
    let mut held = Held::new(fence);
    held.slot = groups.slot;
    held.groups = groups.folders();
    let folder = keeper.folder.attempt(key);
    let record = make_folder(keeper, &folder);
    let prepared = record.and_then(|record| Prepared::new(keeper, key, words, groups, folder, record));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            held.slot.into_iter().for_each(|slot| keeper.cgroups.give_back(slot));
            return keeper.hold_ended(key, fence, format!("could not prepare the attempt: {error}"));
        }
    };
    keeper.saw(key);
    match prepared.give(keeper, key) {
        Ok(token) => {
            held.guardian = Some(token);
            keeper.attempts.insert(key, held);
        }
        Err(error) => lose(keeper, key, held, &error),
    }
}

fn lose(keeper: &mut Keeper, key: AttemptKey, held: Held, error: &io::Error) {
    crate::leftovers::end_orphans(&held.groups, &key.task.to_string(), key.attempt);
    // The guardian itself, if it began.
    keeper.end_strays();
    if let Some(slot) = held.slot {
        keeper.cgroups.remove(slot);
    }
    keeper.hold_ended(key, held.fence, format!("could not start a guardian: {error}"));
}

/// The folder appears under the attempt's name once, whole, with a record that is empty and locked.
fn make_folder(keeper: &mut Keeper, path: &Path) -> io::Result<RecordFile> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(record) = keeper.spares.take(path) {
        fastgpu_failpoints::hit("keeper.launch.after_folder");
        return Ok(record);
    }
    std::fs::DirBuilder::new().mode(0o700).create(path)?;
    fastgpu_failpoints::hit("keeper.launch.after_folder");
    RecordFile::create(path)
}

/// An attempt with its place on disk and its groups.
struct Prepared {
    duty: Duty,
    record: RecordFile,
    /// Who gets it without a fork, and the message that says so.
    waiting: Option<(Waiting, Message)>,
}

impl Prepared {
    fn new(
        keeper: &mut Keeper,
        key: AttemptKey,
        words: Box<LaunchWords>,
        groups: AttemptGroups,
        folder: PathBuf,
        mut record: RecordFile,
    ) -> io::Result<Self> {
        let working_dir = match &words.working_dir {
            Some(folder) => folder.clone(),
            None => keeper.work.make(key)?.to_string_lossy().into_owned(),
        };
        let meta = Line::Meta(Meta {
            record_version: RECORD_VERSION,
            fence_version: words.version,
            boot: keeper.boot.clone(),
            slot: groups.slot,
            cgroups: groups.folders(),
        });
        let (duty, message) = Message::of(Duty { words, working_dir, folder, groups });
        let waiting = message.and_then(|message| Some((keeper.guardians.pick()?, message)));
        match &waiting {
            // It has a name already, and need not write it.
            Some((Waiting { pid, start, .. }, _)) => {
                record.add(&[&meta, &Line::Guardian { pid: *pid, start: *start }])?;
            }
            None => record.add(&[&meta])?,
        }
        fastgpu_failpoints::hit("keeper.launch.after_meta");
        Ok(Self { duty, record, waiting })
    }

    /// Gives the attempt to a guardian; says which.
    fn give(self, keeper: &mut Keeper, key: AttemptKey) -> io::Result<u64> {
        if let Some((Waiting { token, .. }, message)) = &self.waiting {
            fastgpu_failpoints::hit("keeper.launch.before_hand_over");
            let send = |socket: &_| message.send(AsFd::as_fd(socket), &self.record);
            if keeper.guardians.hand_over(*token, key, send).is_ok() {
                fastgpu_failpoints::hit("keeper.launch.after_hand_over");
                return Ok(*token);
            }
            // It has just ended; another one is born.
        }
        self.fork(keeper, key)
    }

    fn fork(self, keeper: &mut Keeper, key: AttemptKey) -> io::Result<u64> {
        let (socket, guardians_end) = duty::pair()?;
        fastgpu_failpoints::hit("keeper.launch.before_fork");
        match sys::fork()? {
            Forked::Child => {
                let birth =
                    Birth { keeper: guardians_end, view: keeper.view.as_ref(), hints: &keeper.hints_end };
                guardian::run(birth, self.duty, self.record)
            }
            Forked::Parent(pid) => {
                fastgpu_failpoints::hit("keeper.launch.after_fork");
                let known = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
                // Our own child, not yet waited for: the pid is still its own.
                let pidfd = rustix::process::pidfd_open(known, PidfdFlags::empty())?;
                keeper.watch(key, pidfd, Some(OwnGuardian::new(pid, socket)))
            }
        }
    }
}
