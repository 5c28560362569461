//! What runs on a machine with GPUs: agent, keeper, guardian, logs, devices.
//!
//! Three kinds of process, each outliving the one before it:
//! the *agent* is a thread of the server and speaks the words of [`fastgpu_core::node`];
//! the *keeper* is one small process per node that only forks and watches;
//! a *guardian* is forked, without exec, and owns the pipes, the log and the end of one attempt at a time.
//! Everything they must remember lies in the node's folder ([`folder`]), so each of them may be killed at
//! any moment and is replaced by one that adopts what still runs.
//!
//! Start here: [`agent`], then the life of one attempt: [`keeper`], `keeper/launch.rs`, [`duty`], [`guardian`],
//! `guardian/attempt.rs`, [`child`].

pub mod agent;
mod environment;
pub mod keeper;
mod protocol;

mod duty;
mod hint;
mod settings;

mod child;
mod guardian;
mod leftovers;

mod cgroup;
mod hide;
mod powers;
mod work;

mod ends;
pub mod folder;
mod log;
mod log_frame;
pub mod log_read;
pub mod retention;

pub mod devices;
pub mod doctor;
pub mod probe;
pub mod simulate;
pub mod software;
mod xid;

mod clock;
mod complaints;
mod failpoint;
pub mod sys;

pub use agent::{AgentConfig, AgentError, AgentHandle, StopKeeper};
pub use failpoint::CRASH_POINTS;
pub use log_read::{LogChunk, LogError, LogFrame, LogOffset, LogReader, LogStream};
