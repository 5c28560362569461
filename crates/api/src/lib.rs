//! Wire types of the HTTP API, shared by server and client.
//!
//! Start with [`spec::TaskSpec`] (what is sent) and [`view::TaskView`] (what comes back), then [`convert`]
//! (every rule about a single request) and [`problem`] (how the API says no). Not here: anything that knows
//! HTTP, tokens or a cluster.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod answer;
pub mod article;
pub mod base64;
pub mod config;
pub mod convert;
pub mod hint;
pub mod label;
pub mod parse;
pub mod problem;
pub mod queue;
pub mod spec;
pub mod time;
pub mod units;
pub mod view;
