//! Stories through a real socket: a real control plane, a store in memory, and a node that only pretends.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod harness;
mod http;
mod node;

mod article;
mod bad_input;
mod clock;
mod edge;
mod keys;
mod matrix;
mod operate;
mod queues;
mod streams;
mod tasks;
