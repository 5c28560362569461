//! What callers hear of what they asked for, and the keys under which they hear the same again.

use fastgpu_core::command::Refused;
use fastgpu_core::ids::{Name, TaskId};

/// A caller's key for a request that must not be done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key; unique within the project of the first task.
    pub key: Name,
    /// Hash of the request.
    pub digest: [u8; 32],
}

/// Accepted tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Their ids, in the order of the submit.
    pub ids: Vec<TaskId>,
    /// Whether this is the answer of an earlier request under the same key.
    pub repeated: bool,
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It makes no sense now; the text is for the caller.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Too much waits already.
    #[error("the control plane has more to do than it can take; try again shortly")]
    Overloaded,
    /// There is no room to make it durable.
    #[error("the disk is full: nothing new can be saved")]
    StorageFull,
    /// It may or may not be durable; a repeat under the same key tells.
    #[error("the store failed: {0}")]
    StorageFailed(String),
    /// The control plane is going away.
    #[error("the control plane is stopping")]
    Stopping,
}
