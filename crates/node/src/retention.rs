//! Deleting what was kept for reading only: logs and working folders of acknowledged attempts.
//!
//! It works on the node's folder from the server's side; the keeper needs none of it.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use crate::folder::{AttemptKey, NodeFolder};

/// Attempts deleted in one sweep, so that no sweep holds the disk for long.
const SWEPT_MAX: usize = 1_000;
/// The pause after a sweep that has left something to do.
const PAUSE_BETWEEN: Duration = Duration::from_secs(1);

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Nothing older than this.
    pub age_max: Duration,
    /// Never more attempts than this, the oldest go first.
    pub attempts_max: usize,
}

/// Three months are enough to look back; a hundred thousand folders are what a file system lists in a second.
impl Default for Retention {
    fn default() -> Self {
        Self { age_max: Duration::from_hours(90 * 24), attempts_max: 100_000 }
    }
}

/// When to sweep.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long after the start: it has better things to do.
    pub first: Duration,
    /// And how often from then on.
    pub every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_mins(1), every: Duration::from_hours(1) }
    }
}

/// Sweeps now and then, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Sweeper {
    _stop: Sender<()>,
}

impl Sweeper {
    /// Starts to sweep the folder of a node.
    pub fn start(node_dir: &Path, retention: Retention, pace: Pace) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let node_dir = node_dir.to_path_buf();
        // Not waited for at the end: a sweep that is cut off is finished by the next one.
        std::thread::Builder::new()
            .name("node-sweeper".to_owned())
            .spawn(move || keep_sweeping(&node_dir, retention, pace, &stopped))?;
        Ok(Self { _stop: stop })
    }
}

fn keep_sweeping(node_dir: &Path, retention: Retention, pace: Pace, stopped: &Receiver<()>) {
    let mut pause = pace.first;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = pace.every;
        match sweep(node_dir, retention, SystemTime::now()) {
            Ok(0) => {}
            Ok(swept) => {
                tracing::info!(swept, "deleted logs and working folders of old attempts");
                if swept == SWEPT_MAX {
                    pause = PAUSE_BETWEEN;
                }
            }
            Err(error) => tracing::warn!(%error, "the logs of old attempts cannot be looked through"),
        }
    }
}

/// Deletes what is no longer to be kept; says how many attempts were deleted.
pub fn sweep(node_dir: &Path, retention: Retention, now: SystemTime) -> io::Result<usize> {
    let folder = NodeFolder::at(node_dir);
    let mut kept: Vec<(SystemTime, AttemptKey)> = Vec::new();
    for entry in std::fs::read_dir(folder.done())? {
        let entry = entry?;
        let key = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // The folder's own time is that of its last segment or of its end.
        if let (Some(key), Ok(meta)) = (key, entry.metadata()) {
            kept.push((meta.modified()?, key));
        }
    }
    kept.sort_unstable();
    let too_many = kept.len().saturating_sub(retention.attempts_max);
    let too_old = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age > retention.age_max);
    let doomed = kept.iter().enumerate().filter(|&(index, &(at, _))| index < too_many || too_old(at));
    let mut swept = 0;
    for (_, (_, key)) in doomed {
        let name = key.to_string();
        match remove(&folder.work().join(&name)).and_then(|()| remove(&folder.done().join(&name))) {
            Ok(()) => swept += 1,
            // One that a task has locked up must not keep the others here.
            Err(error) => tracing::warn!(attempt = name, %error, "an old attempt cannot be deleted"),
        }
        if swept == SWEPT_MAX {
            break;
        }
    }
    Ok(swept)
}

/// Deletes a folder; links in it are deleted, not followed.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ids::TaskId;

    use super::*;

    fn over(folder: &NodeFolder, task: u64) -> String {
        let name = AttemptKey { task: TaskId::new(task).unwrap(), attempt: 1 }.to_string();
        for place in [folder.done(), folder.work()] {
            std::fs::create_dir(place.join(&name)).unwrap();
        }
        name
    }

    #[test]
    fn a_sweeper_sweeps_again_and_again_until_it_is_dropped() {
        let node = tempfile::tempdir().unwrap();
        let folder = NodeFolder::create(node.path()).unwrap();
        let retention = Retention { age_max: Duration::MAX, attempts_max: 1 };
        let pace = Pace { first: Duration::ZERO, every: Duration::from_millis(5) };
        over(&folder, 1);
        let sweeper = Sweeper::start(node.path(), retention, pace).unwrap();
        let count = || std::fs::read_dir(folder.done()).unwrap().count();
        for task in 2..4 {
            over(&folder, task);
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while count() > 1 {
                assert!(std::time::Instant::now() < deadline, "it sweeps no more");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        drop(sweeper);
    }

    #[test]
    fn one_that_cannot_be_deleted_does_not_keep_the_others() {
        let node = tempfile::tempdir().unwrap();
        let folder = NodeFolder::create(node.path()).unwrap();
        let locked = over(&folder, 1);
        // No folder can be deleted as one, whoever asks.
        std::fs::remove_dir(folder.work().join(&locked)).unwrap();
        std::fs::write(folder.work().join(&locked), "").unwrap();
        over(&folder, 2);
        let retention = Retention { age_max: Duration::MAX, attempts_max: 0 };
        assert_eq!(sweep(node.path(), retention, SystemTime::now()).unwrap(), 1);
        assert_eq!(std::fs::read_dir(folder.done()).unwrap().count(), 1);
    }

    #[test]
    fn the_oldest_go_first_and_the_rest_by_age() {
        let node = tempfile::tempdir().unwrap();
        let folder = NodeFolder::create(node.path()).unwrap();
        let start = SystemTime::now();
        for index in 0..5 {
            let name = over(&folder, index);
            let done = std::fs::File::open(folder.done().join(name)).unwrap();
            done.set_modified(start + Duration::from_secs(index)).unwrap();
        }
        let count = |place: &Path| std::fs::read_dir(place).unwrap().count();
        let retention = Retention { age_max: Duration::from_secs(60), attempts_max: 3 };
        assert_eq!(sweep(node.path(), retention, start).unwrap(), 2);
        assert_eq!((count(&folder.done()), count(&folder.work())), (3, 3));
        assert_eq!(sweep(node.path(), retention, start + Duration::from_secs(64)).unwrap(), 2);
        assert_eq!(sweep(node.path(), retention, start + Duration::from_secs(64)).unwrap(), 0);
        assert_eq!(count(&folder.done()), 1);
    }
}
