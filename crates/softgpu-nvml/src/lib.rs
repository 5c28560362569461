//! `libnvidia-ml.so.1` in software: NVML of driver 580 over the ledger of the software GPU.
//!
//! Start here: [`session`] is what lies between init and shutdown, [`abi`] the border to C,
//! [`call`] what every call begins and ends with. Then one file
//! per subject, each with NVML's functions on it; they say what the ledger says, by the models of [`gauge`].
//! Every name of the driver's library is exported: what is not written here is a stub of the build script
//! that says "not supported" and is counted in the ledger.
//!
//! Absent on purpose: MIG, vGPU, confidential computing, units (rack cabinets) and everything that changes a
//! device but its power limit, persistence and compute mode.
#![expect(unsafe_code, reason = "exported names are unsafe by nature; pointers are followed in `abi` alone")]

mod abi;
mod call;
mod layout;
mod session;

mod activity;
mod clocks;
mod ecc;
mod events;
mod features;
mod fields;
mod find;
mod gauge;
mod identity;
mod links;
mod memory;
mod pcie;
mod power;
mod processes;
mod system;

/// What the driver has and this library does not.
mod stubs {
    include!(concat!(env!("OUT_DIR"), "/stubs.rs"));
}
