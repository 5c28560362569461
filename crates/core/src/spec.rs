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

impl Spec {
    /// Roughly how much room it takes, in bytes: its texts, and a little for each.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = 128;
        const PER_WORD: usize = 24;
        let command: usize = self.command.iter().map(|word| word.len() + PER_WORD).sum();
        let env: usize = self.env.iter().map(|(name, value)| name.len() + value.len() + 2 * PER_WORD).sum();
        OVERHEAD + command + env + self.working_dir.as_ref().map_or(0, String::len)
    }
}
