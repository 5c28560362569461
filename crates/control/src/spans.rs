//! What the log says of a task on its way: in the span of the round that places it and in that of its attempt, each with
//! the ids to search for. The words are for `FASTGPU_LOG=debug`: a tenant can bring about any number of them.

use fastgpu_core::ids::{Fence, NodeId, TaskId};
use fastgpu_core::node::{Delivery, ExitKind, Order, Report};
use fastgpu_core::decision::Plan;
use fastgpu_core::state::State;
use tracing::Span;

/// One scheduling round.
pub(crate) fn round(number: u64) -> Span {
    tracing::info_span!("round", round = number)
}

/// One attempt of a task.
pub(crate) fn attempt(task: TaskId, node: NodeId, fence: Fence) -> Span {
    tracing::info_span!("attempt", %task, %node, attempt = fence.attempt)
}

/// The attempt that a report speaks of; no span where it speaks of none.
pub(crate) fn of_report(node: NodeId, report: &Report) -> Span {
    match report {
        Report::Started { task, fence, .. }
        | Report::Exited { task, fence, .. }
        | Report::Regranted { task, fence }
        | Report::Suspended { task, fence }
        | Report::Resumed { task, fence } => attempt(*task, node, *fence),
        Report::Hello { .. } | Report::Inventory(_) | Report::Lost => Span::none(),
    }
}

/// What a round decided.
pub(crate) fn planned(plan: &Plan, state: &State) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for start in &plan.starts {
        let attempt = state.task(start.task).map_or(0, |task| task.attempt) + 1;
        for part in &start.parts {
            tracing::debug!(task = %start.task, node = %part.node, attempt, "placed");
        }
    }
    for preempt in &plan.preempts {
        tracing::debug!(task = %preempt.task, "its place goes to another");
    }
}

/// What a node is told to begin.
pub(crate) fn ordered(delivery: &Delivery) {
    if let Order::Launch(launch) = &delivery.order {
        attempt(launch.task, delivery.node, launch.fence).in_scope(|| tracing::debug!("to be launched"));
    }
}

/// What a node says of an attempt.
pub(crate) fn reported(report: &Report) {
    match report {
        Report::Started { .. } => tracing::debug!("started"),
        Report::Exited { exit, .. } => {
            // Nothing of the program's own words: they are its owner's.
            let how = match &exit.how {
                ExitKind::Code(code) => format!("code {code}"),
                ExitKind::Signal(number) => format!("signal {number}"),
                ExitKind::OutOfMemory => "out of memory".to_owned(),
                ExitKind::TimeLimit => "time limit".to_owned(),
                ExitKind::BadSpec(_) => "never ran: its specification".to_owned(),
                ExitKind::Infrastructure(_) => "never ran: the machine".to_owned(),
            };
            tracing::debug!(how, "exited");
        }
        _ => {}
    }
}
