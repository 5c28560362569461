//! What the agent tells a keeper before it starts, through a file in the node's folder.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::complaints::complain;
use crate::folder::NodeFolder;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeeperSettings {
    pub(crate) hide: Vec<PathBuf>,
    pub(crate) use_cgroups: bool,
    /// For tests: how long a keeper that nobody needs stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle_leave_ms: Option<u64>,
}

impl KeeperSettings {
    pub(crate) fn save(&self, folder: &NodeFolder) -> io::Result<()> {
        let path = folder.keeper_settings();
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(new, path)
    }

    /// A file that is missing or broken never stops a keeper: it runs as if nothing was said.
    pub(crate) fn load(folder: &NodeFolder) -> Self {
        let read = std::fs::read(folder.keeper_settings());
        let parsed = read
            .map_err(|error| error.to_string())
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        parsed.unwrap_or_else(|error| {
            complain(&format!("keeper.json could not be read: {error}"));
            Self { hide: Vec::new(), use_cgroups: true, idle_leave_ms: None }
        })
    }
}
