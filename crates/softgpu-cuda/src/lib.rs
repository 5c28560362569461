//! `libcuda.so.1` in software: programs that use the CUDA driver run on the software GPU.
//!
//! Start here: [`call`] is what every exported function passes through, [`process`] what one process knows,
//! [`exports`] the driver's whole list of names. `api/` holds the exported functions, one family to a file,
//! each as thin as it can be. Behind them: `engine` carries streams on, `memory` hands out addresses,
//! `kernels` are the programs this device can run. What is true for several processes is in the ledger.
//!
//! Absent on purpose: compiled kernels. Their images are refused, or load and cannot be launched.
#![expect(unsafe_code, reason = "exported C functions, and memory that C programs hand us")]
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
