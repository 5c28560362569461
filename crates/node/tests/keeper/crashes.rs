//! Every crash point of the node, visited: whoever passes it ends there, once, as by `kill -9`.
//!
//! A small control plane in a process of its own ([`control`]) wants one attempt to run; it is started
//! again when the crash was its own. Whatever crashed: the attempt ran at most once, its end is known, and
//! nothing of it is left.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use fastgpu_core::ids::{Fence, NodeId};
use fastgpu_core::node::{Delivery, Order, Report};
use fastgpu_node::{AgentHandle, CRASH_POINTS, StopKeeper};

use crate::Story;
use crate::support::{PATIENCE, Task, config, marked};

pub(crate) const STORIES: &[Story] = &[("every crash point is survived", every_crash_point_is_survived)];

/// How often each point is visited.
const VISITS: u32 = 3;
/// The word that makes this binary the small control plane.
pub(crate) const CONTROL: &str = "__control";
/// Asks it to let another attempt run first.
const WARM_UP: &str = "warm-up";

fn every_crash_point_is_survived() {
    for point in CRASH_POINTS {
        for visit in 0..VISITS {
            let (warm_up, passing) = way_to(point, visit);
            let home = tempfile::tempdir().unwrap();
            let passings = home.path().join("passings");
            let mut crashes = 0;
            let end = loop {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args([CONTROL, warm_up])
                    .arg(home.path())
                    .env("FASTGPU_CRASH_AT", format!("{point}:{passing}@{}", passings.display()))
                    .env("MARKER", "not for tasks")
                    .output()
                    .unwrap();
                if output.status.success() {
                    break String::from_utf8(output.stdout).unwrap();
                }
                crashes += 1;
                assert_eq!(output.status.signal(), Some(6), "{point}: {output:?}");
                assert!(crashes <= 1, "{point} crashed twice");
            };
            let passed = std::fs::read_to_string(&passings).unwrap_or_default().lines().count();
            assert!(passed >= passing, "{point} was passed {passed} times");
            let ran = std::fs::read_to_string(home.path().join("ran")).unwrap_or_default();
            assert!(ran.lines().count() <= 1, "{point}: it ran twice");
            assert!(end.contains("Code(3)") || end.contains("Infrastructure"), "{point}: {end}");
            if end.contains("Code(3)") {
                assert_eq!(ran, "once\n", "{point}, visit {visit}");
            }
            let marker = home.path().display().to_string();
            assert_eq!(marked(&marker), Vec::<i32>::new(), "{point}: something is left");
        }
    }
}

/// Whether an attempt before makes a guardian wait for the one that matters, and at which passing to crash.
fn way_to(point: &str, visit: u32) -> (&'static str, usize) {
    if point.contains("hand_over") || point.starts_with("guardian.next") {
        return (WARM_UP, 1);
    }
    let is_last = visit + 1 == VISITS;
    // Each of these is passed once for each attempt.
    match ["guardian.", "keeper.start", "keeper.exit"].iter().any(|part| point.starts_with(part)) {
        true if is_last => (WARM_UP, 2),
        _ => ("", 1),
    }
}

/// Wants one attempt to run, as a control plane does that remembers only its submission.
pub(crate) fn control(warm_up: &str, home: &Path) -> ExitCode {
    let (tell, reports) = channel();
    let agent = AgentHandle::start(config(home.join("data/node"), true, 1 << 20), move |_, report| {
        let _ = tell.send(report);
    });
    let agent = agent.unwrap();
    let script =
        format!("echo once >> {}; (setsid sleep 1000 &); sleep 0.02; exit 3", home.join("ran").display());
    let task = Task::sh(&script).env("MARKER", &home.display().to_string());
    let id = fastgpu_core::ids::TaskId::new(7).unwrap();
    let fence = Fence { attempt: 1, version: 1 };
    let first = fastgpu_core::ids::TaskId::new(6).unwrap();
    let deliver = |order, spec| agent.deliver(vec![Delivery { node: NodeId(0), order, spec }]);
    let launch = |task: Task, id| {
        let launch = fastgpu_core::node::Launch { task: id, fence, ..task.launch };
        deliver(Order::Launch(launch), Some(task.spec.into()));
    };
    let (warm, ended) = (home.join("warm"), home.join("ended"));
    if warm_up != WARM_UP {
        remember(&warm, "no need");
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wait = deadline.saturating_duration_since(Instant::now());
        let ends = match reports.recv_timeout(wait).expect("the node answers") {
            Report::Hello { attempts, .. } => {
                let is_held = |id| attempts.iter().any(|held| held.task == id);
                if ended.exists() && attempts.is_empty() {
                    break;
                } else if !warm.exists() && !is_held(first) {
                    launch(Task::new(&["true"]), first);
                } else if warm.exists() && !ended.exists() && !is_held(id) {
                    launch(Task { launch: task.launch.clone(), spec: task.spec.clone() }, id);
                }
                attempts.into_iter().filter_map(|held| Some((held.task, held.exit?))).collect()
            }
            Report::Exited { task, exit, .. } => vec![(task, exit)],
            _ => Vec::new(),
        };
        for (of, exit) in ends {
            remember(if of == id { &ended } else { &warm }, &format!("{exit:?}"));
            deliver(Order::Forget { task: of, attempt: 1 }, None);
            agent.hello();
        }
    }
    assert!(agent.stop_keeper(StopKeeper::KillAll, Duration::from_secs(20)), "the keeper leaves");
    agent.shutdown();
    println!("{}", std::fs::read_to_string(ended).unwrap());
    ExitCode::SUCCESS
}

fn remember(path: &Path, text: &str) {
    use std::io::Write;
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}
