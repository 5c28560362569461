//! How everybody else talks to the loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, TrySendError};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused, Reply, Submit};
use fastgpu_core::ids::{Name, NodeId, TaskId};
use fastgpu_core::node::Report;
use fastgpu_core::state::State;
use fastgpu_core::token::Token;
use fastgpu_core::units::Timestamp;
use tokio::sync::oneshot;

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

/// A caller's key for a request that must not be done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key; unique within the project of the first task.
    pub key: Name,
    /// Hash of the request.
    pub digest: [u8; 32],
}

/// Accepted tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Their ids, in the order of the submit.
    pub ids: Vec<TaskId>,
    /// Whether this is the answer of an earlier request under the same key.
    pub repeated: bool,
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It makes no sense now; the text is for the caller.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Too much waits already.
    #[error("the control plane has more to do than it can take; try again shortly")]
    Overloaded,
    /// There is no room to make it durable.
    #[error("the disk is full: nothing new can be saved")]
    StorageFull,
    /// It may or may not be durable; a repeat under the same key tells.
    #[error("the store failed: {0}")]
    StorageFailed(String),
    /// The control plane is going away.
    #[error("the control plane is stopping")]
    Stopping,
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

    /// The control plane's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn send(&self, message: Message) -> Result<(), CommandError> {
        self.inbox.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => CommandError::Overloaded,
            TrySendError::Disconnected(_) => CommandError::Stopping,
        })
    }
}
