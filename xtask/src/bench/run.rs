//! Tasks as real processes: how many a second, how soon the first instruction, how soon nothing is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::http::Connection;
use super::process::{self, Process};
use super::row::{Figure, Measured, Reach, quantile};
use super::server::{Server, id_of, wait_for_state};
use super::{Context, DEVICES, limits};
use crate::root::program;

const BATCH_TASKS: usize = 1_000;
/// At a hundredth of the pace that is wanted, the row would still end.
const ALL_ENDED_WAIT: Duration = Duration::from_secs(600);
const ONE_TASK_WAIT: Duration = Duration::from_secs(20);
/// Between two tasks of the idle rows, so that each finds an idle server.
const REST: Duration = Duration::from_millis(10);
const CHILDREN: usize = 20;
/// With a grace, what ignores SIGTERM is there for as long as it was granted, whatever we do.
const NO_GRACE: &str = r#"{"grace":0}"#;

/// `/bin/true` on all devices, from the first submit to the last end.
pub(super) fn true_on_8_slots(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    let mut connection = server.connect()?;
    let count = context.count(10_000);
    let one = r#"{"command":["/bin/true"],"gpu":1}"#;
    let body = format!("{{\"tasks\":[{}]}}", vec![one; BATCH_TASKS].join(","));
    let cpu_before: f64 = server.resident().iter().map(Process::cpu_s).sum();
    let began = Instant::now();
    let mut last = String::new();
    for _ in 0..count / BATCH_TASKS {
        let answer = connection.post("/v1/tasks:batch", &body)?;
        last = id_of(answer["items"].as_array().and_then(|items| items.last()).unwrap_or(&Value::Null))?;
    }
    let submitted_s = began.elapsed().as_secs_f64();
    wait_until_all_ended(&mut connection, &last)?;
    let took_s = began.elapsed().as_secs_f64();
    let cpu_s = server.resident().iter().map(Process::cpu_s).sum::<f64>() - cpu_before;
    let succeeded = count_in_state(&mut connection, "succeeded")?;
    ensure!(succeeded == count, "{succeeded} of {count} tasks succeeded");
    let figures = vec![
        Figure::new("tasks", count as f64 / took_s, "/s")
            .reach(Reach::AtLeast(1_400.0))
            .limit("/bin/true spawned and reaped/s, a thread per core", limits::spawns_per_s()),
        Figure::new("CPU of server and keeper for a task", cpu_s * 1e3 / count as f64, "ms"),
    ];
    Ok(Measured::of(figures)
        .note(format!(
            "{count} tasks in batches of {BATCH_TASKS}, submitted in {submitted_s:.2} s, all succeeded"
        ))
        .note("durable, with logs kept; guardians and tasks are not in the CPU figure"))
}

fn wait_until_all_ended(connection: &mut Connection, last: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + ALL_ENDED_WAIT;
    while Instant::now() < deadline {
        // The last of a queue in order of arrival ends among the last; only then is a listing worth its cost.
        if is_ended(&connection.get(&format!("/v1/tasks/{last}"))?) && live_tasks(connection)? == 0 {
            return Ok(());
        }
        std::thread::sleep(REST);
    }
    bail!("tasks still run after {} s", ALL_ENDED_WAIT.as_secs())
}

pub(super) fn is_ended(task: &Value) -> bool {
    matches!(task["state"].as_str(), Some("succeeded" | "failed" | "cancelled" | "timed_out"))
}

fn live_tasks(connection: &mut Connection) -> anyhow::Result<usize> {
    let mut live = 0;
    for state in ["queued", "starting", "running", "stopping"] {
        live += items(&connection.get(&format!("/v1/tasks?state={state}&limit=10"))?)?.len();
    }
    Ok(live)
}

pub(super) fn items(answer: &Value) -> anyhow::Result<&Vec<Value>> {
    answer["items"].as_array().with_context(|| format!("no items in {answer}"))
}

/// Walks the whole listing.
pub(super) fn count_in_state(connection: &mut Connection, state: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let page = connection.get(&format!("/v1/tasks?state={state}&limit=1000{cursor}"))?;
        count += items(&page)?.len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(count),
        }
    }
}

/// From before the submit to the first instructions of the task, one task at a time on an idle server.
pub(super) fn first_instruction(context: &Context) -> anyhow::Result<Measured> {
    let stamp = build_stamp(context)?;
    let server = Server::start(context, DEVICES)?;
    let mut connection = server.connect()?;
    let samples = context.count(500).max(100);
    let mut through_server_ms = Vec::new();
    let mut bare_ms = Vec::new();
    for number in 0..samples {
        let file = context.work.join(format!("stamp-{number}"));
        let body = json!({ "command": [&stamp, &file], "gpu": 1 }).to_string();
        let submitted = now_ns()?;
        let id = id_of(&connection.post("/v1/tasks", &body)?)?;
        through_server_ms.push(ms_between(submitted, read_stamp(&file)?));
        wait_for_state(&mut connection, &id, "succeeded")?;
        std::thread::sleep(REST);
        let spawned = now_ns()?;
        program(&stamp).arg(&file).status()?;
        bare_ms.push(ms_between(spawned, read_stamp(&file)?));
    }
    let bare = |bare_ms: &mut Vec<f64>, part| Ok(quantile(bare_ms, part));
    let figures = vec![
        Figure::new("p50", quantile(&mut through_server_ms, 0.5), "ms")
            .reach(Reach::AtMost(3.0))
            .limit("ms for the same program spawned directly", bare(&mut bare_ms, 0.5)),
        Figure::new("p99", quantile(&mut through_server_ms, 0.99), "ms")
            .reach(Reach::AtMost(10.0))
            .limit("ms for the same program spawned directly", bare(&mut bare_ms, 0.99)),
    ];
    Ok(Measured::of(figures).note(format!("{samples} tasks, one after the other, through the HTTP API")))
}

fn build_stamp(context: &Context) -> anyhow::Result<PathBuf> {
    let stamp = context.work.join("stamp");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = program(rustc)
        .args(["--edition", "2024", "-O", "-o"])
        .arg(&stamp)
        .arg(context.root.join("benches/stamp.rs"))
        .status()?;
    ensure!(built.success(), "benches/stamp.rs does not build");
    Ok(stamp)
}

/// Waits for the file and takes it away.
fn read_stamp(file: &Path) -> anyhow::Result<u128> {
    let deadline = Instant::now() + ONE_TASK_WAIT;
    while Instant::now() < deadline {
        if let Ok(text) = std::fs::read_to_string(file) {
            std::fs::remove_file(file)?;
            return Ok(text.parse()?);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    bail!("the task wrote nothing for {} s", ONE_TASK_WAIT.as_secs())
}

fn now_ns() -> anyhow::Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}

fn ms_between(from_ns: u128, to_ns: u128) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

/// From before the cancel to the moment when no process of the task is left, not even a zombie.
pub(super) fn cancel_to_nothing(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    let mut connection = server.connect()?;
    let samples = context.count(200).max(50);
    let mut gone_ms = Vec::new();
    for number in 0..samples {
        let mark = format!("{}-{number}", context.work.display());
        let id = id_of(&connection.post("/v1/tasks", &stubborn_task(&mark))?)?;
        let processes = wait_for_family(&format!("BENCH_MARK={mark}"))?;
        let began = Instant::now();
        connection.post(&format!("/v1/tasks/{id}/cancel"), NO_GRACE)?;
        wait_until_gone(&processes, began)?;
        gone_ms.push(began.elapsed().as_secs_f64() * 1e3);
        let left = process::with_environment(&format!("BENCH_MARK={mark}"));
        ensure!(left.is_empty(), "something of a cancelled task is left: {left:?}");
        wait_for_state(&mut connection, &id, "cancelled")?;
    }
    let figures = vec![
        Figure::new("p50", quantile(&mut gone_ms, 0.5), "ms"),
        Figure::new("p99", quantile(&mut gone_ms, 0.99), "ms").reach(Reach::AtMost(50.0)),
    ];
    Ok(Measured::of(figures).note(format!(
        "{samples} tasks, each with {CHILDREN} children in sessions of their own that ignore SIGTERM; no grace"
    )))
}

/// The first process ends when told to; what it left behind would go on for an hour.
fn stubborn_task(mark: &str) -> String {
    let script = format!(
        "(trap '' TERM; i=0; while [ $i -lt {CHILDREN} ]; do setsid sleep 3600 & i=$((i+1)); done); exec sleep 3600"
    );
    json!({ "command": ["/bin/sh", "-c", script], "gpu": 1, "env": { "BENCH_MARK": mark } }).to_string()
}

fn wait_for_family(mark: &str) -> anyhow::Result<Vec<Process>> {
    let deadline = Instant::now() + ONE_TASK_WAIT;
    while Instant::now() < deadline {
        let family = process::with_environment(mark);
        if family.iter().filter(|process| process.name == "sleep").count() == CHILDREN + 1 {
            return Ok(family);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("the task never had its {CHILDREN} children")
}

fn wait_until_gone(processes: &[Process], began: Instant) -> anyhow::Result<()> {
    while processes.iter().any(Process::is_there) {
        ensure!(began.elapsed() < ONE_TASK_WAIT, "something of the task is still there");
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
