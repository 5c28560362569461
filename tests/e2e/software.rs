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
    let waits = world.ok(&["why", &both]);
    assert!(waits.contains("waits") && waits.contains("gpu-1"), "one GPU is left: {waits}");
    assert_eq!(world.run(&["run", "--gpu", "1", "--", "true"]).code, Some(0));

    world.ok(&["simulate-fault", "gpu-1", "clear"]);
    wait_for_gpu(&world, 1, |gpu| gpu["unusable"].is_null());
    world.wait_for_state(&both, "succeeded");
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
    assert!(refused(&["gpu-0", "nvml-hang"]).contains("`all`"));
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
