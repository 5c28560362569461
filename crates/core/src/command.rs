//! What callers may ask of the control plane, and how it answers.

use std::fmt;
use std::sync::Arc;

use crate::capacity::TooBig;
use crate::change::Actor;
use crate::config::Config;
use crate::ids::{Name, NodeId, SpecHash, TaskId};
use crate::node::Report;
use crate::spec::Spec;
use crate::terms::Terms;
use crate::token::Token;
use crate::units::{GpuMilli, MemoryMib, Millis};

/// One command for the inbox of the control plane.
#[derive(Debug, Clone)]
pub enum Command {
    /// Accept these tasks, all or none.
    Submit {
        /// At least one, at most [`crate::config::Config::batch_max`].
        tasks: Vec<Submit>,
        /// On whose behalf.
        actor: Actor,
    },
    /// End a task at any moment of its life; a second time changes nothing.
    Cancel {
        /// Which task.
        task: TaskId,
        /// Overrides the task's own time between SIGTERM and SIGKILL.
        grace: Option<Millis>,
        /// On whose behalf.
        actor: Actor,
    },
    /// Give a task's resources back: a reservation succeeds, a program is cancelled.
    Release {
        /// Which task.
        task: TaskId,
        /// On whose behalf.
        actor: Actor,
    },
    /// Change a live task.
    Update {
        /// Which task.
        task: TaskId,
        /// What should be otherwise.
        update: Update,
        /// Refuse when the task's revision is another.
        if_revision: Option<u32>,
        /// On whose behalf.
        actor: Actor,
    },
    /// Freeze a running task.
    Suspend {
        /// Which task.
        task: TaskId,
        /// On whose behalf.
        actor: Actor,
    },
    /// Go on with a suspended task.
    Resume {
        /// Which task.
        task: TaskId,
        /// On whose behalf.
        actor: Actor,
    },
    /// A node speaks.
    Report {
        /// Which node.
        node: NodeId,
        /// What it says.
        report: Report,
    },
    /// Take no new tasks on a node, or take them again.
    Drain {
        /// Which node.
        node: NodeId,
        /// Whether to drain it.
        drain: bool,
        /// On whose behalf.
        actor: Actor,
    },
    /// Use this configuration from now on.
    Configure {
        /// All of it; validated whole.
        config: Config,
        /// On whose behalf.
        actor: Actor,
    },
    /// Let somebody in.
    TokenCreate {
        /// The token, hashed.
        token: Token,
        /// On whose behalf.
        actor: Actor,
    },
    /// Keep somebody out.
    TokenRevoke {
        /// The public part of the token.
        id: Name,
        /// On whose behalf.
        actor: Actor,
    },
    /// Time has passed.
    Tick,
}

/// One task to accept.
#[derive(Debug, Clone)]
pub struct Submit {
    /// Where it belongs.
    pub project: Name,
    /// Who is accounted for it.
    pub owner: Name,
    /// What they ask for.
    pub terms: Terms,
    /// What to run; no command means a reservation.
    pub spec: Arc<Spec>,
    /// Hash of the canonical text of `spec`.
    pub spec_hash: SpecHash,
    /// Begin held back by a person.
    pub held: bool,
}

/// What can be changed of a live task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// A new priority; for a queued task.
    pub priority: Option<i32>,
    /// Hold back or let go; for a queued task.
    pub held: Option<bool>,
    /// A new share; needs a backend that can.
    pub share: Option<GpuMilli>,
    /// A new memory cap; needs a backend that can.
    pub memory: Option<MemoryMib>,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The ids of accepted tasks, in the order of the submit.
    Submitted(Vec<TaskId>),
    /// The task moved, or was already there (`changed` is false).
    Moved {
        /// Whether this command moved it.
        changed: bool,
    },
    /// Done.
    Done,
}

/// Why a command was refused. The texts are for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No live task with this id.
    NoSuchTask(TaskId),
    /// No node with this id.
    NoSuchNode(NodeId),
    /// No token with this public part.
    NoSuchToken(Name),
    /// The queue holds as many tasks as it may.
    QueueFull {
        /// The limit.
        max: usize,
    },
    /// The programs of all live tasks take as much room as they may.
    SpecsFull {
        /// The limit, in bytes.
        bytes_max: u64,
    },
    /// More tasks in one submit than allowed.
    BatchTooLarge {
        /// How many were given.
        given: usize,
        /// The limit.
        max: usize,
    },
    /// No queue of this name.
    NoSuchQueue {
        /// What is asked for.
        asked: Name,
        /// What there is.
        known: Vec<Name>,
    },
    /// No device could ever serve this ask.
    NoSuchCapacity(TooBig),
    /// The task changed since the caller looked.
    RevisionMismatch {
        /// The revision it has now.
        current: u32,
    },
    /// The task is not in a state where this can be done.
    WrongState {
        /// The state it is in.
        state: &'static str,
        /// What was asked.
        verb: &'static str,
    },
    /// No backend can do this yet.
    NotSupported {
        /// What was asked.
        verb: &'static str,
    },
    /// No node can hide this server's data from tasks, so only the people it belongs to may run any.
    Exposed {
        /// What the nodes lack, in their own words.
        why: String,
    },
    /// The configuration is not valid.
    BadConfig(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchTask(id) => write!(f, "there is no live task {id}"),
            Self::NoSuchNode(id) => write!(f, "there is no node {id}"),
            Self::NoSuchToken(id) => write!(f, "there is no token {id}"),
            Self::QueueFull { max } => write!(f, "the queue is full: it holds at most {max} tasks"),
            Self::SpecsFull { bytes_max } => {
                let room = MemoryMib(bytes_max >> 20);
                write!(
                    f,
                    "the queue is full: the commands and environments of its tasks take {room}, the most allowed"
                )
            }
            Self::BatchTooLarge { given, max } => {
                write!(f, "{given} tasks in one request; at most {max} are taken")
            }
            Self::NoSuchQueue { asked, .. } => write!(f, "there is no queue `{asked}`"),
            Self::NoSuchCapacity(too_big) => too_big.fmt(f),
            Self::RevisionMismatch { current } => {
                write!(f, "the task changed since it was read; its revision is now {current}")
            }
            Self::WrongState { state, verb } => write!(f, "a task that is {state} cannot be {verb}"),
            Self::NotSupported { verb } => write!(f, "no backend here can {verb} a task"),
            Self::Exposed { why } => {
                write!(
                    f,
                    "tasks of a second owner are not run here: a task could read this server's data ({why})"
                )
            }
            Self::BadConfig(why) => write!(f, "the configuration is not valid: {why}"),
        }
    }
}

impl std::error::Error for Refused {}
