//! Changing a task's life: cancel, release, change, suspend, resume.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fastgpu_api::problem::codes;
use fastgpu_api::view::{CancelRequest, TaskPatch};
use fastgpu_control::CommandError;
use fastgpu_core::command::{Command, Refused};
use fastgpu_core::ids::TaskId;
use fastgpu_failpoints::hit;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{self, BODY_BYTES_MAX};
use crate::extract::Named;
use crate::refuse::{Answer, Refusal};

/// `POST /v1/tasks/{id}/cancel` and `DELETE /v1/tasks/{id}`: in any state, any number of times.
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let request: CancelRequest =
        if bytes.is_empty() { CancelRequest::default() } else { body::request(&bytes).await? };
    let grace = request.grace().map_err(Refusal::fields)?;
    end(&app, Command::Cancel { task: task.id, grace, actor: caller.actor() }).await?;
    hit("server.cancel.before_reply");
    Ok(app.task_json(StatusCode::OK, &app.view_now(&caller, task.id).await?))
}

/// `POST /v1/tasks/{id}/release`: a reservation succeeds, a program is cancelled; any number of times.
pub(crate) async fn release(State(app): State<Arc<App>>, caller: Caller, Named(task): Named) -> Answer {
    end(&app, Command::Release { task: task.id, actor: caller.actor() }).await?;
    Ok(app.task_json(StatusCode::OK, &app.view_now(&caller, task.id).await?))
}

/// Does what ends a task. One that has ended already is not alive any more, which is what was wanted.
pub(crate) async fn end(app: &App, command: Command) -> Result<(), Refusal> {
    match app.handle.command(command).await {
        Ok(_) | Err(CommandError::Refused(Refused::NoSuchTask(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `PATCH /v1/tasks/{id}`
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let patch: TaskPatch = body::request(&bytes).await?;
    let update = patch.into_update().map_err(Refusal::fields)?;
    let if_revision = body::if_match(&headers)?;
    let command = Command::Update { task: task.id, update, if_revision, actor: caller.actor() };
    on_live(&app, &caller, task.id, "changed", command).await
}

/// `POST /v1/tasks/{id}/suspend`
pub(crate) async fn suspend(State(app): State<Arc<App>>, caller: Caller, Named(task): Named) -> Answer {
    let command = Command::Suspend { task: task.id, actor: caller.actor() };
    on_live(&app, &caller, task.id, "suspended", command).await
}

/// `POST /v1/tasks/{id}/resume`
pub(crate) async fn resume(State(app): State<Arc<App>>, caller: Caller, Named(task): Named) -> Answer {
    let command = Command::Resume { task: task.id, actor: caller.actor() };
    on_live(&app, &caller, task.id, "resumed", command).await
}

/// Does what only a live task can bear; an ended one exists, but is in the wrong state for it.
async fn on_live(app: &App, caller: &Caller, id: TaskId, verb: &str, command: Command) -> Answer {
    match app.handle.command(command).await {
        Ok(_) => Ok(app.task_json(StatusCode::OK, &app.view_now(caller, id).await?)),
        Err(CommandError::Refused(Refused::NoSuchTask(_))) => {
            let state = app.view_now(caller, id).await?.state;
            let detail = format!("a task that is {state} cannot be {verb}");
            Err(Refusal::new(&codes::WRONG_STATE, detail).hint("`POST …/retry` submits it again"))
        }
        Err(error) => Err(error.into()),
    }
}
