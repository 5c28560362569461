//! What stays in memory, what it costs to do nothing, and how fast a killed server is back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::process::Process;
use super::row::{Figure, Measured, Reach, quantile};
use super::run::items;
use super::server::Server;
use super::submit::fill_queue;
use super::{Context, DEVICES};

/// Long enough for what happens once a second to show.
const IDLE_SPAN: Duration = Duration::from_secs(10);
/// After a burst, until buffers are given back and the last commit is over.
const SETTLE: Duration = Duration::from_secs(2);
const QUEUED: usize = 100_000;
const ADOPTED: usize = 64;
const ADOPTION_WAIT: Duration = Duration::from_secs(30);

pub(super) fn memory(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    std::thread::sleep(SETTLE);
    let idle = server.resident();
    let (idle_rss, idle_pss) = (rss_mib(&idle), pss_mib(&idle)?);
    let queued = context.count(QUEUED);
    fill_queue(&server, queued)?;
    std::thread::sleep(SETTLE);
    let full = server.resident();
    let (full_rss, full_pss) = (rss_mib(&full), pss_mib(&full)?);
    let mut queued_rss = Figure::new(format!("{queued} queued, RSS"), full_rss, "MiB");
    if queued == QUEUED {
        queued_rss = queued_rss.reach(Reach::AtMost(150.0));
    }
    let figures = vec![
        Figure::new("idle, RSS of server and keeper", idle_rss, "MiB").reach(Reach::AtMost(25.0)),
        Figure::new("idle, PSS", idle_pss, "MiB"),
        queued_rss,
        Figure::new(format!("{queued} queued, PSS"), full_pss, "MiB"),
        Figure::new("for a queued task", (full_rss - idle_rss) * 1024.0 / queued as f64, "KiB"),
    ];
    Ok(Measured::of(figures).note("separate tasks of 200 bytes each, all devices taken").note(names(&idle)))
}

pub(super) fn idle_cpu(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    std::thread::sleep(SETTLE);
    let resident = server.resident();
    let spent = || resident.iter().map(Process::cpu_s).sum::<f64>();
    let (before, began) = (spent(), Instant::now());
    std::thread::sleep(IDLE_SPAN);
    let percent = (spent() - before) / began.elapsed().as_secs_f64() * 100.0;
    let figure = Figure::new("of a core, server and keeper", percent, "%").reach(Reach::AtMost(0.5));
    Ok(Measured::of(vec![figure]).note("the kernel counts in steps of 10 ms, which is 0.1 % here"))
}

pub(super) fn guardian(context: &Context) -> anyhow::Result<Measured> {
    let server = Server::start(context, DEVICES)?;
    run_sleepers(&server, DEVICES, 1.0)?;
    std::thread::sleep(SETTLE);
    let guardians: Vec<Process> = server.processes().into_iter().filter(Process::is_guardian).collect();
    ensure!(guardians.len() == DEVICES, "{} guardians for {DEVICES} tasks", guardians.len());
    let mut pss_kib: Vec<f64> = guardians.iter().filter_map(|g| g.pss_kib()).map(|kib| kib as f64).collect();
    ensure!(pss_kib.len() == DEVICES, "the kernel does not tell the PSS");
    let figures = vec![
        Figure::new("PSS, median", quantile(&mut pss_kib, 0.5), "KiB").reach(Reach::AtMost(300.0)),
        Figure::new("PSS, largest", quantile(&mut pss_kib, 1.0), "KiB"),
    ];
    Ok(Measured::of(figures).note(format!("{DEVICES} running tasks, one guardian each")))
}

pub(super) fn restart(context: &Context) -> anyhow::Result<Measured> {
    let queued = context.count(QUEUED);
    let mut server = Server::start(context, DEVICES)?;
    fill_queue(&server, queued)?;
    let mut took_s = Vec::new();
    for _ in 0..3 {
        server.kill()?;
        took_s.push(server.restart()?.as_secs_f64());
    }
    let mut figure =
        Figure::new(format!("{queued} live tasks, median of 3"), quantile(&mut took_s, 0.5), "s");
    if queued == QUEUED {
        figure = figure.reach(Reach::AtMost(1.0));
    }
    Ok(Measured::of(vec![figure]).note("from kill -9 and start to the first answer that it is ready"))
}

/// Server and keeper die; every task must be back under control, and none of them may have noticed.
pub(super) fn adoption(context: &Context) -> anyhow::Result<Measured> {
    let mut server = Server::start(context, DEVICES)?;
    run_sleepers(&server, ADOPTED, DEVICES as f64 / ADOPTED as f64)?;
    let guardians_before = guardian_pids(&server);
    server.kill()?;
    for keeper in server.resident() {
        super::server::signal(&keeper, rustix::process::Signal::KILL);
    }
    let began = Instant::now();
    server.restart()?;
    wait_until_node_is_ready(&server, began)?;
    let took_s = began.elapsed().as_secs_f64();
    ensure!(guardian_pids(&server) == guardians_before, "some guardians changed");
    let mut connection = server.connect()?;
    let page = connection.get("/v1/tasks?state=running&limit=100")?;
    let first_attempts = items(&page)?.iter().filter(|task| task["attempt"] == 1).count();
    ensure!(first_attempts == ADOPTED, "{first_attempts} of {ADOPTED} tasks run in their first attempt");
    // Only who has a task under control can end it.
    for task in items(&page)? {
        let id = task["id"].as_str().context("a task without an id")?;
        connection.post(&format!("/v1/tasks/{id}/cancel"), r#"{"grace":0}"#)?;
    }
    while !items(&connection.get("/v1/tasks?state=running,stopping&limit=1")?)?.is_empty() {
        ensure!(began.elapsed() < ADOPTION_WAIT, "what was adopted cannot be ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended_s = began.elapsed().as_secs_f64();
    let figures = vec![
        Figure::new(format!("{ADOPTED} running tasks"), took_s, "s").reach(Reach::AtMost(2.0)),
        Figure::new("and all of them cancelled", ended_s, "s"),
    ];
    Ok(Measured::of(figures)
        .note("server and keeper killed with -9; until the node is ready again with all of them"))
}

fn wait_until_node_is_ready(server: &Server, began: Instant) -> anyhow::Result<()> {
    let mut connection = server.connect()?;
    let mut state = Value::Null;
    while began.elapsed() < ADOPTION_WAIT {
        state = items(&connection.get("/v1/nodes")?)?.first().context("no node")?["state"].clone();
        if state == "ready" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the node is {state} and not ready after {} s", ADOPTION_WAIT.as_secs())
}

fn guardian_pids(server: &Server) -> Vec<i32> {
    let mut pids: Vec<i32> = server.processes().iter().filter(|p| p.is_guardian()).map(|p| p.pid).collect();
    pids.sort_unstable();
    pids
}

/// Tasks that do nothing for an hour, all running when this returns.
fn run_sleepers(server: &Server, count: usize, gpu: f64) -> anyhow::Result<()> {
    let mut connection = server.connect()?;
    let one = format!(r#"{{"command":["/bin/sleep","3600"],"gpu":{gpu}}}"#);
    connection.post("/v1/tasks:batch", &format!("{{\"tasks\":[{}]}}", vec![one; count].join(",")))?;
    let began = Instant::now();
    while began.elapsed() < ADOPTION_WAIT {
        if items(&connection.get("/v1/tasks?state=running&limit=100")?)?.len() == count {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("{count} tasks never ran at once")
}

fn rss_mib(processes: &[Process]) -> f64 {
    processes.iter().map(Process::rss_kib).sum::<u64>() as f64 / 1024.0
}

fn pss_mib(processes: &[Process]) -> anyhow::Result<f64> {
    let kib: Option<u64> = processes.iter().map(Process::pss_kib).sum();
    Ok(kib.context("the kernel does not tell the PSS")? as f64 / 1024.0)
}

fn names(processes: &[Process]) -> String {
    let each = processes.iter().map(|process| format!("{} {} KiB", process.name, process.rss_kib()));
    format!("processes: {}", each.collect::<Vec<_>>().join(", "))
}
