//! FastGPU's side: a fresh server, batches through the HTTP API, logs kept, everything synced.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::super::http::Connection;
use super::super::run::{count_in_state, is_ended, items};
use super::super::server::{Server, id_of};
use super::super::{Context, DEVICES};
use super::side::{PROGRAM, RUN_WAIT, Side, Work, rate};

/// Tasks in one call.
const BATCH_TASKS: usize = 1_000;
/// Between two looks at what still lives, once the last of the queue has ended.
const REST: Duration = Duration::from_millis(2);

pub(super) struct Ours<'a> {
    pub(super) context: &'a Context,
}

impl Side for Ours<'_> {
    fn label(&self) -> String {
        "FastGPU".to_owned()
    }

    fn tasks_per_s(&self, work: &Work<'_>) -> anyhow::Result<f64> {
        let server = Server::start(self.context, DEVICES)?;
        let mut connection = server.connect()?;
        let mut began = None;
        let mut last = String::new();
        let mut left = work.tasks;
        while left > 0 {
            let count = left.min(BATCH_TASKS);
            let answer = connection.post("/v1/tasks:batch", &batch(count))?;
            began.get_or_insert_with(Instant::now);
            last = id_of(items(&answer)?.last().context("a batch without tasks")?)?;
            left -= count;
        }
        let began = began.context("no tasks")?;
        wait_until_all_ended(&mut connection, &last, began)?;
        let rate = rate(work.tasks, began);
        let succeeded = count_in_state(&mut connection, "succeeded")?;
        ensure!(succeeded == work.tasks, "{succeeded} of {} tasks succeeded", work.tasks);
        Ok(rate)
    }
}

fn batch(count: usize) -> String {
    let one = format!(r#"{{"command":["{PROGRAM}"],"gpu":1}}"#);
    format!("{{\"tasks\":[{}]}}", vec![one; count].join(","))
}

/// The last of a queue in order of arrival ends among the last; until then one request waits at the server.
fn wait_until_all_ended(connection: &mut Connection, last: &str, began: Instant) -> anyhow::Result<()> {
    while !is_ended(&connection.get(&format!("/v1/tasks/{last}/wait?timeout=30"))?) {
        ensure!(began.elapsed() < RUN_WAIT, "{last} has not ended after {} s", RUN_WAIT.as_secs());
    }
    while !items(&connection.get("/v1/tasks?live=true&limit=1")?)?.is_empty() {
        ensure!(began.elapsed() < RUN_WAIT, "tasks still run after {} s", RUN_WAIT.as_secs());
        std::thread::sleep(REST);
    }
    Ok(())
}
