//! The three calls of the original article.

use fastgpu_api::article::{SubmitTask, TaskStatus};
use reqwest::Method;

use crate::error::ClientError;
use crate::transport::{Call, Client, encoded};

impl Client {
    /// `POST /submit_task`. Not repeated: the call has no key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit_task(&self, task: &SubmitTask) -> Result<TaskStatus, ClientError> {
        self.json(Call::write(Method::POST, "submit_task", "/submit_task").body(task)?).await
    }

    /// `GET /query_task_status`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn query_task_status(&self, id: &str) -> Result<TaskStatus, ClientError> {
        self.json(Call::get("query_task_status", format!("/query_task_status?task_id={}", encoded(id)))).await
    }

    /// `DELETE /release_resource`; a second time changes nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release_resource(&self, id: &str) -> Result<TaskStatus, ClientError> {
        let path = format!("/release_resource?task_id={}", encoded(id));
        self.json(Call::write(Method::DELETE, "release_resource", path).idempotent()).await
    }
}
