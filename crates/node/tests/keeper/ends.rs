//! How tasks begin and end, and what they see.

use std::time::{Duration, Instant};

use fastgpu_core::ids::Fence;
use fastgpu_core::node::{ExitKind, Order, Report};

use crate::Story;
use crate::support::{Node, Task, wait_for};

pub(crate) const STORIES: &[Story] = &[
    ("a task starts and its code is reported", a_task_starts_and_its_code_is_reported),
    ("a signal that ends a task is reported", a_signal_that_ends_a_task_is_reported),
    ("a log is complete and in order", a_log_is_complete_and_in_order),
    ("a stopped task may say goodbye", a_stopped_task_may_say_goodbye),
    ("a stop before the launch wins", a_stop_before_the_launch_wins),
    ("a stop right behind the launch is not lost", a_stop_right_behind_the_launch_is_not_lost),
    ("what cannot start is explained", what_cannot_start_is_explained),
    ("the environment is clean", the_environment_is_clean),
    ("the server's data is out of sight", the_servers_data_is_out_of_sight),
    ("a launch happens once", a_launch_happens_once),
    ("an attempt that left nothing leaves no folder", an_attempt_that_left_nothing_leaves_no_folder),
    ("an end is kept until it is forgotten", an_end_is_kept_until_it_is_forgotten),
    ("orders for a forgotten attempt are answered", orders_for_a_forgotten_attempt_are_answered),
];

fn a_task_starts_and_its_code_is_reported() {
    let mut node = Node::new();
    let tasks: Vec<_> =
        (0..20u8).map(|code| (code, node.launch(Task::sh(&format!("exit {code}"))))).collect();
    for (code, task) in tasks {
        node.started(task);
        assert_eq!(node.how(task), ExitKind::Code(code));
    }
    let busy = node.launch(Task::sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"));
    let exit = node.exit(busy);
    assert!(exit.cpu_ms > 0 && exit.rss_max_kib > 100, "{exit:?}");
}

fn a_signal_that_ends_a_task_is_reported() {
    let mut node = Node::new();
    let task = node.launch(Task::sh("kill -SEGV $$"));
    assert_eq!(node.how(task), ExitKind::Signal(11));
    // The program begins with every signal at its default.
    let task = node.launch(Task::sh("kill -PIPE $$; kill -HUP $$"));
    assert_eq!(node.how(task), ExitKind::Signal(13));
}

fn a_log_is_complete_and_in_order() {
    let mut node = Node::new();
    let task = node.launch(Task::sh("seq 1 50000; seq 1 100 >&2; printf end"));
    assert_eq!(node.how(task), ExitKind::Code(0));
    let (stdout, stderr) = node.log(task);
    let lines = |last: u32| (1..=last).map(|n| format!("{n}\n")).collect::<String>();
    assert!(stdout == lines(50_000) + "end", "{} bytes came", stdout.len());
    assert_eq!(stderr, lines(100));
    // A shell's helper that outlives the program still writes its last lines.
    let task = node.launch(Task::new(&["bash", "-c", "exec > >(sleep 0.02; cat); echo late"]));
    assert_eq!(node.how(task), ExitKind::Code(0));
    assert_eq!(node.stdout(task), "late\n");
}

fn a_stopped_task_may_say_goodbye() {
    let mut node = Node::new();
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let task = node.launch(Task::sh(script));
    wait_for("the trap", || node.attempt_dir(task).join("log.00000000000000000000").exists().then_some(()));
    node.stop(task, Duration::from_secs(20));
    assert_eq!(node.how(task), ExitKind::Code(7));
    assert_eq!(node.stdout(task), "ready\nbye\n");
}

fn a_stop_before_the_launch_wins() {
    let mut node = Node::new();
    let task = Task::sh("echo ran");
    node.stop(task.launch.task, Duration::from_secs(1));
    let id = node.launch(task);
    assert_eq!(node.how(id), ExitKind::Infrastructure("stopped before it was launched".into()));
    assert_eq!(node.stdout(id), "");
}

fn a_stop_right_behind_the_launch_is_not_lost() {
    let mut node = Node::new();
    for _ in 0..50 {
        let task = node.launch(Task::new(&["sleep", "1000"]));
        node.stop(task, Duration::ZERO);
        assert_eq!(node.how(task), ExitKind::Signal(9));
    }
}

fn what_cannot_start_is_explained() {
    let mut node = Node::new();
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let file = file.to_str().unwrap();
    let script = work.path().join("script");
    std::fs::write(&script, "#!/no/such/shell\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    let cases = [
        (
            Task::new(&["no-such-command"]),
            "the command `no-such-command` does not exist; searched PATH /usr/bin:/bin".to_owned(),
        ),
        (
            Task::new(&["no-such-command"]).env("PATH", "/a:/b"),
            "the command `no-such-command` does not exist; searched PATH /a:/b".to_owned(),
        ),
        (Task::new(&[file]), format!("the command `{file}` is not executable")),
        (Task::new(&[script]), format!("`{script}` names an interpreter that does not exist")),
        (
            Task::new(&["./none"]).dir("/tmp"),
            "the command `./none` does not exist (working folder /tmp)".to_owned(),
        ),
        (
            Task::sh(":").dir("/no/such/folder"),
            "the working folder `/no/such/folder` does not exist".to_owned(),
        ),
        (Task::sh(":").dir(file), format!("the working folder `{file}` is not a folder")),
        (Task::new(&["a\0b"]), "the command has a NUL character in it".to_owned()),
        (Task::new(&[]), "the command is empty".to_owned()),
    ];
    for (task, sentence) in cases {
        let id = node.launch(task);
        assert_eq!(node.how(id), ExitKind::BadSpec(sentence));
        assert_eq!(node.count(|r| matches!(r, Report::Started { task, .. } if *task == id)), 0);
    }
}

fn the_environment_is_clean() {
    let mut node = Node::new();
    let task = node.launch(Task::new(&["env"]).env("MINE", "a b\nc"));
    assert_eq!(node.how(task), ExitKind::Code(0));
    let expected = format!(
        "CUDA_DEVICE_ORDER=PCI_BUS_ID\nCUDA_VISIBLE_DEVICES=\nFASTGPU_ATTEMPT=1\nFASTGPU_GPUS=\n\
         FASTGPU_PROJECT=default\nFASTGPU_TASK_ID={task}\nFASTGPU_TASK_NAME=story\nHOME=/nowhere\n\
         MINE=a b\nc\nPATH=/usr/bin:/bin\n"
    );
    assert_eq!(node.stdout(task), expected);
    // No descriptor of ours, no terminal, a folder of its own, no core file.
    let task = node.launch(Task::sh("ls /proc/self/fd; cat; pwd; ulimit -c; umask; ls -a | wc -l"));
    assert_eq!(node.how(task), ExitKind::Code(0));
    let work = node.dir.join("work").join(format!("{task}.1"));
    assert_eq!(node.stdout(task), format!("0\n1\n2\n3\n{}\n0\n0022\n2\n", work.display()));
}

fn the_servers_data_is_out_of_sight() {
    let mut node = Node::new();
    let ability = node.ability("mount_namespace");
    let data = node.dir.parent().unwrap().display().to_string();
    let task = node.launch(Task::sh(&format!("echo kept > mine; cat {data}/secret; ls {data}")));
    assert_eq!(node.how(task), ExitKind::Code(0));
    let work = node.dir.join("work").join(format!("{task}.1"));
    assert_eq!(std::fs::read_to_string(work.join("mine")).unwrap(), "kept\n");
    let seen = node.stdout(task);
    if ability.works {
        assert_eq!(seen, "node\n", "{}", ability.detail);
    } else {
        assert!(seen.contains("42") && ability.detail.contains("can see"), "{ability:?} {seen}");
    }
}

fn a_launch_happens_once() {
    let mut node = Node::new();
    let marker = node.dir.parent().unwrap().parent().unwrap().join("marker");
    let script = format!("echo once >> {}; sleep 0.1", marker.display());
    let make = || Task::sh(&script);
    let task = make();
    let (launch, spec) = (task.launch, task.spec);
    for _ in 0..5 {
        node.deliver(Order::Launch(launch.clone()), Some(spec.clone()));
    }
    let id = launch.task;
    assert_eq!(node.how(id), ExitKind::Code(0));
    node.forget(id);
    node.deliver(Order::Launch(launch.clone()), Some(spec.clone()));
    node.holds_nothing();
    // Nor is an attempt older than one that is over.
    let second = Fence { attempt: 2, version: 1 };
    node.deliver(
        Order::Launch(fastgpu_core::node::Launch { fence: second, ..launch.clone() }),
        Some(spec.clone()),
    );
    wait_for("the second attempt", || {
        (node.count(|r| matches!(r, Report::Exited { fence, .. } if *fence == second)) > 0).then_some(())
    });
    assert_eq!(std::fs::read_to_string(marker).unwrap(), "once\nonce\n");
}

fn an_end_is_kept_until_it_is_forgotten() {
    let mut node = Node::new();
    let task = node.launch(Task::sh("echo hi; exit 4"));
    let exit = node.exit(task);
    for _ in 0..2 {
        assert_eq!(node.hello()[&task].exit.as_ref(), Some(&exit));
        node = node.restart_agent();
        assert_eq!(node.next_hello()[&task].exit.as_ref(), Some(&exit));
    }
    node.forget(task);
    let begin = Instant::now();
    node.holds_nothing();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(node.stdout(task), "hi\n", "the log stays");
}

/// Its folder serves another, and still nothing is forgotten that counts.
fn an_attempt_that_left_nothing_leaves_no_folder() {
    let mut node = Node::new();
    let count = |node: &Node, place: &str| std::fs::read_dir(node.dir.join(place)).unwrap().count();
    let mut over = Vec::new();
    for code in 3..7 {
        let task = Task::sh(&format!("exit {code}"));
        let (launch, spec) = (task.launch.clone(), task.spec.clone());
        let id = node.launch(task);
        let exit = node.exit(id);
        assert_eq!(exit.how, ExitKind::Code(code));
        node.forget(id);
        node.holds_nothing();
        over.push((id, exit, launch, spec));
    }
    assert_eq!((count(&node, "done"), count(&node, "spare"), count(&node, "work")), (0, 1, 1));
    // What it left somewhere is kept.
    for leaves in ["echo said", "echo kept > result"] {
        let task = node.launch(Task::sh(leaves));
        node.exit(task);
        node.forget(task);
    }
    node.holds_nothing();
    assert_eq!((count(&node, "done"), count(&node, "work")), (2, 1));
    for _keeper in ["the same", "the next"] {
        for (id, exit, launch, spec) in &over {
            assert_eq!(node.log(*id), (String::new(), String::new()));
            node.unsee(*id);
            node.deliver(Order::Launch(launch.clone()), Some(spec.clone()));
            assert_eq!(node.exit(*id), *exit, "the end it had");
        }
        node.replace_keeper();
    }
}

/// What a control plane hears that was restored to a time before the end.
fn orders_for_a_forgotten_attempt_are_answered() {
    let mut node = Node::new();
    for order in ["stop", "launch"] {
        let words = Task::sh("echo ran");
        let (launch, spec) = (words.launch.clone(), words.spec.clone());
        let task = node.launch(words);
        let exit = node.exit(task);
        assert_eq!(exit.how, ExitKind::Code(0));
        node.forget(task);
        wait_for("it is forgotten", || (!node.hello().contains_key(&task)).then_some(()));
        for _keeper in ["the same", "the next"] {
            node.unsee(task);
            match order {
                "stop" => node.stop(task, Duration::ZERO),
                _ => node.deliver(Order::Launch(launch.clone()), Some(spec.clone())),
            }
            assert_eq!(node.exit(task), exit, "the end it had");
            assert_eq!(node.stdout(task), "ran\n", "it ran once");
            // Which is the end of it: nothing is held again.
            node.forget(task);
            assert!(!node.hello().contains_key(&task));
            node.replace_keeper();
        }
        // Even if the record is lost.
        std::fs::remove_file(node.dir.join("done").join(format!("{task}.1")).join("record")).unwrap();
        node.unsee(task);
        node.deliver(Order::Launch(launch.clone()), Some(spec.clone()));
        let lost = ExitKind::Infrastructure("this attempt ended before, and nobody remembers how".into());
        assert_eq!(node.how(task), lost);
        assert_eq!(node.stdout(task), "ran\n", "it ran once");
    }
}
