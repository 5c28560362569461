//! The simulator.
#![forbid(unsafe_code)]

pub mod chance;
pub mod cluster;
pub mod engine;
pub mod faults;
pub mod fragmentation;
pub mod input;
pub mod job;
pub mod meter;
pub mod openb;
pub mod philly;
pub mod policy;
pub mod python_random;
pub mod series;
pub mod server;
pub mod synthetic;
pub mod task;
pub mod trace;
pub mod units;
pub mod whatif;

/// When every simulation begins.
pub const START: fastgpu_core::units::Timestamp = fastgpu_core::units::Timestamp(1_735_689_600_000);
