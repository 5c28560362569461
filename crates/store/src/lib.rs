//! Durable memory of the control plane: SQLite, and a twin in memory.
//!
//! Start with the two traits in [`contract`]: [`Store`] is for the one loop that writes, [`History`] for
//! everybody who reads. One conformance suite runs over every implementation.
#![forbid(unsafe_code)]

pub mod contract;
pub mod fault;
pub mod journal;
mod listing;
pub mod memory;
mod rows;
mod runs;
pub mod sqlite;

pub use contract::{Filter, History, Page, RUNS_MAX, Retention, Saved, Scope, Store, StoreError};
pub use fault::{Fault, FaultScript, FaultStore};
pub use memory::{MemoryHistory, MemoryStore};
pub use sqlite::{Check, OpenError, OpenOptions, SqliteHistory, SqliteStore};

/// Where a recovery test may end the process, as by `kill -9`; see `fastgpu_failpoints`.
pub const CRASH_POINTS: &[&str] = &[
    "store.migration.before",
    "store.migration.middle",
    "store.migration.after",
    "store.commit.before_begin",
    "store.commit.rows",
    "store.commit.before_commit",
    "store.commit.after_commit",
    "store.checkpoint.before",
    "store.checkpoint.after",
    "store.prune.rows",
    "store.reserve.released",
    "store.backup.before_rename",
    "store.restore.before_rename",
];
