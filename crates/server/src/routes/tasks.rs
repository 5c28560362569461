//! Reading tasks: one, and pages of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fastgpu_api::hint::nearest;
use fastgpu_api::time::on_the_wall;
use fastgpu_api::units::shown;
use fastgpu_api::view::List;
use fastgpu_core::ids::TaskId;
use fastgpu_core::task::TaskState;
use fastgpu_store::{Filter, Page, Scope};

use crate::app::{App, views};
use crate::auth::Caller;
use crate::extract::Segment;
use crate::query::{Query, task_id};
use crate::refuse::{Answer, Refusal};

/// What a listing can be narrowed by.
pub(super) const PARAMETERS: &[&str] =
    &["state", "name", "owner", "user", "queue", "since", "live", "prefix", "project", "limit", "cursor"];
const LIMIT_DEFAULT: usize = 100;
/// A longer page would keep a reader busy for too long; the cursor leads on.
pub(crate) const LIMIT_MAX: usize = 1_000;

/// `GET /v1/tasks/{id}`
pub(crate) async fn one(State(app): State<Arc<App>>, caller: Caller, Segment(text): Segment) -> Answer {
    let id = task_id(&text)?;
    let mut view = app.view_now(&caller, id).await?;
    app.forecasts.add_to(std::slice::from_mut(&mut view), &app.handle).await?;
    Ok(app.task_json(StatusCode::OK, &view))
}

/// `GET /v1/tasks`
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, query: Query) -> Answer {
    let (now, ahead_ms) = (app.handle.now(), app.handle.ahead_ms());
    let limit = query.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let before = query.get("cursor").map(cursor).transpose()?;
    let filter = Filter {
        states: states(query.get("state"))?,
        name: query.get("name").map(Into::into),
        owner: query.get("owner").or(query.get("user")).map(Into::into),
        queue: query.get("queue").map(Into::into),
        since: query.moment("since", now, ahead_ms)?,
        live: query.flag("live")?,
        id_prefix: query.get("prefix").map(str::to_owned),
    };
    let scope = scope(&caller, query.get("project"))?;
    let answer = app.read(move |history| {
        // One more than asked for tells whether there is a next page.
        let mut tasks = history.tasks(&scope, &filter, Page { before, limit: limit + 1 })?;
        let more = tasks.len() > limit;
        tasks.truncate(limit);
        let next_cursor = tasks.last().filter(|_| more).map(|task| task.id.to_string());
        Ok(List { items: on_the_wall(ahead_ms, || views(history, &tasks, now))?, next_cursor })
    });
    let mut list = answer.await?;
    app.forecasts.add_to(&mut list.items, &app.handle).await?;
    Ok(app.json(StatusCode::OK, &list))
}

fn cursor(text: &str) -> Result<TaskId, Refusal> {
    text.parse().map_err(|_| Refusal::bad_request("the cursor is malformed; use `next_cursor` as it came"))
}

fn scope(caller: &Caller, project: Option<&str>) -> Result<Scope, Refusal> {
    let Some(project) = project else { return Ok(caller.scope()) };
    let hidden = || Refusal::not_found(format!("there is no project `{}` for this token", shown(project)));
    caller.reach(project, hidden)?;
    Ok(Scope::Project(project.into()))
}

fn states(text: Option<&str>) -> Result<Vec<String>, Refusal> {
    let words = text.unwrap_or_default().split(',').filter(|word| !word.is_empty());
    words
        .map(|word| if TaskState::CODES.contains(&word) { Ok(word.to_owned()) } else { Err(no_state(word)) })
        .collect()
}

fn no_state(word: &str) -> Refusal {
    let refusal = Refusal::bad_request(format!("there is no state `{}`", shown(word)));
    match nearest(word, &TaskState::CODES) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint(format!("the states are {}", TaskState::CODES.join(", "))),
    }
}
