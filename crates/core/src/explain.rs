//! Why a task is where it is: with numbers, names and the next thing to try.
//!
//! [`explain`] is for tasks that wait: what is short, on which device, who frees it and when at the latest,
//! and which smaller ask would start now. [`describe`] is for all others.

mod smaller;
mod waiting;

use crate::ask::{Ask, DeviceCount, Share};
use crate::ids::TaskId;
use crate::node::{Exit, ExitKind};
use crate::place::Ground;
use crate::retry::FailureClass;
use crate::state::State;
use crate::task::{End, Outcome, QueueCause, StopCause, Task, TaskState};
use crate::units::{MemoryMib, Timestamp};
use waiting::Waiting;

/// The answer to `fastgpu why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// A stable word.
    pub code: &'static str,
    /// One sentence.
    pub headline: String,
    /// Its place among the waiting, and how many wait.
    pub position: Option<(usize, usize)>,
    /// Facts, one per line.
    pub lines: Vec<String>,
    /// When it can start at the latest, if everybody there keeps to their time limits.
    pub earliest_at: Option<Timestamp>,
    /// What would start it now.
    pub suggestions: Vec<String>,
}

/// Explains a live task. Tasks that `may_see` denies are counted and timed, never named.
#[must_use]
pub fn explain(
    state: &State,
    id: TaskId,
    now: Timestamp,
    may_see: &dyn Fn(&Task) -> bool,
) -> Option<Explanation> {
    let task = state.task(id)?;
    match &task.state {
        TaskState::Queued { cause, .. } if cause.is_ready() => {
            let ground = &Ground::of(state.cluster(), state.outlook());
            Some(Waiting { state, ground, task, now, may_see }.explain())
        }
        TaskState::Queued { cause, .. } => Some(not_ready(task, cause, now)),
        _ => Some(describe(task)),
    }
}

fn not_ready(task: &Task, cause: &QueueCause, now: Timestamp) -> Explanation {
    let id = task.id;
    let (headline, suggestion) = match cause {
        QueueCause::Retrying { class, not_before } => (
            format!("{id} failed ({}) and is tried again in {}", class.code(), not_before.since(now)),
            format!("`fastgpu logs {id}` shows what the last attempt wrote"),
        ),
        QueueCause::Dependency(other) => {
            (format!("{id} waits for {other} to end"), format!("`fastgpu why {other}`"))
        }
        QueueCause::Held => {
            (format!("{id} is held back by a person"), format!("`fastgpu set {id} --unhold` lets it go"))
        }
        QueueCause::Parked => (
            format!("{id} is parked: it broke {} healthy nodes", task.broken_nodes.len()),
            format!("look at `fastgpu logs {id}`, then `fastgpu set {id} --unhold` or `fastgpu cancel {id}`"),
        ),
        QueueCause::Capacity | QueueCause::Preempted => unreachable!("ready causes are explained by numbers"),
    };
    let mut lines = vec![format!("needs {}", needs(&task.terms.ask)), budgets(task)];
    lines.extend(task.last_fault.clone());
    let earliest_at = match cause {
        QueueCause::Retrying { not_before, .. } => Some(*not_before),
        _ => None,
    };
    Explanation {
        code: cause.code(),
        headline,
        position: None,
        lines,
        earliest_at,
        suggestions: vec![suggestion],
    }
}

/// Explains a task that does not wait for a place: what it does, or how it ended.
#[must_use]
pub fn describe(task: &Task) -> Explanation {
    let id = task.id;
    let mut suggestions = Vec::new();
    let headline = match &task.state {
        TaskState::Queued { .. } => format!("{id} waits"),
        TaskState::Starting { .. } => format!("{id} has its place and is being started"),
        TaskState::Running { .. } => format!("{id} runs"),
        TaskState::Stopping { why: StopCause::Preempt, .. } => format!("{id} makes room for another task"),
        TaskState::Stopping { .. } => {
            format!("{id} is being stopped; it has {} from SIGTERM to SIGKILL", task.terms.limits.stop_grace)
        }
        TaskState::Suspending { .. } => format!("{id} is being suspended"),
        TaskState::Suspended { .. } => format!("{id} is suspended"),
        TaskState::Resuming { .. } => format!("{id} is being resumed"),
        TaskState::Ended(end) => {
            suggestions.extend(after_the_end(task, end));
            format!("{id} {}", ending(task, end))
        }
    };
    let mut lines: Vec<String> = place_of(task).into_iter().collect();
    lines.push(format!("needs {}", needs(&task.terms.ask)));
    if task.attempt > 1 || task.terms.retry.max > 0 {
        lines.push(budgets(task));
    }
    let is_told =
        matches!(&task.state, TaskState::Ended(End { exit: Some(exit), .. }) if exit.sick.is_some());
    lines.extend(task.last_fault.clone().filter(|_| !is_told).map(|fault| format!("before: {fault}")));
    Explanation { code: task.state.code(), headline, position: None, lines, earliest_at: None, suggestions }
}

/// How a task ended, as the rest of a sentence that begins with its id.
fn ending(task: &Task, end: &End) -> String {
    match end.outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Cancelled => "was cancelled".to_owned(),
        Outcome::TimedOutQueued => {
            let limit = task.terms.limits.queue.map_or_else(String::new, |limit| format!(" ({limit})"));
            format!("was not started within its queue timeout{limit}")
        }
        Outcome::TimedOutRunning => {
            let limit = task.time_limit.map_or_else(String::new, |limit| format!(" of {limit}"));
            format!("ran into its time limit{limit}")
        }
        Outcome::Failed(class) => match end.exit.as_ref() {
            Some(exit) => format!("failed: {}", exit_words(exit)),
            None if class == FailureClass::NodeLost => "failed: its node was lost".to_owned(),
            None => format!("failed ({})", class.code()),
        },
    }
}

/// What an exit means, in words.
#[must_use]
pub fn exit_words(exit: &Exit) -> String {
    let how = kind_words(exit);
    match &exit.sick {
        Some(sick) => format!("{how}; {sick} (the machine's fault, not the task's)"),
        None => how,
    }
}

fn kind_words(exit: &Exit) -> String {
    match &exit.how {
        ExitKind::Code(127) => "exit code 127 (a shell says so when it does not find a command)".to_owned(),
        ExitKind::Code(137) => "exit code 137 (something in it was killed, often for memory)".to_owned(),
        ExitKind::Code(code) => format!("exit code {code}"),
        ExitKind::Signal(signal) => format!("ended by signal {signal}"),
        ExitKind::OutOfMemory => {
            format!("out of host memory; it used {} at most", MemoryMib(exit.rss_max_kib / 1_024))
        }
        ExitKind::TimeLimit => "time limit reached".to_owned(),
        ExitKind::BadSpec(why) => why.clone(),
        ExitKind::Infrastructure(why) => format!("{why} (the machine's fault, not the task's)"),
    }
}

fn after_the_end(task: &Task, end: &End) -> Vec<String> {
    let id = task.id;
    match end.outcome {
        Outcome::Succeeded | Outcome::Cancelled => Vec::new(),
        Outcome::TimedOutQueued => vec![format!("`fastgpu retry {id}` puts it into the queue again")],
        Outcome::TimedOutRunning => vec!["give it longer with `--time`".to_owned()],
        Outcome::Failed(FailureClass::OutOfMemoryHost) => vec!["give it more with `--mem`".to_owned()],
        Outcome::Failed(FailureClass::LaunchSpec) => {
            vec!["mend the command or the folder and run it again".to_owned()]
        }
        Outcome::Failed(_) => vec![
            format!("`fastgpu logs {id}` shows what it wrote"),
            format!("`fastgpu retry {id}` runs it again; `--retry 3` lets a task be tried again by itself"),
        ],
    }
}

fn place_of(task: &Task) -> Option<String> {
    let hold = task.state.hold()?;
    let parts: Vec<String> = hold
        .grant
        .parts
        .iter()
        .map(|part| {
            let slices: Vec<String> = part
                .slices
                .iter()
                .map(|slice| format!("{} ({} of it, {})", slice.device, slice.milli, slice.memory))
                .collect();
            if slices.is_empty() {
                part.node.to_string()
            } else {
                format!("{}: {}", part.node, slices.join(", "))
            }
        })
        .collect();
    Some(format!("holds {}", parts.join("; ")))
}

fn budgets(task: &Task) -> String {
    format!(
        "attempt {}; {} of {} retries used; {} retries for faults of machines",
        task.attempt, task.strikes.user, task.terms.retry.max, task.strikes.infrastructure
    )
}

/// The ask in words: `2 whole GPUs of model a100, 4 cores`.
#[must_use]
pub fn needs(ask: &Ask) -> String {
    let DeviceCount { min, max } = ask.devices;
    let count = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let plural = if max == 1 { "GPU" } else { "GPUs" };
    let mut parts = vec![match (max, ask.share) {
        (0, _) => "no GPU".to_owned(),
        (_, share) if share.is_whole() => format!("{count} whole {plural}"),
        (1, Share::Milli(milli)) => format!("{milli} of a GPU"),
        (_, Share::Milli(milli)) => format!("{milli} of each of {count} GPUs"),
        (_, Share::Cap(cap)) => format!("{count} {plural} with {cap} free"),
        (_, Share::Both(milli, cap)) => format!("{milli} of {count} {plural} with {cap} free"),
    }];
    if !ask.constraints.models.is_empty() {
        parts.push(format!("model {}", ask.constraints.models.join(" or ")));
    }
    if ask.constraints.device_memory_min > MemoryMib::ZERO {
        parts.push(format!("at least {} per GPU", ask.constraints.device_memory_min));
    }
    if ask.cpu.0 > 0 {
        parts.push(format!("{} cores", ask.cpu));
    }
    if ask.host_memory > MemoryMib::ZERO {
        parts.push(format!("{} of host memory", ask.host_memory));
    }
    if !ask.constraints.nodes.is_empty() {
        parts.push(format!("on {}", ask.constraints.nodes.join(" or ")));
    }
    parts.join(", ")
}
