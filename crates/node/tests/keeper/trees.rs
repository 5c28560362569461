//! Nothing of a task survives it, whatever it tries.

use std::time::{Duration, Instant};

use fastgpu_core::node::ExitKind;

use crate::Story;
use crate::restarts::guardian_of;
use crate::support::{Node, PATIENCE, Task, kill, marked, processes, wait_for};

pub(crate) const STORIES: &[Story] = &[
    ("a stubborn tree is killed by its group", || a_stubborn_tree_is_killed(Node::new())),
    ("a stubborn tree is killed without groups", || a_stubborn_tree_is_killed(Node::without_cgroups())),
    ("a group that was killed harms nobody after", a_group_that_was_killed_harms_nobody_after),
    ("a daemon ends with its task", || a_daemon_ends_with_its_task(Node::new())),
    ("a daemon ends with its task, without groups", || a_daemon_ends_with_its_task(Node::without_cgroups())),
    ("a stopped process is killed as well", || a_stopped_process_is_killed(Node::without_cgroups())),
    ("a tree that forks all the time is killed", || a_forking_tree_is_killed(Node::without_cgroups())),
    ("a tree dies with its guardian", || a_tree_dies_with_its_guardian(Node::new())),
    (
        "what forgot its environment dies with its guardian",
        what_forgot_its_environment_dies_with_its_guardian,
    ),
    ("a tree dies with its guardian, without groups", || {
        a_tree_dies_with_its_guardian(Node::without_cgroups());
    }),
];

/// Sessions of their own, forked twice, deaf to every polite signal.
const STUBBORN: &str = "trap '' TERM HUP INT; \
    for i in 1 2 3 4 5; do (setsid sh -c \"trap '' TERM HUP INT; sleep 1000 & sleep 1000\" &) & done; \
    (setsid setsid sleep 1000 &); echo up; while :; do sleep 1000; done";

fn a_stubborn_tree_is_killed(mut node: Node) {
    let marker = format!("{:?}", node.dir);
    let task = node.launch(Task::sh(STUBBORN).env("MARKER", &marker));
    wait_for("the tree", || (marked(&marker).len() >= 17).then_some(()));
    let asked = Instant::now();
    node.stop(task, Duration::from_millis(100));
    assert_eq!(node.how(task), ExitKind::Signal(9));
    assert_eq!(marked(&marker), Vec::<i32>::new(), "nothing is left when the end is reported");
    assert!(asked.elapsed() >= Duration::from_millis(100));
    assert!(asked.elapsed() < PATIENCE / 3);
}

fn a_group_that_was_killed_harms_nobody_after() {
    let mut node = Node::new();
    for round in 0..5 {
        let task = node.launch(Task::new(&["sleep", "1000"]));
        node.started(task);
        if round % 2 == 0 {
            node.stop(task, Duration::ZERO);
        } else {
            kill(guardian_of(&node, task));
        }
        node.exit(task);
        let task = node.launch(Task::sh("sleep 0.02; exit 5"));
        assert_eq!(node.how(task), ExitKind::Code(5));
    }
}

fn a_daemon_ends_with_its_task(mut node: Node) {
    let marker = format!("{:?}", node.dir);
    let script =
        "(setsid sh -c \"trap '' TERM; sleep 1000\" &); (setsid sleep 1000 >/dev/null 2>&1 &); exit 3";
    let task = node.launch(Task::sh(script).env("MARKER", &marker));
    assert_eq!(node.how(task), ExitKind::Code(3));
    assert_eq!(marked(&marker), Vec::<i32>::new());
}

fn a_stopped_process_is_killed(mut node: Node) {
    let marker = format!("{:?}", node.dir);
    let task = node.launch(Task::sh("sh -c 'kill -STOP $$'; sleep 1000").env("MARKER", &marker));
    wait_for("the tree", || (marked(&marker).len() == 2).then_some(()));
    node.stop(task, Duration::from_millis(20));
    node.exit(task);
    assert_eq!(marked(&marker), Vec::<i32>::new());
}

fn a_forking_tree_is_killed(mut node: Node) {
    let marker = format!("{:?}", node.dir);
    // Each process replaces itself by another one, for ever.
    let script = "f() { trap '' TERM; (sleep 0.001; f) & }; f; f; f; wait";
    let task = node.launch(Task::sh(script).env("MARKER", &marker));
    node.started(task);
    node.stop(task, Duration::from_millis(50));
    node.exit(task);
    assert_eq!(marked(&marker), Vec::<i32>::new());
}

fn a_tree_dies_with_its_guardian(mut node: Node) {
    let marker = format!("{:?}", node.dir);
    let task = node.launch(Task::sh(STUBBORN).env("MARKER", &marker));
    wait_for("the tree", || (marked(&marker).len() >= 17).then_some(()));
    kill(guardian_of(&node, task));
    assert_eq!(node.how(task), ExitKind::Infrastructure("the attempt's guardian vanished".into()));
    assert_eq!(marked(&marker), Vec::<i32>::new());
}

fn what_forgot_its_environment_dies_with_its_guardian() {
    let mut node = Node::without_cgroups();
    let go = node.dir.parent().unwrap().parent().unwrap().join("go");
    let other = node.launch(Task::sh(&format!("until [ -e {} ]; do sleep 0.01; done; exit 3", go.display())));
    node.started(other);
    for round in 0..3 {
        // A length of sleep that nobody else has: all that these processes can be known by.
        let length = format!("1000.{}{round}", std::process::id());
        let sleepers = || {
            let sleeps = |pid: &i32| {
                let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                words.starts_with("sleep\0") && words.contains(&length)
            };
            processes().into_iter().filter(sleeps).count()
        };
        let script = format!(
            "(env -i setsid sleep {length} &); env -i setsid sleep {length} &
             env -i setsid sh -c \"trap '' TERM HUP; (setsid sleep {length} &); sleep {length}; :\" &
             sleep 1000"
        );
        let task = node.launch(Task::sh(&script));
        wait_for("the sleepers", || (sleepers() == 4).then_some(()));
        kill(guardian_of(&node, task));
        assert_eq!(node.how(task), ExitKind::Infrastructure("the attempt's guardian vanished".into()));
        assert_eq!(sleepers(), 0, "nothing is left when the end is reported");
    }
    std::fs::write(go, "").unwrap();
    assert_eq!(node.how(other), ExitKind::Code(3), "nobody else was harmed");
}
