//! The simulator.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod fragmentation;
pub mod input;
pub mod openb;
pub mod policy;
pub mod python_random;
pub mod server;
pub mod units;

/// When every simulation begins.
pub const START: fastgpu_core::units::Timestamp = fastgpu_core::units::Timestamp(1_735_689_600_000);
