//! Why a task is where it is: with numbers, names and the next thing to try.
//!
//! [`explain`] is for tasks that wait: what is short, on which device, who frees it and when at the latest,
//! and which smaller ask would start now. [`describe`] is for all others.

use std::collections::BTreeSet;

use crate::ask::{Ask, DeviceCount, Share, Spread};
use crate::cluster::{DeviceSlot, Node};
use crate::ids::TaskId;
use crate::node::{Exit, ExitKind};
use crate::plan::fit::{View, allows_device, allows_node};
use crate::plan::{Keep, KeepCause};
use crate::queue::Rank;
use crate::retry::FailureClass;
use crate::state::State;
use crate::task::{End, Outcome, QueueCause, StopCause, Task, TaskState};
use crate::units::{GpuMilli, MemoryMib, Millis, Timestamp};

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

/// More keeps than this are not told of.
const KEEP_LINES_MAX: usize = 4;
/// More devices than this are summed up in one line.
const DEVICE_LINES_MAX: usize = 16;

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
            Some(Waiting { state, task, now, may_see }.explain())
        }
        TaskState::Queued { cause, .. } => Some(not_ready(task, cause, now)),
        _ => Some(describe(task)),
    }
}

/// A task that waits for its turn and a place, and who asks about it.
struct Waiting<'a> {
    state: &'a State,
    task: &'a Task,
    now: Timestamp,
    may_see: &'a dyn Fn(&Task) -> bool,
}

impl Waiting<'_> {
    fn explain(&self) -> Explanation {
        let Self { state, task, now, .. } = *self;
        let ask = &*task.ask;
        let ahead = state.queue().ahead_of(Rank::of(task));
        let position = (ahead + 1, state.queue().len());
        let mut lines = vec![match ask.devices.max {
            0 => format!("needs {}", needs(ask)),
            _ => format!("needs {}; {}", needs(ask), self.fit_count()),
        }];
        lines.extend(self.device_lines());
        lines.extend(host_lines(state, ask));
        lines.extend(self.keep_lines());
        let earliest_at = self.latest_start();
        let when = match earliest_at {
            Some(at) if at <= now => "a place is free now".to_owned(),
            Some(at) => format!("starts within {} at the latest, unless others go first", at.since(now)),
            None if self.waits_for_nodes() => "the nodes that could run it are drained or away".to_owned(),
            None if self.other_keeps().next().is_some() => {
                "devices are kept for a task that goes first".to_owned()
            }
            None => "no latest start is known: what is in its way has no time limit".to_owned(),
        };
        Explanation {
            code: "capacity",
            headline: format!("{} waits: position {} of {}; {when}", task.id, position.0, position.1),
            position: Some(position),
            lines,
            earliest_at,
            suggestions: self.suggestions(),
        }
    }

    /// The cluster as this task's next round will see it: what is kept for another is out of sight.
    fn view(&self) -> View<'_> {
        let mut view = View::new(self.state.cluster());
        self.other_keeps().for_each(|keep| keep.hide_from_others(&mut view));
        view
    }

    /// What is kept for somebody else.
    fn other_keeps(&self) -> impl Iterator<Item = &Keep> {
        self.state.keeps().iter().filter(|keep| keep.task != self.task.id)
    }

    fn fit_count(&self) -> String {
        let devices =
            self.state.cluster().nodes().flat_map(|node| node.devices.iter().map(move |slot| (node, slot)));
        let (mut all, mut fitting) = (0, 0);
        for (node, slot) in devices {
            all += 1;
            fitting += usize::from(self.verdict(node, slot).is_none());
        }
        format!("{fitting} of {all} devices fit now")
    }

    /// What is wrong with a device for this task; `None` if it would do.
    fn verdict(&self, node: &Node, slot: &DeviceSlot) -> Option<String> {
        let is_kept = |keep: &&Keep| keep.devices.contains(&(node.id, slot.info.index));
        let kept =
            || self.other_keeps().find(is_kept).map(|keep| format!("kept for {}", self.name(keep.task)));
        shortage(node, slot, &self.task.ask).or_else(kept)
    }

    fn device_lines(&self) -> Vec<String> {
        let (state, ask) = (self.state, &*self.task.ask);
        if ask.devices.max == 0 {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let mut left_out = 0;
        for node in state.cluster().nodes() {
            for slot in &node.devices {
                if lines.len() == DEVICE_LINES_MAX {
                    left_out += 1;
                    continue;
                }
                let verdict = self.verdict(node, slot).unwrap_or_else(|| "would do".to_owned());
                let mut line = format!("{} {} {}: {verdict}", node.id, slot.info.index, slot.info.model);
                let holders: Vec<String> =
                    slot.holders.iter().take(3).map(|&(task, _)| self.holder(task)).collect();
                if !holders.is_empty() {
                    line.push_str(&format!("; held by {}", holders.join(", ")));
                }
                if slot.holders.len() > 3 {
                    line.push_str(&format!(" and {} more", slot.holders.len() - 3));
                }
                lines.push(line);
            }
        }
        if left_out > 0 {
            lines.push(format!("and {left_out} more devices"));
        }
        lines
    }

    /// When the ask fits at the latest, if nobody else comes: gives back what ends, first to end first.
    fn latest_start(&self) -> Option<Timestamp> {
        let (state, ask) = (self.state, &*self.task.ask);
        let cluster = state.cluster();
        let mut view = self.view();
        if view.place(ask, None).is_some() {
            return Some(self.now);
        }
        let placed: BTreeSet<(Timestamp, TaskId)> = cluster
            .nodes()
            .flat_map(|node| node.held().map(|(task, _)| (state.ends_at(task), task)))
            .filter(|&(at, _)| at < Timestamp::NEVER)
            .collect();
        for (at, id) in placed {
            let hold = state.task(id)?.state.hold()?;
            view.put_back(&hold.grant.parts);
            // What ends there goes to the one it is kept for.
            self.other_keeps().for_each(|keep| keep.hide_from_others(&mut view));
            if view.place(ask, None).is_some() {
                // Whoever is over its limit is about to end: the place is free soon, not now.
                return Some(at.max(self.now.plus(Millis(1))));
            }
        }
        None
    }

    /// Smaller asks that would start now, nearest first.
    fn suggestions(&self) -> Vec<String> {
        let (state, ask) = (self.state, &*self.task.ask);
        let view = self.view();
        if self.waits_for_nodes() {
            return vec![
                "`fastgpu nodes` lists them; `fastgpu nodes resume <node>` lets tasks start there again"
                    .to_owned(),
            ];
        }
        let fits = |ask: &Ask| view.place(ask, None).is_some();
        let mut found = Vec::new();
        let mut offer = |smaller: Option<(Ask, String)>| {
            if let Some((smaller, words)) = smaller.filter(|(smaller, _)| fits(smaller)) {
                let _ = smaller;
                found.push(words);
            }
        };
        if fits(ask) {
            return vec!["nothing: it fits now and starts with the next round".to_owned()];
        }
        offer(spread(ask));
        offer(fewer_devices(ask, &fits));
        offer(smaller_share(state, ask));
        offer(smaller_cap(state, ask));
        offer(any_model(ask));
        offer(no_host_part(ask));
        if found.is_empty() {
            found.push("nothing smaller would start now: everything that would do is in use".to_owned());
        }
        found
    }

    fn keep_lines(&self) -> Vec<String> {
        let line = |keep: &Keep| {
            let devices = keep.devices.len();
            let who = self.name(keep.task);
            match (keep.task == self.task.id, keep.cause) {
                (true, KeepCause::Overtaken) => {
                    format!("{devices} devices are kept for it as they become free")
                }
                (true, KeepCause::Preempting) => {
                    format!("other tasks are being stopped for it; {devices} devices are kept for it")
                }
                (false, KeepCause::Overtaken) => format!(
                    "{devices} devices are kept for {who}, first in the queue and overtaken for {}",
                    self.state.config().overtake_max
                ),
                (false, KeepCause::Preempting) => {
                    format!("{devices} devices are being cleared for {who}, which goes first")
                }
            }
        };
        self.state.keeps().iter().take(KEEP_LINES_MAX).map(line).collect()
    }

    fn name(&self, id: TaskId) -> String {
        match self.state.task(id) {
            Some(task) if !(self.may_see)(task) => "a task of another project".to_owned(),
            _ => id.to_string(),
        }
    }

    /// `t-… (ends within 5 min)`.
    fn holder(&self, id: TaskId) -> String {
        match self.state.ends_at(id) {
            Timestamp::NEVER => format!("{} (no time limit)", self.name(id)),
            at => format!("{} (ends within {})", self.name(id), at.since(self.now)),
        }
    }

    /// Whether every node that could ever run it takes no tasks at present.
    fn waits_for_nodes(&self) -> bool {
        let ask = &*self.task.ask;
        !self.state.cluster().nodes().any(|node| node.takes_tasks() && allows_node(ask, node))
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
    let mut lines = vec![format!("needs {}", needs(&task.ask)), budgets(task)];
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
            format!("{id} is being stopped; it has {} from SIGTERM to SIGKILL", task.limits.stop_grace)
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
    lines.push(format!("needs {}", needs(&task.ask)));
    if task.attempt > 1 || task.retry.max > 0 {
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
            let limit = task.limits.queue.map_or_else(String::new, |limit| format!(" ({limit})"));
            format!("was not started within its queue timeout{limit}")
        }
        Outcome::TimedOutRunning => {
            let limit = task.limits.run.map_or_else(String::new, |limit| format!(" of {limit}"));
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
        task.attempt, task.strikes.user, task.retry.max, task.strikes.infrastructure
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

/// What a device lacks for one part of the ask; `None` if it would do.
fn shortage(node: &Node, slot: &DeviceSlot, ask: &Ask) -> Option<String> {
    if !node.present {
        return Some("its node is away".to_owned());
    }
    if node.drained {
        return Some("its node is drained".to_owned());
    }
    if let Some(why) = &slot.info.unusable {
        return Some(format!("unusable: {why}"));
    }
    if !allows_node(ask, node) || !allows_device(ask, slot) {
        return Some("not what is asked for".to_owned());
    }
    let Some((milli, memory)) = ask.share.on(slot.info.memory) else {
        return Some(format!("too small: it has {}", slot.info.memory));
    };
    let short_milli = milli.get().saturating_sub(slot.free_milli.get());
    let short_memory = memory.0.saturating_sub(slot.free_memory.0);
    if short_milli > 0 && slot.free_milli == GpuMilli::ZERO {
        return Some("busy".to_owned());
    }
    if short_milli > 0 {
        let short = GpuMilli::new(short_milli).unwrap_or(GpuMilli::FULL);
        return Some(format!("{} of it free, short by {short}", slot.free_milli));
    }
    (short_memory > 0).then(|| format!("{} free, short by {}", slot.free_memory, MemoryMib(short_memory)))
}

fn host_lines(state: &State, ask: &Ask) -> Vec<String> {
    if ask.cpu.0 == 0 && ask.host_memory == MemoryMib::ZERO {
        return Vec::new();
    }
    let short = |node: &&Node| ask.cpu > node.cpu_free || ask.host_memory > node.host_memory_free;
    state
        .cluster()
        .nodes()
        .filter(short)
        .take(DEVICE_LINES_MAX)
        .map(|node| {
            format!(
                "{}: {} of {} cores and {} of {} of host memory free",
                node.id, node.cpu_free, node.cpu, node.host_memory_free, node.host_memory
            )
        })
        .collect()
}

fn spread(ask: &Ask) -> Option<(Ask, String)> {
    let mut other = ask.clone();
    other.constraints.spread = Spread::AnyNodes;
    (ask.devices.max > 1 && ask.constraints.spread == Spread::OneNode)
        .then(|| (other, "`--spread`".to_owned()))
}

fn fewer_devices(ask: &Ask, fits: &impl Fn(&Ask) -> bool) -> Option<(Ask, String)> {
    (1..ask.devices.min).rev().find_map(|count| {
        let mut other = ask.clone();
        other.devices = DeviceCount::exactly(count);
        fits(&other).then(|| (other, format!("`--gpu {count}`")))
    })
}

/// The largest hole there is, as a share.
fn smaller_share(state: &State, ask: &Ask) -> Option<(Ask, String)> {
    let (Share::Milli(milli) | Share::Both(milli, _)) = ask.share else { return None };
    if ask.devices.min != 1 {
        return None;
    }
    let hole = usable(state, ask).map(|slot| slot.free_milli).filter(|&free| free < milli).max()?;
    let mut other = ask.clone();
    other.share = match ask.share {
        Share::Both(_, cap) => Share::Both(hole, cap),
        _ => Share::Milli(hole),
    };
    (hole > GpuMilli::ZERO).then(|| (other, format!("`--gpu {hole}`")))
}

/// The largest hole there is, as memory.
fn smaller_cap(state: &State, ask: &Ask) -> Option<(Ask, String)> {
    let (Share::Cap(cap) | Share::Both(_, cap)) = ask.share else { return None };
    let hole = usable(state, ask).map(|slot| slot.free_memory).filter(|&free| free < cap).max()?;
    let mut other = ask.clone();
    other.share = match ask.share {
        Share::Both(milli, _) => Share::Both(milli, hole),
        _ => Share::Cap(hole),
    };
    (hole > MemoryMib::ZERO).then(|| (other, format!("`--gpu-memory {}MiB`", hole.0)))
}

fn any_model(ask: &Ask) -> Option<(Ask, String)> {
    let mut other = ask.clone();
    other.constraints.models.clear();
    (!ask.constraints.models.is_empty())
        .then(|| (other, "any model of GPU: leave out `--gpu-model`".to_owned()))
}

fn no_host_part(ask: &Ask) -> Option<(Ask, String)> {
    let mut other = ask.clone();
    other.cpu = crate::units::CpuMilli(0);
    other.host_memory = MemoryMib::ZERO;
    (other != *ask).then(|| (other, "less `--cpu` and `--mem`".to_owned()))
}

fn usable<'s>(state: &'s State, ask: &'s Ask) -> impl Iterator<Item = &'s DeviceSlot> {
    state
        .cluster()
        .nodes()
        .filter(|node| node.takes_tasks() && allows_node(ask, node))
        .flat_map(|node| &node.devices)
        .filter(|slot| allows_device(ask, slot))
}
