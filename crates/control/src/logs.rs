//! Reading the logs of attempts, wherever their node keeps them.

use fastgpu_core::ids::TaskId;
use fastgpu_core::units::Timestamp;

/// Where logs are read from.
pub trait LogSource: Send + Sync + 'static {
    /// Frames from offset `from` on, about `bytes_max` bytes of them.
    ///
    /// # Errors
    /// [`LogError`] when there is no such log, or it cannot be read.
    fn read(&self, task: TaskId, attempt: u32, from: u64, bytes_max: usize) -> Result<LogChunk, LogError>;

    /// The last `lines` lines, as far as a source looks back: the first frame is cut where they begin.
    ///
    /// # Errors
    /// As [`LogSource::read`].
    fn tail(&self, task: TaskId, attempt: u32, lines: usize) -> Result<LogChunk, LogError>;
}

/// A stretch of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// What was written, in order.
    pub frames: Vec<LogFrame>,
    /// Where to go on reading.
    pub next: u64,
    /// Whether nothing will ever follow.
    pub ended: bool,
}

/// One piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Where the frame behind this one begins.
    pub next: u64,
    /// When it was written.
    pub at: Timestamp,
    /// By which stream.
    pub stream: Stream,
    /// What the task wrote, untouched.
    pub bytes: Vec<u8>,
}

/// Who wrote a piece of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The task's standard output.
    Stdout,
    /// The task's standard error.
    Stderr,
    /// FastGPU itself (`12 MiB left out here`).
    Note,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The attempt never wrote one, or it is too old.
    #[error("there is no log of this attempt")]
    Missing,
    /// The disk said no.
    #[error("the log cannot be read: {0}")]
    Unreadable(String),
}
