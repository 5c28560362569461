//! The file through which programs on this machine find the local server: `client.json` in its folder.
//!
//! A server that stops takes its address out of it; one that is killed cannot, and the port may be anybody's
//! afterwards. So who reads the file asks [`is_served`] before the token goes anywhere.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Address and token are a few hundred bytes; a larger file is not ours.
const BYTES_MAX: u64 = 16 * 1_024;

/// The file in the folder that a server keeps locked as long as it lives.
const LOCK_NAME: &str = "lock";

/// Where the local server listens, and a token for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientFile {
    /// Empty when no server listens.
    pub(crate) url: String,
    pub(crate) token: String,
}

impl std::fmt::Debug for ClientFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientFile").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ClientFile {
    pub(crate) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("client.json")
    }

    /// What the last server in this folder has left, if it can be read.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        Self::find(data_dir).ok().flatten().filter(|file| *file != Self::nobody())
    }

    /// What a file says that names no server.
    fn nobody() -> Self {
        Self { url: String::new(), token: String::new() }
    }

    /// What the last server in this folder has left; `None` if none ever ran here.
    ///
    /// # Errors
    /// When there is something that we may not read.
    pub(crate) fn find(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = Self::path(data_dir);
        let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match fs::metadata(&path) {
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
            // What is damaged or no file of ours names no server; the next one writes it anew.
            Ok(found) if found.len() > BYTES_MAX => Ok(Some(Self::nobody())),
            Ok(_) => match fs::read(path) {
                // It can go at any moment.
                Err(error) if absent(&error) => Ok(None),
                read => Ok(Some(serde_json::from_slice(&read?).unwrap_or_else(|_| Self::nobody()))),
            },
        }
    }

    /// Takes the address out of the file, as the server that it names is gone; the token stays.
    pub(crate) fn forget_address(data_dir: &Path) -> io::Result<()> {
        match Self::read(data_dir) {
            Some(file) if !file.url.is_empty() => Self { url: String::new(), ..file }.write(data_dir),
            _ => Ok(()),
        }
    }

    /// Writes the file whole or not at all, readable by its owner alone.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let partial = data_dir.join(format!("client.json.{}", std::process::id()));
        let written = self.write_to(&partial).and_then(|()| fs::rename(&partial, Self::path(data_dir)));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        // A leftover of a killed process with our pid must not lend us its permissions.
        let _ = fs::remove_file(path);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

/// Whose a file is, or else the innermost folder around it that can be looked at: a name, or a number where the
/// machine knows none.
pub(crate) fn owner_of(path: &Path) -> Option<String> {
    let uid = path.ancestors().find_map(|around| fs::metadata(around).ok())?.uid();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number == uid.to_string()).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("user id {uid}")))
}

/// Whether a server that lives has this folder: the kernel lets go of its lock when it ends, however it ends.
/// Which process it is does not matter here: one that started on a full disk could not write its pid.
pub(crate) fn is_served(data_dir: &Path) -> bool {
    // Where it is free we hold it for a moment, shared; a server that starts just then asks again.
    File::open(data_dir.join(LOCK_NAME))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_file_is_whole_private_and_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ClientFile::read(folder.path()), None);
        for port in [1, 2] {
            let file = ClientFile { url: format!("http://127.0.0.1:{port}"), token: "fgp_x".into() };
            file.write(folder.path()).unwrap();
            assert_eq!(ClientFile::read(folder.path()), Some(file));
        }
        let mode = fs::metadata(ClientFile::path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        ClientFile::forget_address(folder.path()).unwrap();
        let left = ClientFile::read(folder.path()).unwrap();
        assert_eq!((left.url.as_str(), left.token.as_str()), ("", "fgp_x"));
    }

    #[test]
    fn a_folder_is_served_as_long_as_somebody_holds_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_served(folder.path()));
        let lock = File::create(folder.path().join(LOCK_NAME)).unwrap();
        assert!(!is_served(folder.path()));
        lock.lock().unwrap();
        assert!(is_served(folder.path()));
        drop(lock);
        assert!(!is_served(folder.path()));
    }
}
