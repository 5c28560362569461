//! Why a task waits, or what happened to it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fastgpu_api::answer::explain_view;
use fastgpu_core::explain;
use fastgpu_core::forecast::forecast;
use fastgpu_core::task::{Task, TaskState};

use crate::app::App;
use crate::auth::Caller;
use crate::extract::Named;
use crate::forecasts::TASKS_MAX;
use crate::refuse::Answer;

/// `GET /v1/tasks/{id}/explain`
pub(crate) async fn explain(State(app): State<Arc<App>>, caller: Caller, Named(task): Named) -> Answer {
    let id = task.id;
    let live = app.handle.query(move |state, now| {
        let code = state.task(id)?.state.code();
        let may_see = |task: &Task| caller.sees(&task.project);
        let explanation = explain::explain(state, id, now, &may_see)?;
        // Whoever asks why wants to know it as of now.
        let waits = matches!(state.task(id)?.state, TaskState::Queued { .. });
        let forecast = waits.then(|| forecast(state, now, TASKS_MAX).remove(&id)).flatten();
        Some((code, explanation, forecast))
    });
    let ended = || (task.state.code(), explain::describe(&task), None);
    let (state, explanation, forecast) = live.await?.unwrap_or_else(ended);
    Ok(app.json(StatusCode::OK, &explain_view(id, state, explanation, forecast.as_ref())))
}
