//! Following a task: its output as it comes, through retries, and how its end becomes our exit code.

use std::time::{Duration, Instant};

use fastgpu_api::view::TaskView;
use fastgpu_client::logs::{LogItem, LogQuery};
use fastgpu_client::{Client, ClientError};

use crate::failure::{Failure, exit};
use crate::output::{Output, Stream, Tone};
use crate::visible::visible;

/// A server that restarts is back long before this.
const RETURN_PATIENCE: Duration = Duration::from_secs(60);
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// How following ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The task is over.
    Ended(Box<TaskView>),
    /// Ctrl-C: the task goes on.
    Interrupted,
}

/// Prints the log of a task until it is over, or until Ctrl-C.
pub(crate) async fn follow(
    client: &Client,
    task: &str,
    which: LogQuery,
    out: &Output,
) -> Result<Followed, Failure> {
    tokio::select! {
        printed = print_log(client, task, which, out) => {
            match printed {
                // It ended without ever writing one: what there is to say is in its end.
                Err(PrintError::NoLog(_)) => {}
                other => other?,
            }
            Ok(Followed::Ended(Box::new(after_the_end(client, task).await?)))
        }
        _ = tokio::signal::ctrl_c() => Ok(Followed::Interrupted),
    }
}

/// The task when its log has ended. A server that restarts just now is waited for.
async fn after_the_end(client: &Client, task: &str) -> Result<TaskView, Failure> {
    let deadline = Instant::now() + RETURN_PATIENCE;
    loop {
        match client.task(task).await {
            Err(error) if error.is_unreachable() && Instant::now() < deadline => {
                tokio::time::sleep(ASKED_EVERY).await;
            }
            other => return Ok(other?),
        }
    }
}

/// Prints the log of a task, once or until it is over.
pub(crate) async fn print_log(
    client: &Client,
    task: &str,
    which: LogQuery,
    out: &Output,
) -> Result<(), PrintError> {
    let mut stream = client.logs(task, which);
    while let Some(item) = stream.next().await.map_err(PrintError::of)? {
        match item {
            LogItem::Line(line) => {
                let bytes = || line.bytes().ok_or_else(|| Failure::new("the server's log makes no sense"));
                match line.stream.as_str() {
                    "stdout" => out.raw(Stream::Stdout, &bytes()?)?,
                    "stderr" => out.raw(Stream::Stderr, &bytes()?)?,
                    _ => out.tell(Tone::Dim, "note:", &visible(line.text.trim_end())),
                }
            }
            LogItem::End(_) => break,
        }
    }
    Ok(())
}

/// Why a log was not printed.
#[derive(Debug)]
pub(crate) enum PrintError {
    /// There is none.
    NoLog(Failure),
    /// Anything else.
    Other(Failure),
}

impl PrintError {
    fn of(error: ClientError) -> Self {
        if error.has_code("not_found") { Self::NoLog(error.into()) } else { Self::Other(error.into()) }
    }
}

impl From<Failure> for PrintError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::NoLog(failure) | PrintError::Other(failure) => failure,
        }
    }
}

/// The exit code that a task's end becomes.
pub(crate) fn exit_code(task: &TaskView) -> u8 {
    let reason = task.reason.as_ref().map_or("", |reason| reason.code.as_str());
    match task.state.as_str() {
        "succeeded" => 0,
        "timed_out" if reason == "queue_timeout" => exit::GAVE_UP_WAITING,
        "timed_out" => exit::TIME_LIMIT,
        "cancelled" => exit::SIGNAL_BASE + 15,
        _ => match (task.exit_code, task.signal) {
            (Some(code), _) if code != 0 => code,
            (_, Some(signal)) => exit::SIGNAL_BASE.saturating_add(signal),
            _ => exit::FAILURE,
        },
    }
}

/// Says how a task ended, unless it ended as everybody hopes.
pub(crate) fn say_end(task: &TaskView, out: &Output) {
    if task.state == "succeeded" {
        return;
    }
    let why = task.failure.as_ref().map(|failure| failure.message.as_str());
    let why = why.or(task.reason.as_ref().map(|reason| reason.message.as_str())).unwrap_or_default();
    let tries = match task.attempt {
        0 | 1 => String::new(),
        tries => format!(", after {tries} attempts"),
    };
    let why = if why.is_empty() { String::new() } else { format!(": {}", visible(why)) };
    out.tell(tone(&task.state), &task.id, &format!("{}{tries}{why}", words(&task.state)));
    if task.state == "failed" {
        out.say(&format!("  fastgpu why {0}, fastgpu events {0}", task.id));
    }
}

/// The colour of a state.
pub(crate) fn tone(state: &str) -> Tone {
    match state {
        "succeeded" => Tone::Good,
        "failed" | "timed_out" => Tone::Bad,
        "running" => Tone::Bold,
        "cancelled" => Tone::Dim,
        _ => Tone::Busy,
    }
}

/// A state as people say it.
pub(crate) fn words(state: &str) -> &str {
    match state {
        "timed_out" => "timed out",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: &str, code: Option<u8>, signal: Option<u8>, reason: &str) -> TaskView {
        serde_json::from_value(serde_json::json!({
            "id": "t-0000000000001", "name": null, "project": "default", "owner": "ann",
            "state": state, "reason": {"code": reason, "message": ""}, "priority": 0,
            "class": "standard", "attempt": 1, "retries": {"user": 0, "infrastructure": 0},
            "exit_code": code, "signal": signal, "failure": null, "command": [], "reservation": false,
            "working_dir": null, "gpu": {"count_min": 0, "count_max": 0}, "cpu_milli": 0, "memory_mib": 0,
            "grant": null, "submitted_at": "2026-01-01T00:00:00Z", "started_at": null, "ended_at": null,
            "time_limit_ms": null, "queue_timeout_ms": null, "stop_grace_ms": 0, "held": false, "revision": 1,
        }))
        .unwrap()
    }

    #[test]
    fn the_end_of_a_task_is_our_exit_code() {
        let code = |state, code, signal, reason| exit_code(&ended(state, code, signal, reason));
        assert_eq!(code("succeeded", Some(0), None, ""), 0);
        assert_eq!(code("failed", Some(7), None, "user"), 7);
        assert_eq!(code("failed", None, Some(9), "user"), 137);
        assert_eq!(code("failed", None, None, "launch"), 1);
        assert_eq!(code("timed_out", None, Some(15), "time_limit"), 124);
        assert_eq!(code("timed_out", None, None, "queue_timeout"), 75);
        assert_eq!(code("cancelled", None, None, ""), 143);
    }
}
