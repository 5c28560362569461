//! How everybody else talks to the loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, TrySendError};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Reply, Submit};
use fastgpu_core::ids::{Name, NodeId, TaskId};
use fastgpu_core::node::Report;
use fastgpu_core::state::State;
use fastgpu_core::token::Token;
use fastgpu_core::units::Timestamp;
use tokio::sync::oneshot;

use crate::answers::{CommandError, KeyUse, Submitted};
use crate::clock::Clock;
use crate::inbox::{Message, Submission};
use crate::stats::{Counters, Stats};
use crate::watch::{Watch, Watchers};

/// All durable tokens, by their public part.
pub type TokenTable = BTreeMap<Name, Token>;

/// A cheap way to the loop, for every thread that needs one.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) inbox: Sender<Message>,
    pub(crate) shared: Arc<Shared>,
}

/// What loop and handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) tokens: Mutex<Arc<TokenTable>>,
}

impl Handle {
    /// Does a command; answered once it is durable.
    ///
    /// # Errors
    /// [`CommandError`]; with [`CommandError::StorageFailed`] the outcome is unknown.
    pub async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Command { command, reply })?;
        answer.await.unwrap_or(Err(CommandError::Stopping))
    }

    /// Accepts tasks, all or none, once; answered once they are durable.
    ///
    /// # Errors
    /// As [`Handle::command`].
    pub async fn submit(
        &self,
        tasks: Vec<Submit>,
        actor: Actor,
        key: Option<KeyUse>,
    ) -> Result<Submitted, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit(Submission { tasks, actor, key, reply }))?;
        answer.await.unwrap_or(Err(CommandError::Stopping))
    }

    /// Asks the live state something. Runs on the loop between two commits: keep it short.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] or [`CommandError::Stopping`].
    pub async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&State, Timestamp) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Query(Box::new(move |state, now| drop(reply.send(question(state, now))))))?;
        answer.await.map_err(|_| CommandError::Stopping)
    }

    /// Takes in what a node says; waits while the inbox is full. Returns whether anybody listens.
    pub fn report(&self, node: NodeId, report: Report) -> bool {
        self.inbox.send(Message::Report(node, report)).is_ok()
    }

    /// The tokens that open something, as of the last commit.
    #[must_use]
    pub fn tokens(&self) -> Arc<TokenTable> {
        self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// News of one task. Take it before reading the task.
    #[must_use]
    pub fn watch(&self, task: TaskId) -> Watch {
        self.shared.watchers.watch(task)
    }

    /// Counters for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// The control plane's clock, which durations run on.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Now, as the wall clock has it: what people say and see, and what tokens live by.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.shared.clock.wall()
    }

    /// How far the wall clock is ahead of [`Handle::now`], in milliseconds; below zero if it is behind.
    #[must_use]
    pub fn ahead_ms(&self) -> i64 {
        self.shared.clock.ahead_ms()
    }

    fn send(&self, message: Message) -> Result<(), CommandError> {
        self.inbox.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => CommandError::Overloaded,
            TrySendError::Disconnected(_) => CommandError::Stopping,
        })
    }
}
