//! One guardian, one attempt after another: the next finds nothing of the one before.

use std::time::Duration;

use fastgpu_core::ids::{Fence, NodeId, TaskId};
use fastgpu_core::node::{Delivery, ExitKind, Order};
use fastgpu_core::units::Millis;

use crate::Story;
use crate::restarts::guardian_of;
use crate::support::{Node, Task, kill, marked, processes, wait_for};

pub(crate) const STORIES: &[Story] = &[
    ("a guardian serves one attempt after another", a_guardian_serves_one_attempt_after_another),
    ("a daemon is dead before its guardian serves the next attempt", || {
        a_daemon_is_dead_before_the_next_attempt(Node::new());
    }),
    ("a daemon is dead before its guardian serves the next attempt, without groups", || {
        a_daemon_is_dead_before_the_next_attempt(Node::without_cgroups());
    }),
    ("the next attempt of a guardian finds nothing of the one before", the_next_attempt_finds_nothing),
    ("a stop of the attempt before does not end the next", a_late_stop_harms_nobody),
    ("a stop right behind a launch to a waiting guardian is not lost", a_stop_behind_a_hand_over),
    ("a time limit ends with its attempt", a_time_limit_ends_with_its_attempt),
    ("a guardian killed between two attempts harms neither", a_guardian_killed_between_two_attempts),
    ("waiting guardians go with their keeper", waiting_guardians_go_with_their_keeper),
    ("a guardian that outlives its keeper ends with its attempt", a_guardian_without_keeper_ends),
    ("a launch too long for a message is forked", a_long_launch_is_forked),
];

/// Runs an attempt to its end; says who looked after it.
fn run(node: &mut Node, script: &str, end: ExitKind) -> (TaskId, i32) {
    let task = node.launch(Task::sh(script));
    assert_eq!(node.how(task), end, "{script}");
    (task, guardian_of(node, task))
}

/// The guardians of this node that wait.
fn waiting(node: &Node) -> Vec<i32> {
    let dir = node.dir.to_str().unwrap();
    let reads =
        |pid: i32, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let mut all = processes();
    all.retain(|&pid| reads(pid, "comm").trim() == "fastgpu-idle" && reads(pid, "cmdline").contains(dir));
    all
}

fn a_guardian_serves_one_attempt_after_another() {
    let mut node = Node::new();
    let (first, guardian) = run(&mut node, "echo one; echo uno >&2; exit 3", ExitKind::Code(3));
    let (second, same) = run(&mut node, "echo two; echo due >&2; exit 4", ExitKind::Code(4));
    assert_eq!(guardian, same);
    assert_eq!(node.log(first), ("one\n".to_owned(), "uno\n".to_owned()));
    assert_eq!(node.log(second), ("two\n".to_owned(), "due\n".to_owned()));
    let spec_error = node.launch(Task::new(&["no-such-program"]));
    assert!(matches!(node.how(spec_error), ExitKind::BadSpec(_)));
    let (_, still) = run(&mut node, "kill -9 $$", ExitKind::Signal(9));
    assert_eq!((guardian_of(&node, spec_error), still), (guardian, guardian));
}

fn a_daemon_is_dead_before_the_next_attempt(mut node: Node) {
    let marker = format!("{:?}", node.dir);
    let daemons = "trap '' TERM; (setsid setsid sh -c \"trap '' TERM HUP; sleep 1000\" &); \
                   (setsid sleep 1000 >/dev/null 2>&1 &); exit 3";
    for _ in 0..5 {
        let first = node.launch(Task::sh(daemons).env("MARKER", &marker));
        // Behind it in the same breath: it runs as soon as a guardian is free.
        assert_eq!(node.how(first), ExitKind::Code(3));
        let look = format!("grep -slz 'MARKER={marker}' /proc/[0-9]*/environ && exit 1; exit 0");
        let (_, guardian) = run(&mut node, &look, ExitKind::Code(0));
        assert_eq!(guardian, guardian_of(&node, first));
        assert_eq!(marked(&marker), Vec::<i32>::new());
    }
}

fn the_next_attempt_finds_nothing() {
    let mut node = Node::new();
    let spoil = "umask 0; ulimit -n 20; cd /; export LEFT=1; trap '' HUP INT; exec 7>/dev/null; sleep 0.01";
    let (_, guardian) = run(&mut node, spoil, ExitKind::Code(0));
    let look = "umask; ulimit -c; ls /proc/self/fd | wc -l; env | grep -c LEFT; pwd; \
                grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let script = format!("{{ {look}; }} | tr '\\n' ' '");
    let (reused, same) = run(&mut node, &script, ExitKind::Code(0));
    assert_eq!(guardian, same);
    // What a guardian of its own gives.
    kill(guardian);
    let path = format!("/proc/{guardian}");
    wait_for("the keeper to notice", || (!std::path::Path::new(&path).exists()).then_some(()));
    let (fresh, other) = run(&mut node, &script, ExitKind::Code(0));
    assert_ne!(guardian, other);
    let without_name = |task: TaskId| node.stdout(task).replace(&task.to_string(), "ID");
    assert_eq!(without_name(reused), without_name(fresh));
}

fn a_late_stop_harms_nobody() {
    let mut node = Node::new();
    for round in 0..40u64 {
        let first = node.launch(Task::sh(&format!("sleep 0.0{}", round % 10)));
        node.started(first);
        std::thread::sleep(Duration::from_millis(round % 10 * 10));
        let next = Task::sh("sleep 0.02; exit 7");
        let id = next.launch.task;
        let stop = Order::Stop { task: first, fence: Fence { attempt: 1, version: 1 }, grace: Millis(0) };
        node.agent.deliver(vec![
            Delivery { node: NodeId(0), order: stop, spec: None },
            Delivery { node: NodeId(0), order: Order::Launch(next.launch), spec: Some(next.spec.into()) },
        ]);
        assert!(matches!(node.how(first), ExitKind::Code(0) | ExitKind::Signal(9)));
        assert_eq!(node.how(id), ExitKind::Code(7), "round {round}");
    }
}

fn a_stop_behind_a_hand_over() {
    let mut node = Node::new();
    for _ in 0..20 {
        let (_, guardian) = run(&mut node, "exit 0", ExitKind::Code(0));
        let task = node.launch(Task::new(&["sleep", "1000"]));
        node.stop(task, Duration::ZERO);
        assert_eq!(node.how(task), ExitKind::Signal(9));
        assert_eq!(guardian_of(&node, task), guardian);
    }
}

fn a_time_limit_ends_with_its_attempt() {
    let mut node = Node::new();
    let mut limited = Task::sh("exit 0");
    limited.launch.time_limit = Some(Millis(200));
    let limited = node.launch(limited);
    assert_eq!(node.how(limited), ExitKind::Code(0));
    let (_, same) = run(&mut node, "sleep 0.5; exit 5", ExitKind::Code(5));
    assert_eq!(same, guardian_of(&node, limited));
}

fn a_guardian_killed_between_two_attempts() {
    let mut node = Node::new();
    let mut killed = 0;
    for round in 0..10 {
        let (before, guardian) = run(&mut node, "echo said; exit 3", ExitKind::Code(3));
        if round % 2 == 0 {
            wait_for("it waits", || waiting(&node).contains(&guardian).then_some(()));
        }
        kill(guardian);
        // The keeper may not know yet, and may have given it the next one: then that one never ran.
        let next = node.launch(Task::sh("echo ran; exit 4"));
        match node.how(next) {
            ExitKind::Code(4) => assert_eq!(node.stdout(next), "ran\n"),
            ExitKind::Infrastructure(_) => {
                killed += 1;
                assert_eq!(node.stdout(next), "");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(node.how(before), ExitKind::Code(3));
        assert_eq!(node.stdout(before), "said\n");
    }
    assert!(killed < 10, "a keeper notices");
}

fn waiting_guardians_go_with_their_keeper() {
    let mut node = Node::new();
    let together: Vec<TaskId> = (0..4).map(|_| node.launch(Task::sh("sleep 0.1"))).collect();
    together.iter().for_each(|&task| assert_eq!(node.how(task), ExitKind::Code(0)));
    wait_for("four wait", || (waiting(&node).len() == 4).then_some(()));
    let before = waiting(&node);
    let held = node.replace_keeper();
    assert!(together.iter().all(|task| held[task].exit.is_some()), "{held:?}");
    wait_for("they leave", || (!waiting(&node).iter().any(|pid| before.contains(pid))).then_some(()));
    run(&mut node, "exit 6", ExitKind::Code(6));
}

fn a_guardian_without_keeper_ends() {
    let mut node = Node::new();
    let (_, guardian) = run(&mut node, "exit 0", ExitKind::Code(0));
    let task = node.launch(Task::sh("sleep 0.5; echo late; exit 9"));
    node.started(task);
    assert_eq!(guardian_of(&node, task), guardian);
    let held = node.replace_keeper();
    assert!(
        held[&task].exit.is_none() || held[&task].exit.as_ref().is_some_and(|e| e.how == ExitKind::Code(9))
    );
    assert_eq!(node.how(task), ExitKind::Code(9));
    assert_eq!(node.stdout(task), "late\n");
    wait_for("its end", || (!processes().contains(&guardian)).then_some(()));
}

fn a_long_launch_is_forked() {
    let mut node = Node::new();
    let (_, guardian) = run(&mut node, "exit 0", ExitKind::Code(0));
    let task = node.launch(Task::sh("echo ${#LONG}").env("LONG", &"x".repeat(100_000)));
    assert_eq!(node.how(task), ExitKind::Code(0));
    assert_eq!(node.stdout(task), "100000\n");
    assert_ne!(guardian_of(&node, task), guardian);
}
