//! Working folders of attempts whose task named none.
//!
//! Most tasks leave theirs empty, and making and removing a folder for each would cost more than the rest
//! of the attempt's bookkeeping (some file systems look at every folder removed in the last minutes when
//! the next one is made). So an empty folder is renamed for the next attempt. One with something in it
//! stays, as the log does.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::folder::AttemptKey;

/// Empty folders kept for the next attempts: as many as attempts may end in one burst on a large machine.
const SPARE_MAX: usize = 64;
/// Folders looked at by a keeper that starts: it has better things to do.
const LOOKED_AT_MAX: usize = 4 * SPARE_MAX;
/// For its owner alone.
const MODE: u32 = 0o700;

/// The place of all working folders.
#[derive(Debug)]
pub(crate) struct WorkFolders {
    place: PathBuf,
    spare: Vec<PathBuf>,
}

impl WorkFolders {
    pub(crate) fn new(place: PathBuf) -> Self {
        Self { place, spare: Vec::new() }
    }

    /// An empty folder for this attempt.
    pub(crate) fn make(&mut self, key: AttemptKey) -> io::Result<PathBuf> {
        let folder = self.place.join(key.to_string());
        if let Some(spare) = self.spare.pop()
            && is_untouched(&spare)
            && fs::rename(spare, &folder).is_ok()
        {
            return Ok(folder);
        }
        match fs::DirBuilder::new().mode(MODE).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(folder),
        }
    }

    /// The attempt is over and acknowledged; says whether its folder stays.
    pub(crate) fn put_away(&mut self, key: AttemptKey) -> bool {
        let folder = self.place.join(key.to_string());
        if !is_untouched(&folder) {
            return folder.exists();
        }
        if self.spare.len() < SPARE_MAX {
            self.spare.push(folder);
            return false;
        }
        // Whoever put something there in this moment keeps it.
        fs::remove_dir(folder).is_err()
    }

    /// Takes up what an earlier keeper had spared, and no attempt uses.
    pub(crate) fn take_up(&mut self, is_used: impl Fn(AttemptKey) -> bool) {
        for entry in fs::read_dir(&self.place).into_iter().flatten().flatten().take(LOOKED_AT_MAX) {
            let Some(key) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if self.spare.len() < SPARE_MAX && !is_used(key) && is_untouched(&entry.path()) {
                self.spare.push(entry.path());
            }
        }
    }
}

/// Whether the folder is there, empty, ours and private.
fn is_untouched(folder: &Path) -> bool {
    let ours = fs::symlink_metadata(folder).is_ok_and(|meta| {
        let uid = rustix::process::getuid().as_raw();
        meta.is_dir() && meta.uid() == uid && meta.permissions().mode() & 0o7777 == MODE
    });
    ours && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ids::TaskId;

    use super::*;

    #[test]
    fn an_empty_folder_serves_the_next_attempt_and_a_used_one_stays() {
        let place = tempfile::tempdir().unwrap();
        let mut work = WorkFolders::new(place.path().to_path_buf());
        let key = |task| AttemptKey { task: TaskId::new(task).unwrap(), attempt: 1 };
        let first = work.make(key(1)).unwrap();
        let inode = fs::metadata(&first).unwrap().ino();
        work.put_away(key(1));
        let second = work.make(key(2)).unwrap();
        assert_eq!(fs::metadata(&second).unwrap().ino(), inode);
        assert!(!first.exists());
        fs::write(second.join("result"), "42").unwrap();
        work.put_away(key(2));
        let third = work.make(key(3)).unwrap();
        assert!(second.join("result").exists());
        fs::set_permissions(&third, fs::Permissions::from_mode(0o777)).unwrap();
        work.put_away(key(3));
        assert_eq!(fs::metadata(work.make(key(4)).unwrap()).unwrap().mode() & 0o7777, MODE);
    }
}
