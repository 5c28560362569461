//! Taking over what an earlier keeper started, from nothing but the node's folder.
//!
//! An attempt with an end in its record is reported; one whose record is locked has a living guardian and
//! is watched; any other is dead without an end, so what is left of it is killed and it is failed. Nothing
//! in the folder can stop a keeper from starting.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags};

use super::{Held, Keeper};
use crate::complaints::complain;
use crate::folder::{AttemptKey, Record, RecordFile, start_time};
use crate::leftovers;

/// How long a guardian that was forked just before the keeper died may take to write its name.
const NAME_WAIT_MAX: Duration = Duration::from_secs(2);

/// Adopts, reports or fails every attempt in the folder.
pub(super) fn everything(keeper: &mut Keeper) -> io::Result<()> {
    let mut dead = Vec::new();
    for entry in std::fs::read_dir(keeper.folder.attempts())? {
        let name = entry?.file_name();
        let Some(key) = name.to_str().and_then(|name| name.parse::<AttemptKey>().ok()) else {
            complain(&format!("{} is not an attempt's folder", name.display()));
            continue;
        };
        keeper.saw(key);
        match look(keeper, key) {
            Ok(Found { record, guardian }) => {
                let mut held = Held::new(record.fence(key.attempt));
                held.adopted = true;
                held.started = record.started;
                let ended = record.exit.is_some();
                held.exit = record.exit;
                if let Some(pidfd) = guardian {
                    held.guardian = Some(keeper.watch(key, pidfd, None)?);
                    held.slot = record.meta.as_ref().and_then(|meta| meta.slot);
                    held.groups = record.meta.map_or_else(Vec::new, |meta| meta.cgroups);
                } else if !ended {
                    dead.push((key, record.meta));
                }
                keeper.attempts.insert(key, held);
            }
            Err(error) => {
                complain(&format!("the record of {key} cannot be read: {error}"));
                keeper.attempts.insert(key, Held::new(Record::default().fence(key.attempt)));
                dead.push((key, None));
            }
        }
    }
    let used: BTreeSet<u32> = keeper.attempts.values().filter_map(|held| held.slot).collect();
    for (key, meta) in dead {
        let mut why = "the attempt's guardian vanished";
        match meta {
            None => why = "the attempt's record was never written",
            Some(meta) if meta.boot != keeper.boot => why = "the machine was restarted",
            Some(meta) => {
                let is_free = meta.slot.is_none_or(|slot| !used.contains(&slot));
                let groups = if is_free { meta.cgroups } else { Vec::new() };
                leftovers::end_orphans(&groups, &key.task.to_string(), key.attempt);
            }
        }
        keeper.end_without_guardian(key, why.to_owned());
    }
    keeper.cgroups.reclaim(&used);
    Ok(())
}

struct Found {
    record: Record,
    guardian: Option<OwnedFd>,
}

fn look(keeper: &Keeper, key: AttemptKey) -> io::Result<Found> {
    let mut file = RecordFile::open(&keeper.folder.attempt(key))?;
    let deadline = Instant::now() + NAME_WAIT_MAX;
    loop {
        // Asked before reading: an end that was written before the lock fell is then seen.
        let is_free = file.try_lock()?;
        let record = file.read()?;
        if is_free || record.exit.is_some() {
            return Ok(Found { record, guardian: None });
        }
        if let Some(guardian) = record.guardian.and_then(|(pid, start)| pin(pid, start)) {
            return Ok(Found { record, guardian: Some(guardian) });
        }
        if Instant::now() > deadline {
            complain(&format!("somebody holds the record of {key}, but it is not its guardian"));
            return Ok(Found { record, guardian: None });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A handle on the process with this pid, if it is still the one that started then.
fn pin(pid: i32, start: u64) -> Option<OwnedFd> {
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Looked at after pinning: if it matches now, it is the pinned one.
    (start_time(pid) == Some(start)).then_some(pidfd)
}
