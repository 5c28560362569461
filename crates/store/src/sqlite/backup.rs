//! Copies of the whole store: taken while it runs, put back while it does not.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fastgpu_failpoints::hit;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::open;
use super::refusal::{OpenError, classify};
use super::{FILE_NAME, SqliteHistory, folder};
use crate::contract::StoreError;

/// Why there is no backup. Nothing is left under the name that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// An older backup is not overwritten.
    #[error("`{}` exists already", file.display())]
    Exists {
        /// Which file.
        file: PathBuf,
    },
    /// The copy cannot be written.
    #[error("the backup `{}` cannot be written", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The engine could not copy.
    #[error("the backup `{}` failed: {detail}", file.display())]
    Copy {
        /// Which file.
        file: PathBuf,
        /// What the engine said.
        detail: String,
    },
    /// The copy was made and is not whole.
    #[error("the backup does not hold")]
    Check(#[source] OpenError),
}

/// Why a backup was not put back. What was in the folder before is still there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is data already, and nobody said to replace it.
    #[error("`{}` exists already", file.display())]
    Exists {
        /// Which file.
        file: PathBuf,
    },
    /// The backup cannot be used, or the folder is in use.
    #[error("this backup cannot be restored here")]
    Refused(#[source] OpenError),
    /// The backup has lost its structure.
    #[error("the backup `{}` is damaged: {detail}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// The first thing wrong.
        detail: String,
    },
    /// A file cannot be read or written.
    #[error("`{}` cannot be copied", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What to do about data that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and refuse.
    Keep,
    /// Replace it.
    Replace,
}

impl SqliteHistory {
    /// Writes a copy of one committed state to `destination`, while the store is in use. The writer goes on
    /// meanwhile; its log grows until the copy is done.
    ///
    /// # Errors
    /// [`BackupError`]; nothing is then left under that name.
    pub fn backup(&self, destination: &Path) -> Result<(), BackupError> {
        if destination.exists() {
            return Err(BackupError::Exists { file: destination.to_owned() });
        }
        let partial = beside(destination, "partial");
        let done = self.copy_to(&partial).and_then(|()| {
            check(&partial).map_err(BackupError::Check)?;
            hit("store.backup.before_rename");
            settle(&partial, destination)
                .map_err(|source| BackupError::Write { file: destination.to_owned(), source })
        });
        if done.is_err() {
            let _ = fs::remove_file(&partial);
        }
        done
    }

    fn copy_to(&self, partial: &Path) -> Result<(), BackupError> {
        folder::private()
            .truncate(true)
            .open(partial)
            .map_err(|source| BackupError::Write { file: partial.to_owned(), source })?;
        let copied = self.with(|source| copy(source, partial).map_err(super::engine));
        copied.map_err(|error: StoreError| BackupError::Copy {
            file: partial.to_owned(),
            detail: error.to_string(),
        })
    }
}

/// All pages in one step: in several, every commit in between would begin the copy anew.
fn copy(source: &Connection, partial: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(partial, flags)?;
    // Made durable once, at the end.
    copy.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(source, &mut copy)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("the store was locked".to_owned()),
        )),
    }
}

/// Writes a copy of one committed state of a data folder to `destination`, whether a server uses the folder
/// or not.
///
/// # Errors
/// [`BackupError`]; nothing is then left under that name.
pub fn backup(data_dir: &Path, destination: &Path) -> Result<(), BackupError> {
    SqliteHistory::new(&data_dir.join(FILE_NAME)).backup(destination)
}

/// Puts a backup into a data folder that nobody uses, after checking it in full.
///
/// # Errors
/// [`RestoreError`]; what was in the folder before is then still there.
pub fn restore(backup: &Path, data_dir: &Path, existing: Existing) -> Result<(), RestoreError> {
    let _lock = folder::lock(data_dir).map_err(RestoreError::Refused)?;
    let file = data_dir.join(FILE_NAME);
    if file.exists() && existing == Existing::Keep {
        return Err(RestoreError::Exists { file });
    }
    let partial = beside(&file, "restoring");
    let failed = |file: &Path| {
        let file = file.to_owned();
        move |source| RestoreError::Io { file, source }
    };
    // Checked is the copy, not the original: it may change in between, or its disk may.
    copy_file(backup, &partial).map_err(failed(backup))?;
    let replaced = check(&partial)
        .map_err(|error| match error {
            OpenError::Damaged { detail, .. } => RestoreError::Damaged { file: backup.to_owned(), detail },
            OpenError::NotOurs { .. } => {
                RestoreError::Refused(OpenError::NotOurs { file: backup.to_owned() })
            }
            other => RestoreError::Refused(other),
        })
        .and_then(|()| {
            retire(&file).map_err(failed(&file))?;
            hit("store.restore.before_rename");
            settle(&partial, &file).map_err(failed(&file))
        });
    if replaced.is_err() {
        let _ = fs::remove_file(&partial);
    }
    replaced
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = folder::private().truncate(true).open(to)?;
    io::copy(&mut source, &mut copy).map(drop)
}

/// Leaves the old file without a log, which would otherwise be applied to the new one.
fn retire(file: &Path) -> io::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if let Ok(old) = Connection::open_with_flags(file, flags) {
        // Closing the last connection copies the log into the file and removes it. Of a damaged file
        // nothing can be kept: its log goes below.
        let _ = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
    for suffix in ["-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    file.parent().map_or(Ok(()), folder::sync_folder)
}

/// Checks a file that nobody writes to: ours, not newer, and whole.
fn check(file: &Path) -> Result<(), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|source| classify(file, source))?;
    if open::version_of(&connection, file)? == 0 {
        return Err(OpenError::NotOurs { file: file.to_owned() });
    }
    open::full_check(&connection, file)?;
    // No log of its own goes on the way.
    connection.pragma_update(None, "journal_mode", "DELETE").map_err(|source| classify(file, source))
}

/// Gives a finished file its name, durably.
fn settle(partial: &Path, file: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::rename(partial, file)?;
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => folder::sync_folder(parent),
        _ => folder::sync_folder(Path::new(".")),
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
