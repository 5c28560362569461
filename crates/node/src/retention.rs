//! Deleting what was kept for reading only: logs and working folders of acknowledged attempts.
//!
//! It works on the node's folder from the server's side; the keeper needs none of it.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::folder::{AttemptKey, NodeFolder};

/// Attempts deleted in one sweep, so that no sweep holds the disk for long.
const SWEPT_MAX: usize = 1_000;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Nothing older than this.
    pub age_max: Duration,
    /// Never more attempts than this, the oldest go first.
    pub attempts_max: usize,
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
    for (_, (_, key)) in doomed.take(SWEPT_MAX) {
        let name = key.to_string();
        remove(&folder.work().join(&name))?;
        remove(&folder.done().join(&name))?;
        swept += 1;
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

    #[test]
    fn the_oldest_go_first_and_the_rest_by_age() {
        let node = tempfile::tempdir().unwrap();
        let folder = NodeFolder::create(node.path()).unwrap();
        let start = SystemTime::now();
        for index in 0..5 {
            let key = AttemptKey { task: TaskId::new(index).unwrap(), attempt: 1 };
            for place in [folder.done(), folder.work()] {
                std::fs::create_dir(place.join(key.to_string())).unwrap();
            }
            let done = std::fs::File::open(folder.done().join(key.to_string())).unwrap();
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
