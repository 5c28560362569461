//! Disk space kept back, so that a full disk stops new tasks before it stops the running ones.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::folder;

/// The file that holds the space.
const RESERVE_NAME: &str = "reserve";
/// About 20,000 transitions of tasks.
const RESERVE_BYTES: usize = 4 * 1_024 * 1_024;
/// Written at once.
const BLOCK_BYTES: usize = 64 * 1_024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    pub(super) fn of(data_dir: &Path) -> Self {
        let path = data_dir.join(RESERVE_NAME);
        let held = fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE_BYTES as u64);
        Self { path, held }
    }

    pub(super) fn release(&mut self) {
        // It may be gone already, and nobody could do anything about another failure.
        let _ = fs::remove_file(&self.path);
        self.held = false;
    }

    /// Whether the space is held now.
    pub(super) fn restore(&mut self) -> bool {
        if !self.held {
            self.held = self.fill().is_ok();
            if !self.held {
                let _ = fs::remove_file(&self.path);
            }
        }
        self.held
    }

    /// Real blocks: a file system that compresses or leaves out zeros would keep nothing back for them.
    fn fill(&self) -> io::Result<()> {
        let mut file = folder::private().truncate(true).open(&self.path)?;
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..RESERVE_BYTES / BLOCK_BYTES {
            let mut block = Vec::with_capacity(BLOCK_BYTES);
            while block.len() < BLOCK_BYTES {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                block.extend_from_slice(&noise.to_le_bytes());
            }
            file.write_all(&block)?;
        }
        file.sync_all()
    }
}
