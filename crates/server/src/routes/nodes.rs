//! Machines.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fastgpu_api::answer::node_view;
use fastgpu_api::units::shown;
use fastgpu_api::view::List;
use fastgpu_core::command::Command;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::Segment;
use crate::refuse::{Answer, Refusal};

/// `GET /v1/nodes`
pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    let items: Vec<_> = app.handle.query(|state, _| state.cluster().nodes().map(node_view).collect()).await?;
    Ok(app.json(StatusCode::OK, &List { items, next_cursor: None }))
}

/// `POST /v1/nodes/{id}/drain`
pub(crate) async fn drain(State(app): State<Arc<App>>, caller: Caller, Segment(node): Segment) -> Answer {
    set(&app, &caller, node, true).await
}

/// `POST /v1/nodes/{id}/resume`
pub(crate) async fn resume(State(app): State<Arc<App>>, caller: Caller, Segment(node): Segment) -> Answer {
    set(&app, &caller, node, false).await
}

async fn set(app: &App, caller: &Caller, text: String, drain: bool) -> Answer {
    let found = app.handle.query({
        let text = text.clone();
        move |state, _| {
            let is_meant =
                |node: &&fastgpu_core::cluster::Node| node.id.to_string() == text || *node.hostname == *text;
            state.cluster().nodes().find(is_meant).map(|node| node.id)
        }
    });
    let missing = || Refusal::not_found(format!("there is no node `{}`", shown(&text)));
    let node = found.await?.ok_or_else(missing)?;
    app.handle.command(Command::Drain { node, drain, actor: caller.actor() }).await?;
    let view = app.handle.query(move |state, _| state.cluster().node(node).map(node_view)).await?;
    Ok(app.json(StatusCode::OK, &view.ok_or_else(missing)?))
}
