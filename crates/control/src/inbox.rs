//! What waits for the loop. The inbox is bounded: who finds it full is told to come back.

use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Reply, Submit};
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::Report;
use fastgpu_core::state::State;
use fastgpu_core::units::Timestamp;
use tokio::sync::oneshot;

use crate::answers::{CommandError, KeyUse, Submitted};

/// Messages that may wait; at the speed of the loop, well under a second's worth.
pub(crate) const INBOX_MAX: usize = 16_384;
/// Messages in one batch: more would make the first of them wait for the last.
pub(crate) const BATCH_MAX: usize = 1_024;

/// Something for the loop to do.
pub(crate) enum Message {
    Command { command: Command, reply: oneshot::Sender<Result<Reply, CommandError>> },
    Submit(Submission),
    Query(Question),
    Report(NodeId, Report),
    Stop,
}

/// A question to the live state.
pub(crate) type Question = Box<dyn FnOnce(&State, Timestamp) + Send>;

/// Tasks to accept, perhaps under a key.
pub(crate) struct Submission {
    pub(crate) tasks: Vec<Submit>,
    pub(crate) actor: Actor,
    pub(crate) key: Option<KeyUse>,
    pub(crate) reply: oneshot::Sender<Result<Submitted, CommandError>>,
}

impl Submission {
    /// The command it is.
    pub(crate) fn command(&self) -> Command {
        Command::Submit { tasks: self.tasks.clone(), actor: self.actor.clone() }
    }
}

/// An answer that waits for the commit.
pub(crate) enum Answer {
    Command(oneshot::Sender<Result<Reply, CommandError>>, Result<Reply, CommandError>),
    Submit(oneshot::Sender<Result<Submitted, CommandError>>, Result<Submitted, CommandError>),
}

impl Answer {
    /// Tells the caller; whoever has gone away is not missed.
    pub(crate) fn send(self) {
        match self {
            Self::Command(reply, answer) => drop(reply.send(answer)),
            Self::Submit(reply, answer) => drop(reply.send(answer)),
        }
    }

    /// Tells the caller that nothing of it is durable. A refusal stays a refusal.
    pub(crate) fn fail(self, error: &CommandError) {
        match self {
            Self::Command(reply, answer) => drop(reply.send(answer.and(Err(error.clone())))),
            Self::Submit(reply, answer) => drop(reply.send(answer.and(Err(error.clone())))),
        }
    }
}
