//! How commands end, as scripts see it.

use std::process::Stdio;

use crate::world::{World, send, wait_for};
use insta::assert_snapshot;
use rustix::process::Signal;

#[test]
fn an_attached_run_ends_as_its_task_ends() {
    let world = World::with_gpus("1xA100-80GB");
    let code = |flags: &[&str], script: &str| {
        let words = [&["run", "--gpu", "0.5"], flags, &["--", "sh", "-c", script]].concat();
        world.run(&words).code
    };
    assert_eq!(code(&[], "exit 7"), Some(7));
    assert_eq!(code(&[], "kill -9 $$"), Some(137));
    assert_eq!(code(&["--time", "200ms"], "sleep 1000"), Some(124));
    // Two attempts: only the second succeeds.
    let script = "test $FASTGPU_ATTEMPT = 2";
    assert_eq!(code(&["--retry", "1", "--retry-backoff", "10ms"], script), Some(0));
    assert_eq!(world.run(&["wait", "@~3"]).code, Some(7));
    assert_eq!(world.run(&["logs", "-f", "@~3"]).code, Some(7));
}

#[test]
fn a_run_follows_its_output_through_retries() {
    let world = World::with_gpus("1xA100-80GB");
    let script = "echo attempt $FASTGPU_ATTEMPT; test $FASTGPU_ATTEMPT = 3";
    let ran = world.run(&[
        "run",
        "--gpu",
        "1",
        "--retry",
        "5",
        "--retry-backoff",
        "10ms",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "attempt 1\nattempt 2\nattempt 3\n"), "{ran:?}");
}

#[test]
fn waiting_too_long_is_75() {
    let world = World::with_gpus("1xA100-80GB");
    let holder = world.submit(&["--gpu", "1"], "sleep 1000");
    world.wait_for_state(&holder, "running");
    assert_eq!(world.run(&["wait", &holder, "--timeout", "50ms"]).code, Some(75));
    assert_eq!(world.state(&holder), "running");
    assert_eq!(world.run(&["run", "--gpu", "1", "--queue-timeout", "50ms", "true"]).code, Some(75));
}

#[test]
fn ctrl_c_leaves_the_task_running_and_says_how_to_go_on() {
    let world = World::with_gpus("1xA100-80GB");
    let mut command = world.command(&["run", "--gpu", "1", "--", "sh", "-c", "echo begun; sleep 1000"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let task =
        wait_for("the task is listed", || Some(world.ok(&["ps", "-o", "id"])).filter(|id| !id.is_empty()));
    // What it wrote has arrived when the log has it, so the run is following by then.
    wait_for("the task has begun", || world.run(&["logs", &task]).stdout.contains("begun").then_some(()));
    send(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    let ran = crate::world::Ran::new(output.status, &[], &output.stderr, &world);
    assert_snapshot!(ran.told(), @r"
    exit 130
    stderr: t-1 queued, 1 GPU
    stderr:
    stderr: t-1 goes on without you
    stderr:   follow it again  fastgpu logs -f t-1
    stderr:   end it           fastgpu cancel t-1
    ");
    assert_eq!(world.state(&task), "running");
}

#[test]
fn a_viewer_may_look_and_gets_77_for_the_rest() {
    let world = World::with_gpus("1xA100-80GB");
    let token = world.json(&["token", "create", "--role", "viewer", "-o", "json"]);
    let as_viewer = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("FASTGPU_TOKEN", token["token"].as_str().unwrap());
        world.finish(command)
    };
    assert_eq!(as_viewer(&["ps"]).code, Some(0));
    let refused = as_viewer(&["run", "--gpu", "1", "true"]);
    assert_eq!(refused.code, Some(77), "{refused:?}");
    world.ok(&["token", "revoke", token["id"].as_str().unwrap()]);
    assert_eq!(as_viewer(&["ps"]).code, Some(77));
}

#[test]
fn a_cancel_without_grace_ends_who_would_not_listen() {
    let world = World::with_gpus("1xT4");
    let task = world.submit(&[], "trap '' TERM; echo deaf; while :; do sleep 1; done");
    wait_for("it is deaf", || world.ok(&["logs", &task]).contains("deaf").then_some(()));
    let since = std::time::Instant::now();
    world.ok(&["cancel", "--grace", "0s", &task]);
    world.wait_for_state(&task, "cancelled");
    assert!(since.elapsed().as_secs() < 20, "the usual grace is 30 s");
    let deaf = world.submit(&["--grace", "0s"], "trap '' TERM; echo deaf; while :; do sleep 1; done");
    wait_for("it is deaf", || world.ok(&["logs", &deaf]).contains("deaf").then_some(()));
    world.ok(&["cancel", &deaf]);
    world.wait_for_state(&deaf, "cancelled");
    assert!(since.elapsed().as_secs() < 25);
    for (flag, time) in [("--time", "0s"), ("--queue-timeout", "0s"), ("--grace", "soon")] {
        assert_eq!(world.run(&["run", flag, time, "--", "true"]).code, Some(2), "{flag} {time}");
    }
}
