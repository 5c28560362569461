//! What a task runs. The core never looks inside: it keeps the hash, the store keeps the text.

use std::collections::BTreeMap;

/// The program of a task, stored once by hash and handed to the node at launch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// Program and arguments; empty for a reservation.
    pub command: Vec<String>,
    /// Environment the user asked for, over the clean one every task gets.
    pub env: BTreeMap<String, String>,
    /// Working folder; `None` means a fresh one per attempt.
    pub working_dir: Option<String>,
}
