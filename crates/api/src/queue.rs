//! Queues as callers see them.

use serde::{Deserialize, Serialize};

use crate::config::PolicyView;
use crate::time::Time;
use crate::view::GpuAsk;

/// One queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// Whether the configuration has it; tasks of one that was taken out follow the rules of the default queue.
    pub configured: bool,
    /// Its rules.
    pub policy: PolicyView,
    /// How many of its tasks wait for a place.
    pub waiting: usize,
    /// How many of its tasks have one.
    pub running: usize,
    /// GPUs that its waiting tasks ask for, in thousandths.
    pub gpus_asked_milli: u64,
    /// GPUs that its running tasks hold, in thousandths.
    pub gpus_held_milli: u64,
    /// How long the oldest of its waiting tasks has been waiting.
    pub oldest_wait_ms: Option<u64>,
    /// The first of its waiting tasks.
    pub head: Option<WaitingView>,
}

/// One queue with the first of its waiting tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueDetail {
    /// The queue.
    #[serde(flatten)]
    pub queue: QueueView,
    /// Its first waiting tasks, in order.
    pub first: Vec<WaitingView>,
}

/// A task that waits. Of tasks of other projects only what concerns everybody is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitingView {
    /// 1 is the first of its queue.
    pub place: usize,
    /// Its id, if the caller may see it.
    pub id: Option<String>,
    /// Its name, if the caller may see it.
    pub name: Option<String>,
    /// Who is accounted for it, if the caller may see it.
    pub owner: Option<String>,
    /// The GPUs it asks for, if the caller may see it.
    pub gpu: Option<GpuAsk>,
    /// How long it has been waiting.
    pub wait_ms: u64,
    /// When it will probably start, if that can be told.
    pub expected_at: Option<Time>,
    /// On what that rests: `limits` or `expected` run times.
    pub expected_basis: Option<String>,
    /// How many GPUs are kept for it.
    pub gpus_kept: usize,
}
