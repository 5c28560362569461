//! Servers come and go; tasks and what was acknowledged stay.

use std::fs;
use std::process::Stdio;

use crate::world::{World, wait_for};
use rustix::process::Signal;

/// Writes a line, waits for a file named `go`, writes another, and ends with 5.
const PATIENT: &str = "echo before; until test -e go; do sleep 0.02; done; echo after; exit 5";

#[test]
fn a_killed_server_leaves_its_tasks_alone_and_the_next_one_finds_them() {
    let mut world = World::with_gpus("1xA100-80GB");
    let task = world.submit(&["--gpu", "1"], PATIENT);
    wait_for("the task has begun", || world.run(&["logs", &task]).stdout.contains("before").then_some(()));
    world.kill_server();
    fs::write(world.work().join("go"), "").unwrap();
    world.start();
    let ran = world.run(&["logs", "-f", &task]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "before\nafter\n"), "{ran:?}");
    assert_eq!(
        world.json(&["ps", "-a", "-o", "json"])["items"][0]["attempt"],
        1,
        "it was adopted, not repeated"
    );
}

#[test]
fn an_attached_run_outlives_its_server() {
    let mut world = World::with_gpus("1xA100-80GB");
    let mut command = world.command(&["run", "--gpu", "1", "--", "sh", "-c", PATIENT]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let task =
        wait_for("the task is listed", || Some(world.ok(&["ps", "-o", "id"])).filter(|id| !id.is_empty()));
    wait_for("the task has begun", || world.run(&["logs", &task]).stdout.contains("before").then_some(()));
    world.kill_server();
    world.start();
    fs::write(world.work().join("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "before\nafter\n", "every line, and every line once");
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_token_outlives_the_server_and_a_lost_one_is_replaced() {
    let mut world = World::with_gpus("1xA100-80GB");
    let token = || {
        let text = fs::read_to_string(world.data().join("client.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["token"].as_str().unwrap().to_owned()
    };
    let first = token();
    let file = world.data().join("client.json");
    world.kill_server();
    world.start();
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains(&first));
    fs::remove_file(&file).unwrap();
    world.kill_server();
    world.start();
    assert!(!fs::read_to_string(&file).unwrap().contains(&first));
    world.ok(&["ps"]);
}

#[test]
fn a_stopped_server_says_what_becomes_of_its_tasks() {
    let mut world = World::with_gpus("1xA100-80GB");
    for signal in [Signal::TERM, Signal::INT] {
        let (status, said) = world.stop_server(signal);
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("stopping"), "{said}");
        world.start();
    }
}

#[test]
fn a_backup_comes_back_whole() {
    let mut world = World::with_gpus("1xA100-80GB");
    let kept = world.submit(&["--gpu", "1", "--name", "kept"], "true");
    assert_eq!(world.run(&["wait", &kept]).code, Some(0));
    let file = world.path().join("saved.db").display().to_string();
    world.ok(&["backup", &file]);
    assert_eq!(world.run(&["backup", &file]).code, Some(1), "an older backup is not overwritten");
    let lost = world.submit(&["--gpu", "1", "--name", "lost"], "true");
    assert_eq!(world.run(&["wait", &lost]).code, Some(0));

    let refused = world.run(&["restore", &file, "--yes"]);
    assert_eq!(refused.code, Some(1), "not under a running server: {refused:?}");
    world.stop_server(Signal::TERM);
    assert_eq!(world.run(&["restore", &file]).code, Some(1), "not without a word");
    world.ok(&["restore", &file, "--yes"]);
    world.start();
    let names = world.ok(&["ps", "-a", "-o", "id"]);
    assert_eq!(names, kept);
}

#[test]
fn a_server_sweeps_old_logs_now_and_then() {
    let world = World::with_gpus("1xA100-80GB");
    let threads = fs::read_dir(format!("/proc/{}/task", world.server_pid())).unwrap();
    let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    assert!(names.into_iter().any(|name| name.trim() == "node-sweeper"));
}
