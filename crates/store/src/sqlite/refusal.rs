//! Why a data folder cannot be used, in words for its operator.

use std::io;
use std::path::{Path, PathBuf};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it.
    #[error("the data folder `{}` is in use by {}", folder.display(), process(*pid))]
    InUse {
        /// Which folder.
        folder: PathBuf,
        /// Who has it, if they said so.
        pid: Option<u32>,
    },
    /// A later version wrote it, and there is no way back.
    #[error("the data in `{}` has version {found}; this program knows versions up to {known}", file.display())]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It is the database of another program.
    #[error("`{}` is not a FastGPU database", file.display())]
    NotOurs {
        /// Which file.
        file: PathBuf,
    },
    /// The folder cannot be made or written to.
    #[error("the data folder `{}` is not writable", folder.display())]
    NotWritable {
        /// Which folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room to even open it.
    #[error("the disk with `{}` is full", file.display())]
    Full {
        /// Which file.
        file: PathBuf,
    },
    /// The file is not whole; a backup is needed.
    #[error("`{}` is damaged: {detail}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The storage engine cannot work with it.
    #[error("`{}` cannot be opened", file.display())]
    Engine {
        /// Which file.
        file: PathBuf,
        /// What the engine said.
        source: rusqlite::Error,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What an error of the engine says about a file.
pub(super) fn classify(file: &Path, source: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode as Code;
    let file = file.to_owned();
    match source.sqlite_error_code() {
        Some(Code::DiskFull) => OpenError::Full { file },
        Some(Code::NotADatabase) => OpenError::NotOurs { file },
        Some(Code::DatabaseCorrupt) => OpenError::Damaged { file, detail: source.to_string() },
        _ => OpenError::Engine { file, source },
    }
}
