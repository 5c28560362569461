//! Starting an attempt: its folder, its record, its groups, its guardian.
//!
//! An attempt's folder is made exactly once, and never again after that: whoever finds it there has been
//! ordered to launch twice, and only answers. What fails before there is a guardian is the machine's part.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use fastgpu_core::ids::Fence;
use rustix::process::{Pid, PidfdFlags};

use crate::cgroup::AttemptGroups;
use crate::folder::{AttemptKey, Line, Meta, RECORD_VERSION, RecordFile};
use crate::guardian::{self, Charge};
use crate::keeper::{Held, Keeper, key_of};
use crate::protocol::LaunchWords;
use crate::sys::{self, Forked};

/// Obeys a launch, once.
pub(crate) fn launch(keeper: &mut Keeper, words: &LaunchWords) {
    let Some(key) = key_of(words) else { return };
    let fence = Fence { attempt: words.attempt, version: words.version };
    if keeper.attempts.contains_key(&key) {
        return keeper.say_again(key);
    }
    if keeper.is_past(key) {
        return keeper.say_past(key, words.version);
    }
    fastgpu_failpoints::hit("keeper.launch.before_folder");
    let groups = keeper.cgroups.take(words.host_memory_mib);
    let slot = groups.slot;
    let prepared = match Prepared::new(keeper, key, words, groups) {
        Ok(prepared) => prepared,
        Err(error) => {
            slot.into_iter().for_each(|slot| keeper.cgroups.give_back(slot));
            return keeper.hold_ended(key, fence, format!("could not prepare the attempt: {error}"));
        }
    };
    keeper.saw(key);
    let mut held = Held::new(fence);
    held.slot = slot;
    held.groups = prepared.groups.folders();
    match prepared.fork(keeper, key, words) {
        Ok((pid, pidfd)) => match keeper.watch(key, pidfd, Some(pid)) {
            Ok(guardian) => {
                held.guardian = Some(guardian);
                keeper.attempts.insert(key, held);
            }
            Err(error) => lose(keeper, key, held, &error),
        },
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

/// An attempt with its place on disk and its groups.
struct Prepared {
    folder: OwnedFd,
    record: RecordFile,
    groups: AttemptGroups,
    working_dir: String,
}

impl Prepared {
    fn new(
        keeper: &mut Keeper,
        key: AttemptKey,
        words: &LaunchWords,
        groups: AttemptGroups,
    ) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = keeper.folder.attempt(key);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        fastgpu_failpoints::hit("keeper.launch.after_folder");
        let mut record = RecordFile::create(&path)?;
        record.add(&Line::Meta(Meta {
            record_version: RECORD_VERSION,
            fence_version: words.version,
            boot: keeper.boot.clone(),
            slot: groups.slot,
            cgroups: groups.folders(),
        }))?;
        fastgpu_failpoints::hit("keeper.launch.after_meta");
        let working_dir = match &words.working_dir {
            Some(folder) => folder.clone(),
            None => keeper.work.make(key)?.to_string_lossy().into_owned(),
        };
        Ok(Self { folder: File::open(&path)?.into(), record, groups, working_dir })
    }

    fn fork(self, keeper: &Keeper, key: AttemptKey, words: &LaunchWords) -> io::Result<(i32, OwnedFd)> {
        fastgpu_failpoints::hit("keeper.launch.before_fork");
        match sys::fork()? {
            Forked::Child => guardian::run(Charge {
                key,
                words,
                working_dir: self.working_dir,
                record: self.record,
                folder: self.folder,
                groups: self.groups,
                view: keeper.view.as_ref(),
                events: &keeper.hints_end,
            }),
            Forked::Parent(pid) => {
                fastgpu_failpoints::hit("keeper.launch.after_fork");
                let known = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
                // Our own child, not yet waited for: the pid is still its own.
                Ok((pid, rustix::process::pidfd_open(known, PidfdFlags::empty())?))
            }
        }
    }
}
