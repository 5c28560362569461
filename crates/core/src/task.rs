//! What a task is, and its whole life.
//!
//! ```text
//!            submit
//!              │
//!              ▼      placed            started
//!   ┌──────► queued ─────────► starting ───────► running ◄────────┐
//!   │          │                  │                │ │            │ resumed
//!   │          │ cancel,          │ stop asked     │ │ suspend    │
//!   │          │ queue timeout    ▼                │ ▼ asked      │
//!   │          │               stopping ◄──────────┤ suspending   │
//!   │          │                  │      stop asked│ │ suspended  │
//!   │          │                  │ finished       │ ▼            │
//!   │          ▼                  ▼                │ suspended ─► resuming
//!   │        ┌──────────── ended ◄─────────────────┘ resume asked
//!   │        │ succeeded · failed · cancelled · timed_out
//!   └────────┘ finished, and to be tried again (retrying, preempted, parked)
//! ```
//!
//! [`TaskState::apply`] is the only function that moves a task. Who may call for a move, what is charged and
//! what follows a failure is decided elsewhere ([`crate::state`], [`crate::retry`]); here is only what is
//! possible. A report about an older attempt is [`Rejected::Stale`]: acknowledged and ignored.

use std::sync::Arc;

use crate::ask::Grant;
use crate::ids::{Fence, Name, NodeId, SpecHash, TaskId};
use crate::node::Exit;
use crate::retry::{FailureClass, Strikes};
use crate::terms::Terms;
use crate::units::{Millis, Timestamp};

/// One task, from submit to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id; ids sort by submission.
    pub id: TaskId,
    /// Whose money and whose eyes.
    pub project: Name,
    /// Who is accounted for it; authority comes from tokens, never from here.
    pub owner: Name,
    /// What its user asks for, shared by all tasks that ask for the same.
    pub terms: Arc<Terms>,
    /// The priority in force, at first that of its terms; higher goes first.
    pub priority: i32,
    /// The longest an attempt may run: what its terms say, else what the configuration said when it came.
    pub time_limit: Option<Millis>,
    /// What it does once it has its grant.
    pub work: Work,
    /// Roughly how large its specification is, in bytes: all that live together are limited.
    pub spec_bytes: u32,
    /// GPU time of its earlier attempts, in thousandths of a device times milliseconds.
    pub attained: i64,
    /// Where the order of its queue puts it while it waits. Follows from the rest and from time: never stored.
    pub standing: Standing,
    /// What it has used up of its retries.
    pub strikes: Strikes,
    /// Nodes on which infrastructure failed under it, each once.
    pub broken_nodes: Vec<NodeId>,
    /// Which device failed under an attempt of it last, and how.
    pub last_fault: Option<String>,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// When a program of it first ran.
    pub first_started_at: Option<Timestamp>,
    /// The number of its latest attempt; 0 before the first.
    pub attempt: u32,
    /// Rises with every stored change; the `ETag` of the API.
    pub revision: u32,
    /// The number of its next event.
    pub next_event: u32,
    /// What was left over when its use was last charged, in thousandths of a device times milliseconds
    /// times the price: carried into the next charge, so that nothing is lost to rounding.
    pub cost_carry: i64,
    /// Where in its life it is.
    pub state: TaskState,
}

impl Task {
    /// Whether a round may place it now.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(&self.state, TaskState::Queued { cause, .. } if cause.is_ready())
    }

    /// Devices times share that it holds, or would hold, in thousandths. A task without a GPU counts its time as
    /// if it held one.
    #[must_use]
    pub fn held_milli(&self) -> u64 {
        let slices = |hold: &Hold| {
            let slices = hold.grant.parts.iter().flat_map(|part| &part.slices);
            slices.map(|slice| u64::from(slice.milli.get())).sum()
        };
        match self.state.hold().map_or_else(|| self.terms.ask.milli(), slices) {
            0 => 1_000,
            milli => milli,
        }
    }

    /// Its GPU time up to `now`, in thousandths of a device times milliseconds.
    #[must_use]
    pub fn attained_at(&self, now: Timestamp) -> u64 {
        let earlier = u64::try_from(self.attained).unwrap_or(0);
        let current = self.state.running_since().map_or(0, |since| now.since(since).0);
        earlier.saturating_add(current.saturating_mul(self.held_milli()))
    }

    /// How long it has run up to `now`, over all of its attempts.
    #[must_use]
    pub fn ran(&self, now: Timestamp) -> Millis {
        Millis(self.attained_at(now) / self.held_milli().max(1))
    }

    /// When it ends at the latest, if it is placed and has a time limit; else [`Timestamp::NEVER`].
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        let from = self.state.running_since().or_else(|| self.state.hold().map(|hold| hold.placed_at));
        from.zip(self.time_limit).map_or(Timestamp::NEVER, |(from, run)| from.plus(run))
    }
}

/// Where its queue's policy puts a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its priority with that of its queue; higher goes first.
    pub priority: i64,
    /// Whether it waits for its ordinary turn; who has waited for too long goes first.
    pub ordinary: bool,
    /// The order's own measure; smaller goes first, and of equals the older task.
    pub key: u64,
    /// When it will have waited for too long, if its queue's order could make it.
    pub promote_at: Option<Timestamp>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { priority: 0, ordinary: true, key: 0, promote_at: None }
    }
}

/// What a task does once it has its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Runs a program.
    Program(SpecHash),
    /// Runs nothing: holds its grant until the time limit, then succeeds.
    Reservation(SpecHash),
}

impl Work {
    /// Where the specification is stored.
    #[must_use]
    pub const fn spec(self) -> SpecHash {
        match self {
            Self::Program(hash) | Self::Reservation(hash) => hash,
        }
    }
}

/// Where in its life a task is. Variants carry exactly the facts true in that state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It waits, for a typed cause.
    Queued {
        /// Why it is not placed.
        cause: QueueCause,
        /// Since when it waits for this cause.
        since: Timestamp,
    },
    /// It has a grant; its node was told to launch.
    Starting {
        /// What it holds.
        hold: Box<Hold>,
    },
    /// Its program runs.
    Running {
        /// What it holds.
        hold: Box<Hold>,
        /// Since when.
        since: Timestamp,
    },
    /// Its node was told to stop it.
    Stopping {
        /// What it still holds.
        hold: Box<Hold>,
        /// Since when its program ran, if it did.
        since: Option<Timestamp>,
        /// On whose behalf.
        why: StopCause,
    },
    /// Its node was told to freeze it.
    Suspending {
        /// What it still holds.
        hold: Box<Hold>,
        /// Since when its program ran.
        since: Timestamp,
    },
    /// Frozen, its device memory given back to the node.
    Suspended {
        /// What it comes back to.
        hold: Box<Hold>,
        /// Since when its program ran.
        since: Timestamp,
    },
    /// Its node was told to go on with it.
    Resuming {
        /// What it holds.
        hold: Box<Hold>,
        /// Since when its program ran.
        since: Timestamp,
    },
    /// Over.
    Ended(End),
}

/// What a placed task holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The devices and host resources.
    pub grant: Grant,
    /// When they were granted.
    pub placed_at: Timestamp,
    /// From when the current grant version is charged.
    pub metered_from: Timestamp,
}

/// Why a task is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueCause {
    /// For its turn and a place.
    Capacity,
    /// For the wait after a failed attempt to pass.
    Retrying {
        /// What failed.
        class: FailureClass,
        /// When it may be placed again.
        not_before: Timestamp,
    },
    /// Its place went to somebody else; it keeps its age.
    Preempted,
    /// For another task to end.
    Dependency(TaskId),
    /// A person holds it back.
    Held,
    /// It broke several healthy nodes; a person must look.
    Parked,
}

impl QueueCause {
    /// The stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Retrying { .. } => "retrying",
            Self::Preempted => "preempted",
            Self::Dependency(_) => "dependency",
            Self::Held => "held",
            Self::Parked => "parked",
        }
    }

    /// Whether a round may place the task now.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Capacity | Self::Preempted)
    }
}

/// On whose behalf a placed task is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// A person cancelled it.
    Cancel,
    /// A person gave its resources back: for a reservation that is success.
    Release,
    /// The scheduler needs its place.
    Preempt,
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// In what way.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// How the last attempt ended, if there was one.
    pub exit: Option<Exit>,
}

/// In what way a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed(FailureClass),
    /// A person ended it.
    Cancelled,
    /// It ran into its time limit.
    TimedOutRunning,
    /// It waited longer than it was willing to.
    TimedOutQueued,
}

/// What happens to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEvent {
    /// A round found it a place.
    Placed(Grant),
    /// Its program runs.
    Started {
        /// Of which attempt.
        fence: Fence,
        /// Since when.
        at: Timestamp,
    },
    /// Its attempt is over and holds nothing any more.
    Finished {
        /// Which attempt.
        fence: Fence,
        /// What follows, as [`crate::retry::verdict`] and the stop cause decided.
        next: Next,
    },
    /// Somebody wants it to end.
    StopAsked(StopCause),
    /// It waited longer than it was willing to.
    QueueTimedOut,
    /// The wait after a failure is over, the other task ended, or a person let it go.
    Readied,
    /// A person holds it back.
    HoldAsked,
    /// Share or cap changed; the fence is the new one.
    Regranted(Grant),
    /// Somebody wants it frozen; the fence is the new one.
    SuspendAsked(Fence),
    /// It is frozen.
    Suspended(Fence),
    /// Somebody wants it to go on; the fence is the new one.
    ResumeAsked(Fence),
    /// It goes on.
    Resumed(Fence),
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The task is over.
    End(End),
    /// It is tried again.
    Queue(QueueCause),
}

/// Why an event does not move a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// It speaks of something older; normal, and ignored.
    Stale,
    /// It asks for what is so already.
    Already,
    /// It makes no sense in this state.
    Illegal,
}

impl TaskState {
    /// The state a new task begins in.
    #[must_use]
    pub const fn submitted(now: Timestamp) -> Self {
        Self::Queued { cause: QueueCause::Capacity, since: now }
    }

    /// Moves the task. Nobody else assigns a state.
    ///
    /// # Errors
    /// [`Rejected`] when the event moves nothing; the state is then unchanged.
    pub fn apply(&self, event: TaskEvent, now: Timestamp) -> Result<Self, Rejected> {
        use {TaskEvent as E, TaskState as S};
        match (self, event) {
            (S::Queued { cause, .. }, E::Placed(grant)) if cause.is_ready() => {
                Ok(S::Starting { hold: Box::new(Hold { grant, placed_at: now, metered_from: now }) })
            }
            (S::Queued { .. }, E::StopAsked(StopCause::Cancel | StopCause::Release)) => {
                Ok(S::ended(Outcome::Cancelled, now))
            }
            (S::Queued { .. }, E::QueueTimedOut) => Ok(S::ended(Outcome::TimedOutQueued, now)),
            (S::Queued { cause: QueueCause::Held, .. }, E::HoldAsked) => Err(Rejected::Already),
            (S::Queued { .. }, E::HoldAsked) => Ok(S::Queued { cause: QueueCause::Held, since: now }),
            (S::Queued { cause, .. }, E::Readied) if cause.is_ready() => Err(Rejected::Already),
            (S::Queued { .. }, E::Readied) => Ok(S::submitted(now)),

            (S::Starting { hold }, E::Started { fence, at }) if hold.is_attempt(fence) => {
                Ok(S::Running { hold: hold.clone(), since: at })
            }
            (S::Running { hold, .. }, E::Started { fence, .. }) if hold.is_attempt(fence) => {
                Err(Rejected::Already)
            }
            // The stop overtook the start: the program did run.
            (S::Stopping { hold, since: None, why }, E::Started { fence, at }) if hold.is_attempt(fence) => {
                Ok(S::Stopping { hold: hold.clone(), since: Some(at), why: *why })
            }

            (S::Starting { hold }, E::StopAsked(why)) => {
                Ok(S::Stopping { hold: hold.clone(), since: None, why })
            }
            (
                S::Running { hold, since }
                | S::Suspending { hold, since }
                | S::Suspended { hold, since }
                | S::Resuming { hold, since },
                E::StopAsked(why),
            ) => Ok(S::Stopping { hold: hold.clone(), since: Some(*since), why }),
            // A person's wish is final; the scheduler's is not.
            (
                S::Stopping { hold, since, why: StopCause::Preempt },
                E::StopAsked(why @ (StopCause::Cancel | StopCause::Release)),
            ) => Ok(S::Stopping { hold: hold.clone(), since: *since, why }),
            (S::Stopping { .. }, E::StopAsked(_)) => Err(Rejected::Already),

            (placed, E::Finished { fence, next }) if placed.hold().is_some_and(|h| h.is_attempt(fence)) => {
                Ok(match next {
                    Next::End(end) => S::Ended(end),
                    Next::Queue(cause) => S::Queued { cause, since: now },
                })
            }

            (S::Running { hold, since }, E::SuspendAsked(fence)) if hold.is_next_version(fence) => {
                Ok(S::Suspending { hold: hold.at(fence), since: *since })
            }
            (S::Suspending { hold, since }, E::Suspended(fence)) if hold.grant.fence == fence => {
                Ok(S::Suspended { hold: hold.clone(), since: *since })
            }
            (S::Suspended { hold, since }, E::ResumeAsked(fence)) if hold.is_next_version(fence) => {
                Ok(S::Resuming { hold: hold.at(fence), since: *since })
            }
            (S::Resuming { hold, since }, E::Resumed(fence)) if hold.grant.fence == fence => {
                Ok(S::Running { hold: hold.clone(), since: *since })
            }
            (S::Running { hold, since }, E::Regranted(grant)) if hold.is_next_version(grant.fence) => {
                let placed_at = hold.placed_at;
                Ok(S::Running { hold: Box::new(Hold { grant, placed_at, metered_from: now }), since: *since })
            }

            (S::Ended(_), E::StopAsked(_)) => Err(Rejected::Already),
            (_, E::Started { .. } | E::Finished { .. } | E::Suspended(_) | E::Resumed(_)) => {
                Err(Rejected::Stale)
            }
            (_, _) => Err(Rejected::Illegal),
        }
    }

    fn ended(outcome: Outcome, at: Timestamp) -> Self {
        Self::Ended(End { outcome, at, exit: None })
    }

    /// What the task holds, if it is placed.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        match self {
            Self::Starting { hold }
            | Self::Running { hold, .. }
            | Self::Stopping { hold, .. }
            | Self::Suspending { hold, .. }
            | Self::Suspended { hold, .. }
            | Self::Resuming { hold, .. } => Some(hold),
            Self::Queued { .. } | Self::Ended(_) => None,
        }
    }

    /// Since when the program of the current attempt runs, if it does.
    #[must_use]
    pub fn running_since(&self) -> Option<Timestamp> {
        match self {
            Self::Running { since, .. }
            | Self::Suspending { since, .. }
            | Self::Suspended { since, .. }
            | Self::Resuming { since, .. } => Some(*since),
            Self::Stopping { since, .. } => *since,
            Self::Queued { .. } | Self::Starting { .. } | Self::Ended(_) => None,
        }
    }

    /// Whether the task is over.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// The stable word for the state, as the API and every listing say it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Suspending { .. } => "suspending",
            Self::Suspended { .. } => "suspended",
            Self::Resuming { .. } => "resuming",
            Self::Ended(end) => end.outcome.code(),
        }
    }

    /// The word of [`Self::CODES`] that `text` is.
    #[must_use]
    pub fn code_of(text: &str) -> Option<&'static str> {
        Self::CODES.into_iter().find(|code| *code == text)
    }

    /// Every word [`TaskState::code`] can say, in the order of a life.
    pub const CODES: [&'static str; 11] = [
        "queued",
        "starting",
        "running",
        "stopping",
        "suspending",
        "suspended",
        "resuming",
        "succeeded",
        "failed",
        "cancelled",
        "timed_out",
    ];
}

impl Outcome {
    /// The state word of this outcome.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOutRunning | Self::TimedOutQueued => "timed_out",
        }
    }
}

impl Hold {
    /// Whether `fence` speaks of this attempt, in whatever version: an exit is an exit.
    fn is_attempt(&self, fence: Fence) -> bool {
        self.grant.fence.attempt == fence.attempt
    }

    fn is_next_version(&self, fence: Fence) -> bool {
        self.is_attempt(fence) && fence.version == self.grant.fence.version + 1
    }

    fn at(&self, fence: Fence) -> Box<Self> {
        let mut next = self.clone();
        next.grant.fence = fence;
        Box::new(next)
    }
}

#[cfg(test)]
mod tests;
