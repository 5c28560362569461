//! The heart of the software GPU: what is true of its devices, shared by all processes that use them.
//!
//! Two libraries stand on it, `libcuda.so.1` and `libnvidia-ml.so.1` in software. Start here: [`ledger`] is
//! the shared memory and who is attached to it; [`ledger::layout`] what lies in it; [`schedule`] decides
//! by arithmetic who runs when; [`fault`] is what can be broken on order; [`models`] and [`spec`] say which
//! devices there can be. There is no daemon: whoever holds a device's lock carries it on to the present.
//!
//! Absent on purpose: CUDA, NVML, threads, and anything exported under a driver's name.

pub mod models;
pub mod spec;

pub mod ledger;

pub mod checkpoint;
pub mod fault;
pub mod schedule;
