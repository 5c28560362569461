//! Why a task waits that could start: what is short, on which device, who frees it and when at the latest.

use super::{Explanation, needs, smaller};
use crate::ask::Ask;
use crate::capacity::{TooBig, gpus, serves_ever, too_big, when_empty};
use crate::cluster::{DeviceSlot, Node};
use crate::decision::{Keep, KeepCause};
use crate::ids::TaskId;
use crate::place::fit::{allows_kind, allows_node};
use crate::place::{Ground, View};
use crate::plan::{hidden, wanted};
use crate::queue::Rank;
use crate::state::State;
use crate::task::Task;
use crate::units::{GpuMilli, MemoryMib, Millis, Timestamp};

/// More keeps than this are not told of.
const KEEP_LINES_MAX: usize = 4;
/// More devices than this are summed up in one line.
const DEVICE_LINES_MAX: usize = 16;

/// A task that waits for its turn and a place, and who asks about it.
pub(super) struct Waiting<'a> {
    pub(super) state: &'a State,
    pub(super) ground: &'a Ground,
    pub(super) task: &'a Task,
    pub(super) now: Timestamp,
    pub(super) may_see: &'a dyn Fn(&Task) -> bool,
}

impl Waiting<'_> {
    pub(super) fn explain(&self) -> Explanation {
        let Self { state, task, now, .. } = *self;
        let ask = &*task.terms.ask;
        let ahead = state.queue().ahead_of(Rank::of(task));
        let position = (ahead + 1, state.queue().len());
        let mut lines = vec![match ask.devices.max {
            0 => format!("needs {}", needs(ask)),
            _ => format!("needs {}; {}", needs(ask), self.fit_count()),
        }];
        lines.extend(self.device_lines());
        lines.extend(host_lines(state, ask));
        lines.extend(self.keep_lines());
        let never = too_big(state.cluster(), ask);
        let earliest_at = self.latest_start();
        let when = match (&never, earliest_at) {
            (Some(why), _) => format!("nothing here can run it: {why}"),
            (None, Some(at)) if at <= now => "a place is free now".to_owned(),
            (None, Some(at)) => {
                format!("starts within {} at the latest, unless others go first", at.since(now))
            }
            (None, None) => self.obstacle(),
        };
        Explanation {
            code: "capacity",
            headline: format!("{} waits: position {} of {}; {when}", task.id, position.0, position.1),
            position: Some(position),
            lines,
            earliest_at,
            suggestions: never.map_or_else(|| self.suggestions(), |why| self.no_hope(&why)),
        }
    }

    /// What is in its way, where nobody can say for how long.
    fn obstacle(&self) -> String {
        let unusable = self.might_serve().filter(|slot| slot.info.unusable.is_some()).count();
        if self.waits_for_nodes() {
            "the nodes that could run it are drained or away".to_owned()
        } else if unusable > 0 && !when_empty(self.state.cluster(), &self.task.terms.ask) {
            let are = if unusable == 1 { "is" } else { "are" };
            let unusable = gpus(u16::try_from(unusable).unwrap_or(u16::MAX));
            format!("{unusable} that could run it {are} unusable now")
        } else if self.other_keeps().next().is_some() {
            "devices are kept for a task that goes first".to_owned()
        } else {
            "no latest start is known: what is in its way has no time limit".to_owned()
        }
    }

    /// Devices that would do if they were free and well.
    fn might_serve(&self) -> impl Iterator<Item = &DeviceSlot> {
        let ask = &*self.task.terms.ask;
        let nodes = self.state.cluster().nodes().filter(|node| allows_node(ask, node));
        nodes.flat_map(|node| &node.devices).filter(|slot| serves_ever(ask, slot))
    }

    /// What to do about a task that nothing here could run.
    fn no_hope(&self, why: &TooBig) -> Vec<String> {
        let id = self.task.id;
        vec![
            why.advice(),
            format!(
                "it starts by itself once a node has it; `fastgpu cancel {id}` takes it out of the queue"
            ),
        ]
    }

    /// The cluster as this task's next round will see it: what is kept for another is out of sight.
    fn view(&self) -> View<'_> {
        let mut view = View::new(self.ground, self.state.cluster());
        view.hide(&hidden(self.other_keeps()));
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
        shortage(node, slot, &self.task.terms.ask).or_else(kept)
    }

    fn device_lines(&self) -> Vec<String> {
        let (state, ask) = (self.state, &*self.task.terms.ask);
        if ask.devices.max == 0 {
            return Vec::new();
        }
        let mut all: Vec<(&Node, &DeviceSlot)> = state
            .cluster()
            .nodes()
            .flat_map(|node| node.devices.iter().map(move |slot| (node, slot)))
            .collect();
        if all.len() > DEVICE_LINES_MAX {
            all.sort_by_key(|(_, slot)| slot.info.unusable.is_none());
        }
        let left_out = all.len().saturating_sub(DEVICE_LINES_MAX);
        let mut lines: Vec<String> =
            all.iter().take(DEVICE_LINES_MAX).map(|(node, slot)| self.device_line(node, slot)).collect();
        if left_out > 0 {
            lines.push(format!("and {left_out} more devices"));
        }
        lines
    }

    fn device_line(&self, node: &Node, slot: &DeviceSlot) -> String {
        let verdict = self.verdict(node, slot).unwrap_or_else(|| "would do".to_owned());
        let kind = if slot.info.simulated { " (software GPU)" } else { "" };
        let mut line = format!("{} {} {}{kind}: {verdict}", node.id, slot.info.index, slot.info.model);
        let holders: Vec<String> = slot.holders.iter().take(3).map(|&(task, _)| self.holder(task)).collect();
        if !holders.is_empty() {
            line.push_str(&format!("; held by {}", holders.join(", ")));
        }
        if slot.holders.len() > 3 {
            line.push_str(&format!(" and {} more", slot.holders.len() - 3));
        }
        line
    }

    /// When the ask fits at the latest, if nobody else comes. What ends on kept devices goes to the one they are
    /// kept for.
    fn latest_start(&self) -> Option<Timestamp> {
        let wanted = wanted(self.state, self.task);
        match self.view().soonest(wanted, |holder| self.state.ends_at(holder))?.0 {
            Timestamp::NEVER => None,
            at if at == Timestamp::default() => Some(self.now),
            // Whoever is over its limit is about to end: the place is free soon, not now.
            at => Some(at.max(self.now.plus(Millis(1)))),
        }
    }

    /// Smaller asks that would start now, nearest first.
    fn suggestions(&self) -> Vec<String> {
        let (state, ask) = (self.state, &*self.task.terms.ask);
        let view = self.view();
        if self.waits_for_nodes() {
            return vec![
                "`fastgpu nodes` lists them; `fastgpu nodes resume <node>` lets tasks start there again"
                    .to_owned(),
            ];
        }
        let fits = |ask: &Ask| view.fits(ask);
        if fits(ask) {
            return vec!["nothing: it fits now and starts with the next round".to_owned()];
        }
        let mut found = smaller::that_start(state, ask, &fits);
        if found.is_empty() {
            found.push(format!(
                "nothing smaller would start now: everything that would do is {}",
                self.taken()
            ));
        }
        if self.might_serve().any(|slot| slot.info.unusable.is_some()) {
            found.push("`fastgpu gpus` says what is the matter with those that are unusable".to_owned());
        }
        found
    }

    /// Why what would do cannot be had, in a word or two.
    fn taken(&self) -> String {
        let unusable = self.might_serve().any(|slot| slot.info.unusable.is_some());
        let in_use = self.might_serve().any(|slot| !slot.is_idle());
        let kept = self.other_keeps().next().is_some();
        let words = [(in_use, "in use"), (kept, "kept for others"), (unusable, "unusable")];
        let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        if words.is_empty() { "in use".to_owned() } else { words.join(" or ") }
    }

    fn keep_lines(&self) -> Vec<String> {
        let line = |keep: &Keep| {
            let devices = match keep.devices.len() {
                1 => "1 device is".to_owned(),
                count => format!("{count} devices are"),
            };
            let who = self.name(keep.task);
            match (keep.task == self.task.id, keep.cause) {
                (true, KeepCause::Overtaken) => {
                    format!("{devices} kept for it as they become free")
                }
                (true, KeepCause::Preempting) => {
                    format!("other tasks are being stopped for it; {devices} kept for it")
                }
                (false, KeepCause::Overtaken) => format!(
                    "{devices} kept for {who}, first in the queue and overtaken for {}",
                    self.state.config().overtake_max
                ),
                (false, KeepCause::Preempting) => {
                    format!("{devices} being cleared for {who}, which goes first")
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
        let ask = &*self.task.terms.ask;
        !self.state.cluster().nodes().any(|node| node.takes_tasks() && allows_node(ask, node))
    }
}

/// What a device lacks for one part of the ask; `None` if it would do.
fn shortage(node: &Node, slot: &DeviceSlot, ask: &Ask) -> Option<String> {
    if !node.present {
        return Some("its node is away".to_owned());
    }
    if node.drained {
        return Some("its node is drained".to_owned());
    }
    if !allows_node(ask, node) || !allows_kind(ask, &slot.info.model, slot.info.memory) {
        return Some("not what is asked for".to_owned());
    }
    if let Some(why) = &slot.info.unusable {
        return Some(format!("unusable: {why}"));
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
