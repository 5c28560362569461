//! Stories through the real binary: what a person types, and what comes back.
//!
//! Each story has a [`world::World`] of its own: a temporary folder and, where it needs one, a server on a
//! free port of this machine with simulated GPUs. Nothing of it is left when the story ends.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a story that goes wrong should say where")]

mod world;

mod address;
mod bad_input;
mod demo;
mod down;
mod exit_codes;
mod logs;
mod model;
mod queues;
mod quick_start;
mod reference;
mod restarts;
mod server_log;
mod shapes;
mod sick;
mod simulate;
mod software;
