//! Server, keeper and guardian may be killed at any moment.

use std::time::Duration;

use fastgpu_core::ids::TaskId;
use fastgpu_core::node::{ExitKind, Report};

use crate::Story;
use crate::support::{Node, Task, kill, wait_for};

pub(crate) const STORIES: &[Story] = &[
    ("a task outlives the agent", a_task_outlives_the_agent),
    ("a task outlives its keeper, log and code complete", a_task_outlives_its_keeper),
    ("a task that ends while nobody looks is reported", a_task_that_ends_unseen_is_reported),
    ("a stop reaches an adopted task", a_stop_reaches_an_adopted_task),
    ("many tasks are adopted at once", many_tasks_are_adopted_at_once),
    ("a keeper of another version makes room", a_keeper_of_another_version_makes_room),
    ("records that are torn or rubbish stop nothing", torn_records_stop_nothing),
    ("a killed guardian fails its attempt alone", a_killed_guardian_fails_its_attempt_alone),
    ("a keeper that does not answer is told of, and waited for", a_keeper_that_does_not_answer_is_waited_for),
    ("a keeper that nobody needs leaves by itself", a_keeper_that_nobody_needs_leaves),
    (
        "a keeper that is let go stays for its tasks and for whoever comes",
        a_released_keeper_stays_where_needed,
    ),
];

/// The pid in the attempt's record.
pub(crate) fn guardian_of(node: &Node, task: TaskId) -> i32 {
    let record = std::fs::read_to_string(node.attempt_dir(task).join("record")).unwrap();
    // The last one: the one before ended before it got the attempt.
    let line = record.lines().rfind(|line| line.contains("guardian")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    i32::try_from(line["guardian"]["pid"].as_i64().unwrap()).unwrap()
}

/// A task that counts until the file `go` appears, then ends with 12.
fn counting(node: &Node) -> (Task, std::path::PathBuf) {
    let go = node.dir.parent().unwrap().parent().unwrap().join("go");
    let script = format!(
        "i=0; until [ -e {} ]; do i=$((i+1)); echo $i; sleep 0.005; done; echo done; exit 12",
        go.display()
    );
    (Task::sh(&script), go)
}

fn check_counting(stdout: &str) {
    let lines: Vec<&str> = stdout.lines().collect();
    let (last, numbers) = lines.split_last().unwrap();
    assert_eq!(*last, "done");
    for (index, line) in numbers.iter().enumerate() {
        assert_eq!(*line, (index + 1).to_string());
    }
}

fn a_task_outlives_the_agent() {
    let mut node = Node::new();
    let (task, go) = counting(&node);
    let task = node.launch(task);
    node.started(task);
    let mut node = node.restart_agent();
    let held = node.next_hello();
    assert!(held[&task].started.is_some() && held[&task].exit.is_none());
    std::fs::write(go, "").unwrap();
    assert_eq!(node.how(task), ExitKind::Code(12));
    check_counting(&node.stdout(task));
}

fn a_task_outlives_its_keeper() {
    let mut node = Node::new();
    let (task, go) = counting(&node);
    let task = node.launch(task);
    node.started(task);
    node.hello();
    for _ in 0..3 {
        let held = node.replace_keeper();
        assert!(held[&task].started.is_some() && held[&task].exit.is_none());
    }
    std::fs::write(go, "").unwrap();
    assert_eq!(node.how(task), ExitKind::Code(12));
    check_counting(&node.stdout(task));
    assert!(node.count(|r| matches!(r, Report::Exited { task: which, .. } if *which == task)) <= 1);
}

fn a_task_that_ends_unseen_is_reported() {
    let mut node = Node::new();
    let task = node.launch(Task::sh("sleep 0.05; echo bye; exit 2"));
    node.started(task);
    kill(node.keeper_pid());
    let exit = wait_for("the end", || node.hello().get(&task).and_then(|held| held.exit.clone()));
    assert_eq!(exit.how, ExitKind::Code(2));
    assert_eq!(node.stdout(task), "bye\n");
    node.forget(task);
    node.holds_nothing();
}

fn a_stop_reaches_an_adopted_task() {
    let mut node = Node::new();
    let task = node.launch(Task::sh("trap '' TERM; (setsid sleep 1000 &); while :; do sleep 1; done"));
    node.started(task);
    node.replace_keeper();
    node.stop(task, Duration::from_millis(50));
    assert_eq!(node.how(task), ExitKind::Signal(9));
}

fn many_tasks_are_adopted_at_once() {
    let mut node = Node::new();
    let tasks: Vec<_> = (0..64).map(|_| node.launch(Task::new(&["sleep", "1000"]))).collect();
    tasks.iter().for_each(|&task| node.started(task));
    node.hello();
    let begin = std::time::Instant::now();
    let held = node.replace_keeper();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(held.values().filter(|held| held.started.is_some() && held.exit.is_none()).count(), 64);
    tasks.iter().for_each(|&task| node.stop(task, Duration::ZERO));
    for task in tasks {
        assert_eq!(node.how(task), ExitKind::Signal(9));
    }
}

fn a_keeper_of_another_version_makes_room() {
    use std::io::Write;
    let mut node = Node::new();
    let (task, go) = counting(&node);
    let task = node.launch(task);
    node.started(task);
    let keeper = node.keeper_pid();
    // The path is longer than a socket's address may be.
    let folder = std::fs::File::open(&node.dir).unwrap();
    let path = format!("/proc/self/fd/{}/keeper.sock", std::os::fd::AsRawFd::as_raw_fd(&folder));
    let hello = br#"{"hello":{"version":999}}"#;
    let hello = [&u32::try_from(hello.len()).unwrap().to_le_bytes(), &hello[..]].concat();
    wait_for("another keeper", || {
        // The node's own agent comes back at once, and may come between.
        if let Ok(mut socket) = std::os::unix::net::UnixStream::connect(&path) {
            let _ = socket.write_all(&hello);
        }
        (node.keeper_pid() != keeper).then_some(())
    });
    std::fs::write(go, "").unwrap();
    assert_eq!(node.how(task), ExitKind::Code(12));
    check_counting(&node.stdout(task));
}

fn torn_records_stop_nothing() {
    let mut node = Node::new();
    let ended = node.launch(Task::sh("exit 1"));
    node.exit(ended);
    node.hello();
    let attempts = node.dir.join("attempts");
    let plant = |number: u64, bytes: &[u8]| {
        let task = TaskId::new(1_000_000_000 + number).unwrap();
        std::fs::create_dir(attempts.join(format!("{task}.1"))).unwrap();
        std::fs::write(attempts.join(format!("{task}.1")).join("record"), bytes).unwrap();
        task
    };
    let empty = plant(1, b"");
    let rubbish = plant(2, &[0xff, 0, 3, b'\n', 7]);
    let meta = br#"{"meta":{"record_version":1,"fence_version":3,"boot":"another","slot":0,"cgroups":[]}}"#;
    let rebooted = plant(3, &[&meta[..], b"\n{\"exit\":{\"at\":3,\"how\":{\"code\":0},\"cpu_"].concat());
    let future = plant(4, br#"{"meta":{"record_version":99,"fence_version":1}}"#);
    std::fs::create_dir(attempts.join(format!("{}.1", TaskId::new(1_000_000_005).unwrap()))).unwrap();
    std::fs::write(attempts.join("not an attempt"), "").unwrap();
    std::fs::write(node.dir.join("keeper.json"), "{").unwrap();
    let held = node.replace_keeper();
    let failed = |task: TaskId| match &held[&task].exit.as_ref().unwrap().how {
        ExitKind::Infrastructure(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(held[&ended].exit.as_ref().unwrap().how, ExitKind::Code(1));
    for task in [empty, rubbish, future] {
        assert_eq!(failed(task), "the attempt's record was never written");
    }
    assert_eq!(failed(rebooted), "the machine was restarted");
    assert_eq!(held[&rebooted].fence.version, 3);
    // All of them can be forgotten, and the node works on.
    for &task in held.keys() {
        node.forget(task);
    }
    node.holds_nothing();
    let task = node.launch(Task::sh("exit 8"));
    assert_eq!(node.how(task), ExitKind::Code(8));
}

fn a_killed_guardian_fails_its_attempt_alone() {
    let mut node = Node::new();
    let doomed = node.launch(Task::new(&["sleep", "1000"]));
    let other = node.launch(Task::sh("sleep 0.3; exit 3"));
    node.started(doomed);
    kill(guardian_of(&node, doomed));
    assert_eq!(node.how(doomed), ExitKind::Infrastructure("the attempt's guardian vanished".into()));
    assert_eq!(node.how(other), ExitKind::Code(3));
}

fn a_keeper_that_nobody_needs_leaves() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("node");
    std::fs::create_dir(&dir).unwrap();
    let settings = r#"{"hide": [], "use_cgroups": false, "idle_leave_ms": 300}"#;
    std::fs::write(dir.join("keeper.json"), settings).unwrap();
    let begin = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.arg("__keeper").arg(&dir).env_clear().spawn().unwrap()
    };
    let mut keeper = begin();
    assert_eq!(wait_for("its end", || keeper.try_wait().unwrap()).code(), Some(0));
    assert!(!dir.join("keeper.sock").exists());

    // With an agent it stays, however idle; and without one it stays as long as an end is not acknowledged.
    let mut keeper = begin();
    wait_for("the keeper", || std::os::unix::net::UnixStream::connect(dir.join("keeper.sock")).ok());
    let agent = Node::agent_of(&dir);
    std::thread::sleep(Duration::from_millis(700));
    assert!(keeper.try_wait().unwrap().is_none());
    let task = Task::new(&["true"]);
    let id = task.launch.task;
    let order = fastgpu_core::node::Order::Launch(task.launch);
    let (node, spec) = (fastgpu_core::ids::NodeId(0), Some(std::sync::Arc::new(task.spec)));
    agent.deliver(vec![fastgpu_core::node::Delivery { node, order, spec }]);
    let record = dir.join("attempts").join(format!("{id}.1")).join("record");
    wait_for("its end", || std::fs::read_to_string(&record).ok().filter(|text| text.contains("exit")));
    agent.shutdown();
    std::thread::sleep(Duration::from_millis(700));
    assert!(keeper.try_wait().unwrap().is_none());
    let agent = Node::agent_of(&dir);
    let order = fastgpu_core::node::Order::Forget { task: id, attempt: 1 };
    agent.deliver(vec![fastgpu_core::node::Delivery { node, order, spec: None }]);
    wait_for("it is forgotten", || (!record.exists()).then_some(()));
    agent.shutdown();
    assert_eq!(wait_for("its end", || keeper.try_wait().unwrap()).code(), Some(0));
}

fn a_released_keeper_stays_where_needed() {
    let mut node = Node::new();
    let (task, go) = counting(&node);
    let task = node.launch(task);
    node.started(task);
    let keeper = node.keeper_pid();
    node.release_keeper();
    let mut node = node.restart_agent();
    assert!(node.next_hello()[&task].exit.is_none());
    std::fs::write(go, "").unwrap();
    assert_eq!(node.how(task), ExitKind::Code(12));
    node.forget(task);
    node.holds_nothing();
    assert_eq!(node.keeper_pid(), keeper, "the wish of the first agent is over");
    node.release_keeper();
    drop(node.without_keeper());
}

fn a_keeper_that_does_not_answer_is_waited_for() {
    let mut node = Node::new();
    let (task, go) = counting(&node);
    let task = node.launch(task);
    node.started(task);
    let keeper = node.keeper_pid();
    let pid = rustix::process::Pid::from_raw(keeper).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let mut node = node.restart_agent();
    let said = node.trouble();
    assert!(said.starts_with(&format!("the keeper (pid {keeper}) does not answer since ")), "{said}");
    let later = node.launch(Task::sh("exit 5"));
    assert_eq!(node.count(|r| matches!(r, Report::Hello { .. } | Report::Lost)), 0);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert!(node.next_hello()[&task].exit.is_none());
    assert_eq!(node.how(later), ExitKind::Code(5));
    let is_troubled = |report: &Report| match report {
        Report::Hello { inventory, .. } => inventory.abilities.iter().any(|a| a.name == "keeper"),
        _ => false,
    };
    assert_eq!(node.count(is_troubled), 0, "it is over");
    assert_eq!(node.keeper_pid(), keeper);
    std::fs::write(go, "").unwrap();
    assert_eq!(node.how(task), ExitKind::Code(12));
}
