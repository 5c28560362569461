//! Every GPU, what is free on it, and who holds the rest.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fastgpu_api::answer::gpu_view;
use fastgpu_api::view::List;

use crate::app::App;
use crate::auth::Caller;
use crate::refuse::Answer;

/// `GET /v1/gpus`. Tasks of other projects are counted, not named.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    let items = app.handle.query(move |state, _| {
        let may_see = |id| state.task(id).is_some_and(|task| caller.sees(&task.project));
        let nodes = state.cluster().nodes();
        nodes.flat_map(|node| node.devices.iter().map(move |slot| gpu_view(node, slot, may_see))).collect()
    });
    let items: Vec<_> = items.await?;
    Ok(app.json(StatusCode::OK, &List { items, next_cursor: None }))
}
