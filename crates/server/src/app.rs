//! What all handlers share, and the few ways they read.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use fastgpu_api::answer::task_view;
use fastgpu_api::time::on_the_wall;
use fastgpu_api::view::TaskView;
use fastgpu_control::{Handle, KeyUse, LogSource, Submitted};
use fastgpu_core::command::Submit;
use fastgpu_core::ids::{SpecHash, TaskId};
use fastgpu_core::spec::Spec;
use fastgpu_core::task::Task;
use fastgpu_core::units::Timestamp;
use fastgpu_store::{History, StoreError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::auth::{Caller, Failures};
use crate::body;
use crate::forecasts::Forecasts;
use crate::metrics::Requests;
use crate::refuse::Refusal;
use crate::stream::Streams;
use crate::told::Told;
use crate::{Options, ServerParts};

/// Everything a handler needs.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) history: Arc<dyn History>,
    pub(crate) logs: Arc<dyn LogSource>,
    pub(crate) options: Options,
    pub(crate) failures: Failures,
    pub(crate) streams: Arc<Streams>,
    pub(crate) requests: Requests,
    pub(crate) told: Told,
    pub(crate) forecasts: Forecasts,
    /// Held while the configuration is replaced, so that nobody replaces what he has not seen.
    pub(crate) configuring: tokio::sync::Mutex<()>,
    /// Cancelled when the server stops.
    pub(crate) stopping: CancellationToken,
}

impl App {
    pub(crate) fn new(parts: ServerParts) -> Self {
        let ServerParts { handle, history, logs, options } = parts;
        Self {
            handle,
            history,
            logs,
            options,
            failures: Failures::new(options.auth_failures_per_minute),
            streams: Arc::new(Streams::new(&options)),
            requests: Requests::default(),
            told: Told::default(),
            forecasts: Forecasts::default(),
            configuring: tokio::sync::Mutex::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Reads history on a thread that may wait for a disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn History) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let history = self.history.clone();
        let answer = tokio::task::spawn_blocking(move || question(&*history)).await;
        Ok(answer.map_err(|_| Refusal::stopping())??)
    }

    /// A task to which the caller may do what the route is for.
    pub(crate) async fn task(&self, caller: &Caller, id: TaskId) -> Result<Task, Refusal> {
        let scope = caller.scope();
        let found = self.read(move |history| history.task(&scope, id)).await?;
        let missing = || Refusal::not_found(format!("there is no task {id}"));
        let task = found.ok_or_else(missing)?;
        caller.reach(&task.project, missing)?;
        Ok(task)
    }

    /// Accepts tasks in the caller's name.
    pub(crate) async fn submit(
        &self,
        caller: &Caller,
        tasks: Vec<Submit>,
        key: Option<KeyUse>,
    ) -> Result<Submitted, Refusal> {
        let submitted = self.handle.submit(tasks, caller.actor(), key).await?;
        if let [first, .., last] = submitted.ids[..] {
            tracing::debug!(%first, %last, tasks = submitted.ids.len(), "accepted");
        } else if let [task] = submitted.ids[..] {
            tracing::debug!(%task, "accepted");
        }
        Ok(submitted)
    }

    /// A task as callers see it.
    pub(crate) async fn view(&self, task: Task) -> Result<TaskView, Refusal> {
        let hash = task.work.spec();
        let spec = self.read(move |history| history.spec(hash)).await?;
        Ok(self.on_the_wall(|| task_view(&task, spec.as_deref(), self.handle.now())))
    }

    /// The task as it is now, as callers see it.
    pub(crate) async fn view_now(&self, caller: &Caller, id: TaskId) -> Result<TaskView, Refusal> {
        let scope = caller.scope();
        let (now, ahead_ms) = (self.handle.now(), self.handle.ahead_ms());
        let found = self.read(move |history| {
            let Some(task) = history.task(&scope, id)? else { return Ok(None) };
            let spec = history.spec(task.work.spec())?;
            Ok(Some(on_the_wall(ahead_ms, || task_view(&task, spec.as_deref(), now))))
        });
        found.await?.ok_or_else(|| Refusal::not_found(format!("there is no task {id}")))
    }

    /// An answer in JSON, with its moments in wall time.
    pub(crate) fn json(&self, status: StatusCode, value: &impl Serialize) -> Response {
        self.on_the_wall(|| body::json(status, value))
    }

    /// A task, with its revision as `ETag`.
    pub(crate) fn task_json(&self, status: StatusCode, view: &TaskView) -> Response {
        let mut response = self.json(status, view);
        let tag = HeaderValue::try_from(format!("\"{}\"", view.revision)).expect("digits in quotes");
        response.headers_mut().insert(ETAG, tag);
        response
    }

    fn on_the_wall<T>(&self, write: impl FnOnce() -> T) -> T {
        on_the_wall(self.handle.ahead_ms(), write)
    }
}

/// Tasks as callers see them at `now`; equal programs are read once.
pub(crate) fn views(
    history: &dyn History,
    tasks: &[Task],
    now: Timestamp,
) -> Result<Vec<TaskView>, StoreError> {
    let mut specs: BTreeMap<SpecHash, Option<Arc<Spec>>> = BTreeMap::new();
    let mut view = |task: &Task| {
        let hash = task.work.spec();
        let spec = match specs.get(&hash) {
            Some(spec) => spec.clone(),
            None => specs.entry(hash).or_insert(history.spec(hash)?).clone(),
        };
        Ok(task_view(task, spec.as_deref(), now))
    };
    tasks.iter().map(&mut view).collect()
}
