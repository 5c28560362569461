//! From the core's words to what callers see. By hand, so that renaming a core field breaks no client.

use fastgpu_core::ask::{Ask, Backend, Class, GrantPart, Share};
use fastgpu_core::change::{Actor, Attempt, Event, Segment};
use fastgpu_core::cluster::{DeviceSlot, Node};
use fastgpu_core::command::Submit;
use fastgpu_core::explain::{Explanation, exit_words};
use fastgpu_core::forecast::{Basis, Forecast};
use fastgpu_core::ids::{Name, TaskId};
use fastgpu_core::node::{Exit, ExitKind};
use fastgpu_core::retry::FailureClass;
use fastgpu_core::spec::Spec;
use fastgpu_core::task::{Outcome, QueueCause, StopCause, Task, TaskState, Work};
use fastgpu_core::token::{Role, Token};
use fastgpu_core::units::Timestamp;

use crate::time::{Time, WallTime};
use crate::view::{
    AbilityView, AttemptView, EventView, ExplainView, Failure, GpuAsk, GpuView, GrantView, HolderView,
    NodeView, Position, Reason, Retries, SegmentView, SliceView, TaskView, TokenView, UsageView,
};

/// A task as callers see it at `now`; `spec` is the text its hash stands for, if it is still there.
#[must_use]
pub fn task_view(task: &Task, spec: Option<&Spec>, now: Timestamp) -> TaskView {
    let end = match &task.state {
        TaskState::Ended(end) => Some(end),
        _ => None,
    };
    let exit = end.and_then(|end| end.exit.as_ref());
    TaskView {
        id: task.id.to_string(),
        name: task.terms.name.as_deref().map(str::to_owned),
        project: task.project.to_string(),
        owner: task.owner.to_string(),
        state: task.state.code().to_owned(),
        reason: reason(task),
        queue: task.terms.queue.to_string(),
        priority: task.priority,
        class: class_word(task.terms.ask.class).to_owned(),
        attempt: task.attempt,
        retries: Retries { user: task.strikes.user, infrastructure: task.strikes.infrastructure },
        exit_code: exit.and_then(exit_code),
        signal: exit.and_then(signal),
        failure: end.and_then(|end| failure_of(end.outcome, exit)),
        command: spec.map(|spec| spec.command.clone()).unwrap_or_default(),
        reservation: matches!(task.work, Work::Reservation(_)),
        working_dir: spec.and_then(|spec| spec.working_dir.clone()),
        gpu: gpu_ask(&task.terms.ask),
        cpu_milli: task.terms.ask.cpu.0,
        memory_mib: task.terms.ask.host_memory.0,
        labels: texts(&task.terms.ask.constraints.labels),
        grant: task.state.hold().map(|hold| hold.grant.parts.iter().map(grant_view).collect()),
        submitted_at: Time(task.submitted_at),
        started_at: task.first_started_at.map(Time),
        ended_at: end.map(|end| Time(end.at)),
        time_limit_ms: task.time_limit.map(|span| span.0),
        expected_duration_ms: task.terms.expected.map(|span| span.0),
        attained_gpu_milli_ms: attained(task, now),
        expected_at: None,
        expected_basis: None,
        queue_timeout_ms: task.terms.limits.queue.map(|span| span.0),
        stop_grace_ms: task.terms.limits.stop_grace.0,
        held: matches!(task.state, TaskState::Queued { cause: QueueCause::Held, .. }),
        revision: task.revision,
    }
}

/// A task at the moment it was accepted, from what was sent: nothing needs to be read back. What only the
/// control plane knows (a default time limit, a place found at once) shows when the task is read.
#[must_use]
pub fn accepted_view(id: TaskId, submit: &Submit, now: Timestamp) -> TaskView {
    let cause = if submit.held { QueueCause::Held } else { QueueCause::Capacity };
    TaskView {
        id: id.to_string(),
        name: submit.terms.name.as_deref().map(str::to_owned),
        project: submit.project.to_string(),
        owner: submit.owner.to_string(),
        state: "queued".to_owned(),
        reason: Some(Reason { code: cause.code().to_owned(), message: queue_message(&cause, None) }),
        queue: submit.terms.queue.to_string(),
        priority: submit.terms.priority,
        class: class_word(submit.terms.ask.class).to_owned(),
        attempt: 0,
        retries: Retries::default(),
        exit_code: None,
        signal: None,
        failure: None,
        command: submit.spec.command.clone(),
        reservation: submit.spec.command.is_empty(),
        working_dir: submit.spec.working_dir.clone(),
        gpu: gpu_ask(&submit.terms.ask),
        cpu_milli: submit.terms.ask.cpu.0,
        memory_mib: submit.terms.ask.host_memory.0,
        labels: texts(&submit.terms.ask.constraints.labels),
        grant: None,
        submitted_at: Time(now),
        started_at: None,
        ended_at: None,
        time_limit_ms: submit.terms.limits.run.map(|span| span.0),
        expected_duration_ms: submit.terms.expected.map(|span| span.0),
        attained_gpu_milli_ms: 0,
        expected_at: None,
        expected_basis: None,
        queue_timeout_ms: submit.terms.limits.queue.map(|span| span.0),
        stop_grace_ms: submit.terms.limits.stop_grace.0,
        held: submit.held,
        revision: 1,
    }
}

/// GPU time up to `now`. The core counts the time of tasks without a GPU as well, to order them.
fn attained(task: &Task, now: Timestamp) -> u64 {
    if task.terms.ask.devices.max == 0 {
        return 0;
    }
    let slices =
        task.state.hold().into_iter().flat_map(|hold| &hold.grant.parts).flat_map(|part| &part.slices);
    let held: u64 = slices.map(|slice| u64::from(slice.milli.get())).sum();
    let running = task.state.running_since().map_or(0, |since| now.since(since).0);
    u64::try_from(task.attained).unwrap_or(0).saturating_add(held.saturating_mul(running))
}

fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// When a task will probably start, and the word for on what that rests.
#[must_use]
pub fn expected_start(forecast: Option<&Forecast>) -> (Option<Time>, Option<String>) {
    let Some((at, basis)) = forecast.and_then(|found| Some((found.start_at?, found.basis))) else {
        return (None, None);
    };
    let word = match basis {
        Basis::Limits => "limits",
        Basis::Expected => "expected",
    };
    (Some(Time(at)), Some(word.to_owned()))
}

/// The GPUs a task asks for, as callers see them.
#[must_use]
pub fn gpu_ask(ask: &Ask) -> GpuAsk {
    let (milli, cap) = match ask.share {
        _ if ask.devices.max == 0 => (None, None),
        Share::Milli(milli) => (Some(milli), None),
        Share::Cap(cap) => (None, Some(cap)),
        Share::Both(milli, cap) => (Some(milli), Some(cap)),
    };
    GpuAsk {
        count_min: ask.devices.min,
        count_max: ask.devices.max,
        share_milli: milli.map(|milli| milli.get()),
        memory_mib: cap.map(|cap| cap.0),
        models: texts(&ask.constraints.models),
    }
}

fn reason(task: &Task) -> Option<Reason> {
    let (code, message) = match &task.state {
        TaskState::Queued { cause, .. } => (cause.code(), queue_message(cause, task.last_fault.as_deref())),
        TaskState::Stopping { why, .. } => match why {
            StopCause::Cancel => ("cancel", "it was cancelled and is being stopped".to_owned()),
            StopCause::Release => ("release", "its resources are being given back".to_owned()),
            StopCause::Preempt => ("preempt", "its place is needed by another task".to_owned()),
        },
        TaskState::Ended(end) => match end.outcome {
            Outcome::Succeeded | Outcome::Cancelled => return None,
            Outcome::Failed(class) => (class.code(), failure_message(class, end.exit.as_ref())),
            Outcome::TimedOutRunning => ("time_limit", "it ran into its time limit".to_owned()),
            Outcome::TimedOutQueued => {
                ("queue_timeout", "it waited longer than it was willing to".to_owned())
            }
        },
        _ => return None,
    };
    Some(Reason { code: code.to_owned(), message })
}

/// Why it waits; `fault` is what broke its last attempt, if a device did.
fn queue_message(cause: &QueueCause, fault: Option<&str>) -> String {
    if let (QueueCause::Retrying { class: FailureClass::GpuSick, not_before }, Some(fault)) = (cause, fault) {
        return format!("{fault}; that is not charged to it, and it is tried again at {}", Time(*not_before));
    }
    match cause {
        QueueCause::Capacity => "it waits for its turn and a place".to_owned(),
        QueueCause::Retrying { class, not_before } => {
            format!("its last attempt failed ({}); it is tried again at {}", class.code(), Time(*not_before))
        }
        QueueCause::Preempted => "its place went to another task; it keeps its age".to_owned(),
        QueueCause::Dependency(other) => format!("it waits for {other} to end"),
        QueueCause::Held => "a person holds it back".to_owned(),
        QueueCause::Parked => "it failed on several healthy nodes; a person must look".to_owned(),
    }
}

fn failure_of(outcome: Outcome, exit: Option<&Exit>) -> Option<Failure> {
    let class = match outcome {
        Outcome::Failed(class) => class,
        Outcome::TimedOutRunning => FailureClass::Timeout,
        Outcome::Succeeded | Outcome::Cancelled | Outcome::TimedOutQueued => return None,
    };
    Some(failure(class, exit))
}

fn failure(class: FailureClass, exit: Option<&Exit>) -> Failure {
    Failure { class: class.code().to_owned(), message: failure_message(class, exit) }
}

fn failure_message(class: FailureClass, exit: Option<&Exit>) -> String {
    if let Some(exit) = exit {
        return exit_words(exit);
    }
    let words = match class {
        FailureClass::NodeLost => "the node was lost with the attempt",
        FailureClass::GpuSick => "a GPU failed under the attempt",
        FailureClass::Preempted => "its place went to another task",
        FailureClass::Timeout => "it ran into its time limit",
        _ => "the attempt failed",
    };
    words.to_owned()
}

fn exit_code(exit: &Exit) -> Option<u8> {
    match exit.how {
        ExitKind::Code(code) => Some(code),
        _ => None,
    }
}

fn signal(exit: &Exit) -> Option<u8> {
    match exit.how {
        ExitKind::Signal(signal) => Some(signal),
        _ => None,
    }
}

/// The stable word for a class.
#[must_use]
pub const fn class_word(class: Class) -> &'static str {
    match class {
        Class::Guaranteed => "guaranteed",
        Class::Standard => "standard",
        Class::Spot => "spot",
    }
}

const fn backend_word(backend: Backend) -> &'static str {
    match backend {
        Backend::Exclusive => "exclusive",
        Backend::Mig => "mig",
        Backend::Mps => "mps",
        Backend::Interposer => "interposer",
        Backend::Software => "software",
        Backend::Unenforced => "unenforced",
    }
}

fn grant_view(part: &GrantPart) -> GrantView {
    let slice = |slice: &fastgpu_core::ask::Slice| SliceView {
        index: slice.device.0,
        share_milli: slice.milli.get(),
        memory_mib: slice.memory.0,
        backend: backend_word(slice.backend).to_owned(),
    };
    GrantView { node: part.node.to_string(), gpus: part.slices.iter().map(slice).collect() }
}

/// An entry of a task's history as callers see it.
#[must_use]
pub fn event_view(event: &Event) -> EventView {
    EventView {
        number: event.number,
        at: Time(event.at),
        attempt: event.attempt,
        state: event.state.to_owned(),
        cause: event.cause.code().to_owned(),
        detail: event.detail.clone(),
        actor: match &event.actor {
            Actor::Scheduler => "scheduler".to_owned(),
            Actor::Local => "local".to_owned(),
            Actor::Node(node) => node.to_string(),
            Actor::Token { owner, .. } => owner.to_string(),
        },
    }
}

/// An attempt as callers see it.
#[must_use]
pub fn attempt_view(attempt: &Attempt) -> AttemptView {
    let end = attempt.ended.as_ref();
    let exit = end.and_then(|end| end.exit.as_ref());
    AttemptView {
        attempt: attempt.attempt,
        grant: attempt.parts.iter().map(grant_view).collect(),
        placed_at: Time(attempt.placed_at),
        started_at: attempt.started_at.map(Time),
        ended_at: end.map(|end| Time(end.at)),
        exit_code: exit.and_then(exit_code),
        signal: exit.and_then(signal),
        failure: end.and_then(|end| end.class).map(|class| failure(class, exit)),
        cpu_ms: exit.map(|exit| exit.cpu_ms),
        rss_max_kib: exit.map(|exit| exit.rss_max_kib),
    }
}

/// What a task used, as callers see it.
#[must_use]
pub fn usage_view(segments: &[Segment]) -> UsageView {
    let item = |segment: &Segment| SegmentView {
        attempt: segment.attempt,
        version: segment.version,
        from: Time(segment.from),
        to: Time(segment.to),
        charged_milli: segment.charged_milli,
        memory_mib: segment.memory_mib,
        gpu_milli_ms: segment.gpu_milli_ms,
        price_micros: segment.price.0,
        cost_micros: segment.cost_micros,
    };
    UsageView {
        gpu_milli_ms: segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.gpu_milli_ms)),
        cost_micros: segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.cost_micros)),
        items: segments.iter().map(item).collect(),
    }
}

/// An explanation as callers see it.
#[must_use]
pub fn explain_view(
    task: TaskId,
    state: &str,
    explanation: Explanation,
    forecast: Option<&Forecast>,
) -> ExplainView {
    let (expected_at, expected_basis) = expected_start(forecast);
    ExplainView {
        expected_at,
        expected_basis,
        id: task.to_string(),
        state: state.to_owned(),
        code: explanation.code.to_owned(),
        headline: explanation.headline,
        position: explanation.position.map(|(place, of)| Position { place, of }),
        lines: explanation.lines,
        earliest_at: explanation.earliest_at.map(Time),
        suggestions: explanation.suggestions,
    }
}

/// A GPU as callers see it; `may_see` says whether they may know of a task that holds a slice of it.
#[must_use]
pub fn gpu_view(node: &Node, slot: &DeviceSlot, may_see: impl Fn(TaskId) -> bool) -> GpuView {
    let info = &slot.info;
    let is_usable = info.unusable.is_none();
    let tasks: Vec<_> = slot
        .holders
        .iter()
        .filter(|(task, _)| may_see(*task))
        .map(|(task, slice)| HolderView {
            id: task.to_string(),
            share_milli: slice.milli.get(),
            memory_mib: slice.memory.0,
        })
        .collect();
    GpuView {
        node: node.id.to_string(),
        hostname: node.hostname.to_string(),
        index: info.index.0,
        uuid: info.uuid.to_string(),
        model: info.model.to_string(),
        memory_mib: info.memory.0,
        simulated: info.simulated,
        free_share_milli: if is_usable { slot.free_milli.get() } else { 0 },
        free_memory_mib: if is_usable { slot.free_memory.0 } else { 0 },
        others: slot.holders.len() - tasks.len(),
        tasks,
        unusable: info.unusable.clone(),
        pci: info.pci.as_deref().map(str::to_owned),
        driver: info.driver.as_deref().map(str::to_owned),
        mig: info.mig,
        nvlink: info.closeness.nvlink,
        numa: info.closeness.numa,
        power_mw: info.telemetry.power_mw,
        temperature_c: info.telemetry.temperature_c,
        utilization_percent: info.telemetry.utilization_percent,
        memory_used_mib: info.telemetry.memory_used.map(|memory| memory.0),
        memory_errors: info.telemetry.memory_errors,
        read_at: info.telemetry.read_at.map(Time),
    }
}

/// A node as callers see it.
#[must_use]
pub fn node_view(node: &Node) -> NodeView {
    let ability = |ability: &fastgpu_core::node::Ability| AbilityView {
        name: ability.name.to_string(),
        works: ability.works,
        detail: ability.detail.clone(),
    };
    let state = match node {
        _ if !node.present => "absent",
        _ if node.drained => "drained",
        _ if !node.probed => "probing",
        _ => "ready",
    };
    NodeView {
        id: node.id.to_string(),
        hostname: node.hostname.to_string(),
        state: state.to_owned(),
        drained: node.drained,
        present: node.present,
        probed: node.probed,
        cpu_milli: node.cpu.0,
        cpu_free_milli: node.cpu_free.0,
        memory_mib: node.host_memory.0,
        memory_free_mib: node.host_memory_free.0,
        gpus: node.devices.len(),
        simulated: node.devices.iter().any(|slot| slot.info.simulated),
        gpus_usable: node.devices.iter().filter(|slot| slot.info.unusable.is_none()).count(),
        labels: texts(&node.labels),
        abilities: node.abilities.iter().map(ability).collect(),
    }
}

/// A token as callers see it.
#[must_use]
pub fn token_view(token: &Token) -> TokenView {
    TokenView {
        id: token.id.to_string(),
        owner: token.owner.to_string(),
        project: token.project.to_string(),
        role: token.role.code().to_owned(),
        created_at: WallTime(token.created_at),
        expires_at: token.expires_at.filter(|&at| at != Timestamp::NEVER).map(WallTime),
        revoked_at: token.revoked_at.map(Time),
    }
}

/// The role a word stands for.
#[must_use]
pub fn role_of(word: &str) -> Option<Role> {
    [Role::Viewer, Role::Member, Role::Admin].into_iter().find(|role| role.code() == word)
}
