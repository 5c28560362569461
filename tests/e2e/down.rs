//! `fastgpu down`: the server goes, and the tasks only if that is asked for.

use std::fs;

use crate::world::{World, wait_for};

/// A server in the background, and its pid.
fn up(world: &World) -> u64 {
    let words = ["up", "--detach", "--listen", "127.0.0.1:0", "--simulate", "1xT4", "-o", "json"];
    world.json(&words)["pid"].as_u64().unwrap()
}

/// A task that runs, and the pid of its program.
fn sleeper(world: &World) -> (String, u64) {
    let task = world.submit(&["--gpu", "0.5"], "echo $$; exec sleep 1000");
    world.wait_for_state(&task, "running");
    let pid = wait_for("its pid", || world.ok(&["logs", &task]).trim().parse().ok());
    (task, pid)
}

fn lives(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn down_stops_the_server_and_the_next_one_finds_its_tasks() {
    let world = World::empty();
    let ran = world.run(&["down"]);
    assert_eq!((ran.code, ran.stdout.contains("no server runs")), (Some(0), true), "{ran:?}");
    let server = up(&world);
    let (task, program) = sleeper(&world);
    let ran = world.run(&["down"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains(&format!("stopped the server (process {server})")), "{ran:?}");
    assert!(!lives(server) && lives(program));
    assert_eq!(world.run(&["ps"]).code, Some(69));

    up(&world);
    assert_eq!(world.state(&task), "running");
    let waiting = world.submit(&["--gpu", "1"], "true");
    let down = world.json(&["down", "--tasks", "-o", "json"]);
    assert_eq!((down["cancelled"].as_u64(), down["keeper"].as_bool()), (Some(2), Some(true)));
    assert!(!lives(program));
    assert!(!world.data().join("node/keeper.sock").exists());
    up(&world);
    assert_eq!([world.state(&task), world.state(&waiting)], ["cancelled", "cancelled"]);
    world.ok(&["down", "--tasks"]);
}

#[test]
fn a_keeper_that_holds_nothing_goes_with_its_server() {
    let world = World::empty();
    up(&world);
    assert_eq!(world.run(&["run", "--", "true"]).code, Some(0));
    let socket = world.data().join("node/keeper.sock");
    assert!(socket.exists());
    world.ok(&["down"]);
    wait_for("the keeper has left", || (!socket.exists()).then_some(()));

    // With a task it stays, also for the next server, until that one goes without.
    up(&world);
    let (task, program) = sleeper(&world);
    world.ok(&["down"]);
    up(&world);
    assert!(lives(program) && world.state(&task) == "running");
    assert_eq!(world.run(&["run", "--gpu", "0.5", "--", "true"]).code, Some(0));
    world.ok(&["cancel", "--grace", "0s", &task]);
    world.wait_for_state(&task, "cancelled");
    assert_eq!(world.run(&["run", "--", "true"]).code, Some(0));
    assert!(socket.exists(), "the wish of the first server is over");
    world.ok(&["down"]);
    wait_for("the keeper has left", || (!socket.exists()).then_some(()));
}

#[test]
fn down_with_tasks_gives_the_memory_of_software_gpus_back() {
    let world = World::empty();
    let ledger = || {
        let note = fs::read_to_string(world.data().join("node/softgpu/place")).unwrap();
        std::path::PathBuf::from(note.lines().nth(3).unwrap())
    };
    up(&world);
    sleeper(&world);
    world.ok(&["down"]);
    assert!(ledger().exists(), "a task uses it");
    up(&world);
    world.ok(&["down", "--tasks"]);
    assert!(!ledger().exists());
    up(&world);
    world.ok(&["down"]);
    world.ok(&["down", "--tasks"]);
    assert!(!ledger().exists(), "no server and no keeper ran any more");
}

#[test]
fn down_ends_what_a_killed_server_has_left() {
    let mut world = World::with_gpus("1xT4");
    let (task, program) = sleeper(&world);
    world.kill_server();
    let said = world.ok(&["down", "--tasks"]);
    assert!(said.contains("what an earlier one had left running was ended"), "{said}");
    assert!(!lives(program));
    world.start();
    world.wait_for_state(&task, "failed");
}

#[test]
fn down_stops_nothing_but_a_server_of_this_machine() {
    let world = World::empty();
    // A lock that nobody holds, with the pid of somebody else.
    fs::create_dir(world.data()).unwrap();
    fs::write(world.data().join("lock"), format!("{}\n", std::process::id())).unwrap();
    assert!(world.ok(&["down"]).contains("no server runs"));
    // A lock that somebody holds who is no server: us.
    let lock = fs::File::open(world.data().join("lock")).unwrap();
    lock.lock().unwrap();
    let refused = world.run(&["down"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("which is no server"), "{}", refused.stderr);
    assert_eq!(world.run(&["down", "--url", "http://elsewhere:7070"]).code, Some(2));
}
