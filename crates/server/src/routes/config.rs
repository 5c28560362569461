//! The live configuration, read and replaced as a whole.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use fastgpu_api::answer::{config_of, config_view};
use fastgpu_api::view::ConfigView;
use fastgpu_core::command::Command;
use fastgpu_core::token::Action;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{self, BODY_BYTES_MAX};
use crate::query::Query;
use crate::refuse::Answer;

/// `GET /v1/config`
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Answer {
    caller.must(Action::Administer)?;
    Query::of(&uri, &[])?;
    let view = app.handle.query(|state, _| config_view(state.config())).await?;
    Ok(body::json(StatusCode::OK, &view))
}

/// `PUT /v1/config`
pub(crate) async fn replace(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    caller.must(Action::Administer)?;
    Query::of(&uri, &[])?;
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let view: ConfigView = body::request(&bytes).await?;
    let command = Command::Configure { config: config_of(&view), actor: caller.actor() };
    app.handle.command(command).await?;
    Ok(body::json(StatusCode::OK, &view))
}
