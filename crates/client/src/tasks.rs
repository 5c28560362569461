//! Tasks: submit, look, change, wait.

use std::time::Duration;

use fastgpu_api::spec::{BatchSpec, TaskSpec};
use fastgpu_api::view::{
    AttemptView, BatchCreated, CancelRequest, EventView, ExplainView, List, TaskPatch, TaskView,
};
use reqwest::Method;
use reqwest::header::{HeaderValue, IF_MATCH};

use crate::error::ClientError;
use crate::transport::{Call, Client, Key, encoded, protocol, query};

/// Which tasks to list. Nothing set means the newest of all.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    /// State words; any of them.
    pub states: Vec<String>,
    /// Exact owner.
    pub owner: Option<String>,
    /// Exact name.
    pub name: Option<String>,
    /// Exact queue.
    pub queue: Option<String>,
    /// Submitted at or after, as RFC 3339.
    pub since: Option<String>,
    /// Ids that begin so.
    pub id_prefix: Option<String>,
    /// Only tasks that are not over.
    pub live: bool,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// At most this many.
    pub limit: Option<u32>,
}

fn task(id: &str, rest: &str) -> String {
    format!("/v1/tasks/{}{rest}", encoded(id))
}

impl Client {
    /// Submits one task, once: the key makes it safe to repeat.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(&self, spec: &TaskSpec, key: &Key) -> Result<TaskView, ClientError> {
        self.json(Call::write(Method::POST, "submit", "/v1/tasks").key(key).body(spec)?).await
    }

    /// Submits many tasks, all or none, once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn batch(&self, specs: &BatchSpec, key: &Key) -> Result<BatchCreated, ClientError> {
        self.json(Call::write(Method::POST, "submit", "/v1/tasks:batch").key(key).body(specs)?).await
    }

    /// One task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn task(&self, id: &str) -> Result<TaskView, ClientError> {
        self.json(Call::get("task", task(id, ""))).await
    }

    /// A page of tasks, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tasks(&self, which: &TaskQuery) -> Result<List<TaskView>, ClientError> {
        let states = (!which.states.is_empty()).then(|| which.states.join(","));
        let query = query(&[
            ("state", states),
            ("user", which.owner.clone()),
            ("name", which.name.clone()),
            ("queue", which.queue.clone()),
            ("since", which.since.clone()),
            ("prefix", which.id_prefix.clone()),
            ("live", which.live.then(|| "true".to_owned())),
            ("cursor", which.cursor.clone()),
            ("limit", which.limit.map(|limit| limit.to_string())),
        ]);
        self.json(Call::get("list of tasks", format!("/v1/tasks{query}"))).await
    }

    /// Ends a task, with everything it started; a second time changes nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cancel(&self, id: &str, request: &CancelRequest) -> Result<TaskView, ClientError> {
        let call = Call::write(Method::POST, "cancel", task(id, "/cancel")).idempotent().body(request)?;
        self.json(call).await
    }

    /// Submits an ended task again, as a new one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn retry(&self, id: &str, key: &Key) -> Result<TaskView, ClientError> {
        self.json(Call::write(Method::POST, "retry", task(id, "/retry")).key(key)).await
    }

    /// Changes a live task; refused when its revision is not `if_revision`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn patch(
        &self,
        id: &str,
        patch: &TaskPatch,
        if_revision: Option<u32>,
    ) -> Result<TaskView, ClientError> {
        let mut call = Call::write(Method::PATCH, "change", task(id, "")).idempotent().body(patch)?;
        if let Some(revision) = if_revision {
            let value = HeaderValue::from_str(&format!("\"{revision}\""));
            call = call.header(IF_MATCH, value.map_err(|error| protocol("change", error.to_string()))?);
        }
        self.json(call).await
    }

    /// The task when it has ended, or as it is after `patience`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn wait(&self, id: &str, patience: Duration) -> Result<TaskView, ClientError> {
        let query = query(&[("timeout", Some(patience.as_secs().to_string()))]);
        self.json(Call::get("wait", task(id, &format!(":wait{query}"))).held(patience)).await
    }

    /// Why it waits, or what happened to it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain(&self, id: &str) -> Result<ExplainView, ClientError> {
        self.json(Call::get("explanation", task(id, "/explain"))).await
    }

    /// What happened to it, step by step.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, id: &str, cursor: Option<&str>) -> Result<List<EventView>, ClientError> {
        let query = query(&[("cursor", cursor.map(str::to_owned))]);
        self.json(Call::get("events", task(id, &format!("/events{query}")))).await
    }

    /// Its attempts, first to last.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn attempts(&self, id: &str) -> Result<List<AttemptView>, ClientError> {
        self.json(Call::get("attempts", task(id, "/attempts"))).await
    }
}
