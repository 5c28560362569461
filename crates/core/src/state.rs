//! The whole state of a control plane: commands in, changes out.
//!
//! One [`Command`] at a time goes through [`State::apply`]; then [`crate::plan`] looks at the whole and
//! [`State::adopt`] takes up what it decided. What became of it all is collected in [`Changes`], which
//! [`Changes::finish`] turns into rows for the store and orders for the nodes. Nothing here reads a clock.
//!
//! This is the hub. Tasks move in one place, [`turn`]; whatever follows their moves is a [`Part`], told by the hub
//! and blind for the others.

mod changes;
mod clock;
mod life;
mod operate;
mod parts;
mod reports;
mod shared;
mod sickness;
mod submit;
mod turn;

pub use changes::{Changes, Outcome};
pub use parts::stops::Preemptible;

use std::collections::BTreeMap;

use crate::change::{Actor, NodeRow};
use crate::cluster::Cluster;
use crate::command::{Command, Refused, Reply};
use crate::config::Config;
use crate::decision::{Keep, Plan};
use crate::ids::{IdSource, Name, TaskId};
use crate::outlook::Outlook;
use crate::part::{Figures, Rules};
use crate::policy::QueuePolicy;
use crate::predict::Run;
use crate::queue::Queue;
use crate::task::{StopCause, Task};
use crate::token::Token;
use crate::units::{Millis, Timestamp};
use turn::Turn;

/// Everything that is alive.
#[derive(Debug, Clone, Default)]
pub struct State {
    rules: Rules,
    ids: IdSource,
    tasks: BTreeMap<TaskId, Task>,
    tokens: BTreeMap<Name, Token>,
    shared: shared::Shared,
    fitting: submit::Fitting,
    // The parts, told of every move by `State::follow`.
    cluster: Cluster,
    queue: Queue,
    timers: parts::timers::Timers,
    stops: parts::stops::Stops,
    learned: parts::learned::Learned,
    keeps: parts::keeps::Keeps,
    promotions: parts::promotions::Promotions,
    arrivals: parts::arrivals::Arrivals,
    specs: parts::specs::Specs,
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

impl State {
    /// The state as the store remembers it. Nodes count as absent until they say hello.
    #[must_use]
    pub fn new(beginning: Beginning) -> Self {
        let mut state = Self {
            rules: Rules::new(beginning.config.unwrap_or_default()),
            ids: IdSource::after(beginning.last_task),
            tokens: beginning.tokens.into_iter().map(|token| (token.id.clone(), token)).collect(),
            ..Self::default()
        };
        for node in beginning.nodes {
            state.cluster.remember(node.id, node.hostname, node.drained);
        }
        let now = Timestamp::default();
        // What parts want done is left undone here: nobody stands yet, and the first round looks at everything.
        for run in &beginning.runs {
            let _ = state.learned.learn(run);
        }
        for mut task in beginning.tasks {
            state.shared.share(&mut task);
            task.standing = state.learned.standing(&state.rules, &task, now);
            let _ = state.follow(now, None, Some(&task));
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
        self.arrivals.outlook()
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        self.rules.config()
    }

    /// All tokens, by their public part.
    #[must_use]
    pub const fn tokens(&self) -> &BTreeMap<Name, Token> {
        &self.tokens
    }

    /// What is kept for tasks that cannot start yet.
    #[must_use]
    pub fn keeps(&self) -> &[Keep] {
        self.keeps.all()
    }

    /// Running tasks that somebody may be allowed to stop.
    #[must_use]
    pub const fn preemptible(&self) -> &Preemptible {
        self.stops.preemptible()
    }

    /// The rules of a task's queue.
    #[must_use]
    pub fn policy_of(&self, task: &Task) -> QueuePolicy {
        self.rules.of(task)
    }

    /// The rules of a queue; those that nobody set if it was taken out of the configuration.
    #[must_use]
    pub fn policy_of_queue(&self, name: &str) -> QueuePolicy {
        self.rules.of_queue(name)
    }

    /// When a placed task ends at the latest; [`Timestamp::NEVER`] if it has no time limit.
    #[must_use]
    pub fn ends_at(&self, id: TaskId) -> Timestamp {
        self.tasks.get(&id).map_or(Timestamp::NEVER, Task::ends_at)
    }

    /// How long a task will still run from `now` on, as far as anybody knows.
    #[must_use]
    pub fn remaining(&self, task: &Task, now: Timestamp) -> Option<Millis> {
        self.learned.remaining(task, now)
    }

    /// When a placed task is expected to end; [`Timestamp::NEVER`] if nothing is known of it.
    #[must_use]
    pub fn expected_end(&self, id: TaskId, now: Timestamp) -> Timestamp {
        let expected = self.tasks.get(&id).and_then(|task| self.remaining(task, now));
        expected.map_or(Timestamp::NEVER, |left| now.plus(left)).min(self.ends_at(id))
    }

    /// The measure of a task's order at `now`; smaller goes first.
    #[must_use]
    pub fn order_key(&self, task: &Task, now: Timestamp) -> u64 {
        self.learned.order_key(&self.rules, task, now)
    }

    /// The next moment at which something happens by itself.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| at)
    }

    /// Whether something changed since the last round that a round could make use of.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        let something_changed = !self.cluster.changed().is_empty() || !self.queue.changed().is_empty();
        something_changed && !self.queue.is_empty()
    }

    /// The few numbers that parts need of each other.
    const fn figures(&self) -> Figures {
        Figures { devices: self.cluster.devices() }
    }

    /// Does one command, whole or not at all.
    ///
    /// # Errors
    /// [`Refused`] with a sentence for the caller; nothing changed then.
    pub fn apply(&mut self, command: Command, now: Timestamp, out: &mut Changes) -> Result<Reply, Refused> {
        let mut turn = Turn { state: self, now, actor: Actor::Scheduler, changes: out };
        match command {
            Command::Submit { tasks, actor } => turn.by(actor).submit(tasks).map(Reply::Submitted),
            Command::Cancel { task, grace, actor } => turn.by(actor).stop(task, StopCause::Cancel, grace),
            Command::Release { task, actor } => turn.by(actor).stop(task, StopCause::Release, None),
            Command::Update { task, update, if_revision, actor } => {
                turn.by(actor).update(task, &update, if_revision)
            }
            Command::Suspend { task, .. } => turn.state.not_supported(task, "suspend"),
            Command::Resume { task, .. } => turn.state.not_supported(task, "resume"),
            Command::Report { node, report } => {
                turn.by(Actor::Node(node)).report(node, report);
                Ok(Reply::Done)
            }
            Command::Drain { node, drain, actor } => turn.by(actor).drain(node, drain),
            Command::Configure { config, actor } => turn.by(actor).configure(config),
            Command::TokenCreate { token, actor } => Ok(turn.by(actor).create_token(token)),
            Command::TokenRevoke { id, actor } => turn.by(actor).revoke_token(id),
            Command::Tick => {
                turn.tick();
                Ok(Reply::Done)
            }
        }
    }

    /// Takes up what a plan decided. What no longer holds is passed over, so that a plan adopted twice
    /// changes nothing the second time.
    pub fn adopt(&mut self, plan: &Plan, now: Timestamp, out: &mut Changes) {
        let mut turn = Turn { state: self, now, actor: Actor::Scheduler, changes: out };
        plan.starts.iter().for_each(|start| turn.start(start.task, &start.parts));
        plan.preempts.iter().for_each(|preempt| turn.preempt(preempt.task));
        self.keeps.replace(&plan.keeps);
        if !plan.more {
            self.cluster.clear_changed();
            self.queue.clear_changed();
        }
    }

    fn not_supported(&self, id: TaskId, verb: &'static str) -> Result<Reply, Refused> {
        self.tasks.get(&id).ok_or(Refused::NoSuchTask(id))?;
        Err(Refused::NotSupported { verb })
    }

    /// Asserts what must always hold, for tests and for debug builds.
    ///
    /// # Panics
    /// When something does not, with the values.
    pub fn assert_sound(&self) {
        for task in self.tasks.values() {
            assert!(!task.state.is_ended(), "{} is over and still here", task.id);
            if let Some(hold) = task.state.hold() {
                assert_eq!(hold.grant.fence.attempt, task.attempt, "{}", task.id);
            }
        }
        self.parts().into_iter().for_each(|part| part.assert_sound(&self.rules, &self.tasks));
    }
}
