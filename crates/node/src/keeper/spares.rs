//! Folders of attempts that are over and left nothing: each serves a later attempt, with its empty record.
//!
//! Making a folder and a file costs a file system far more than renaming them. A folder is emptied while no
//! attempt has it, so a keeper that ends at any moment leaves no record under a wrong name.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use crate::folder::RecordFile;

/// As many as attempts may end in one burst on a large machine.
const SPARES_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Spares {
    place: PathBuf,
    free: Vec<PathBuf>,
    next: u64,
}

impl Spares {
    /// What an earlier keeper left there is deleted.
    pub(super) fn new(place: PathBuf) -> Self {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            // One that cannot be deleted is never used: every name is tried once, and must be free.
            let _ = fs::remove_dir_all(entry.path());
        }
        Self { place, free: Vec::new(), next: 0 }
    }

    /// Takes the folder of an attempt that nobody asks for any more; says whether it is gone from its place.
    pub(super) fn keep(&mut self, folder: &Path) -> bool {
        if self.free.len() >= SPARES_MAX {
            return fs::remove_dir_all(folder).is_ok();
        }
        let spare = self.place.join(self.next.to_string());
        self.next += 1;
        if !rename(folder, &spare) {
            return false;
        }
        if RecordFile::empty(&spare).is_ok() {
            self.free.push(spare);
        } else {
            let _ = fs::remove_dir_all(spare);
        }
        true
    }

    /// Gives a folder with an empty record, locked, to a new attempt.
    pub(super) fn take(&mut self, folder: &Path) -> Option<RecordFile> {
        let spare = self.free.pop()?;
        let record = RecordFile::take_empty(&spare).ok()?;
        rename(&spare, folder).then_some(record)
    }
}

/// Never onto something that is there.
fn rename(from: &Path, to: &Path) -> bool {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).is_ok()
}
