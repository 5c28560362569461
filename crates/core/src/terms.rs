//! What a user asks for, in one struct: the submit carries it, the task keeps it as it was accepted.
//!
//! Terms never change. What is in force of them and may change while the task lives (its priority, its time
//! limit) stands in [`Task`](crate::task::Task), so that a retry asks for what its user asked for.

use std::sync::Arc;

use crate::ask::Ask;
use crate::ids::Name;
use crate::policy::DEFAULT_QUEUE;
use crate::retry::RetryPolicy;
use crate::units::Millis;

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Terms {
    /// A label for people; not unique.
    pub name: Option<Name>,
    /// The devices and host resources it needs.
    pub ask: Arc<Ask>,
    /// Which queue it waits in; its policy orders and places it.
    pub queue: Name,
    /// Higher goes first.
    pub priority: i32,
    /// Its limits in time.
    pub limits: Limits,
    /// How long it will run in all, if the user said so. Nothing ends it then: see [`Limits`].
    pub expected: Option<Millis>,
    /// What to do about failures.
    pub retry: RetryPolicy,
    /// Accept it even if no device known now can ever fit it.
    pub wait_for_capacity: bool,
}

/// Limits of a task in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limits {
    /// The longest an attempt may run; the configuration's default where nothing is said.
    pub run: Option<Millis>,
    /// The longest the task may wait for its first attempt.
    pub queue: Option<Millis>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Millis,
}

/// The time between SIGTERM and SIGKILL when nothing else is said.
pub const STOP_GRACE_DEFAULT: Millis = Millis::from_secs(30);

impl Terms {
    /// Asks for `ask` and leaves everything else as it is when nothing is said.
    #[must_use]
    pub fn new(ask: impl Into<Arc<Ask>>) -> Self {
        Self {
            name: None,
            ask: ask.into(),
            queue: DEFAULT_QUEUE.into(),
            priority: 0,
            limits: Limits::default(),
            expected: None,
            retry: RetryPolicy::default(),
            wait_for_capacity: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { run: None, queue: None, stop_grace: STOP_GRACE_DEFAULT }
    }
}
