//! The loop that owns the state: one inbox, one plan, one durable transaction per batch.
//!
//! Start with [`Control`], then read `run.rs`: the loop itself, and `clock.rs`: its time. Callers hold a [`Handle`].
//! Nobody hears of anything before it is durable.
#![forbid(unsafe_code)]

mod admit;
mod answers;
mod clock;
mod control;
mod deliver;
mod faults;
mod handle;
mod inbox;
mod logs;
mod options;
mod record;
mod run;
mod spans;
mod stats;
mod times;
mod watch;

pub use answers::{CommandError, KeyUse, Submitted};
pub use control::{Control, Fatal, StartError};
pub use deliver::NodePort;
pub use handle::{Handle, TokenTable};
pub use logs::{LogChunk, LogError, LogFrame, LogSource, Stream};
pub use options::Options;
pub use record::Recorder;
pub use stats::{COMMIT_BUCKETS_US, Stats};
pub use watch::Watch;

/// Where a recovery test may end the process, in the order of a batch.
pub const CRASH_POINTS: &[&str] = &[
    "control.batch.taken",
    "control.applied",
    "control.planned",
    "control.before_commit",
    "control.after_commit",
    "control.before_orders",
    "control.after_orders",
    "control.before_replies",
    "control.after_replies",
];
