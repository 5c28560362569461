//! Devices kept for somebody: for the task at the head of the queue, so that it does not starve, and for those
//! that others are stopped for.
//!
//! For the head are kept the devices that become free first, by the time limits of those who hold them. Nobody
//! who ranks behind may use them meanwhile, but for tasks whose own limit ends before that; everything else goes
//! on being filled.

use std::collections::BTreeSet;

use crate::ask::{Ask, GrantPart, Spread};
use crate::cluster::{DeviceSlot, Node};
use crate::ids::{DeviceIndex, NodeId, TaskId};
use crate::plan::fit::{Free, View, allows_device, allows_node};
use crate::plan::mirror::Hidden;
use crate::policy::{Order, Preempt};
use crate::queue::Rank;
use crate::state::State;
use crate::task::{StopCause, TaskState};
use crate::units::Timestamp;

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

/// Whether a keep is still to be kept, for as long as it is not served.
pub(super) fn stands(state: &State, keep: &Keep) -> bool {
    // Once all who were to be stopped are gone, its task starts in that very round or never there.
    is_wanted(state, keep) && (keep.cause == KeepCause::Overtaken || is_being_cleared(state, keep))
}

/// Whether the task of a keep still waits for it.
pub(super) fn is_wanted(state: &State, keep: &Keep) -> bool {
    let Some(task) = state.task(keep.task) else { return false };
    let waits = matches!(&task.state, TaskState::Queued { cause, .. } if cause.is_ready());
    let nodes_stand = keep.nodes.iter().all(|&id| state.cluster().node(id).is_some_and(Node::takes_tasks));
    let devices_stand = keep.devices.iter().all(|&(node, index)| {
        let slot = state.cluster().node(node).and_then(|node| node.device(index));
        slot.is_some_and(|slot| allows_device(&task.ask, slot))
    });
    // Somebody more important came: a keep for who was overtaken is for the head of the queue only.
    let is_due = || keep.cause == KeepCause::Preempting || head(state) == Some(Rank::of(task));
    waits && nodes_stand && devices_stand && is_due()
}

/// Whether somebody on these nodes is still being stopped for the scheduler's sake.
fn is_being_cleared(state: &State, keep: &Keep) -> bool {
    let nodes = keep.nodes.iter().filter_map(|&id| state.cluster().node(id));
    let mut holders = nodes.flat_map(|node| node.held()).filter_map(|(id, _)| state.task(id));
    holders.any(|task| matches!(task.state, TaskState::Stopping { why: StopCause::Preempt, .. }))
}

/// The first in the queue for whom devices could be kept at all: one that is too big for the whole cluster
/// must not block everybody else.
fn head(state: &State) -> Option<Rank> {
    let could_be_kept_for =
        |rank: &Rank| state.task(rank.task()).is_some_and(|task| could_hold(state, &task.ask));
    state.queue().heads().take(HEADS_ASKED_MAX).find(could_be_kept_for)
}

/// Whether the ask could be held if nobody held anything. Mostly the first node says so.
fn could_hold(state: &State, ask: &Ask) -> bool {
    let count = usize::from(ask.devices.min);
    let could_serve =
        |slot: &&DeviceSlot| allows_device(ask, slot) && ask.share.on(slot.info.memory).is_some();
    let mut counts = able_nodes(state, ask).map(|node| node.devices.iter().filter(could_serve).count());
    if ask.constraints.spread == Spread::AnyNodes && count > 1 {
        let mut missing = count;
        return counts.any(|found| {
            missing = missing.saturating_sub(found);
            missing == 0
        });
    }
    counts.any(|found| found >= count)
}

/// The nodes that could ever run a task with this ask.
fn able_nodes<'a>(state: &'a State, ask: &'a Ask) -> impl Iterator<Item = &'a Node> {
    state.cluster().nodes().filter(|node| {
        node.takes_tasks()
            && allows_node(ask, node)
            && ask.cpu <= node.cpu
            && ask.host_memory <= node.host_memory
    })
}

/// More lanes than this in a row whose tasks no node could ever hold are not looked past.
const HEADS_ASKED_MAX: usize = 8;

/// Begins to keep devices for the head, once it was overtaken for long enough.
pub(super) fn begin(state: &State, now: Timestamp) -> Option<Keep> {
    // Cheap first: in most rounds nobody has waited that long.
    let somebody_is_due = state
        .queue()
        .heads()
        .take(HEADS_ASKED_MAX)
        .any(|rank| due(state, rank).is_some_and(|due| due <= now));
    if !somebody_is_due {
        return None;
    }
    let rank = head(state)?;
    let task = state.task(rank.task())?;
    // If it fits as things are, the round will start it and nothing has to be kept.
    let fits = || View::new(state.cluster()).place(&task.ask, None).is_some();
    if due(state, rank)? > now || fits() {
        return None;
    }
    let (nodes, devices, free_at) = choose(state, &task.ask)?;
    Some(Keep { task: task.id, devices, nodes, free_at, cause: KeepCause::Overtaken })
}

/// When a head has been overtaken for long enough.
fn due(state: &State, rank: Rank) -> Option<Timestamp> {
    let task = state.task(rank.task())?;
    // Where durations are known and the longer are preempted, who goes first finds room by that. Devices kept idle
    // beside it cost more than they give, until the task has waited for the bound.
    let policy = state.policy_of(task);
    if policy.order == Order::Shortest && policy.preempt == Preempt::Any && task.standing.ordinary {
        return None;
    }
    match &task.state {
        TaskState::Queued { since, .. } => Some(since.plus(state.config().overtake_max)),
        _ => None,
    }
}

/// When to look at the heads again.
pub(super) fn wake_at(state: &State, now: Timestamp, keeps: &[Keep]) -> Option<Timestamp> {
    if keeps.iter().any(|keep| keep.cause == KeepCause::Overtaken) {
        return None;
    }
    state
        .queue()
        .heads()
        .take(HEADS_ASKED_MAX)
        .filter_map(|rank| due(state, rank))
        .filter(|&due| due > now)
        .min()
}

type Choice = (Vec<NodeId>, Vec<(NodeId, DeviceIndex)>, Timestamp);

/// The devices that would be free first, if everybody kept to their time limits.
fn choose(state: &State, ask: &Ask) -> Option<Choice> {
    let count = usize::from(ask.devices.min);
    let nodes = able_nodes(state, ask);
    if ask.constraints.spread == Spread::AnyNodes && count > 1 {
        let mut all: Vec<_> = nodes.flat_map(|node| free_times(state, ask, node)).collect();
        return take_first(&mut all, count);
    }
    nodes
        .filter_map(|node| {
            let host_free_at = node.held().map(|(task, _)| state.ends_at(task)).max().unwrap_or_default();
            let (mut nodes, devices, free_at) = take_first(&mut free_times(state, ask, node), count)?;
            if count == 0 {
                nodes.push(node.id);
            }
            let waits_for_host = ask.cpu > node.cpu_free || ask.host_memory > node.host_memory_free;
            let free_at = if waits_for_host { free_at.max(host_free_at) } else { free_at };
            Some((nodes, devices, free_at))
        })
        .min_by_key(|(nodes, _, free_at)| (*free_at, nodes.first().copied()))
}

/// When each device of `node` that the ask could ever use would be free of others.
fn free_times(state: &State, ask: &Ask, node: &Node) -> Vec<(Timestamp, NodeId, DeviceIndex)> {
    let could_serve =
        |slot: &&DeviceSlot| allows_device(ask, slot) && ask.share.on(slot.info.memory).is_some();
    node.devices
        .iter()
        .filter(could_serve)
        .map(|slot| {
            let free_at = slot.holders.iter().map(|&(task, _)| state.ends_at(task)).max().unwrap_or_default();
            (free_at, node.id, slot.info.index)
        })
        .collect()
}

fn take_first(times: &mut Vec<(Timestamp, NodeId, DeviceIndex)>, count: usize) -> Option<Choice> {
    if times.len() < count {
        return None;
    }
    times.sort_unstable();
    times.truncate(count);
    let free_at = times.last().map_or(Timestamp::default(), |&(at, ..)| at);
    let mut devices: Vec<_> = times.iter().map(|&(_, node, device)| (node, device)).collect();
    devices.sort_unstable();
    let mut nodes: Vec<_> = devices.iter().map(|&(node, _)| node).collect();
    nodes.dedup();
    Some((nodes, devices, free_at))
}

impl Keep {
    /// What nobody else may see.
    pub(super) fn add_to(&self, hidden: &mut Hidden) {
        hidden.devices.extend(self.devices.iter().copied());
        hidden.hosts.extend(self.nodes.iter().copied());
    }

    /// Takes what is kept out of sight of everybody else.
    pub(crate) fn hide_from_others(&self, view: &mut View<'_>) {
        let cluster = view.cluster();
        for &(node, device) in &self.devices {
            if let Some(node) = cluster.node(node) {
                view.edit(node, |free| free.hide(node, device));
            }
        }
        for node in self.nodes.iter().filter_map(|&id| cluster.node(id)) {
            // Processor and memory beyond what is free cannot be kept; all that is free is.
            view.edit(node, Free::hide_host);
        }
    }

    /// The place of the task itself, once all of it is free: preferably what was kept, but anything that
    /// became free meanwhile is as good. `view` shows nothing that is kept for others; `everywhere` says to look
    /// at all nodes, and not only at those that changed.
    pub(super) fn place(&self, state: &State, view: &View<'_>, everywhere: bool) -> Option<Vec<GrantPart>> {
        let ask = &state.task(self.task)?.ask;
        let kept: BTreeSet<NodeId> = self.nodes.iter().copied().collect();
        let elsewhere = || match everywhere || ask.constraints.spread == Spread::AnyNodes {
            true => view.place(ask, None),
            false => view.place(ask, Some(state.cluster().changed())),
        };
        view.place(ask, Some(&kept)).or_else(elsewhere)
    }
}
