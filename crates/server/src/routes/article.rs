//! The three calls of the original article, for its client with nothing changed but address and token.
//!
//! That client asks for the status without a pause. An answer that would be the same as the last one is
//! held for up to [`HOLD_MAX`], so that asking costs little; it is never refused for asking too often.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use fastgpu_api::article::{SubmitTask, TaskStatus, status_word};
use fastgpu_api::convert::Identity;
use fastgpu_control::Submitted;
use fastgpu_core::command::Command;
use fastgpu_core::ids::TaskId;
use fastgpu_failpoints::hit;
use tokio::time::Instant;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{self, BODY_BYTES_MAX};
use crate::query::{Query, task_id};
use crate::refuse::{Answer, Refusal};
use crate::routes::moves;
use crate::told::is_final;

/// How long an unchanged status is held back.
const HOLD_MAX: Duration = Duration::from_millis(100);
fn answer(id: TaskId, status: &str) -> Answer {
    Ok(body::json(StatusCode::OK, &TaskStatus { task_id: id.to_string(), status: status.to_owned() }))
}

/// `POST /submit_task`
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let key = body::key(&headers, uri.path(), &bytes)?;
    let request: SubmitTask = body::request(&bytes).await?;
    let identity = Identity { project: caller.project.clone(), owner: caller.owner.clone() };
    let submit = request.into_submit(&identity).map_err(Refusal::fields)?;
    let Submitted { ids, .. } = app.submit(&caller, vec![submit], key).await?;
    hit("server.article.before_reply");
    answer(*ids.first().expect("the answer to one task is one id"), "submitted")
}

/// `GET /query_task_status?task_id=…`
pub(crate) async fn status(State(app): State<Arc<App>>, caller: Caller, query: Query) -> Answer {
    let id = named(&query)?;
    let deadline = Instant::now() + HOLD_MAX;
    let mut news = app.handle.watch(id);
    loop {
        let task = app.task(&caller, id).await?;
        let status = status_word(task.state.code());
        let hold = !is_final(status) && app.told.is_the_same(&caller.id, id, status);
        if !hold || Instant::now() >= deadline {
            app.told.remember(&caller.id, id, status);
            return answer(id, status);
        }
        tokio::select! {
            true = news.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = app.stopping.cancelled() => return answer(id, status),
        }
    }
}

/// `DELETE /release_resource?task_id=…`: any number of times
pub(crate) async fn release(State(app): State<Arc<App>>, caller: Caller, query: Query) -> Answer {
    let id = named(&query)?;
    app.task(&caller, id).await?;
    moves::end(&app, Command::Release { task: id, actor: caller.actor() }).await?;
    answer(id, "released")
}

fn named(query: &Query) -> Result<TaskId, Refusal> {
    let missing = || Refusal::bad_request("the parameter `task_id` is missing").hint("write ?task_id=t-…");
    task_id(query.get("task_id").ok_or_else(missing)?)
}
