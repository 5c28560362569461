//! Devices kept for somebody: for the task at the head of the queue, so that it does not starve, and for those
//! that others are stopped for.
//!
//! For the head are kept the devices that become free first, by the time limits of those who hold them. Nobody
//! who ranks behind may use them meanwhile, but for tasks whose own limit ends before that; everything else goes
//! on being filled.

use std::collections::BTreeSet;

use crate::ask::{GrantPart, Spread};
use crate::capacity::when_empty;
use crate::cluster::Node;
use crate::decision::{Keep, KeepCause};
use crate::ids::{DeviceIndex, NodeId};
use crate::place::fit::allows_device;
use crate::place::{Hidden, View};
use crate::plan::wanted;
use crate::policy::{Order, Preempt};
use crate::queue::Rank;
use crate::state::State;
use crate::task::{StopCause, TaskState};
use crate::units::Timestamp;

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
        slot.is_some_and(|slot| allows_device(&task.terms.ask, slot))
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
    let could_be_kept_for = |rank: &Rank| {
        state.task(rank.task()).is_some_and(|task| when_empty(state.cluster(), &task.terms.ask))
    };
    state.queue().heads().take(HEADS_ASKED_MAX).find(could_be_kept_for)
}

/// More lanes than this in a row whose tasks no node could ever hold are not looked past.
const HEADS_ASKED_MAX: usize = 8;

/// Begins to keep devices for the head, once it was overtaken for long enough: those that are free first, if
/// everybody keeps to their time limits. In `view` everything that is kept already is out of sight.
pub(super) fn begin(state: &State, now: Timestamp, view: &View<'_>) -> Option<Keep> {
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
    if due(state, rank)? > now || view.fits(&task.terms.ask) {
        return None;
    }
    let (free_at, parts) = view.soonest(wanted(state, task), |holder| state.ends_at(holder))?;
    Some(Keep {
        task: task.id,
        devices: devices_of(&parts),
        nodes: parts.iter().map(|part| part.node).collect(),
        free_at,
        cause: KeepCause::Overtaken,
    })
}

/// The devices of a place.
pub(super) fn devices_of(parts: &[GrantPart]) -> Vec<(NodeId, DeviceIndex)> {
    parts.iter().flat_map(|part| part.slices.iter().map(|slice| (part.node, slice.device))).collect()
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

/// All that is kept, so that nobody else sees it. Processor and host memory beyond what is free cannot be kept;
/// all that is free is.
pub(crate) fn hidden<'k>(keeps: impl IntoIterator<Item = &'k Keep>) -> Hidden {
    let mut hidden = Hidden::default();
    for keep in keeps {
        hidden.devices.extend(keep.devices.iter().copied());
        hidden.hosts.extend(keep.nodes.iter().copied());
    }
    hidden
}

/// The place of the task of a keep, once all of it is free: preferably what was kept, but anything that became
/// free meanwhile is as good. `view` shows nothing that is kept for others; `everywhere` says to look at all nodes,
/// and not only at those that changed.
pub(super) fn place(keep: &Keep, state: &State, view: &View<'_>, everywhere: bool) -> Option<Vec<GrantPart>> {
    let task = state.task(keep.task)?;
    let wanted = wanted(state, task);
    let kept: BTreeSet<NodeId> = keep.nodes.iter().copied().collect();
    let elsewhere = || match everywhere || task.terms.ask.constraints.spread == Spread::AnyNodes {
        true => view.find(wanted, None),
        false => view.find(wanted, Some(state.cluster().changed())),
    };
    view.find(wanted, Some(&kept)).or_else(elsewhere)
}
