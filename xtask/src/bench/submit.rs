//! Durable submits: one by one over many connections, and by batch.

use serde_json::json;

use super::limits;
use super::load::Load;
use super::row::{Figure, Measured, Reach};
use super::server::Server;
use super::{Context, DEVICES};

const CONNECTIONS: usize = 64;
const BATCH_CONNECTIONS: usize = 4;
const BATCH_TASKS: usize = 1_000;
/// What a task costs on the wire; a usual command with its arguments is about this long.
const SPEC_BYTES: usize = 200;

/// A task of `SPEC_BYTES` that will wait, since all devices are taken.
pub(super) fn spec(number: usize) -> String {
    let bare = |filler: &str| {
        let command = ["/usr/bin/python3", "train.py", "--data", filler];
        json!({ "name": format!("train-{number:07}"), "command": command, "gpu": 1 }).to_string()
    };
    let filler = "x".repeat(SPEC_BYTES.saturating_sub(bare("").len()));
    bare(&filler)
}

pub(super) fn batch(first: usize, count: usize) -> String {
    let tasks: Vec<String> = (first..first + count).map(spec).collect();
    format!("{{\"tasks\":[{}]}}", tasks.join(","))
}

/// Fills the queue with tasks that wait.
pub(super) fn fill_queue(server: &Server, tasks: usize) -> anyhow::Result<()> {
    server.occupy(DEVICES)?;
    let mut connection = server.connect()?;
    for first in (0..tasks).step_by(BATCH_TASKS) {
        connection.post("/v1/tasks:batch", &batch(first, BATCH_TASKS.min(tasks - first)))?;
    }
    Ok(())
}

pub(super) fn one_by_one(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    server.occupy(DEVICES)?;
    let count = context.count(60_000);
    let requests: Vec<_> =
        (0..count).map(|number| server.address.request("POST", "/v1/tasks", &spec(number))).collect();
    let result = Load { connections: CONNECTIONS, count, requests: &requests }.run(&server.address)?;
    let figures = vec![
        Figure::new("submits", result.per_s, "/s")
            .reach(Reach::AtLeast(12_000.0))
            .limit("answers/s of /healthz", limits::answers_per_s(&server.address, CONNECTIONS)),
        Figure::new("submits, against bare SQLite", result.per_s, "/s")
            .limit("rows/s of bare SQLite, 64 a commit", super::build::sqlite_rows_per_s(context, 64)),
        Figure::new("submits, against unshared syncs", result.per_s, "/s")
            .limit("fdatasync/s, 200 B appended", limits::syncs_per_s(&context.work)),
        Figure::new("latency p50", result.p50_ms, "ms"),
        Figure::new("latency p99", result.p99_ms, "ms"),
    ];
    Ok(Measured::of(figures)
        .note("a submit is three rows: the task, its specification, its first event")
        .note(format!("{count} tasks of {SPEC_BYTES} bytes, {CONNECTIONS} connections, all devices taken"))
        .note("acknowledged after the commit; the load generator shares the machine"))
}

pub(super) fn by_batch(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    server.occupy(DEVICES)?;
    let count = context.count(200_000) / BATCH_TASKS;
    let body = |number| batch(number * BATCH_TASKS, BATCH_TASKS);
    let requests: Vec<_> =
        (0..count).map(|number| server.address.request("POST", "/v1/tasks:batch", &body(number))).collect();
    let result = Load { connections: BATCH_CONNECTIONS, count, requests: &requests }.run(&server.address)?;
    let tasks_per_s = result.per_s * BATCH_TASKS as f64;
    let rows = super::build::sqlite_rows_per_s(context, BATCH_TASKS);
    let figures = vec![
        Figure::new("tasks by batch", tasks_per_s, "/s")
            .reach(Reach::AtLeast(30_000.0))
            .limit("rows/s of bare SQLite, 1,000 a commit", rows),
        Figure::new("a batch p50", result.p50_ms, "ms"),
        Figure::new("a batch p99", result.p99_ms, "ms"),
    ];
    Ok(Measured::of(figures).note(format!(
        "{count} batches of {BATCH_TASKS} tasks, {BATCH_CONNECTIONS} connections, all devices taken"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_has_its_length_whatever_its_number() {
        for number in [0, 7, 99_999] {
            assert_eq!(spec(number).len(), SPEC_BYTES);
        }
    }

    #[test]
    fn a_batch_is_a_document_with_its_tasks() {
        let batch: serde_json::Value = serde_json::from_str(&batch(5, 3)).unwrap();
        assert_eq!(batch["tasks"].as_array().map(Vec::len), Some(3));
        assert_eq!(batch["tasks"][0]["name"], "train-0000005");
    }
}
