//! A task's history: events, attempts, use.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fastgpu_api::answer::{attempt_view, event_view, task_view, usage_view};
use fastgpu_api::time::on_the_wall;
use fastgpu_api::view::{List, StreamEnd};
use fastgpu_control::Watch;
use fastgpu_core::change::Event;
use fastgpu_core::task::Task;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::{Followed, Named};
use crate::query::Query;
use crate::refuse::{Answer, Refusal};
use crate::stream::{
    EVENT_STREAM, Place, SIGN_OF_LIFE, STILL_HERE, last_event_id, push_event, respond, wants_events,
};

const LIMIT_DEFAULT: usize = 200;
const LIMIT_MAX: usize = 1_000;

/// `GET /v1/tasks/{id}/events`, as a list or, on request, as a stream
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Followed(task, news): Followed,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let limit = query.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let from: u32 = query.number("cursor")?.unwrap_or(0);
    if wants_events(&headers) {
        let last = last_event_id(&headers).map(str::parse::<u32>).transpose();
        let last = last.map_err(|_| {
            Refusal::bad_request("`Last-Event-ID` is malformed; send the last `id` as it came")
        })?;
        let from = last.map_or(from, |last| last.saturating_add(1));
        return stream(app, caller, task, news, from);
    }
    let (scope, id) = (caller.scope(), task.id);
    let mut events = app.read(move |history| history.events(&scope, id, from, limit + 1)).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| more).map(|last| (last.number + 1).to_string());
    let items: Vec<_> = events.iter().map(event_view).collect();
    Ok(app.json(StatusCode::OK, &List { items, next_cursor }))
}

struct Following {
    app: Arc<App>,
    caller: Caller,
    /// The task, read before the events were.
    task: Task,
    news: Watch,
    from: u32,
    is_done: bool,
    _place: Place,
}

fn stream(app: Arc<App>, caller: Caller, task: Task, news: Watch, from: u32) -> Result<Response, Refusal> {
    let place = app.streams.take(&caller.id)?;
    let following = Following { app, caller, task, news, from, is_done: false, _place: place };
    Ok(respond(EVENT_STREAM, following, Following::next))
}

impl Following {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.is_done {
            return None;
        }
        loop {
            let (scope, id, from) = (self.caller.scope(), self.task.id, self.from);
            let events =
                self.app.read(move |history| history.events(&scope, id, from, LIMIT_MAX)).await.ok()?;
            let mut out = String::new();
            for event in events {
                self.push(&event, &mut out);
            }
            if out.is_empty() && self.task.state.is_ended() {
                self.is_done = true;
                let view = task_view(&self.task, None, self.app.handle.now());
                push_event(
                    &mut out,
                    "end",
                    None,
                    &StreamEnd { state: view.state, exit_code: view.exit_code },
                );
            }
            if !out.is_empty() {
                return Some((out.into(), self));
            }
            let is_open = tokio::select! {
                is_open = self.news.changed() => is_open,
                () = tokio::time::sleep(SIGN_OF_LIFE) => return Some((STILL_HERE.into(), self)),
                () = self.app.stopping.cancelled() => false,
            };
            if !is_open {
                return None;
            }
            self.task = self.app.task(&self.caller, self.task.id).await.ok()?;
        }
    }

    fn push(&mut self, event: &Event, out: &mut String) {
        let ahead_ms = self.app.handle.ahead_ms();
        on_the_wall(ahead_ms, || push_event(out, "event", Some(&event.number), &event_view(event)));
        self.from = event.number + 1;
    }
}

/// `GET /v1/tasks/{id}/attempts`
pub(crate) async fn attempts(State(app): State<Arc<App>>, caller: Caller, Named(task): Named) -> Answer {
    let (scope, id) = (caller.scope(), task.id);
    let attempts = app.read(move |history| history.attempts(&scope, id)).await?;
    let items: Vec<_> = attempts.iter().map(attempt_view).collect();
    Ok(app.json(StatusCode::OK, &List { items, next_cursor: None }))
}

/// `GET /v1/tasks/{id}/usage`
pub(crate) async fn usage(State(app): State<Arc<App>>, caller: Caller, Named(task): Named) -> Answer {
    let (scope, id) = (caller.scope(), task.id);
    let segments = app.read(move |history| history.usage(&scope, id)).await?;
    Ok(app.json(StatusCode::OK, &usage_view(&segments)))
}
