//! What would happen: computed, simulated, and told in pictures. No clock, no I/O, no threads.
//!
//! Start at [`engine`] for traces that run through the very core of the server in virtual time, and at [`whatif`] for
//! policies side by side; at [`openb`] and [`philly`] for published experiments; at [`model`] for queueing theory; at
//! [`random`] for where chance comes from: a seed, and nothing else. How results become a page is [`fastgpu_report`].
#![forbid(unsafe_code)]

pub mod cluster;
pub mod engine;
pub mod faults;
pub mod fragmentation;
pub mod input;
pub mod job;
pub mod meter;
pub mod model;
pub mod openb;
pub mod philly;
pub mod policy;
pub mod python_random;
pub mod random;
pub mod replay;
pub mod series;
pub mod server;
pub mod synthetic;
pub mod task;
pub mod trace;
pub mod units;
pub mod whatif;

use fastgpu_core::units::Timestamp;

/// When every simulation begins: 2025-01-01T00:00:00Z, the first moment that ids of tasks can tell apart.
pub const START: Timestamp = Timestamp(1_735_689_600_000);
