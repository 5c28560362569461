//! What would happen: computed, simulated, and told in pictures. No clock, no I/O, no threads.
//!
//! Start at [`model`] for waits, utilization and cost from formulas that are checked by simulation; at [`report`] for how
//! results become a page; at [`random`] for where chance comes from: a seed, and nothing else.
#![forbid(unsafe_code)]

pub mod model;
pub mod random;
pub mod report;
