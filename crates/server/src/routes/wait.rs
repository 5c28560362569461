//! The long poll: one request instead of many.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use fastgpu_api::units::shown;
use fastgpu_core::task::{Task, TaskState};
use tokio::time::Instant;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::Followed;
use crate::query::Query;
use crate::refuse::{Answer, Refusal};

const TIMEOUT_DEFAULT_S: u64 = 30;
/// Longer waits run into the patience of proxies; the caller simply asks again.
const TIMEOUT_MAX_S: u64 = 300;

/// `GET /v1/tasks/{id}/wait?timeout=30&until=ended`: the task as soon as it is as wanted, or as it is when the time
/// is over
pub(crate) async fn wait(
    State(app): State<Arc<App>>,
    caller: Caller,
    Followed(mut task, mut news): Followed,
    query: Query,
) -> Answer {
    let seconds = query.number("timeout")?.unwrap_or(TIMEOUT_DEFAULT_S);
    if seconds > TIMEOUT_MAX_S {
        return Err(Refusal::bad_request(format!(
            "`timeout={seconds}` is too long; at most {TIMEOUT_MAX_S} seconds"
        ))
        .hint("ask again when the time is over"));
    }
    let is_there: fn(&Task) -> bool = match query.get("until").unwrap_or("ended") {
        "ended" => |task| task.state.is_ended(),
        "started" => |task| task.state.is_ended() || task.state.running_since().is_some(),
        "placed" => |task| !matches!(task.state, TaskState::Queued { .. }),
        other => {
            let detail = format!("`until={}` is unknown; wait until ended, started or placed", shown(other));
            return Err(Refusal::bad_request(detail));
        }
    };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut place = None;
    loop {
        if is_there(&task) || Instant::now() >= deadline {
            return Ok(app.task_json(StatusCode::OK, &app.view(task).await?));
        }
        if place.is_none() {
            place = Some(app.streams.take(&caller.id)?);
        }
        let is_open = tokio::select! {
            is_open = news.changed() => is_open,
            () = tokio::time::sleep_until(deadline) => true,
            () = app.stopping.cancelled() => false,
        };
        if !is_open {
            return Err(Refusal::stopping());
        }
        task = app.task(&caller, task.id).await?;
    }
}
