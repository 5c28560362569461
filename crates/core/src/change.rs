//! What a batch of commands changed: the rows for the store, in one transaction, and nothing else.

use std::sync::Arc;

use crate::ask::GrantPart;
use crate::cause::Cause;
use crate::config::Config;
use crate::ids::{Name, NodeId, SpecHash, TaskId};
use crate::node::Exit;
use crate::retry::FailureClass;
use crate::spec::Spec;
use crate::task::Task;
use crate::token::Token;
use crate::units::{Millis, PriceMicros, Timestamp};

/// One row to write. All rows of a batch become durable together, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A task as it is now; `new` says that no row of it exists yet.
    Task {
        /// The whole task.
        task: Task,
        /// Insert rather than update.
        new: bool,
    },
    /// A specification, stored once by hash; it may be there already.
    Spec {
        /// Its hash.
        hash: SpecHash,
        /// Its content.
        spec: Arc<Spec>,
    },
    /// Something happened to a task.
    Event(Event),
    /// An attempt as it is now; written at its placement, start and end.
    Attempt(Attempt),
    /// A stretch of use that is over.
    Usage(Segment),
    /// A node as it is now.
    Node(NodeRow),
    /// A token as it is now.
    Token(Token),
    /// The configuration as it is now.
    Config(Config),
    /// Something an operator did.
    Audit(Audit),
    /// An answer to remember under a caller's key.
    Key(IdempotencyKey),
    /// When all of this happened, to go on from.
    Clock(Moment),
}

/// A reading of the control plane's clock beside one of the machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// What the clock said.
    pub at: Timestamp,
    /// Time since the machine was started, sleep included.
    pub since_boot: Millis,
    /// The name of that boot.
    pub boot: Name,
}

/// One entry of a task's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub task: TaskId,
    /// 0, 1, 2, … within the task.
    pub number: u32,
    /// When.
    pub at: Timestamp,
    /// The attempt it speaks of; 0 before the first.
    pub attempt: u32,
    /// The state the task was in afterwards.
    pub state: &'static str,
    /// Why it happened.
    pub cause: Cause,
    /// A sentence with the numbers.
    pub detail: Option<String>,
    /// Who or what did it.
    pub actor: Actor,
}

/// Who or what did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The scheduler itself.
    Scheduler,
    /// A node's report.
    Node(NodeId),
    /// Somebody with a token: the token's public part and its owner.
    Token {
        /// Public part of the token.
        id: Name,
        /// Whom it stands for.
        owner: Name,
    },
    /// The operator at the machine itself.
    Local,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose.
    pub task: TaskId,
    /// 1, 2, 3, … within the task.
    pub attempt: u32,
    /// What it held.
    pub parts: Vec<GrantPart>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When its program ran, if it did.
    pub started_at: Option<Timestamp>,
    /// Its end, if it has one.
    pub ended: Option<AttemptEnd>,
}

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// When.
    pub at: Timestamp,
    /// How the node saw it; `None` when no node ran it (reservation, node lost).
    pub exit: Option<Exit>,
    /// What went wrong, if something did.
    pub class: Option<FailureClass>,
}

/// A stretch of use with one grant version. Charged is the larger of share and memory fraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Whose.
    pub task: TaskId,
    /// The task's project.
    pub project: Name,
    /// The task's owner.
    pub owner: Name,
    /// Which attempt.
    pub attempt: u32,
    /// Which grant version.
    pub version: u32,
    /// From when.
    pub from: Timestamp,
    /// To when.
    pub to: Timestamp,
    /// Charged share over all devices, in thousandths of a device.
    pub charged_milli: i64,
    /// Memory cap over all devices, in MiB.
    pub memory_mib: i64,
    /// GPU time charged, in thousandths of a device times milliseconds.
    pub gpu_milli_ms: i64,
    /// The price in force.
    pub price: PriceMicros,
    /// What it cost, in millionths of the operator's currency.
    pub cost_micros: i64,
}

/// What is remembered of a node while it is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub hostname: Name,
    /// Whether it takes no new tasks.
    pub drained: bool,
}

/// Something an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// A stable word (`token_created`, `node_drained`, `configured`).
    pub action: &'static str,
    /// To what.
    pub object: String,
}

/// The answer to remember under a caller's key, so that a repeated request makes nothing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Keys are unique within a project.
    pub project: Name,
    /// The caller's key.
    pub key: Name,
    /// Hash of the request, so that another request under the same key is refused.
    pub digest: [u8; 32],
    /// The tasks it made.
    pub tasks: Vec<TaskId>,
    /// When it was first used.
    pub at: Timestamp,
}
