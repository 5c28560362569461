//! Disk space kept back, so that a full disk stops new tasks before it stops the running ones.
//!
//! Once given back, it pays for copying the log into the file (see [`super::checkpoint`]); from then on the
//! log begins anew within the space it has, and the rest is for the rows of running tasks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::folder;

/// The file that holds the space.
const RESERVE_NAME: &str = "reserve";
/// The log at its longest (8 MiB), and as much again: tens of thousands of transitions.
const RESERVE_BYTES: u64 = 16 * 1_024 * 1_024;
/// Room beyond the reserve without which it is not restored: a disk that is full again with the next submit
/// would only go back and forth.
const HEADROOM_BYTES: u64 = 8 * 1_024 * 1_024;
/// Written at once where space cannot be had without writing.
const BLOCK_BYTES: usize = 64 * 1_024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    pub(super) fn of(data_dir: &Path) -> Self {
        let path = data_dir.join(RESERVE_NAME);
        let held = fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE_BYTES);
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
            self.held = self.take().is_ok();
            if !self.held {
                let _ = fs::remove_file(&self.path);
            }
        }
        self.held
    }

    fn take(&self) -> io::Result<()> {
        let mut file = folder::private().truncate(true).open(&self.path)?;
        let wanted = RESERVE_BYTES + HEADROOM_BYTES;
        match fallocate(&file, FallocateFlags::empty(), 0, wanted) {
            Err(rustix::io::Errno::OPNOTSUPP) => write_noise(&mut file, wanted)?,
            other => other?,
        }
        file.set_len(RESERVE_BYTES)?;
        file.sync_all()
    }
}

/// Where a file system cannot promise blocks, it must be given bytes; not zeros, which some leave out.
fn write_noise(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = bytes;
    while left > 0 {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        while block.len() < BLOCK_BYTES {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            block.extend_from_slice(&noise.to_le_bytes());
        }
        file.write_all(&block)?;
        left = left.saturating_sub(BLOCK_BYTES as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_holds_blocks_and_gives_them_back() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::of(folder.path());
        assert!(reserve.restore() && reserve.restore());
        let file = fs::metadata(folder.path().join(RESERVE_NAME)).unwrap();
        assert!(file.blocks() * 512 >= RESERVE_BYTES, "{} blocks", file.blocks());
        assert!(Reserve::of(folder.path()).held);
        reserve.release();
        reserve.release();
        assert!(!Reserve::of(folder.path()).held && !folder.path().join(RESERVE_NAME).exists());
        assert!(reserve.restore());
    }

    #[test]
    fn noise_is_as_long_as_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        write_noise(&mut File::create(&path).unwrap(), 3 * BLOCK_BYTES as u64).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * BLOCK_BYTES as u64);
    }
}
