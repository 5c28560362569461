//! What runs on a machine with GPUs: probe, keeper, guardian, logs, devices.

pub mod simulate;
