//! How fast one node starts and ends `/bin/true`, what that costs, and how large a guardian is.
//!
//! `cargo run --release -p fastgpu-node --example spawn_rate [tasks] [slots] [nogroups] [only]`; with `only`, nothing is
//! measured but the rate.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use fastgpu_core::ask::GrantPart;
use fastgpu_core::ids::{Fence, NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Delivery, Inventory, Launch, Order, Report};
use fastgpu_core::spec::Spec;
use fastgpu_core::units::{CpuMilli, MemoryMib, Millis};
use fastgpu_node::{AgentConfig, AgentHandle, StopKeeper};

#[expect(clippy::print_stdout, reason = "a measurement for a person")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder] = &arguments[..]
        && word == "__keeper"
    {
        return fastgpu_node::keeper::main(Path::new(folder));
    }
    let number = |index: usize, default| arguments.get(index).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (tasks, slots): (u64, u64) = (number(0, 10_000), number(1, 8));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (agent, reports) = start(folder.path(), !arguments.iter().any(|a| a == "nogroups"));

    let (begin, cpu) = (Instant::now(), cpu_seconds());
    run(&agent, &reports, tasks, slots);
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let count = f64::from(u32::try_from(tasks).unwrap_or(u32::MAX));
    println!(
        "{tasks} x /bin/true, {slots} slots: {:.0}/s, {:.3} ms of CPU each",
        count / wall,
        cpu / count * 1e3
    );

    if arguments.iter().any(|a| a == "only") {
        return end(&agent);
    }
    let mut waits: Vec<Duration> = (0..500)
        .map(|index| {
            let begin = Instant::now();
            agent.deliver(vec![launch(1_000_000_000 + index, "/bin/true")]);
            wait(&reports, |report| matches!(report, Report::Started { .. }));
            let waited = begin.elapsed();
            wait(&reports, |report| matches!(report, Report::Exited { .. }));
            waited
        })
        .collect();
    waits.sort_unstable();
    println!("order to start seen, idle: p50 {:?}, p99 {:?}", waits[250], waits[495]);

    let mut ends: Vec<Duration> =
        (0..200).map(|index| cancel(&agent, &reports, 3_000_000_000 + index)).collect();
    ends.sort_unstable();
    println!("cancel of a tree without grace to nothing left: p50 {:?}, p99 {:?}", ends[100], ends[198]);

    let held: Vec<Delivery> = (0..64).map(|index| sleeping(2_000_000_000 + index)).collect();
    agent.deliver(held);
    for _ in 0..64 {
        wait(&reports, |report| matches!(report, Report::Started { .. }));
    }
    // A guardian makes itself small when its task has run for a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let (guards, keepers) = (pss_kib("fastgpu-guard"), pss_kib("fastgpu-keeper"));
    let mean = guards.iter().sum::<u64>() / guards.len().max(1) as u64;
    println!(
        "{} guardians, PSS mean {mean} KiB, largest {:?} KiB; keeper {keepers:?} KiB",
        guards.len(),
        guards.iter().max()
    );
    end(&agent)
}

fn end(agent: &AgentHandle) -> ExitCode {
    let left = agent.stop_keeper(StopKeeper::KillAll, Duration::from_secs(30));
    agent.shutdown();
    if left { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(folder: &Path, use_cgroups: bool) -> (AgentHandle, Receiver<Report>) {
    let (tell, reports) = channel();
    let config = AgentConfig {
        node: NodeId(0),
        node_dir: folder.join("node"),
        keeper_command: vec![std::env::current_exe().expect("a program").into(), "__keeper".into()],
        base_env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        hide: vec![folder.to_path_buf()],
        use_cgroups,
        log_bytes_max: 64 << 20,
        inventory: Inventory::of("here", []),
        software: None,
        looker: None,
    };
    let agent = AgentHandle::start(config, move |_, report| {
        let _ = tell.send(report);
    });
    let agent = agent.expect("the agent starts");
    wait(&reports, |report| matches!(report, Report::Hello { .. }));
    (agent, reports)
}

fn run(agent: &AgentHandle, reports: &Receiver<Report>, tasks: u64, slots: u64) {
    agent.deliver((0..slots.min(tasks)).map(|index| launch(index, "/bin/true")).collect());
    let (mut next, mut ended) = (slots.min(tasks), 0);
    while ended < tasks {
        let first = reports.recv_timeout(Duration::from_secs(30)).expect("a report");
        let mut orders = Vec::new();
        for report in std::iter::once(first).chain(reports.try_iter()) {
            let Report::Exited { task, fence, .. } = report else { continue };
            ended += 1;
            orders.push(Delivery {
                node: NodeId(0),
                order: Order::Forget { task, attempt: fence.attempt },
                spec: None,
            });
            if next < tasks {
                orders.push(launch(next, "/bin/true"));
                next += 1;
            }
        }
        agent.deliver(orders);
    }
}

fn wait(reports: &Receiver<Report>, wanted: impl Fn(&Report) -> bool) {
    while !wanted(&reports.recv_timeout(Duration::from_secs(30)).expect("a report")) {}
}

/// How long it takes until nothing is left of a program with a daemon.
fn cancel(agent: &AgentHandle, reports: &Receiver<Report>, task: u64) -> Duration {
    let mut delivery = launch(task, "/bin/sh");
    let script = "(setsid sleep 1000 &); (setsid sleep 1000 &); echo up; sleep 1000";
    let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    delivery.spec = Some(Arc::new(Spec { command, ..Spec::default() }));
    agent.deliver(vec![delivery]);
    let id = TaskId::new(task).expect("small");
    wait(reports, |report| matches!(report, Report::Started { task, .. } if *task == id));
    std::thread::sleep(Duration::from_millis(10));
    let begin = Instant::now();
    let order = Order::Stop { task: id, fence: Fence { attempt: 1, version: 1 }, grace: Millis(0) };
    agent.deliver(vec![Delivery { node: NodeId(0), order, spec: None }]);
    wait(reports, |report| matches!(report, Report::Exited { task, .. } if *task == id));
    begin.elapsed()
}

fn sleeping(task: u64) -> Delivery {
    let mut delivery = launch(task, "/bin/sleep");
    let command = vec!["/bin/sleep".to_owned(), "1000".to_owned()];
    delivery.spec = Some(Arc::new(Spec { command, ..Spec::default() }));
    delivery
}

fn launch(task: u64, command: &str) -> Delivery {
    let part = GrantPart { node: NodeId(0), cpu: CpuMilli(0), host_memory: MemoryMib(0), slices: Vec::new() };
    let launch = Launch {
        task: TaskId::new(task).expect("small"),
        fence: Fence { attempt: 1, version: 1 },
        part,
        spec: SpecHash([0; 32]),
        time_limit: None,
        stop_grace: Millis(1_000),
        project: "default".into(),
        name: None,
    };
    let spec = Spec { command: vec![command.to_owned()], ..Spec::default() };
    Delivery { node: NodeId(0), order: Order::Launch(launch), spec: Some(Arc::new(spec)) }
}

/// Of the whole machine, in user and system mode.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    fields.iter().take(3).chain(fields.iter().skip(5).take(2)).sum::<f64>() / 100.0
}

fn pss_kib(comm: &str) -> Vec<u64> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| {
            std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == comm)
        })
        .filter_map(|entry| {
            let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).ok()?;
            rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok())
        })
        .collect()
}
