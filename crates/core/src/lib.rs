//! The pure heart of FastGPU: a deterministic state machine with no I/O, no clock and no randomness.
//!
//! Start with [`task`] (what a task is and how it lives), then [`state`] (commands in, changes out),
//! then [`plan`] (what should start where, and why not).
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod ask;
pub mod ids;
pub mod node;
pub mod spec;
pub mod units;
