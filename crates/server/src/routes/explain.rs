//! Why a task waits, or what happened to it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use fastgpu_api::answer::explain_view;
use fastgpu_core::explain;
use fastgpu_core::task::Task;
use fastgpu_core::token::{Action, Decision, decide};

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::query::Query;
use crate::refuse::Answer;
use crate::routes::TaskPath;

/// `GET /v1/tasks/{id}/explain`
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    caller: Caller,
    TaskPath(id): TaskPath,
    uri: Uri,
) -> Answer {
    Query::of(&uri, &[])?;
    let task = app.task(&caller, Action::Read, id).await?;
    let live = app.handle.query(move |state, now| {
        let code = state.task(id)?.state.code();
        let may_see = |task: &Task| {
            decide(caller.role, &caller.project, Action::Read, Some(&task.project)) == Decision::Allow
        };
        explain::explain(state, id, now, &may_see).map(|explanation| (code, explanation))
    });
    let (state, explanation) = live.await?.unwrap_or_else(|| (task.state.code(), explain::describe(&task)));
    Ok(body::json(StatusCode::OK, &explain_view(id, state, explanation)))
}
