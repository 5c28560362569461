//! Waiting for news of one task, without polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fastgpu_core::ids::TaskId;
use tokio::sync::watch;

/// Everybody who waits for news, by task.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    tasks: Mutex<HashMap<TaskId, watch::Sender<()>>>,
}

/// News of one task. Take it *before* reading the task, so that nothing is missed in between.
#[derive(Debug)]
pub struct Watch {
    task: TaskId,
    news: watch::Receiver<()>,
    watchers: Arc<Watchers>,
}

impl Watchers {
    pub(crate) fn watch(self: &Arc<Self>, task: TaskId) -> Watch {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let news = tasks.entry(task).or_insert_with(|| watch::Sender::new(())).subscribe();
        Watch { task, news, watchers: self.clone() }
    }

    /// Tells everybody who waits for one of `moved`.
    pub(crate) fn publish(&self, moved: &[TaskId]) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.is_empty() {
            return;
        }
        for task in moved {
            if let Some(sender) = tasks.get(task) {
                sender.send_replace(());
            }
        }
    }

    /// Ends every wait: the control plane stops.
    pub(crate) fn close(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Watch {
    /// Returns at the next durable change of the task, or when the control plane stops (`false`).
    pub async fn changed(&mut self) -> bool {
        self.news.changed().await.is_ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut tasks = self.watchers.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // This receiver still counts: one means that nobody else listens.
        if tasks.get(&self.task).is_some_and(|sender| sender.receiver_count() <= 1) {
            tasks.remove(&self.task);
        }
    }
}
