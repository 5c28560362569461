//! What guardians tell their keeper through the one pipe they share; never more than an attempt's record says.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::folder::Line;

/// A line that was added to the record of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hint {
    pub(crate) task: u64,
    pub(crate) attempt: u32,
    pub(crate) line: Line,
    /// Whether the attempt has output.
    pub(crate) log: bool,
}

impl Hint {
    /// `None` if it is too long for one undivided write to a pipe.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        serde_json::to_writer(&mut bytes, self).ok()?;
        bytes.write_all(b"\n").ok()?;
        (bytes.len() <= libc::PIPE_BUF).then_some(bytes)
    }

    /// `None` if this is no hint.
    pub(crate) fn from_bytes(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}
