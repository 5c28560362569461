//! The HTTP server: routes, authority, problem documents, streams, metrics.
//!
//! Start with [`serve`], then `routes.rs`: the one table of all paths and who may use them. `edge.rs` is what
//! every request passes on its way in and out; `gate.rs` holds it to its row of the table; `auth.rs` says who calls;
//! `extract.rs` finds what a handler asks for; each resource has its own file in `routes/`. Not here: any decision about a task. Those are the core's.
#![forbid(unsafe_code)]

mod app;
pub mod auth;
mod body;
mod edge;
mod extract;
mod forecasts;
mod gate;
mod metrics;
mod query;
mod refuse;
pub mod routes;
mod stream;
mod told;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fastgpu_control::{Handle, LogSource};
use fastgpu_store::History;
use tokio::net::TcpListener;

/// Where a recovery test may end the process, as by `kill -9`.
pub const CRASH_POINTS: &[&str] = &[
    "server.submit.received",
    "server.submit.before_reply",
    "server.batch.before_reply",
    "server.cancel.before_reply",
    "server.retry.before_reply",
    "server.token.before_reply",
    "server.article.before_reply",
];

/// What the server stands on.
pub struct ServerParts {
    /// The control plane.
    pub handle: Handle,
    /// Committed history.
    pub history: Arc<dyn History>,
    /// Logs of attempts.
    pub logs: Arc<dyn LogSource>,
    /// Limits.
    pub options: Options,
}

impl std::fmt::Debug for ServerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerParts").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Limits of the server. The defaults suit a machine with a few hundred users.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Open connections; one more is told to come back.
    pub connections_max: usize,
    /// Streams and long polls in all; each holds a connection and some memory.
    pub streams_max: usize,
    /// Streams and long polls of one token, so that one caller leaves room for others.
    pub streams_per_token_max: usize,
    /// How long a connection may be silent between two requests, or take to send its headers.
    pub header_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Wrong tokens from one address in a minute before it is told to slow down. Right ones are never refused.
    pub auth_failures_per_minute: u32,
    /// How long open requests may go on when the server stops.
    pub stop_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            streams_max: 1_024,
            streams_per_token_max: 256,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            auth_failures_per_minute: 60,
            stop_grace: Duration::from_secs(5),
        }
    }
}

/// Answers requests on `listener` until `shutdown` resolves: then streams and long polls end at once, and
/// other requests get [`Options::stop_grace`] to finish.
///
/// # Errors
/// When the listener itself breaks.
pub async fn serve(
    listener: TcpListener,
    parts: ServerParts,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    edge::serve(listener, parts, shutdown).await
}
