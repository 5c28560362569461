//! When waiting tasks will start, as far as one can know: the queue played forward.
//!
//! What runs ends when it is expected to ([`State::expected_end`]), frees its devices, and whoever is first in
//! the queue and fits starts there and runs as long as expected. Tasks that come meanwhile are not foreseen, nor
//! is preemption: this is a forecast, not a promise.

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::{Ask, GrantPart};
use crate::capacity::{TooBig, too_big};
use crate::ids::TaskId;
use crate::place::{Ground, View};
use crate::plan::wanted;
use crate::queue::Rank;
use crate::state::State;
use crate::task::{Task, TaskState};
use crate::units::Timestamp;

/// When a waiting task is expected to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The moment; `None` if something in its way has no known end, or it lies too far ahead to work out.
    pub start_at: Option<Timestamp>,
    /// On what it rests.
    pub basis: Basis,
}

/// On what a forecast rests; the weakest that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// On time limits alone: it will not be later, if nobody comes in between.
    Limits,
    /// Also on durations that users stated or history predicts.
    Expected,
}

/// Ends that a forecast looks at, so that asking costs a few milliseconds however much runs.
const ENDS_MAX: usize = 2_048;

/// Forecasts the first `tasks_max` waiting tasks in the order of the queue.
#[must_use]
pub fn forecast(state: &State, now: Timestamp, tasks_max: usize) -> BTreeMap<TaskId, Forecast> {
    let ground = Ground::of(state.cluster(), state.outlook());
    let view = View::new(&ground, state.cluster());
    let mut future = Future::of(state, view, now, tasks_max);
    future.start_what_fits(now);
    let mut looked_at = 0;
    while let Some((at, id)) = future.ends.pop_first() {
        if future.waiting.is_empty() || at == Timestamp::NEVER || looked_at == ENDS_MAX {
            break;
        }
        looked_at += 1;
        let Some((parts, basis)) = future.held.remove(&id) else { continue };
        future.basis = future.basis.max(basis);
        future.view.put_back(&parts);
        // Several end at once: only then is it known what fits.
        if future.ends.first().is_none_or(|&(next, _)| next > at) {
            future.start_what_fits(at);
        }
    }
    let never = |&(_, id): &(Rank, TaskId)| (id, Forecast { start_at: None, basis: Basis::Expected });
    let unknown: Vec<_> = future.waiting.iter().map(never).collect();
    future.found.extend(unknown);
    future.found
}

/// Those of the first `tasks_max` waiting tasks that nothing here could ever run, and what of them is too big.
#[must_use]
pub fn hopeless(state: &State, tasks_max: usize) -> BTreeMap<TaskId, TooBig> {
    // Equal asks are too big together.
    let mut known: BTreeMap<&Ask, Option<TooBig>> = BTreeMap::new();
    let waiting = state.queue().first(tasks_max).filter_map(|rank| state.task(rank.task()));
    let found = waiting.filter_map(|task| {
        let why = known.entry(&task.terms.ask).or_insert_with(|| too_big(state.cluster(), &task.terms.ask));
        Some((task.id, why.clone()?))
    });
    found.collect()
}

/// The cluster and the queue at some moment to come.
struct Future<'a> {
    state: &'a State,
    view: View<'a>,
    /// What ends when.
    ends: BTreeSet<(Timestamp, TaskId)>,
    /// What it gives back then, and how sure that moment is.
    held: BTreeMap<TaskId, (Vec<GrantPart>, Basis)>,
    waiting: Vec<(Rank, TaskId)>,
    found: BTreeMap<TaskId, Forecast>,
    basis: Basis,
}

impl<'a> Future<'a> {
    fn of(state: &'a State, view: View<'a>, now: Timestamp, tasks_max: usize) -> Self {
        let mut ends = BTreeSet::new();
        let mut held = BTreeMap::new();
        for task in state.tasks() {
            let Some(hold) = task.state.hold() else { continue };
            let end = state.expected_end(task.id, now);
            let basis = if end == state.ends_at(task.id) { Basis::Limits } else { Basis::Expected };
            ends.insert((end.max(now), task.id));
            held.insert(task.id, (hold.grant.parts.clone(), basis));
        }
        Self {
            state,
            view,
            ends,
            held,
            waiting: state.queue().first(tasks_max).map(|rank| (rank, rank.task())).collect(),
            found: BTreeMap::new(),
            basis: Basis::Limits,
        }
    }

    /// Starts whoever fits at `at`, in the order of the queue.
    fn start_what_fits(&mut self, at: Timestamp) {
        let waiting = std::mem::take(&mut self.waiting);
        // Equal asks fit or do not fit together.
        let mut too_big = BTreeSet::new();
        for (rank, id) in waiting {
            let Some(task) = self.state.task(id) else { continue };
            let parts = match too_big.contains(&task.terms.ask) {
                true => None,
                false => self.view.find(wanted(self.state, task), None),
            };
            let Some(parts) = parts else {
                too_big.insert(task.terms.ask.clone());
                self.waiting.push((rank, id));
                continue;
            };
            self.view.take(&parts);
            self.found.insert(id, Forecast { start_at: Some(at), basis: self.basis });
            let (end, basis) = self.end_of(task, at);
            self.ends.insert((end, id));
            self.held.insert(id, (parts, basis));
        }
    }

    /// When a task that starts at `at` ends.
    fn end_of(&self, task: &Task, at: Timestamp) -> (Timestamp, Basis) {
        debug_assert!(matches!(task.state, TaskState::Queued { .. }));
        let expected = self.state.remaining(task, at);
        let basis = if expected == task.time_limit { Basis::Limits } else { Basis::Expected };
        (expected.map_or(Timestamp::NEVER, |left| at.plus(left)), basis)
    }
}
