//! Typed HTTP client for the FastGPU API.
//!
//! Start with [`Client::new`]; one method per endpoint, in [`tasks`], [`cluster`] and [`logs`]. How
//! requests travel, what is repeated and when, is in [`transport`]; how they fail, in [`ClientError`].
//! What deliberately is not here: where the address and the token come from (the command line knows),
//! printing, and any state beyond an open connection.
#![forbid(unsafe_code)]

mod article;
mod cluster;
mod error;
pub mod logs;
mod sse;
mod tasks;
mod transport;

pub use cluster::API;
pub use error::ClientError;
pub use tasks::TaskQuery;
pub use transport::{Client, Key};
