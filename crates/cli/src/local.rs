//! The file through which programs on this machine find the local server: `client.json` in its folder.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Address and token are a few hundred bytes; a larger file is not ours.
const BYTES_MAX: u64 = 16 * 1_024;

/// Where the local server listens, and a token for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientFile {
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
        let path = Self::path(data_dir);
        if fs::metadata(&path).ok()?.len() > BYTES_MAX {
            return None;
        }
        serde_json::from_slice(&fs::read(path).ok()?).ok()
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
    }
}
