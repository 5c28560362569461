//! Every GPU, what is free on it, and who holds the rest.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use fastgpu_api::answer::gpu_view;
use fastgpu_api::view::List;
use fastgpu_core::token::{Action, Decision, decide};

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::query::Query;
use crate::refuse::Answer;

/// `GET /v1/gpus`. Tasks of other projects are counted, not named.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Answer {
    caller.must(Action::Read)?;
    Query::of(&uri, &[])?;
    let items = app.handle.query(move |state, _| {
        let may_see = |id| {
            state.task(id).is_some_and(|task| {
                decide(caller.role, &caller.project, Action::Read, Some(&task.project)) == Decision::Allow
            })
        };
        let nodes = state.cluster().nodes();
        nodes.flat_map(|node| node.devices.iter().map(move |slot| gpu_view(node, slot, may_see))).collect()
    });
    let items: Vec<_> = items.await?;
    Ok(body::json(StatusCode::OK, &List { items, next_cursor: None }))
}
