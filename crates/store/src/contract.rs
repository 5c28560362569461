//! The contract of the store: one trait for the loop that writes, one for everybody who reads.
//!
//! Start with [`Store`]. How a promise is kept is in [`crate::sqlite`]; that it is kept, by every
//! implementation alike, is in `tests/conformance.rs`.

use std::sync::Arc;

use fastgpu_core::change::{Attempt, Change, Event, IdempotencyKey, Moment, NodeRow, Segment};
use fastgpu_core::config::Config;
use fastgpu_core::ids::{Name, SpecHash, TaskId, Term};
use fastgpu_core::predict::Run;
use fastgpu_core::spec::Spec;
use fastgpu_core::task::Task;
use fastgpu_core::token::Token;
use fastgpu_core::units::Timestamp;

/// Durable memory of the control plane. One transaction per commit; nothing else is promised.
pub trait Store: Send + 'static {
    /// Begins a new reign: raises the stored term and returns it. Older terms can commit no more.
    fn begin_term(&mut self) -> Result<Term, StoreError>;

    /// Everything that is still alive, to start from.
    fn load(&mut self) -> Result<Saved, StoreError>;

    /// All changes or none, durable when it returns, refused if another control plane holds a newer term.
    fn commit(&mut self, term: Term, changes: &[Change]) -> Result<(), StoreError>;

    /// A specification by its hash. One that no task refers to any more may be gone after a prune, so a
    /// batch with a new task carries its specification along.
    fn spec(&mut self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError>;

    /// The answer remembered under a caller's key.
    fn key(&mut self, project: &str, key: &str) -> Result<Option<IdempotencyKey>, StoreError>;

    /// Deletes history beyond `keep`, a small transaction at a time; returns how many tasks went.
    fn prune(&mut self, term: Term, keep: Retention) -> Result<usize, StoreError>;

    /// Housekeeping that would only delay a commit; called when the loop has nothing to do.
    fn idle(&mut self) {}

    /// Gives the reserved disk space back, so that transitions of running tasks can still be written
    /// after [`StoreError::Full`]. Doing so twice is the same as once.
    fn release_reserve(&mut self) {}

    /// Reserves the space again; `false` while there is no room for it, and then submits stay refused.
    fn restore_reserve(&mut self) -> bool {
        true
    }
}

/// Everything that is still alive.
#[derive(Debug, Default)]
pub struct Saved {
    /// Live tasks, by rising id.
    pub tasks: Vec<Task>,
    /// Nodes known from before.
    pub nodes: Vec<NodeRow>,
    /// All tokens that are not long expired.
    pub tokens: Vec<Token>,
    /// The configuration, if one was ever set.
    pub config: Option<Config>,
    /// The largest id ever handed out.
    pub last_task: Option<TaskId>,
    /// The latest runs that ended well, oldest first; at most [`RUNS_MAX`].
    pub runs: Vec<Run>,
    /// When the last batch was stored.
    pub clock: Option<Moment>,
}

/// Runs loaded to learn from: a few hundred kinds of tasks with as many samples as the core keeps of each.
pub const RUNS_MAX: usize = 5_000;
/// Ended tasks looked at for them: where most tasks fail, a start takes no longer for it.
pub(crate) const RUNS_LOOKED_AT_MAX: usize = 20_000;

/// What history to keep.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Ended tasks older than this may go.
    pub ended_before: Timestamp,
    /// Of the ended tasks, at most this many stay.
    pub tasks_max: u64,
    /// Idempotency keys older than this may go.
    pub keys_before: Timestamp,
    /// Most tasks one call deletes, so that it never holds up the loop.
    pub at_most: usize,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; room may come back.
    #[error("the disk is full")]
    Full,
    /// Another control plane took over; this one must end.
    #[error("another control plane holds the newer term {newer:?}")]
    Fenced {
        /// The term the store holds.
        newer: Term,
    },
    /// It may or may not have been written: only the store itself can tell, by a new [`Store::load`].
    #[error("the store did not answer as it should: {detail}")]
    Unknown {
        /// What the storage engine said.
        detail: String,
    },
    /// What is stored cannot be read.
    #[error("what is stored cannot be read: {detail}")]
    Corrupt {
        /// Which row, and what is wrong with it.
        detail: String,
    },
}

/// Whose rows a reader may see. There is no reading without saying so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every project.
    All,
    /// One project.
    Project(Name),
}

/// Committed history, for readers. Never sees what is not durable, never waits for the writer.
pub trait History: Send + Sync + 'static {
    /// One task, live or ended.
    fn task(&self, scope: &Scope, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Tasks, newest first, after the cursor.
    fn tasks(&self, scope: &Scope, filter: &Filter, page: Page) -> Result<Vec<Task>, StoreError>;

    /// A specification by its hash; scoped by whoever found the hash in a task.
    fn spec(&self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError>;

    /// Events of one task with numbers from `from`, at most `limit`.
    fn events(&self, scope: &Scope, id: TaskId, from: u32, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// Attempts of one task, first to last.
    fn attempts(&self, scope: &Scope, id: TaskId) -> Result<Vec<Attempt>, StoreError>;

    /// Segments of use of one task.
    fn usage(&self, scope: &Scope, id: TaskId) -> Result<Vec<Segment>, StoreError>;

    /// How many tasks there are in each state word.
    fn count(&self, scope: &Scope) -> Result<Vec<(String, u64)>, StoreError>;
}

/// Which tasks a listing shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// State words; empty means all.
    pub states: Vec<String>,
    /// Exact name.
    pub name: Option<Name>,
    /// Exact owner.
    pub owner: Option<Name>,
    /// Submitted at or after.
    pub since: Option<Timestamp>,
    /// Only tasks that are not over.
    pub live: bool,
    /// Exact queue.
    pub queue: Option<Name>,
    /// Ids that begin so (`t-01h…`), for unique prefixes.
    pub id_prefix: Option<String>,
}

/// Which part of a listing.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Tasks older than this one; `None` starts at the newest.
    pub before: Option<TaskId>,
    /// At most this many.
    pub limit: usize,
}
