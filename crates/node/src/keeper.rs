//! skeleton
use crate::folder::NodeFolder;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the agent tells a keeper before it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeeperSettings {
    pub(crate) hide: Vec<PathBuf>,
    pub(crate) use_cgroups: bool,
}

impl KeeperSettings {
    pub(crate) fn save(&self, folder: &NodeFolder) -> std::io::Result<()> {
        let path = folder.keeper_settings();
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(new, path)
    }
}

/// The keeper's main function.
pub fn main(_node_dir: &Path) -> ExitCode {
    ExitCode::FAILURE
}

/// Wall time.
pub(crate) fn now() -> fastgpu_core::units::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    fastgpu_core::units::Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
