//! What should start where, and what must wait. Same state, same plan.
//!
//! A round looks at shapes, not tasks, and only at what changed: a shape that fitted nowhere can only fit on
//! a node where something became free since. Among all shapes that fit, the task with the first [`Rank`]
//! starts, then the next: whoever fits skips ahead of whoever does not. So that a large task at the head does
//! not starve, it is overtaken for at most [`Config::overtake_max`](crate::config::Config); then devices are
//! *kept* for it as they become free.

pub mod fit;
mod keep;
mod mirror;
mod places;
mod score;
mod shape;
mod tree;
mod worth;

use std::collections::BTreeMap;

use crate::ask::GrantPart;
use crate::ids::TaskId;
use crate::queue::{LaneId, Rank};
use crate::state::State;
use crate::units::Timestamp;
pub use keep::Keep;
use places::{Places, Wanted};

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

/// Makes plans, and remembers what is costly to work out again. What it remembers never changes a plan: one
/// that begins anew makes the same.
#[derive(Debug, Default)]
pub struct Planner {
    places: Places,
}

/// Decides what should happen next, from nothing but `state` and `now`.
#[must_use]
pub fn plan(state: &State, now: Timestamp) -> Plan {
    Planner::default().plan(state, now)
}

impl Planner {
    /// Decides what should happen next. A planner belongs to one state: begin anew with another.
    #[must_use]
    pub fn plan(&mut self, state: &State, now: Timestamp) -> Plan {
        let mut kept = keep::still_needed(state).or_else(|| keep::begin(state, now));
        let mut starts = Vec::new();
        // The task that devices are kept for goes first, as soon as all of it is free.
        if let Some(keep) = &kept
            && let Some(parts) = keep.place(state)
        {
            starts.push(Start { task: keep.task, parts });
            kept = None;
        }
        let hidden = kept.as_ref().map(Keep::hidden).unwrap_or_default();
        self.places.sync(state.cluster(), hidden, state.mix());
        starts.iter().for_each(|start| self.places.take(&start.parts));
        let everything = kept != state.keep;
        let wake_at = keep::wake_at(state, now, kept.as_ref());
        let plan = Plan { starts, keep: kept, more: false, wake_at };
        let mut round = Round { state, places: &mut self.places, plan };
        round.fill(everything);
        round.plan
    }
}

/// Whether what is kept for the head of the queue is still to be kept.
#[must_use]
pub fn keep_stands(state: &State) -> bool {
    keep::still_needed(state).is_some()
}

/// One round while it is being decided.
struct Round<'a> {
    state: &'a State,
    places: &'a mut Places,
    plan: Plan,
}

impl Round<'_> {
    /// Starts whatever fits, first ranks first.
    fn fill(&mut self, everything: bool) {
        let mut fitting = BTreeMap::new();
        for (lane, rank) in lanes_to_ask(self.state, everything) {
            self.offer(lane, Some(rank), &mut fitting);
        }
        while let Some((rank, lane)) = fitting.pop_first() {
            // Somebody before it may have taken the place it was offered.
            let Some(wanted) = wanted(self.state, lane, rank.task()) else { continue };
            let Some(parts) = self.places.place(wanted, self.state.cluster()) else { continue };
            if self.plan.starts.len() >= STARTS_MAX {
                self.plan.more = true;
                return;
            }
            self.places.take(&parts);
            self.plan.starts.push(Start { task: rank.task(), parts });
            let next = self.state.queue().lane(lane).and_then(|lane| lane.rank_after(rank));
            self.offer(lane, next, &mut fitting);
        }
    }

    /// Notes the task at `rank` as one that could start, if its group fits now. A task that this round starts
    /// already (for which devices were kept), or keeps devices for, is passed over.
    fn offer(&mut self, lane: LaneId, rank: Option<Rank>, fitting: &mut BTreeMap<Rank, LaneId>) {
        let is_settled = |rank: Rank| {
            self.plan.starts.first().is_some_and(|start| start.task == rank.task())
                || self.plan.keep.as_ref().is_some_and(|keep| keep.task == rank.task())
        };
        let after = |rank: Rank| self.state.queue().lane(lane)?.rank_after(rank);
        let rank = rank.and_then(|rank| if is_settled(rank) { after(rank) } else { Some(rank) });
        if let Some(rank) = rank
            && let Some(wanted) = wanted(self.state, lane, rank.task())
            && self.places.fits(wanted, self.state.cluster())
        {
            fitting.insert(rank, lane);
        }
    }
}

fn wanted(state: &State, lane: LaneId, task: TaskId) -> Option<Wanted<'_>> {
    let found = state.queue().lane(lane)?;
    let placement = state.config().queue(&found.queue).unwrap_or_default().placement;
    Some(Wanted { lane, ask: &found.ask, placement, salt: task.get() })
}

/// The lanes a round must ask, with the rank of their first task: all of them if any node changed (or a
/// keep did), else only those that changed themselves.
fn lanes_to_ask(state: &State, everything: bool) -> Vec<(LaneId, Rank)> {
    let queue = state.queue();
    let first = |lane| queue.lane(lane).and_then(|found| found.ranks().next()).map(|rank| (lane, rank));
    if everything || !state.cluster().changed().is_empty() {
        queue.lanes().filter_map(|(lane, found)| found.ranks().next().map(|rank| (lane, rank))).collect()
    } else {
        queue.changed().iter().filter_map(|&lane| first(lane)).collect()
    }
}
