//! The one table of all paths: what is answered, who may ask, and which parameters there are. The router is made
//! from it, each handler behind its gate, and a test tries every row with every role, so that no path is reachable
//! by accident.

mod article;
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
use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use fastgpu_api::problem::codes;

use crate::app::App;
use crate::gate::guarded;
pub use crate::gate::{Access, Parameters, Route};
use crate::refuse::Refusal;

use Access::{Administer, Everybody, Read, Write};

/// A route and what answers it.
struct Row {
    route: Route,
    handler: fn() -> MethodRouter<Arc<App>>,
}

/// A route without parameters.
const fn row(
    method: &'static str,
    path: &'static str,
    access: Access,
    about: &'static str,
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Row {
    Row { route: Route { method, path, access, parameters: Parameters::Known(&[]), about }, handler }
}

impl Row {
    /// The same with these parameters.
    const fn takes(mut self, known: &'static [&'static str]) -> Self {
        self.route.parameters = Parameters::Known(known);
        self
    }

    /// The same with any parameters, none of which means anything.
    const fn ignores_parameters(mut self) -> Self {
        self.route.parameters = Parameters::Ignored;
        self
    }
}

const ROWS: &[Row] = &[
    row("POST", "/v1/tasks", Write, "submit a task", || post(submit::one)),
    row("POST", "/v1/tasks:batch", Write, "submit up to 10,000 tasks, all or none", || post(submit::batch)),
    row("GET", "/v1/tasks", Read, "list tasks, newest first", || get(tasks::list)).takes(tasks::PARAMETERS),
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
    })
    .takes(&["timeout", "until"]),
    row("GET", "/v1/tasks/{id}/logs", Read, "what it wrote, as text or as a stream", || get(logs::logs))
        .takes(&["attempt", "tail", "follow", "format"]),
    row("GET", "/v1/tasks/{id}/events", Read, "what happened to it, as a list or a stream", || {
        get(events::events)
    })
    .takes(&["cursor", "limit"]),
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
    row("GET", "/metrics", Read, "counters in the format of Prometheus", || get(system::metrics))
        .ignores_parameters(),
    row("GET", "/healthz", Everybody, "whether the server lives", || get(system::health))
        .ignores_parameters(),
    row("GET", "/readyz", Everybody, "whether the server takes tasks", || get(system::ready))
        .ignores_parameters(),
    row("GET", "/version", Everybody, "which server this is", || get(system::version)).ignores_parameters(),
    row("POST", "/submit_task", Write, "the article's submit", || post(article::submit)),
    row("GET", "/query_task_status", Read, "the article's status", || get(article::status))
        .takes(&["task_id"]),
    row("DELETE", "/release_resource", Write, "the article's release", || delete(article::release))
        .takes(&["task_id"]),
];

/// Every route, for the reference and for tests.
pub fn table() -> impl Iterator<Item = Route> {
    ROWS.iter().map(|row| row.route)
}

pub(crate) fn router(app: &Arc<App>) -> Router {
    let router = ROWS.iter().fold(Router::new(), |router, Row { route, handler }| {
        router.route(route.path, guarded(handler(), *route, app.clone()))
    });
    router.fallback(unknown).method_not_allowed_fallback(wrong_method).with_state(app.clone())
}

/// The router knows whole segments only: `/v1/tasks/{id}:wait` is asked for as `/v1/tasks/{id}/wait`.
pub(crate) fn straightened(uri: &Uri) -> Option<Uri> {
    let task = uri.path().strip_prefix("/v1/tasks/")?.strip_suffix(":wait")?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/v1/tasks/{task}/wait{query}").parse().ok()
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
