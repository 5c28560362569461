//! The pure heart of FastGPU: a deterministic state machine with no I/O, no clock and no randomness.
//!
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "a test may look around; the code it tests may not"
    )
)]

pub mod ask;
pub mod capacity;
pub mod cause;
pub mod change;
pub mod cluster;
pub mod command;
pub mod config;
pub mod decision;
pub mod explain;
pub mod forecast;
pub mod gittins;
pub mod ids;
pub mod meter;
pub mod mix;
pub mod node;
pub mod outlook;
pub mod part;
pub mod place;
pub mod plan;
pub mod policy;
pub mod predict;
pub mod queue;
pub mod retry;
pub mod spec;
pub mod state;
pub mod task;
pub mod terms;
pub mod token;
pub mod units;
