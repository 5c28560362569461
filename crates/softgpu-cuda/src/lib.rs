//! `libcuda.so.1` in software: programs that use the CUDA driver run on the software GPU.
//!
//! Start here: [`call`] is what every exported function passes through, [`process`] one process's place in the
//! ledger, [`exports`] the driver's whole list of names. `api/` holds the exported functions, one family to a file,
//! each as thin as it can be. What is true for several processes is in the ledger.
//!
//! The rooms are floors, in the order below; no floor names a higher one. [`memory`] hands out addresses,
//! [`engine`] has contexts, streams and events and carries streams on, [`modules`] knows functions, [`graph`]
//! records and launches, [`green`] makes green contexts. Each keeps a part of the [`state`], and holds the part below.
//! [`running`] takes the lock of the whole: it waits, helps, suspends and ends contexts. A [`handle`] says what kind
//! of object it names, so that a low floor can keep one of a higher floor and never look into it.
//!
//! Pointers from outside are followed in [`abi`] alone, the system is asked in [`sys`] alone.
//!
//! Absent on purpose: compiled kernels. Their images are refused, or load and cannot be launched.
#![expect(
    unsafe_code,
    reason = "exported names are unsafe by nature; pointers are followed in `abi` and `sys` alone"
)]
#![expect(clippy::cast_possible_truncation, reason = "addresses and sizes are 64 bits wide, checked below")]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("the software GPU needs 64-bit Linux");

mod abi;
mod call;
mod codes;
mod dump_settings;
mod handle;
mod numbers;
mod process;
mod sys;
mod threads;
mod visible;

mod fatbin;
mod kernels;
mod memory;

mod engine;
mod modules;

mod graph;
mod green;

mod running;
mod state;

mod api;
mod exports;
