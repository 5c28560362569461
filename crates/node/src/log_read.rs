//! Reading logs: skeleton.
use fastgpu_core::ids::TaskId;
use fastgpu_core::units::Timestamp;
use std::path::{Path, PathBuf};

/// A place in a log from which reading can go on, today and after a restart. 0 is the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogOffset(pub u64);

/// Where a piece of log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A sentence of ours: what was dropped, and why.
    Note,
}

/// A piece of log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Where to go on after this frame.
    pub next: LogOffset,
    /// When it was read from the task.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// Any bytes at all.
    pub bytes: Vec<u8>,
}

/// Some frames in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The frames.
    pub frames: Vec<LogFrame>,
    /// Where to go on.
    pub next: LogOffset,
    /// Whether nothing will ever follow `next`.
    pub ended: bool,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The attempt never ran here, or its log was swept.
    #[error("this node has no log of {task}, attempt {attempt}")]
    Unknown {
        /// Which task.
        task: TaskId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// The disk says no.
    #[error("could not read the log")]
    Read(#[from] std::io::Error),
}

/// Reads the logs of one node.
#[derive(Debug, Clone)]
pub struct LogReader {
    node_dir: PathBuf,
}

impl LogReader {
    /// Reads below `node_dir`.
    #[must_use]
    pub fn new(node_dir: &Path) -> Self {
        Self { node_dir: node_dir.to_path_buf() }
    }

    /// Frames from `from` on, about `bytes_max` of them.
    pub fn read(
        &self,
        task: TaskId,
        attempt: u32,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogChunk, LogError> {
        let _ = (&self.node_dir, from, bytes_max);
        Err(LogError::Unknown { task, attempt })
    }

    /// The place from which the last `lines` lines follow.
    pub fn tail(&self, task: TaskId, attempt: u32, lines: usize) -> Result<LogOffset, LogError> {
        let _ = lines;
        Err(LogError::Unknown { task, attempt })
    }
}
