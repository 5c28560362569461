//! What should start where, and what must wait. Same state, same plan.
//!
//! A round looks at shapes, not tasks, and only at what changed: a shape that fitted nowhere can only fit on
//! a node where something became free since. Among all shapes that fit, the task with the first [`Rank`]
//! starts, then the next: whoever fits skips ahead of whoever does not. So that a large task at the head does
//! not starve, it is overtaken for at most [`Config::overtake_max`](crate::config::Config); then devices are
//! *kept* for it as they become free.

pub mod fit;
mod keep;

use std::collections::BTreeMap;

use crate::ask::GrantPart;
use crate::ids::TaskId;
use crate::queue::{LaneId, Rank};
use crate::state::State;
use crate::units::Timestamp;
use fit::View;
pub use keep::Keep;

/// More starts than this wait for the next round, so that no round holds up the inbox.
pub const STARTS_MAX: usize = 1_024;

/// What a round decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tasks to start, in order.
    pub starts: Vec<Start>,
    /// Devices kept for the task at the head, from now on.
    pub keep: Option<Keep>,
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

/// Decides what should happen next.
#[must_use]
pub fn plan(state: &State, now: Timestamp) -> Plan {
    let mut kept = keep::still_needed(state).or_else(|| keep::begin(state, now));
    let mut round = Round { state, view: View::new(state.cluster()), plan: Plan::default() };
    // The task that devices are kept for goes first, as soon as all of it is free.
    if let Some(keep) = &kept
        && let Some(parts) = keep.place(state)
    {
        round.start(keep.task, parts);
        kept = None;
    }
    if let Some(keep) = &kept {
        keep.hide_from_others(&mut round.view);
    }
    let keep_changed = kept != state.keep;
    round.plan.wake_at = keep::wake_at(state, now, kept.as_ref());
    round.plan.keep = kept;
    round.fill(keep_changed);
    round.plan
}

/// Whether what is kept for the head of the queue is still to be kept.
#[must_use]
pub fn keep_stands(state: &State) -> bool {
    keep::still_needed(state).is_some()
}

/// One round while it is being decided.
struct Round<'a> {
    state: &'a State,
    view: View<'a>,
    plan: Plan,
}

impl Round<'_> {
    fn start(&mut self, task: TaskId, parts: Vec<GrantPart>) {
        for part in &parts {
            let node = self.state.cluster().node(part.node).expect("the view offers known nodes only");
            self.view.edit(node, |free| free.take(node, part));
        }
        self.plan.starts.push(Start { task, parts });
    }

    /// Starts whatever fits, first ranks first.
    fn fill(&mut self, everything: bool) {
        let state = self.state;
        let mut fitting = BTreeMap::new();
        for (shape, rank) in shapes_to_ask(state, everything) {
            let candidate =
                Candidate { shape, everywhere: everything || state.queue().changed().contains(&shape) };
            self.offer(candidate, Some(rank), &mut fitting);
        }
        while let Some((rank, candidate)) = fitting.pop_first() {
            // Somebody before it may have taken the place it was offered.
            let Some(parts) = candidate.place(state, &self.view) else { continue };
            if self.plan.starts.len() >= STARTS_MAX {
                self.plan.more = true;
                return;
            }
            self.start(rank.task(), parts);
            let lane = state.queue().lane(candidate.shape).expect("a lane with a fitting task exists");
            self.offer(candidate, lane.rank_after(rank), &mut fitting);
        }
    }

    /// Notes the task at `rank` as one that could start, if its shape fits now. A task that this round
    /// starts already (for which devices were kept), or keeps devices for, is passed over.
    fn offer(&self, candidate: Candidate, rank: Option<Rank>, fitting: &mut BTreeMap<Rank, Candidate>) {
        let lane = self.state.queue().lane(candidate.shape);
        let is_settled = |rank: Rank| {
            self.plan.starts.first().is_some_and(|start| start.task == rank.task())
                || self.plan.keep.as_ref().is_some_and(|keep| keep.task == rank.task())
        };
        let rank = rank.filter(|&rank| !is_settled(rank)).or_else(|| lane?.rank_after(rank?));
        if let Some(rank) = rank
            && candidate.place(self.state, &self.view).is_some()
        {
            fitting.insert(rank, candidate);
        }
    }
}

/// The lanes a round must ask, with the rank of their first task: all of them if any node changed (or a
/// keep did), else only those that changed themselves.
fn shapes_to_ask(state: &State, everything: bool) -> Vec<(LaneId, Rank)> {
    let queue = state.queue();
    let first = |shape| queue.lane(shape).and_then(|lane| lane.ranks().next()).map(|rank| (shape, rank));
    if everything || !state.cluster().changed().is_empty() {
        queue.lanes().filter_map(|(shape, lane)| lane.ranks().next().map(|rank| (shape, rank))).collect()
    } else {
        queue.changed().iter().filter_map(|&shape| first(shape)).collect()
    }
}

/// One shape a round asks about.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    shape: LaneId,
    /// Whether to ask every node, or only those that changed.
    everywhere: bool,
}

impl Candidate {
    fn place(self, state: &State, view: &View<'_>) -> Option<Vec<GrantPart>> {
        let ask = &state.queue().lane(self.shape)?.ask;
        view.place(ask, if self.everywhere { None } else { Some(state.cluster().changed()) })
    }
}
