//! The one table of all paths: what is answered, and who may ask. The router is made from it, and a test
//! tries every row with every role, so that no path is reachable by accident.

pub(crate) mod article;
mod config;
mod events;
mod explain;
mod gpus;
mod logs;
mod moves;
mod nodes;
mod queues;
mod submit;
mod system;
mod tasks;
mod tokens;
mod wait;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use fastgpu_api::problem::codes;
use fastgpu_core::ids::TaskId;

use crate::app::App;
use crate::refuse::Refusal;

/// One path with one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, `PATCH`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// With `{id}` where a name goes.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What it does, for the reference.
    pub about: &'static str,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Everybody,
    /// Every valid token.
    Read,
    /// Members and administrators.
    Write,
    /// Administrators.
    Administer,
}

struct Row {
    route: Route,
    handler: fn() -> MethodRouter<Arc<App>>,
}

const fn row(
    method: &'static str,
    path: &'static str,
    access: Access,
    about: &'static str,
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Row {
    Row { route: Route { method, path, access, about }, handler }
}

use Access::{Administer, Everybody, Read, Write};

const ROWS: &[Row] = &[
    row("POST", "/v1/tasks", Write, "submit a task", || post(submit::one)),
    row("POST", "/v1/tasks:batch", Write, "submit up to 10,000 tasks, all or none", || post(submit::batch)),
    row("GET", "/v1/tasks", Read, "list tasks, newest first", || get(tasks::list)),
    row("GET", "/v1/tasks/{id}", Read, "one task (`{id}:wait` is the long poll)", || get(tasks::one)),
    row("PATCH", "/v1/tasks/{id}", Write, "change a live task", || patch(moves::change)),
    row("DELETE", "/v1/tasks/{id}", Write, "cancel a task", || delete(moves::cancel)),
    row("POST", "/v1/tasks/{id}/cancel", Write, "cancel a task", || post(moves::cancel)),
    row("POST", "/v1/tasks/{id}/release", Write, "give a task's GPUs back", || post(moves::release)),
    row("POST", "/v1/tasks/{id}/suspend", Write, "freeze a running task", || post(moves::suspend)),
    row("POST", "/v1/tasks/{id}/resume", Write, "go on with a suspended task", || post(moves::resume)),
    row("POST", "/v1/tasks/{id}/retry", Write, "submit a task again, as a new one", || post(submit::again)),
    row("GET", "/v1/tasks/{id}/wait", Read, "the task when it has ended, or after a time", || {
        get(wait::wait)
    }),
    row("GET", "/v1/tasks/{id}/logs", Read, "what it wrote, as text or as a stream", || get(logs::logs)),
    row("GET", "/v1/tasks/{id}/events", Read, "what happened to it, as a list or a stream", || {
        get(events::events)
    }),
    row("GET", "/v1/tasks/{id}/attempts", Read, "its attempts", || get(events::attempts)),
    row("GET", "/v1/tasks/{id}/usage", Read, "what it used and what it cost", || get(events::usage)),
    row("GET", "/v1/tasks/{id}/explain", Read, "why it waits, or what happened to it", || {
        get(explain::explain)
    }),
    row("GET", "/v1/gpus", Read, "every GPU, what is free on it and who holds the rest", || get(gpus::list)),
    row("GET", "/v1/nodes", Read, "every machine", || get(nodes::list)),
    row("POST", "/v1/nodes/{id}/drain", Administer, "start no new tasks on a node", || post(nodes::drain)),
    row("POST", "/v1/nodes/{id}/resume", Administer, "start tasks on a node again", || post(nodes::resume)),
    row("GET", "/v1/queues", Read, "every queue: its rules, how full it is, who is first", || {
        get(queues::list)
    }),
    row("GET", "/v1/queues/{name}", Read, "one queue with the first of its waiting tasks", || {
        get(queues::one)
    }),
    row("POST", "/v1/tokens", Administer, "make a token", || post(tokens::create)),
    row("GET", "/v1/tokens", Administer, "list tokens, without secrets", || get(tokens::list)),
    row("DELETE", "/v1/tokens/{id}", Administer, "revoke a token", || delete(tokens::revoke)),
    row("GET", "/v1/whoami", Read, "whom the token stands for, and what it may do", || get(tokens::whoami)),
    row("GET", "/v1/config", Administer, "the configuration", || get(config::show)),
    row("PUT", "/v1/config", Administer, "replace the configuration", || put(config::replace)),
    row("GET", "/metrics", Read, "counters in the format of Prometheus", || get(system::metrics)),
    row("GET", "/healthz", Everybody, "whether the server lives", || get(system::health)),
    row("GET", "/readyz", Everybody, "whether the server takes tasks", || get(system::ready)),
    row("GET", "/version", Everybody, "which server this is", || get(system::version)),
    row("POST", "/submit_task", Write, "the article's submit", || post(article::submit)),
    row("GET", "/query_task_status", Read, "the article's status", || get(article::status)),
    row("DELETE", "/release_resource", Write, "the article's release", || delete(article::release)),
];

/// Every route, for the reference and for tests.
pub fn table() -> impl Iterator<Item = Route> {
    ROWS.iter().map(|row| row.route)
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let router = ROWS.iter().fold(Router::new(), |router, row| router.route(row.route.path, (row.handler)()));
    router.fallback(unknown).method_not_allowed_fallback(wrong_method).with_state(app)
}

async fn unknown(uri: Uri) -> Refusal {
    let detail = format!("there is no path {}", fastgpu_api::units::shown(uri.path()));
    Refusal::not_found(detail).hint("paths begin with /v1/, for example /v1/tasks")
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let path = fastgpu_api::units::shown(uri.path());
    Refusal::new(&codes::METHOD_NOT_ALLOWED, format!("{path} does not know {method}"))
        .hint("the `Allow` header lists what it knows")
}

/// The task that a path names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskPath(pub(crate) TaskId);

impl FromRequestParts<Arc<App>> for TaskPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Segment(text) = Segment::from_request_parts(parts, app).await?;
        crate::query::task_id(&text).map(Self)
    }
}

/// The name in a path, as text.
#[derive(Debug, Clone)]
pub(crate) struct Segment(pub(crate) String);

impl FromRequestParts<Arc<App>> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| Refusal::not_found("the name in the path is malformed"))?;
        Ok(Self(text))
    }
}
