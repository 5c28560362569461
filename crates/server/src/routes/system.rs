//! Questions about the server itself.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use fastgpu_api::problem::codes;
use fastgpu_api::view::{HealthView, VersionView};

use crate::app::App;
use crate::body;
use crate::metrics;
use crate::refuse::{Answer, Refusal};

/// A control plane that does not answer within this time is not ready.
const READY_PATIENCE: Duration = Duration::from_secs(1);

/// `GET /healthz`
pub(crate) async fn health() -> Response {
    body::json(StatusCode::OK, &HealthView { status: "ok".to_owned() })
}

/// `GET /readyz`: the control plane answers and can save
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Answer {
    let not_ready = |detail: &str| Refusal::new(&codes::NOT_READY, detail);
    match tokio::time::timeout(READY_PATIENCE, app.handle.query(|_, _| ())).await {
        Err(_) => Err(not_ready("the control plane does not answer in time")),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) if app.handle.stats().storage_full => {
            Err(not_ready("the disk is full: new tasks are refused"))
        }
        Ok(Ok(())) => Ok(body::json(StatusCode::OK, &HealthView { status: "ok".to_owned() })),
    }
}

/// `GET /version`
pub(crate) async fn version() -> Response {
    let view = VersionView { version: env!("CARGO_PKG_VERSION").to_owned(), api: "v1".to_owned() };
    body::json(StatusCode::OK, &view)
}

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Answer {
    let text = metrics::render(app.handle.stats(), &app.requests, app.streams.open())
        .map_err(|_| Refusal::new(&codes::INTERNAL, "the counters cannot be written"))?;
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
