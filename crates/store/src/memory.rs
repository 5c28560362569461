//! The same store in memory: for tests, and for whoever wants to forget. Same contract, nothing durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastgpu_core::change::{Attempt, Audit, Change, Event, IdempotencyKey, Moment, NodeRow, Segment};
use fastgpu_core::config::Config;
use fastgpu_core::ids::{Name, NodeId, SpecHash, TaskId, Term};
use fastgpu_core::predict::Run;
use fastgpu_core::spec::Spec;
use fastgpu_core::task::{Task, TaskState};
use fastgpu_core::token::Token;
use fastgpu_core::units::{Millis, Timestamp};

use crate::contract::{
    Filter, History, Page, RUNS_LOOKED_AT_MAX, RUNS_MAX, Retention, Saved, Scope, Store, StoreError,
};
use crate::listing::{Listing, in_order_of_life};
use crate::runs::run_of;

/// The writer's side. Clones share one memory, as two control planes share one database.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
}

/// The readers' side of a [`MemoryStore`].
#[derive(Debug, Clone)]
pub struct MemoryHistory {
    rows: Arc<Mutex<Rows>>,
}

#[derive(Debug, Default)]
struct Rows {
    term: Term,
    last_task: Option<TaskId>,
    tasks: BTreeMap<TaskId, Task>,
    specs: BTreeMap<SpecHash, Arc<Spec>>,
    events: BTreeMap<(TaskId, u32), Event>,
    attempts: BTreeMap<(TaskId, u32), Attempt>,
    usage: BTreeMap<(TaskId, u32, u32, Timestamp), Segment>,
    nodes: BTreeMap<NodeId, NodeRow>,
    tokens: BTreeMap<Name, Token>,
    config: Option<Config>,
    clock: Option<Moment>,
    audit: Vec<Audit>,
    keys: BTreeMap<(Name, Name), IdempotencyKey>,
}

impl MemoryStore {
    /// The readers' side of this memory.
    #[must_use]
    pub fn history(&self) -> MemoryHistory {
        MemoryHistory { rows: self.rows.clone() }
    }

    /// What operators did, first to last; for tests.
    #[must_use]
    pub fn audit(&self) -> Vec<Audit> {
        lock(&self.rows).audit.clone()
    }
}

/// A panic elsewhere leaves the rows as they were between two changes, which is no worse than a crash.
fn lock(rows: &Mutex<Rows>) -> MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn begin_term(&mut self) -> Result<Term, StoreError> {
        let mut rows = lock(&self.rows);
        rows.term.0 += 1;
        Ok(rows.term)
    }

    fn load(&mut self) -> Result<Saved, StoreError> {
        let rows = lock(&self.rows);
        Ok(Saved {
            tasks: rows.tasks.values().filter(|task| !task.state.is_ended()).cloned().collect(),
            nodes: rows.nodes.values().cloned().collect(),
            tokens: rows.tokens.values().cloned().collect(),
            config: rows.config.clone(),
            last_task: rows.last_task,
            runs: rows.runs(),
            clock: rows.clock.clone(),
        })
    }

    fn commit(&mut self, term: Term, changes: &[Change]) -> Result<(), StoreError> {
        let mut rows = lock(&self.rows);
        rows.fence(term)?;
        rows.check(changes)?;
        for change in changes {
            rows.apply(change.clone());
        }
        Ok(())
    }

    fn spec(&mut self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError> {
        Ok(lock(&self.rows).specs.get(&hash).cloned())
    }

    fn key(&mut self, project: &str, key: &str) -> Result<Option<IdempotencyKey>, StoreError> {
        Ok(lock(&self.rows).keys.get(&(project.into(), key.into())).cloned())
    }

    fn prune(&mut self, term: Term, keep: Retention) -> Result<usize, StoreError> {
        let mut rows = lock(&self.rows);
        rows.fence(term)?;
        Ok(rows.prune(keep))
    }
}

impl Rows {
    fn fence(&self, term: Term) -> Result<(), StoreError> {
        if self.term == term { Ok(()) } else { Err(StoreError::Fenced { newer: self.term }) }
    }

    /// Refuses the whole batch if one of its rows cannot be written.
    fn check(&self, changes: &[Change]) -> Result<(), StoreError> {
        let refuse = |detail: String| Err(StoreError::Unknown { detail });
        let mut new_tasks = BTreeSet::new();
        let mut new_rows = BTreeSet::new();
        let mut new_keys = BTreeSet::new();
        let new_specs: BTreeSet<_> = changes
            .iter()
            .filter_map(|change| if let Change::Spec { hash, .. } = change { Some(*hash) } else { None })
            .collect();
        for change in changes {
            let known = match change {
                Change::Task { task, new } => {
                    let spec = task.work.spec();
                    if !self.specs.contains_key(&spec) && !new_specs.contains(&spec) {
                        return refuse("a task refers to a specification that was never stored".to_owned());
                    }
                    let known = self.tasks.contains_key(&task.id) || new_tasks.contains(&task.id);
                    new_tasks.insert(task.id);
                    known == *new
                }
                Change::Event(Event { task, number, .. }) => {
                    self.events.contains_key(&(*task, *number))
                        || !new_rows.insert((*task, *number, u32::MAX, Timestamp::NEVER))
                }
                Change::Usage(segment) => {
                    let key = usage_key(segment);
                    self.usage.contains_key(&key) || !new_rows.insert(key)
                }
                Change::Key(row) => {
                    let key = (row.project.clone(), row.key.clone());
                    self.keys.contains_key(&key) || !new_keys.insert(key)
                }
                _ => false,
            };
            if known {
                return refuse(format!("this row cannot be written: {change:?}"));
            }
        }
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Task { task, new } => {
                if new {
                    self.last_task = self.last_task.max(Some(task.id));
                }
                self.tasks.insert(task.id, task);
            }
            Change::Spec { hash, spec } => {
                self.specs.entry(hash).or_insert(spec);
            }
            Change::Event(event) => {
                self.events.insert((event.task, event.number), event);
            }
            Change::Attempt(attempt) => {
                self.attempts.insert((attempt.task, attempt.attempt), attempt);
            }
            Change::Usage(segment) => {
                self.usage.insert(usage_key(&segment), segment);
            }
            Change::Node(node) => {
                self.nodes.insert(node.id, node);
            }
            Change::Token(token) => {
                self.tokens.insert(token.id.clone(), token);
            }
            Change::Config(config) => self.config = Some(config),
            Change::Audit(audit) => self.audit.push(audit),
            Change::Key(key) => {
                self.keys.insert((key.project.clone(), key.key.clone()), key);
            }
            Change::Clock(moment) => self.clock = Some(moment),
        }
    }

    fn prune(&mut self, keep: Retention) -> usize {
        let mut ended: Vec<(Timestamp, TaskId)> =
            self.tasks.values().filter_map(|task| Some((ended_at(task)?, task.id))).collect();
        ended.sort_unstable();
        let too_many = (ended.len() as u64).saturating_sub(keep.tasks_max);
        let gone: BTreeSet<TaskId> = (0_u64..)
            .zip(&ended)
            .filter(|(place, (at, _))| *at < keep.ended_before || *place < too_many)
            .map(|(_, (_, id))| *id)
            .take(keep.at_most)
            .collect();
        let specs: BTreeSet<SpecHash> =
            gone.iter().filter_map(|id| Some(self.tasks.remove(id)?.work.spec())).collect();
        self.events.retain(|(task, _), _| !gone.contains(task));
        self.attempts.retain(|(task, _), _| !gone.contains(task));
        self.usage.retain(|(task, ..), _| !gone.contains(task));
        let used: BTreeSet<SpecHash> = self.tasks.values().map(|task| task.work.spec()).collect();
        self.specs.retain(|hash, _| !specs.contains(hash) || used.contains(hash));
        let tasks = &self.tasks;
        let lives = |id: &TaskId| tasks.get(id).is_some_and(|task| !task.state.is_ended());
        self.keys.retain(|_, key| key.at >= keep.keys_before || key.tasks.iter().any(lives));
        self.tokens.retain(|_, token| {
            let end = [token.expires_at, token.revoked_at].into_iter().flatten().min();
            end.is_none_or(|end| end >= keep.ended_before)
        });
        gone.len()
    }

    /// The latest runs that ended well, oldest first.
    fn runs(&self) -> Vec<Run> {
        let mut ended: Vec<(Timestamp, &Task)> =
            self.tasks.values().filter_map(|task| Some((ended_at(task)?, task))).collect();
        ended.sort_unstable_by_key(|&(at, task)| std::cmp::Reverse((at, task.id)));
        let looked_at = ended.into_iter().take(RUNS_LOOKED_AT_MAX);
        let newest = looked_at.filter_map(|(_, task)| run_of(task, self.ran(task.id)?));
        let mut runs: Vec<Run> = newest.take(RUNS_MAX).collect();
        runs.reverse();
        runs
    }

    /// How long the attempts of a task ran in all; `None` if none did.
    fn ran(&self, id: TaskId) -> Option<Millis> {
        let attempts = self.attempts.range((id, 0)..=(id, u32::MAX));
        let ran = attempts.filter_map(|(_, row)| Some(row.ended.as_ref()?.at.since(row.started_at?)));
        ran.reduce(|sum, ran| Millis(sum.0.saturating_add(ran.0)))
    }

    fn visible(&self, scope: &Scope, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|task| in_scope(scope, task))
    }
}

fn usage_key(segment: &Segment) -> (TaskId, u32, u32, Timestamp) {
    (segment.task, segment.attempt, segment.version, segment.from)
}

fn ended_at(task: &Task) -> Option<Timestamp> {
    match &task.state {
        TaskState::Ended(end) => Some(end.at),
        _ => None,
    }
}

fn in_scope(scope: &Scope, task: &Task) -> bool {
    match scope {
        Scope::All => true,
        Scope::Project(project) => task.project == *project,
    }
}

fn matches(listing: &Listing<'_>, task: &Task) -> bool {
    (listing.states.is_empty() || listing.states.iter().any(|state| state == task.state.code()))
        && listing.name.is_none_or(|name| task.terms.name.as_ref() == Some(name))
        && listing.owner.is_none_or(|owner| task.owner == *owner)
        && listing.queue.is_none_or(|queue| task.terms.queue == *queue)
        && listing.since.is_none_or(|since| task.submitted_at >= since)
        && !(listing.live && task.state.is_ended())
}

impl History for MemoryHistory {
    fn task(&self, scope: &Scope, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(lock(&self.rows).tasks.get(&id).filter(|task| in_scope(scope, task)).cloned())
    }

    fn tasks(&self, scope: &Scope, filter: &Filter, page: Page) -> Result<Vec<Task>, StoreError> {
        let Some(listing) = Listing::of(filter, page) else { return Ok(Vec::new()) };
        let rows = lock(&self.rows);
        let newest_first = rows.tasks.range(listing.first..=listing.last).rev().map(|(_, task)| task);
        let matching = newest_first.filter(|task| in_scope(scope, task) && matches(&listing, task));
        Ok(matching.take(listing.limit).cloned().collect())
    }

    fn spec(&self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError> {
        Ok(lock(&self.rows).specs.get(&hash).cloned())
    }

    fn events(&self, scope: &Scope, id: TaskId, from: u32, limit: usize) -> Result<Vec<Event>, StoreError> {
        let rows = lock(&self.rows);
        if !rows.visible(scope, id) {
            return Ok(Vec::new());
        }
        let events = rows.events.range((id, from)..=(id, u32::MAX));
        Ok(events.take(limit).map(|(_, event)| event.clone()).collect())
    }

    fn attempts(&self, scope: &Scope, id: TaskId) -> Result<Vec<Attempt>, StoreError> {
        let rows = lock(&self.rows);
        if !rows.visible(scope, id) {
            return Ok(Vec::new());
        }
        Ok(rows.attempts.range((id, 0)..=(id, u32::MAX)).map(|(_, attempt)| attempt.clone()).collect())
    }

    fn usage(&self, scope: &Scope, id: TaskId) -> Result<Vec<Segment>, StoreError> {
        let rows = lock(&self.rows);
        if !rows.visible(scope, id) {
            return Ok(Vec::new());
        }
        let segments = rows.usage.range((id, 0, 0, Timestamp(i64::MIN))..);
        let own = segments.take_while(|((task, ..), _)| *task == id);
        Ok(own.map(|(_, segment)| segment.clone()).collect())
    }

    fn count(&self, scope: &Scope) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = lock(&self.rows);
        let visible = rows.tasks.values().filter(|task| in_scope(scope, task));
        Ok(in_order_of_life(visible.map(|task| (task.state.code().to_owned(), 1)).collect()))
    }
}
