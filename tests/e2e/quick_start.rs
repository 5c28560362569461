//! The first minutes: start, run, look, stop.

use crate::world::{World, end_background};
use insta::assert_snapshot;

#[test]
fn a_server_says_where_it_is_what_it_found_and_how_to_use_it() {
    let world = World::with_gpus("2xA100-80GB");
    let banner = world.banner();
    let (first, rest) = banner.split_once('\n').unwrap();
    assert!(first.starts_with("  FastGPU ") && first.contains(" ready in "), "{first}");
    assert_snapshot!(rest, @r"
      address  http://127.0.0.1:[port]
      GPUs     2 × NVIDIA A100-SXM4-80GB, 81152 MiB (driver 580.159.04), software GPU
      log in   you are in: your token is in [dir]/data/client.json
               others get theirs by fastgpu --data-dir [dir]/data token create
      try      fastgpu --data-dir [dir]/data run --gpu 0.5 -- echo hello
      stop     Ctrl-C; tasks that run go on, and are found again
    ");
}

#[test]
fn a_task_runs_where_it_was_typed_and_its_streams_stay_apart() {
    let world = World::with_gpus("1xA100-80GB");
    let ran = world.run(&["run", "--gpu", "0.5", "--", "sh", "-c", "pwd; echo oops >&2"]);
    assert_snapshot!(ran.told(), @r"
    exit 0
    stdout: [dir]/work
    stderr: t-1 queued, 0.5 GPU
    stderr: oops
    ");
    assert_snapshot!(world.run(&["logs", "@"]).told(), @r"
    exit 0
    stdout: [dir]/work
    stderr: oops
    ");
    assert_snapshot!(world.run(&["why", "@"]).stdout.lines().next().unwrap().replace(&world.ok(&["ps", "-a", "-o", "id"]), "t-1"), @"t-1 succeeded");
}

#[test]
fn listings_fit_eighty_columns_and_say_so_when_there_is_nothing() {
    let world = World::with_gpus("2xA100-80GB");
    assert_snapshot!(world.run(&["ps"]).told(), @r"
    exit 0
    stdout: no live tasks; `fastgpu ps -a` shows those that are over
    ");
    let name = "a-name-that-is-much-longer-than-a-column-of-a-table-should-be";
    let first = world.submit(&["--gpu", "2", "--name", name], "sleep 1000");
    world.submit(&["--gpu", "2", "--name", "waits"], "true");
    world.wait_for_state(&first, "running");
    let mut command = world.command(&["ps"]);
    command.env("COLUMNS", "80");
    let listed = world.finish(command).stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.lines().all(|line| line.chars().count() <= 80), "{listed}");
    assert!(!listed.contains('\x1b'), "no colour where nobody looks");
}

#[test]
fn a_task_that_waits_says_for_what() {
    let world = World::with_gpus("2xA100-80GB");
    let first = world.submit(&["--gpu", "1", "--time", "1h"], "sleep 1000");
    world.wait_for_state(&first, "running");
    world.submit(&["--gpu", "2", "--name", "both"], "true");
    let why = world.run(&["why", "both"]);
    assert_eq!(why.code, Some(0));
    assert!(why.stdout.contains("position 1 of 1"), "{}", why.stdout);
    assert!(why.stdout.contains(&first), "it names the task in its way: {}", why.stdout);
}

#[test]
fn tasks_are_found_by_id_prefix_name_and_at() {
    let world = World::with_gpus("2xA100-80GB");
    let first = world.submit(&["--gpu", "none", "--name", "first"], "sleep 1000");
    let second = world.submit(&["--gpu", "none", "--name", "second"], "sleep 1000");
    let found = |text: &str| world.json(&["why", text, "-o", "json"])["id"].as_str().unwrap().to_owned();
    assert_eq!([found(&first), found("first"), found("@~1"), found(&first[2..])], [first.as_str(); 4]);
    assert_eq!([found("second"), found("@")], [second.as_str(); 2]);

    // One name, two live tasks: nobody guesses.
    world.submit(&["--gpu", "none", "--name", "first"], "sleep 1000");
    let refused = world.run(&["cancel", "first"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`first` is the name of 2 tasks"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&first), "{}", refused.stderr);
    // The beginning that all ids share.
    assert_eq!(world.run(&["cancel", "t-0"]).code, Some(2));
}

#[test]
fn a_member_has_a_last_task_and_cancels_what_is_its_own() {
    let world = World::with_gpus("1xA100-80GB");
    let others = world.submit(&["--gpu", "none"], "sleep 1000");
    let token = world.json(&["token", "create", "--role", "member", "--owner", "bob", "-o", "json"]);
    let as_bob = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("FASTGPU_TOKEN", token["token"].as_str().unwrap());
        let ran = world.finish(command);
        assert_eq!(ran.code, Some(0), "{words:?}\n{ran:?}");
        ran.stdout.trim_end().to_owned()
    };
    let [first, second] = [(); 2].map(|()| as_bob(&["run", "-d", "--gpu", "none", "--", "sleep", "1000"]));
    let found = |text: &str| {
        let why: serde_json::Value = serde_json::from_str(&as_bob(&["why", text, "-o", "json"])).unwrap();
        why["id"].as_str().unwrap().to_owned()
    };
    assert_eq!([found("@"), found("@~1")], [second.as_str(), &first]);
    as_bob(&["cancel", "--all", "--yes"]);
    world.wait_for_state(&first, "cancelled");
    world.wait_for_state(&second, "cancelled");
    assert_eq!(world.state(&others), "running");
}

#[test]
fn a_held_task_starts_when_it_is_let_go_and_a_cancelled_one_never() {
    let world = World::with_gpus("1xA100-80GB");
    let held = world.submit(&["--gpu", "1", "--held"], "true");
    assert_eq!(world.state(&held), "queued");
    world.ok(&["set", &held, "--unhold"]);
    assert_eq!(world.run(&["wait", &held]).code, Some(0));
    let cancelled = world.submit(&["--gpu", "1", "--held"], "true");
    world.ok(&["cancel", &cancelled]);
    world.ok(&["cancel", &cancelled]);
    assert_eq!(world.state(&cancelled), "cancelled");
}

#[test]
fn run_starts_a_server_when_there_is_none_and_says_so() {
    let world = World::empty();
    let mut command = world.command(&["run", "--gpu", "0.5", "--", "echo", "hello"]);
    // Whatever this machine has, the story needs a GPU; and a port that nobody else uses.
    command.env("FASTGPU_SIMULATE", "1xA100-80GB").env("FASTGPU_LISTEN", "127.0.0.1:0");
    let ran = world.finish(command);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "hello\n"), "{ran:?}");
    assert!(ran.stderr.contains("started a server in the background at http://127.0.0.1:"), "{}", ran.stderr);
    let pid = std::fs::read_to_string(world.data().join("lock")).unwrap();
    end_background(pid.trim().parse().unwrap());
    assert_eq!(world.run(&["ps"]).code, Some(69));
}

#[test]
fn up_detach_returns_when_ready_and_holds_no_pipe() {
    let world = World::empty();
    let mut command =
        world.command(&["up", "--detach", "--listen", "127.0.0.1:0", "--simulate", "1xT4", "-o", "json"]);
    command.arg("--ephemeral");
    // `output()` returns when nobody holds our pipes any more: not the server, not its keeper.
    let ran = world.finish(command);
    let ready: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ready["simulated"].as_bool(), ready["has_devices"].as_bool()), (Some(true), Some(true)));
    assert_eq!(world.run(&["ps"]).code, Some(0));
    end_background(ready["pid"].as_u64().unwrap());
}

#[test]
fn two_runs_at_once_start_one_server() {
    let world = World::empty();
    let begin = || {
        let mut command = world.command(&["run", "--gpu", "none", "--", "echo", "hello"]);
        command.env("FASTGPU_SIMULATE", "1xA100-80GB").env("FASTGPU_LISTEN", "127.0.0.1:0");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let started = [begin(), begin()].map(|child| child.wait_with_output().unwrap()).map(|output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"hello\n"[..]), "{said}");
        said.contains("started a server")
    });
    assert_ne!(started[0], started[1]);
    let pid = std::fs::read_to_string(world.data().join("lock")).unwrap();
    end_background(pid.trim().parse().unwrap());
}

#[test]
fn a_reservation_holds_its_gpus_for_its_time_and_succeeds() {
    let world = World::with_gpus("1xA100-80GB");
    let ran = world.run(&["run", "--gpu", "1", "--reserve", "300ms"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.json(&["ps", "-a", "-o", "json"])["items"][0]["reservation"], true);
}

#[test]
fn the_task_of_the_sample_program_runs_on_software_gpus_too() {
    let sample = include_str!("../../docs/quick-start.md");
    let (_, command) = sample.split_once("json={\"command\": ").unwrap();
    let command = &command[..=command.find(']').unwrap()];
    let words: Vec<String> = serde_json::from_str(command).unwrap();
    let world = World::with_gpus("1xT4");
    let typed: Vec<&str> =
        ["run", "--gpu", "1", "--"].into_iter().chain(words.iter().map(|word| &**word)).collect();
    let ran = world.run(&typed);
    assert!(ran.code == Some(0) && ran.stdout.contains("all of them right"), "{ran:?}");
}
