//! `fastgpu wait`: returns when tasks have ended.

use std::time::{Duration, Instant};

use fastgpu_api::view::TaskView;
use fastgpu_client::Client;

use crate::args::WaitArgs;
use crate::connect::connect;
use crate::failure::{Failure, exit};
use crate::find;
use crate::follow::{exit_code, words};
use crate::output::Output;
use crate::quantity::span_ms;
use crate::settings::Settings;

/// One question to the server; it is asked again until the task has ended.
const QUESTION: Duration = Duration::from_secs(30);

pub(super) async fn run(flags: &WaitArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let patience = flags.timeout.as_deref().map(|text| span_ms("--timeout", text)).transpose()?;
    let deadline = patience.map(|ms| Instant::now() + Duration::from_millis(ms));
    let client = connect(settings).await?;
    let mut tasks = Vec::new();
    for text in &flags.tasks {
        tasks.push(find::task(&client, text).await?);
    }
    let mut code = 0;
    for task in tasks {
        let waited = tokio::select! {
            waited = until_over(&client, task, deadline) => waited?,
            _ = tokio::signal::ctrl_c() => return Ok(exit::INTERRUPTED),
        };
        let Some(task) = waited else {
            return Err(
                Failure::new("the tasks had not all ended in time; they go on").exit(exit::GAVE_UP_WAITING)
            );
        };
        out.one(&task, &task.id, |out| out.data(&format!("{} {}", task.id, words(&task.state))))?;
        if code == 0 {
            code = exit_code(&task);
        }
    }
    Ok(code)
}

/// The task when it is over; `None` when the deadline came first.
async fn until_over(
    client: &Client,
    mut task: TaskView,
    deadline: Option<Instant>,
) -> Result<Option<TaskView>, Failure> {
    while task.ended_at.is_none() {
        let left = deadline.map_or(QUESTION, |at| at.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        let question = left.min(QUESTION);
        // The server counts in whole seconds; the rest of the last one is cut off here.
        let asked = Duration::from_secs(question.as_secs().max(1));
        match tokio::time::timeout(question.max(Duration::from_millis(1)), client.wait(&task.id, asked)).await
        {
            Ok(answer) => task = answer?,
            Err(_) => task = client.task(&task.id).await?,
        }
    }
    Ok(Some(task))
}
