//! What each poller of the original article's client was told last, so that an unchanged answer can be held back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fastgpu_core::ids::{Name, TaskId};

/// Pollers remembered at once; forgetting one costs it nothing but a quicker answer.
const POLLERS_MAX: usize = 10_000;

/// What each poller was told last.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<(Name, TaskId), &'static str>>);

impl Told {
    /// Whether this poller was told the same before.
    pub(crate) fn is_the_same(&self, poller: &Name, id: TaskId, status: &str) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&(poller.clone(), id)).is_some_and(|last| *last == status)
    }

    pub(crate) fn remember(&self, poller: &Name, id: TaskId, status: &'static str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_final(status) {
            told.remove(&(poller.clone(), id));
            return;
        }
        if told.len() >= POLLERS_MAX {
            told.clear();
        }
        told.insert((poller.clone(), id), status);
    }
}

/// Whether the article's word says that nothing more will happen.
pub(crate) fn is_final(status: &str) -> bool {
    matches!(status, "finished" | "failed")
}
