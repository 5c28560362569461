//! The live configuration, read and replaced as a whole.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fastgpu_api::config::{ConfigView, config_of, config_view};
use fastgpu_api::problem::{Problem, codes};
use fastgpu_core::command::Command;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{self, BODY_BYTES_MAX};
use crate::refuse::{Answer, Refusal};

/// `GET /v1/config`
pub(crate) async fn show(State(app): State<Arc<App>>) -> Answer {
    let view = app.handle.query(|state, _| config_view(state.config())).await?;
    Ok(body::json(StatusCode::OK, &view))
}

/// `PUT /v1/config`
pub(crate) async fn replace(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let view: ConfigView = body::request(&bytes).await?;
    // One after the other: what is replaced is what was read, here and by the caller.
    let _turn = app.configuring.lock().await;
    let before = app.handle.query(|state, _| state.config().clone()).await?;
    let current = config_view(&before).revision;
    if view.revision.is_some() && view.revision != current {
        let detail = "the configuration was replaced since it was read";
        return Err(Refusal::new(&codes::REVISION_MISMATCH, detail)
            .hint("read it again and decide again; without `revision` it is replaced whatever it is"));
    }
    let config = config_of(&view, &before)
        .map_err(|errors| Refusal::from(Problem::of_fields(&codes::BAD_CONFIG, errors)))?;
    let after = config_view(&config);
    app.handle.command(Command::Configure { config, actor: caller.actor() }).await?;
    Ok(body::json(StatusCode::OK, &after))
}
