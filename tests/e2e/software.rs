//! Software GPUs through the real binary: programs compute on them, and they break on order.

use crate::world::{PROGRAM, World, wait_for};

/// Waits until a GPU is as wanted, as `fastgpu gpus` shows it.
fn wait_for_gpu(
    world: &World,
    place: usize,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    wait_for("a GPU as wanted", || {
        let gpus = world.json(&["gpus", "-o", "json"]);
        Some(gpus["items"][place].clone()).filter(&wanted)
    })
}

#[test]
fn a_gpu_that_is_broken_on_order_is_out_of_service_until_it_is_mended() {
    let world = World::with_gpus("2xT4");
    let well = wait_for_gpu(&world, 1, |gpu| gpu["read_at"].is_string());
    assert_eq!((&well["power_mw"], &well["memory_used_mib"]), (&10_000.into(), &0.into()));
    assert!(world.ok(&["gpus"]).contains("software GPU"));

    let told = world.ok(&["simulate-fault", "gpu-1", "off-bus"]);
    assert!(told.contains("gpu-1: fell off the bus") && told.contains("gpu-1 clear"), "{told}");
    let lost = wait_for_gpu(&world, 1, |gpu| gpu["unusable"].is_string());
    assert!(lost["unusable"].as_str().unwrap().starts_with("software GPU: "), "{lost:#}");
    let both = world.submit(&["--gpu", "2"], "true");
    let why = world.ok(&["why", &both]);
    assert!(why.contains("1 GPU that could run it is unusable now"), "{why}");
    assert!(why.contains("gpu-1 Tesla T4 (software GPU): unusable: ") && why.contains("`--gpu 1`"), "{why}");
    assert_eq!(world.run(&["run", "--gpu", "1", "--", "true"]).code, Some(0));

    world.ok(&["simulate-fault", "gpu-1", "clear"]);
    wait_for_gpu(&world, 1, |gpu| gpu["unusable"].is_null());
    world.wait_for_state(&both, "succeeded");
}

#[test]
fn software_gpus_are_called_so_where_machines_are_listed_and_looked_at() {
    let world = World::with_gpus("2xT4");
    assert!(world.ok(&["nodes"]).contains("2 software GPUs"));
    assert_eq!(world.json(&["nodes", "-o", "json"])["items"][0]["simulated"], true);
    assert!(world.ok(&["gpus"]).contains("gpu-1  Tesla T4 (software GPU)"));
    let checks = world.json(&["doctor", "-o", "json"]);
    let checks = checks["items"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!((&of("driver")["status"], &of("software GPUs")["status"]), (&"ok".into(), &"ok".into()));
}

#[test]
fn a_gpu_is_named_in_any_way_it_is_ever_printed() {
    let world = World::with_gpus("2xT4");
    let uuid = world.ok(&["gpus", "-o", "id"]).lines().nth(1).unwrap().to_owned();
    for name in ["1", "gpu1", "gpu-1", &uuid, &uuid.to_uppercase()] {
        let told = world.ok(&["simulate-fault", name, "ecc"]);
        assert!(told.contains("gpu-1: ") && told.contains("`fastgpu simulate-fault gpu-1 clear`"), "{told}");
    }
    let task = world.submit(&["--gpu", "1"], "sleep 1000");
    world.wait_for_state(&task, "running");
    assert!(world.ok(&["ps"]).contains(" gpu-0 "));
}

#[test]
fn lists_of_devices_that_make_no_sense_are_refused_with_what_would() {
    let world = World::empty();
    let refused = |list: &str| {
        let ran = world.run(&["up", "--simulate", list]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.told().to_owned()
    };
    assert!(refused("1024xH100").contains("from 1 to 64 can be simulated"));
    assert!(refused("60xT4,5xL4").contains("asks for 65 devices; at most 64 can be simulated"));
    assert!(refused("4xH100,,2xL4").contains("a comma with nothing beside it"));
    assert!(refused("x8").contains("`x8` has no count before the `x`"));
}

#[test]
fn a_task_that_waits_for_what_is_no_longer_here_says_so() {
    let mut world = World::with_gpus("2xT4");
    let waits = world.submit(&["--gpu", "2", "--held"], "true");
    world.restart_with("1xL4");
    world.ok(&["set", &waits, "--unhold"]);
    let why = world.ok(&["why", &waits]);
    assert!(why.contains("nothing here can run it: 2 GPUs are asked for; there is 1"), "{why}");
    wait_for("the listing says it too", || {
        world.ok(&["ps"]).contains("nothing here can run it: 2 GPUs").then_some(())
    });
}

#[test]
fn faults_are_ordered_in_words_that_make_sense() {
    let world = World::with_gpus("1xT4");
    let refused = |words: &[&str]| {
        let ran = world.run(&[&["simulate-fault"], words].concat());
        assert_ne!(ran.code, Some(0), "{ran:?}");
        ran.told().to_owned()
    };
    assert!(refused(&["gpu-7", "hang"]).contains("there are 1 software GPUs, numbered from 0"));
    for fault in [&["nvml-hang"][..], &["nvml-slow", "1s"], &["driver-version", "590.1"]] {
        let same = format!("`fastgpu simulate-fault all {}`", fault.join(" "));
        assert!(refused(&[&["gpu-0"], fault].concat()).contains(&same));
    }
    assert!(refused(&["banana", "hang"]).contains("`banana` is no GPU"));
    assert!(refused(&["all", "nvml-slow", "2h"]).contains("no time up to 60 s"));
    let elsewhere = World::empty();
    let ran = elsewhere.run(&["simulate-fault", "gpu-0", "hang"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("fastgpu up --simulate"), "{ran:?}");
}

#[test]
fn a_program_in_a_task_computes_on_the_gpu_it_was_granted() {
    let world = World::with_gpus("1xH100,1xL4");
    let saxpy =
        world.run(&["run", "--gpu", "1", "--gpu-model", "l4", "--", PROGRAM, "demo-kernel", "saxpy", "5000"]);
    assert_eq!(saxpy.code, Some(0), "{saxpy:?}");
    assert!(saxpy.stdout.contains("saxpy on NVIDIA L4 (software GPU)"), "{saxpy:?}");
    assert!(saxpy.stdout.contains("5000 results, all of them right"), "{saxpy:?}");
    let picture = world.path().join("set.ppm");
    let file = picture.to_str().unwrap();
    let words = ["--width", "64", "--height", "48", "--picture", file];
    let drawn =
        world.run(&[&["run", "--gpu", "1", "--", PROGRAM, "demo-kernel", "mandelbrot"], &words[..]].concat());
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
    assert!(
        drawn.stdout.contains("@@") && drawn.stdout.contains("3072 results, all of them right"),
        "{drawn:?}"
    );
    assert!(std::fs::read(&picture).unwrap().starts_with(b"P6\n64 48\n255\n"));
    let none = world.run(&["run", "--gpu", "none", "--", PROGRAM, "demo-kernel", "saxpy"]);
    assert_ne!(none.code, Some(0), "a task without a GPU sees none: {none:?}");
}
