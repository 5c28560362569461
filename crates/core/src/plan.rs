//! What should start where, and what must wait. Same state, same plan.
//!
//! A round looks at shapes, not tasks, and only at what changed: a shape that fitted nowhere can only fit on
//! a node where something became free since. Among all shapes that fit, the task with the first [`Rank`]
//! starts, then the next: whoever fits skips ahead of whoever does not. So that a large task at the head does
//! not starve, it is overtaken for at most [`Config::overtake_max`](crate::config::Config); then devices are
//! *kept* for it as they become free.

mod keep;
mod preempt;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::GrantPart;
use crate::decision::{Keep, KeepCause, Plan, Start};
use crate::ids::TaskId;
use crate::place::{Places, Wanted};
use crate::queue::{LaneId, Rank};
use crate::state::State;
use crate::task::Task;
use crate::units::Timestamp;
pub(crate) use keep::hidden;
pub use preempt::restart_cost;

/// More starts than this wait for the next round, so that no round holds up the inbox.
pub const STARTS_MAX: usize = 1_024;
/// Groups whose first task may be looked at in a round for whether it ends before kept devices are needed.
const BACKFILLS_MAX: usize = 64;

/// Makes plans, and remembers what is costly to work out again and when the last plan wants to be made again. What it
/// remembers never changes a plan: one that begins anew makes the same.
#[derive(Debug, Default)]
pub struct Planner {
    places: Places,
    wake_at: Option<Timestamp>,
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
        let mut round =
            Round { state, now, places: &mut self.places, settled: BTreeSet::new(), plan: Plan::default() };
        round.serve_keeps();
        let everything = round.plan.keeps != state.keeps();
        round.fill(everything);
        if !round.plan.more {
            round.backfill();
            round.make_room();
        }
        round.plan
    }
}

/// Whether a round has anything to look at.
#[must_use]
pub fn needs_round(state: &State) -> bool {
    state.is_dirty() || !state.keeps().iter().all(|keep| keep::stands(state, keep))
}

/// One round while it is being decided.
struct Round<'a> {
    state: &'a State,
    now: Timestamp,
    places: &'a mut Places,
    /// Tasks that start in this round, or that devices are kept for.
    settled: BTreeSet<TaskId>,
    plan: Plan,
}

impl Round<'_> {
    /// Tasks that devices are kept for go first, as soon as all of it is free.
    fn serve_keeps(&mut self) {
        let (state, now) = (self.state, self.now);
        let mut keeps: Vec<Keep> = state.keeps().to_vec();
        let overtaken = |keep: &Keep| keep.cause == KeepCause::Overtaken;
        keeps.retain(|keep| keep::is_wanted(state, keep));
        // What is let go may serve somebody else.
        let mut everywhere = keeps.len() != state.keeps().len();
        self.places.sync(state.cluster(), hidden(&keeps), state.outlook());
        if !keeps.iter().any(overtaken) {
            let kept_already = |id: TaskId| keeps.iter().any(|keep| keep.task == id);
            let begun = keep::begin(state, now, &self.places.view(state.cluster()));
            keeps.extend(begun.filter(|keep| !kept_already(keep.task)));
        }
        // What is cleared goes to its task now or to whoever fits.
        let (mut keeps, cleared): (Vec<Keep>, Vec<Keep>) =
            keeps.into_iter().partition(|keep| keep::stands(state, keep));
        for at in 0..cleared.len() {
            let others = keeps.iter().chain(&cleared[at + 1..]);
            self.serve(&cleared[at], others, true);
        }
        everywhere |= !cleared.is_empty();
        for at in 0..keeps.len() {
            let (before, after) = (&keeps[..at], &keeps[at + 1..]);
            self.serve(&keeps[at], before.iter().chain(after), everywhere);
        }
        keeps.retain(|keep| !self.settled.contains(&keep.task));
        self.settled.extend(keeps.iter().map(|keep| keep.task));
        self.plan.wake_at = keep::wake_at(state, now, &keeps);
        self.places.hide(state.cluster(), hidden(&keeps), parts_of(&self.plan.starts));
        self.plan.keeps = keeps;
    }

    /// Starts the task of a keep if all of it is free, out of sight of what is kept for others.
    fn serve<'k>(&mut self, keep: &Keep, others: impl Iterator<Item = &'k Keep>, everywhere: bool) {
        let of_others = hidden(others.filter(|other| !self.settled.contains(&other.task)));
        let given = parts_of(&self.plan.starts);
        let view = self.places.view_without(self.state.cluster(), &of_others, given);
        if let Some(parts) = keep::place(keep, self.state, &view, everywhere) {
            self.start(keep.task, parts);
        }
    }

    fn start(&mut self, task: TaskId, parts: Vec<GrantPart>) {
        self.places.take(&parts);
        self.settled.insert(task);
        self.plan.starts.push(Start { task, parts });
    }

    /// Starts whatever fits, first ranks first.
    fn fill(&mut self, everything: bool) {
        let mut fitting = BTreeMap::new();
        for (lane, rank) in lanes_to_ask(self.state, everything) {
            self.offer(lane, Some(rank), &mut fitting);
        }
        while let Some((rank, lane)) = fitting.pop_first() {
            // Somebody before it may have taken the place it was offered.
            let Some(wanted) = wanted_in(self.state, lane, rank.task()) else { continue };
            let Some(parts) = self.places.find(lane, wanted, self.state.cluster()) else { continue };
            if self.plan.starts.len() >= STARTS_MAX {
                self.plan.more = true;
                return;
            }
            self.start(rank.task(), parts);
            let next = self.state.queue().lane(lane).and_then(|lane| lane.rank_after(rank));
            self.offer(lane, next, &mut fitting);
        }
    }

    /// Notes the task at `rank`, or the first behind it that is not settled, as one that could start, if its
    /// group fits now.
    fn offer(&mut self, lane: LaneId, rank: Option<Rank>, fitting: &mut BTreeMap<Rank, LaneId>) {
        let Some(found) = self.state.queue().lane(lane) else { return };
        let mut next = rank;
        while let Some(rank) = next
            && self.settled.contains(&rank.task())
        {
            next = found.rank_after(rank);
        }
        if let Some(rank) = next
            && let Some(wanted) = wanted_in(self.state, lane, rank.task())
            && self.places.fits(lane, wanted, self.state.cluster())
        {
            fitting.insert(rank, lane);
        }
    }

    /// Lets tasks onto kept devices that are free now, if their own time limit ends before they are needed.
    fn backfill(&mut self) {
        let is_lent = |keep: &&Keep| keep.cause == KeepCause::Overtaken;
        let needed_at = self.plan.keeps.iter().filter(is_lent).map(|keep| keep.free_at).min();
        let Some(needed_at) = needed_at.filter(|&at| at > self.now && at < Timestamp::NEVER) else { return };
        // What others are being stopped for is lent to nobody.
        let not_lent = hidden(self.plan.keeps.iter().filter(|keep| !is_lent(keep)));
        let given = parts_of(&self.plan.starts);
        let mut view = self.places.view_without(self.state.cluster(), &not_lent, given);
        let mut lent = Vec::new();
        for _ in 0..BACKFILLS_MAX {
            let settled = &self.settled;
            let is_settled = |id: TaskId| settled.contains(&id);
            let fits = |rank: Rank| {
                let task = self.state.task(rank.task())?;
                let ends_in_time = task.time_limit.is_some_and(|run| self.now.plus(run) <= needed_at);
                let parts = ends_in_time.then(|| view.find(wanted(self.state, task), None)).flatten()?;
                Some(Start { task: task.id, parts })
            };
            let first = self.state.queue().heads_after(&is_settled).take(BACKFILLS_MAX).find_map(fits);
            let Some(start) = first else { break };
            view.take(&start.parts);
            self.settled.insert(start.task);
            lent.push(start);
        }
        lent.into_iter().for_each(|start| self.start(start.task, start.parts));
    }

    /// Looks for tasks to stop, so that those who go first can start.
    fn make_room(&mut self) {
        let settled = &self.settled;
        let is_settled = |id: TaskId| settled.contains(&id);
        let view = self.places.view(self.state.cluster());
        let rooms = preempt::find(self.state, self.now, view, self.plan.keeps.len(), is_settled);
        self.plan.wake_at = self.plan.wake_at.into_iter().chain(rooms.wake_at).min();
        self.plan.keeps.extend(rooms.keeps);
        self.plan.preempts = rooms.preempts;
    }
}

/// What these starts take.
fn parts_of(starts: &[Start]) -> impl Iterator<Item = &GrantPart> + Clone {
    starts.iter().flat_map(|start| &start.parts)
}

/// What a search for this task wants.
pub(crate) fn wanted<'a>(state: &State, task: &'a Task) -> Wanted<'a> {
    let placement = state.policy_of(task).placement;
    Wanted { ask: &task.terms.ask, placement, salt: task.id.get() }
}

/// The same for a task of this lane, without a look at the task.
fn wanted_in(state: &State, lane: LaneId, task: TaskId) -> Option<Wanted<'_>> {
    let found = state.queue().lane(lane)?;
    let placement = state.policy_of_queue(&found.queue).placement;
    Some(Wanted { ask: &found.ask, placement, salt: task.get() })
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
