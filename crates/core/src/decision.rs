//! What a round decides: who starts where, who is stopped for whom, what is kept.
//!
//! Data only: [`crate::plan`] makes it, [`crate::state::State::adopt`] takes it up.

use crate::ask::GrantPart;
use crate::ids::{DeviceIndex, NodeId, TaskId};
use crate::units::Timestamp;

/// What a round decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tasks to start, in order.
    pub starts: Vec<Start>,
    /// Tasks to stop so that others can start.
    pub preempts: Vec<Preempt>,
    /// Devices kept for tasks that cannot start yet, from now on.
    pub keeps: Vec<Keep>,
    /// Whether another round should follow at once.
    pub more: bool,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// One task to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Which task.
    pub task: TaskId,
    /// What it gets.
    pub parts: Vec<GrantPart>,
}

/// One task to stop, so that another gets its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preempt {
    /// Who is stopped.
    pub task: TaskId,
    /// For whom.
    pub for_task: TaskId,
}

/// What is kept, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// For whom.
    pub task: TaskId,
    /// What it will hold, as far as devices go.
    pub devices: Vec<(NodeId, DeviceIndex)>,
    /// Nodes whose processor and host memory are kept as well.
    pub nodes: Vec<NodeId>,
    /// When all of it is free at the latest; [`Timestamp::NEVER`] if somebody there has no time limit.
    pub free_at: Timestamp,
    /// Why they are kept.
    pub cause: KeepCause,
}

/// Why devices are kept for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepCause {
    /// It is the head of the queue and was overtaken for long enough.
    Overtaken,
    /// Others are being stopped for it.
    Preempting,
}
