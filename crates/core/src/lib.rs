//! The pure heart of FastGPU: a deterministic state machine with no I/O, no clock and no randomness.
//!
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod units;
pub mod ids;
pub mod ask;
pub mod spec;
pub mod task;
pub mod retry;
pub mod token;
pub mod config;
pub mod command;
pub mod change;
pub mod node;
