//! How long tasks wait, how busy the GPUs are and what it costs, from formulas, and how far to trust them.
//!
//! Three questions, one module each: [`schedule`] for a list of tasks that is known, computed event by event and exact;
//! [`queue`] for tasks that keep arriving, by queueing theory; [`goal`] for the number of GPUs that keeps waits short.
//! [`check`] simulates the same system as [`queue`] and says how sure the simulation is. [`article`] is the description that
//! FastGPU began with, and where it fails.
//!
//! Times are in seconds as floats here, except in [`schedule`] and [`article`], which are exact in milliseconds.

pub mod article;
pub mod check;
pub mod erlang;
mod gamma;
pub mod goal;
pub mod queue;
pub mod schedule;
pub mod service;
