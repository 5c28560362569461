//! The whole state of a control plane: commands in, changes out.
//!
//! One [`Command`] at a time goes through [`State::apply`]; then [`crate::plan::plan`] looks at the whole and
//! [`State::adopt`] takes up what it decided. What became of it all is collected in [`Changes`], which
//! [`Changes::finish`] turns into rows for the store and orders for the nodes. Nothing here reads a clock.

mod life;
mod order;
mod reports;
mod shared;
mod sickness;
mod submit;

pub(crate) use order::held_milli;

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Actor, Audit, Change, NodeRow};
use crate::cluster::Cluster;
use crate::command::{Command, Refused, Reply, Update};
use crate::config::Config;
use crate::ids::{Fence, IdSource, Name, NodeId, TaskId};
use crate::mix::Mix;
use crate::node::Order;
use crate::outlook::Outlook;
use crate::plan::{Keep, Plan, Preemptible};
use crate::predict::{Predictor, Run};
use crate::queue::Queue;
use crate::task::{QueueCause, StopCause, Task, TaskEvent, TaskState};
use crate::token::Token;
use crate::units::{Millis, Timestamp};

/// Everything that is alive.
#[derive(Debug, Clone)]
pub struct State {
    config: Config,
    ids: IdSource,
    tasks: BTreeMap<TaskId, Task>,
    queue: Queue,
    cluster: Cluster,
    predictor: Predictor,
    mix: Mix,
    outlook: Outlook,
    /// Waiting tasks whose place follows from what is learned, by project and owner.
    predicted: BTreeSet<(Name, Name, TaskId)>,
    tokens: BTreeMap<Name, Token>,
    /// What time has to do: the next moment at which something happens to a task by itself.
    timers: BTreeSet<(Timestamp, TaskId)>,
    /// Sum of the live tasks' specifications, in bytes.
    spec_bytes: u64,
    pub(crate) keeps: Vec<Keep>,
    /// Running tasks that somebody may be allowed to stop.
    preemptible: Preemptible,
    /// Before this nobody else is put before the others for having waited for too long.
    promotions_from: Timestamp,
    shared: shared::Shared,
    fitting: submit::Fitting,
}

/// What a store remembers, to begin with.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Live tasks.
    pub tasks: Vec<Task>,
    /// Known nodes.
    pub nodes: Vec<NodeRow>,
    /// Known tokens.
    pub tokens: Vec<Token>,
    /// The configuration, if one was ever set.
    pub config: Option<Config>,
    /// The largest id ever handed out.
    pub last_task: Option<TaskId>,
    /// Runs that ended well, oldest first, to learn from.
    pub runs: Vec<Run>,
}

/// What commands and plans changed, until [`Changes::finish`].
#[derive(Debug, Default)]
pub struct Changes {
    rows: Vec<Change>,
    /// Tasks to write; `true` if no row of them exists yet.
    touched: BTreeMap<TaskId, bool>,
    /// Tasks that left the state because they are over.
    ended: BTreeMap<TaskId, Task>,
    orders: Vec<(NodeId, Order)>,
    tokens_changed: bool,
}

/// The outcome of a batch: what to make durable, and what to tell whom afterwards.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows for one transaction.
    pub rows: Vec<Change>,
    /// Orders to send once the rows are durable.
    pub orders: Vec<(NodeId, Order)>,
    /// Tasks that moved, for those who wait for news of them.
    pub moved: Vec<TaskId>,
    /// Whether the set of tokens is another.
    pub tokens_changed: bool,
}

impl Changes {
    /// Whether nothing is to be written or said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.touched.is_empty() && self.orders.is_empty()
    }

    /// What to write and whom to tell. Each task is written once, as it is now.
    #[must_use]
    pub fn finish(mut self, state: &State) -> Outcome {
        let moved = self.touched.keys().copied().collect();
        let mut rows = Vec::with_capacity(self.rows.len() + self.touched.len());
        for (id, new) in self.touched {
            let task = self.ended.remove(&id).or_else(|| state.tasks.get(&id).cloned());
            let task = task.expect("a touched task is alive or has just ended");
            rows.push(Change::Task { task, new });
        }
        rows.append(&mut self.rows);
        Outcome { rows, orders: self.orders, moved, tokens_changed: self.tokens_changed }
    }

    fn audit(&mut self, at: Timestamp, actor: Actor, action: &'static str, object: String) {
        self.rows.push(Change::Audit(Audit { at, actor, action, object }));
    }
}

impl State {
    /// The state as the store remembers it. Nodes count as absent until they say hello.
    #[must_use]
    pub fn new(beginning: Beginning) -> Self {
        let mut state = Self {
            config: beginning.config.unwrap_or_default(),
            ids: IdSource::after(beginning.last_task),
            tasks: BTreeMap::new(),
            queue: Queue::default(),
            cluster: Cluster::default(),
            predictor: Predictor::default(),
            mix: Mix::default(),
            outlook: Outlook::default(),
            predicted: BTreeSet::new(),
            tokens: beginning.tokens.into_iter().map(|token| (token.id.clone(), token)).collect(),
            timers: BTreeSet::new(),
            spec_bytes: 0,
            keeps: Vec::new(),
            preemptible: Preemptible::new(),
            promotions_from: Timestamp::default(),
            shared: shared::Shared::default(),
            fitting: submit::Fitting::default(),
        };
        for node in beginning.nodes {
            state.cluster.remember(node.id, node.hostname, node.drained);
        }
        for run in &beginning.runs {
            state.predictor.learn(run);
        }
        for mut task in beginning.tasks {
            state.shared.share(&mut task);
            state.stand(&mut task, Timestamp::default());
            state.mix.observe(&task.terms.ask);
            state.enter(&task, false);
            state.spec_bytes += u64::from(task.spec_bytes);
            state.tasks.insert(task.id, task);
        }
        state
    }

    /// A live task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// All live tasks, by rising id.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// The waiting tasks.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How many tasks wait for a place.
    #[must_use]
    pub const fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// How many tasks are alive.
    #[must_use]
    pub fn live_len(&self) -> usize {
        self.tasks.len()
    }

    /// Nodes and devices.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What placement keeps room for.
    #[must_use]
    pub const fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// All tokens, by their public part.
    #[must_use]
    pub const fn tokens(&self) -> &BTreeMap<Name, Token> {
        &self.tokens
    }

    /// What is kept for tasks that cannot start yet.
    #[must_use]
    pub fn keeps(&self) -> &[Keep] {
        &self.keeps
    }

    /// Running tasks that somebody may be allowed to stop.
    #[must_use]
    pub const fn preemptible(&self) -> &Preemptible {
        &self.preemptible
    }

    /// When a placed task ends at the latest; [`Timestamp::NEVER`] if it has no time limit.
    #[must_use]
    pub fn ends_at(&self, id: TaskId) -> Timestamp {
        let Some(task) = self.tasks.get(&id) else { return Timestamp::NEVER };
        let from = task.state.running_since().or_else(|| task.state.hold().map(|hold| hold.placed_at));
        from.zip(task.time_limit).map_or(Timestamp::NEVER, |(from, run)| from.plus(run))
    }

    /// The next moment at which something happens by itself.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Whether a round has anything to look at.
    #[must_use]
    pub fn needs_round(&self) -> bool {
        if !crate::plan::keeps_stand(self) {
            return true;
        }
        let something_changed = !self.cluster.changed().is_empty() || !self.queue.changed().is_empty();
        something_changed && !self.queue.is_empty()
    }

    /// Does one command, whole or not at all.
    ///
    /// # Errors
    /// [`Refused`] with a sentence for the caller; nothing changed then.
    pub fn apply(&mut self, command: Command, now: Timestamp, out: &mut Changes) -> Result<Reply, Refused> {
        match command {
            Command::Submit { tasks, actor } => self.submit(tasks, &actor, now, out).map(Reply::Submitted),
            Command::Cancel { task, grace, actor } => {
                self.stop(task, StopCause::Cancel, grace, actor, now, out)
            }
            Command::Release { task, actor } => self.stop(task, StopCause::Release, None, actor, now, out),
            Command::Update { task, update, if_revision, actor } => {
                self.update(task, &update, if_revision, &actor, now, out)
            }
            Command::Suspend { task, .. } => self.not_supported(task, "suspend"),
            Command::Resume { task, .. } => self.not_supported(task, "resume"),
            Command::Report { node, report } => {
                self.report(node, report, now, out);
                Ok(Reply::Done)
            }
            Command::Drain { node, drain, actor } => self.drain(node, drain, actor, now, out),
            Command::Configure { config, actor } => self.configure(config, actor, now, out),
            Command::TokenCreate { token, actor } => {
                out.audit(now, actor, "token_created", token.id.to_string());
                self.put_token(token, out);
                Ok(Reply::Done)
            }
            Command::TokenRevoke { id, actor } => self.revoke(id, actor, now, out),
            Command::Tick => {
                self.tick(now, out);
                Ok(Reply::Done)
            }
        }
    }

    /// Takes up what a plan decided. What no longer holds is passed over, so that a plan adopted twice
    /// changes nothing the second time.
    pub fn adopt(&mut self, plan: &Plan, now: Timestamp, out: &mut Changes) {
        for start in &plan.starts {
            let Some(task) = self.tasks.get(&start.task) else { continue };
            let is_ready = matches!(&task.state, TaskState::Queued { cause, .. } if cause.is_ready());
            if !is_ready || !self.cluster.has_room(&start.parts) {
                continue;
            }
            let fence = Fence { attempt: task.attempt + 1, version: 1 };
            let grant = crate::ask::Grant { fence, parts: start.parts.clone() };
            self.place(start.task, grant, now, out);
        }
        for preempt in &plan.preempts {
            let Some(task) = self.tasks.get(&preempt.task) else { continue };
            if matches!(task.state, TaskState::Running { .. }) {
                let grace = task.terms.limits.stop_grace;
                self.ask_to_stop(preempt.task, StopCause::Preempt, grace, Actor::Scheduler, now, out);
            }
        }
        self.keeps.clone_from(&plan.keeps);
        if !plan.more {
            self.cluster.clear_changed();
            self.queue.clear_changed();
        }
    }

    fn not_supported(&self, id: TaskId, verb: &'static str) -> Result<Reply, Refused> {
        self.tasks.get(&id).ok_or(Refused::NoSuchTask(id))?;
        Err(Refused::NotSupported { verb })
    }

    fn update(
        &mut self,
        id: TaskId,
        update: &Update,
        if_revision: Option<u32>,
        actor: &Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<Reply, Refused> {
        let task = self.tasks.get(&id).ok_or(Refused::NoSuchTask(id))?;
        if if_revision.is_some_and(|revision| revision != task.revision) {
            return Err(Refused::RevisionMismatch { current: task.revision });
        }
        if update.share.is_some() || update.memory.is_some() {
            return Err(Refused::NotSupported { verb: "resize" });
        }
        let TaskState::Queued { cause, .. } = &task.state else {
            return Err(Refused::WrongState { state: task.state.code(), verb: "changed so" });
        };
        let hold = match (update.held, cause) {
            (Some(true), QueueCause::Held) | (None, _) => None,
            (Some(true), _) => Some(TaskEvent::HoldAsked),
            (Some(false), QueueCause::Held | QueueCause::Parked) => Some(TaskEvent::Readied),
            (Some(false), _) => None,
        };
        let mut changed = false;
        if let Some(priority) = update.priority.filter(|&priority| priority != task.priority) {
            let detail = format!("priority {} -> {priority}", task.priority);
            self.reprioritize(id, priority, now);
            self.note(id, "priority", Some(detail), actor.clone(), now, out);
            changed = true;
        }
        if let Some(event) = hold {
            let cause = if event == TaskEvent::HoldAsked { "held" } else { "released" };
            changed |= self.advance(id, event, cause, None, actor.clone(), now, out).is_ok();
        }
        Ok(Reply::Moved { changed })
    }

    fn drain(
        &mut self,
        id: NodeId,
        drain: bool,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<Reply, Refused> {
        let node = self.cluster.node(id).ok_or(Refused::NoSuchNode(id))?;
        let changed = node.drained != drain;
        let hostname = node.hostname.clone();
        if changed {
            self.cluster.set_drained(id, drain);
            out.rows.push(Change::Node(NodeRow { id, hostname, drained: drain }));
            out.audit(now, actor, if drain { "node_drained" } else { "node_resumed" }, id.to_string());
        }
        Ok(Reply::Moved { changed })
    }

    fn configure(
        &mut self,
        config: Config,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<Reply, Refused> {
        config.check().map_err(Refused::BadConfig)?;
        out.rows.push(Change::Config(config.clone()));
        out.audit(now, actor, "configured", "configuration".to_owned());
        self.live_by(config, now);
        self.cluster.touch_all();
        self.queue.touch_all();
        Ok(Reply::Done)
    }

    fn revoke(
        &mut self,
        id: Name,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<Reply, Refused> {
        let mut token = self.tokens.get(&id).cloned().ok_or_else(|| Refused::NoSuchToken(id.clone()))?;
        let changed = token.revoked_at.is_none();
        if changed {
            token.revoked_at = Some(now);
            out.audit(now, actor, "token_revoked", id.to_string());
            self.put_token(token, out);
        }
        Ok(Reply::Moved { changed })
    }

    fn put_token(&mut self, token: Token, out: &mut Changes) {
        out.rows.push(Change::Token(token.clone()));
        out.tokens_changed = true;
        self.tokens.insert(token.id.clone(), token);
    }

    fn stop(
        &mut self,
        id: TaskId,
        why: StopCause,
        grace: Option<Millis>,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<Reply, Refused> {
        let task = self.tasks.get(&id).ok_or(Refused::NoSuchTask(id))?;
        let grace = grace.unwrap_or(task.terms.limits.stop_grace);
        let changed = self.ask_to_stop(id, why, grace, actor, now, out);
        Ok(Reply::Moved { changed })
    }

    /// Asserts what must always hold, for tests and for debug builds.
    ///
    /// # Panics
    /// When something does not, with the values.
    pub fn assert_sound(&self) {
        self.cluster.assert_sound();
        let held: BTreeSet<(NodeId, TaskId)> =
            self.cluster.nodes().flat_map(|node| node.held().map(|(task, _)| (node.id, task))).collect();
        let mut placed = BTreeSet::new();
        let mut waiting = 0;
        for task in self.tasks.values() {
            assert!(!task.state.is_ended(), "{} is over and still here", task.id);
            if let Some(hold) = task.state.hold() {
                assert_eq!(hold.grant.fence.attempt, task.attempt, "{}", task.id);
                placed.extend(hold.grant.nodes().map(|node| (node, task.id)));
            }
            waiting += usize::from(order::is_ready(task));
        }
        let timers: BTreeSet<(Timestamp, TaskId)> =
            self.tasks.values().filter_map(|task| Some((self.timer_of(task)?, task.id))).collect();
        assert_eq!(self.timers, timers, "timers and tasks differ");
        assert_eq!(self.spec_bytes, self.tasks.values().map(|task| u64::from(task.spec_bytes)).sum::<u64>());
        assert_eq!(held, placed, "grants and placed tasks differ");
        assert_eq!(self.queue.len(), waiting, "queue and waiting tasks differ");
        assert_eq!(self.queue.lanes().map(|(_, lane)| lane.ranks().count()).sum::<usize>(), waiting);
    }
}
