//! GPUs that fail under a task: the task is not to blame, and everybody can see what happened.

use serde_json::Value;

use crate::world::{PROGRAM, World, wait_for};

/// Waits for attempt `number` of a task to be as wanted, and returns it.
fn wait_for_attempt(world: &World, task: &str, number: usize, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(&format!("attempt {number} of {task} is as wanted"), || {
        let attempts = world.fetch(&format!("/v1/tasks/{task}/attempts"));
        let attempts: Value = serde_json::from_slice(&attempts).unwrap();
        Some(attempts["items"][number - 1].clone()).filter(|attempt| !attempt.is_null() && wanted(attempt))
    })
}

fn gpu_of(attempt: &Value) -> String {
    attempt["grant"][0]["gpus"][0]["index"].to_string()
}

/// Waits until the program of the first attempt computes on its GPU, and returns the GPU.
fn busy_gpu(world: &World, task: &str) -> String {
    let attempt = wait_for_attempt(world, task, 1, |attempt| attempt["started_at"].is_string());
    let gpu = gpu_of(&attempt);
    wait_for("a program computes", || {
        let gpus = world.json(&["gpus", "-o", "json"]);
        let place: usize = gpu.parse().unwrap();
        gpus["items"][place]["memory_used_mib"].as_u64().filter(|&used| used > 0)
    });
    gpu
}

/// A program that computes for longer than any story, on a GPU of its own.
fn burn(world: &World, flags: &[&str]) -> String {
    let program = ["--", PROGRAM, "demo-kernel", "burn", "10m"];
    world.ok(&[&["run", "-d", "-o", "id", "--gpu", "1"], flags, &program].concat())
}

#[test]
fn a_gpu_that_fails_under_a_task_is_not_the_tasks_fault() {
    let world = World::with_gpus("4xA100-80GB");
    let stories: [(&[&str], &str); 3] = [
        (&["xid", "79"], "XID 79, the device has fallen off the bus"),
        (&["xid", "48"], "XID 48, a memory error that could not be corrected"),
        (&["ecc", "--uncorrected"], "XID 48, a memory error that could not be corrected"),
    ];
    for (fault, why) in stories {
        let task = burn(&world, &["--retry", "1"]);
        let gpu = busy_gpu(&world, &task);
        world.ok(&[&["simulate-fault", &gpu], fault].concat());
        let first = wait_for_attempt(&world, &task, 1, |attempt| attempt["ended_at"].is_string());
        let told = format!("gpu-{gpu} of node-0 (GPU-");
        assert_eq!(first["failure"]["class"], "gpu_sick", "{fault:?}: {first:#}");
        let message = first["failure"]["message"].as_str().unwrap();
        assert!(message.contains(&told) && message.contains(why), "{message}");
        let second = wait_for_attempt(&world, &task, 2, |attempt| attempt["started_at"].is_string());
        assert_ne!(gpu_of(&second), gpu, "it is tried again elsewhere");
        let asked = world.ok(&["why", &task]);
        assert!(asked.contains("0 of 1 retries used; 1 retries for faults of machines"), "{asked}");
        let events = world.ok(&["events", &task]);
        for text in [&asked, &events] {
            assert!(text.contains(&told) && text.contains(why), "{text}");
        }
        world.ok(&["cancel", &task]);
        world.ok(&["simulate-fault", &gpu, "clear"]);
        wait_for("the GPU is back", || {
            let gpus = world.json(&["gpus", "-o", "json"]);
            gpus["items"].as_array().unwrap().iter().all(|gpu| gpu["unusable"].is_null()).then_some(())
        });
    }
}

#[test]
fn a_gpu_that_is_lost_while_no_server_looks_is_blamed_by_the_next_one() {
    let mut world = World::with_gpus("2xA100-80GB");
    let task = burn(&world, &[]);
    let gpu = busy_gpu(&world, &task);
    world.kill_server();
    world.ok(&["simulate-fault", &gpu, "xid", "79"]);
    let record = world.data().join(format!("node/attempts/{task}.1/record"));
    wait_for("the end of the attempt is written down", || {
        std::fs::read_to_string(&record).unwrap().contains("\"exit\"").then_some(())
    });
    world.start();
    let first = wait_for_attempt(&world, &task, 1, |attempt| attempt["ended_at"].is_string());
    assert_eq!(first["failure"]["class"], "gpu_sick", "{first:#}");
    wait_for_attempt(&world, &task, 2, |attempt| attempt["started_at"].is_string());
}

#[test]
fn a_program_that_fails_by_itself_is_charged_to_its_user_whatever_the_gpu_reports() {
    let world = World::with_gpus("2xA100-80GB");
    let by_itself = world.submit(&["--gpu", "1"], "exit 3");
    let first = wait_for_attempt(&world, &by_itself, 1, |attempt| attempt["ended_at"].is_string());
    assert_eq!((&first["failure"]["class"], &first["exit_code"]), (&"user_error".into(), &3.into()));
    for xid in ["13", "31"] {
        let task = burn(&world, &[]);
        let gpu = busy_gpu(&world, &task);
        world.ok(&["simulate-fault", &gpu, "xid", xid]);
        let first = wait_for_attempt(&world, &task, 1, |attempt| attempt["ended_at"].is_string());
        assert_eq!(first["failure"]["class"], "user_error", "XID {xid}: {first:#}");
        assert_eq!(world.state(&task), "failed");
    }
}

#[test]
fn a_gpu_out_of_service_has_nothing_free_and_still_shows_its_task() {
    let world = World::with_gpus("2xA100-80GB");
    // It holds its GPU and does not look at it, so it lives on when the GPU is lost.
    let task = world.submit(&["--gpu", "1"], "sleep 600");
    let gpu = gpu_of(&wait_for_attempt(&world, &task, 1, |attempt| attempt["started_at"].is_string()));
    world.ok(&["simulate-fault", &gpu, "off-bus"]);
    let place: usize = gpu.parse().unwrap();
    let lost = wait_for("the GPU is lost", || {
        let gpus = world.json(&["gpus", "-o", "json"]);
        Some(gpus["items"][place].clone()).filter(|gpu| gpu["unusable"].is_string())
    });
    assert_eq!((&lost["free_share_milli"], &lost["free_memory_mib"]), (&0.into(), &0.into()));
    let table = world.ok(&["gpus"]);
    let row = table.lines().find(|line| line.contains("unusable")).unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains(&task) && row.contains("GPU is lost"), "{row}");
    let node = world.json(&["nodes", "-o", "json"])["items"][0].clone();
    assert_eq!((&node["gpus"], &node["gpus_usable"]), (&2.into(), &1.into()));
    assert!(world.ok(&["nodes"]).contains("1 of 2"));

    world.ok(&["simulate-fault", &gpu, "clear"]);
    wait_for("the GPU is back", || {
        let node = world.json(&["nodes", "-o", "json"])["items"][0].clone();
        (node["gpus_usable"] == 2).then_some(())
    });
    let uuid = lost["uuid"].as_str().unwrap();
    let of_it = |line: &&str| line.contains(uuid) && line.contains(&format!("gpu-{gpu} is "));
    let told = world.server_log();
    let lines: Vec<_> = told.lines().filter(of_it).collect();
    assert_eq!(lines.len(), 2, "one line at its loss and one at its return: {lines:#?}");
    assert!(lines[0].contains("out of service") && lines[0].contains("GPU is lost"), "{}", lines[0]);
    assert!(lines[1].contains("back in service"), "{}", lines[1]);
}

#[test]
fn a_node_whose_driver_was_exchanged_hands_out_no_gpu_until_it_is_mended() {
    let world = World::with_gpus("2xA100-80GB");
    world.ok(&["simulate-fault", "all", "driver-version", "590.48.01"]);
    let task = burn(&world, &[]);
    let first = wait_for_attempt(&world, &task, 1, |attempt| attempt["ended_at"].is_string());
    assert_eq!(first["failure"]["class"], "gpu_sick", "the first to fail tells the node: {first:#}");
    let gpus = world.json(&["gpus", "-o", "json"]);
    for gpu in gpus["items"].as_array().unwrap() {
        assert!(gpu["unusable"].as_str().unwrap().contains("different versions"), "{gpu:#}");
    }
    let nodes = world.ok(&["nodes"]);
    assert!(nodes.contains("0 of 2") && nodes.contains("nvml"), "{nodes}");
    let waiting = wait_for("it waits for a GPU", || {
        let why = world.ok(&["why", &task]);
        why.contains("different versions").then_some(why)
    });
    assert!(waiting.contains("gpu-0"), "{waiting}");
    let later = world.submit(&["--gpu", "1"], "true");
    assert!(world.ok(&["why", &later]).contains("different versions"), "whoever comes now waits too");
    world.ok(&["simulate-fault", "all", "clear"]);
    world.wait_for_state(&later, "succeeded");
    wait_for_attempt(&world, &task, 2, |attempt| attempt["started_at"].is_string());
}

#[test]
fn memory_errors_are_told_until_the_gpu_was_reset() {
    let world = World::with_gpus("1xA100-80GB");
    world.ok(&["simulate-fault", "gpu-0", "ecc", "--uncorrected", "--count", "2"]);
    let broken = wait_for("the errors are seen", || {
        let gpus = world.json(&["gpus", "-o", "json"]);
        Some(gpus["items"][0].clone()).filter(|gpu| gpu["memory_errors"] == 2)
    });
    assert!(broken["unusable"].as_str().unwrap().contains("reset"), "{broken:#}");
    assert!(world.ok(&["gpus"]).contains("2 ECC errors"));
    let told = world.run(&["doctor"]);
    let of_gpus =
        |line: &&str| line.split_once(' ').is_some_and(|(_, rest)| rest.trim().starts_with("software GPUs"));
    let line = told.stdout.lines().find(of_gpus).unwrap_or_else(|| panic!("{told:?}"));
    assert!(line.contains("2 memory errors that could not be corrected"), "{line}");
    world.ok(&["simulate-fault", "gpu-0", "clear"]);
    wait_for("the GPU is back", || {
        let gpu = world.json(&["gpus", "-o", "json"])["items"][0].clone();
        (gpu["unusable"].is_null() && gpu["memory_errors"] == 0).then_some(())
    });
}
