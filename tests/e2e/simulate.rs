//! `fastgpu simulate`: what scripts rely on, and what people see when something is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::world::{World, wait_for};

const TASKS: &str = "submit_s,duration_s,gpus,share,owner,class\n\
                     0,3600,1,0.5,ann,standard\n10,7200,8,,bob,spot\n20,1800,8,,ann,standard\n";

fn file(world: &World, name: &str, text: &str) -> String {
    let path = world.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn traces(name: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../traces");
    root.join(name).display().to_string()
}

#[test]
fn policies_stand_side_by_side_and_the_answer_repeats_itself() {
    let world = World::empty();
    let tasks = file(&world, "tasks.csv", TASKS);
    let page = world.path().join("page.html").display().to_string();
    let words = [
        "simulate",
        "trace",
        &tasks,
        "--cluster",
        "2x 8xH100-80GB price=2",
        "--add",
        "4xA100-40GB",
        "--policy",
        "default",
        "--policy",
        "fifo,placement=packing",
        "--electricity",
        "0.3",
        "-o",
        "json",
        "--html",
        &page,
    ];
    let first = world.ok(&words);
    assert_eq!(first, world.ok(&words));
    let answer: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&answer["cluster"]["gpus"], &answer["cluster"]["nodes"]), (&20.into(), &3.into()));
    let policies = answer["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 2);
    for policy in policies {
        assert_eq!(policy["tasks"]["succeeded"], 3);
        assert_eq!(policy["gpu_hours"]["held"], policy["gpu_hours"]["charged"]);
        for number in ["makespan_s", "utilization_percent", "fragmentation_percent", "preemptions"] {
            assert!(policy[number].is_number(), "{number}");
        }
        for number in ["p50", "p90", "p99", "p999", "mean", "max"] {
            assert!(policy["wait_s"][number].is_number(), "wait_s.{number}");
        }
        assert!(
            policy["energy"]["kwh"].as_f64().unwrap() > 0.0 && policy["cost"]["gpus"].as_f64().unwrap() > 0.0
        );
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("<svg") && page.contains("Waiting times") && page.contains("fifo,placement=packing")
    );
    assert!(
        !page.contains("<script") && !page.contains("src=") && !page.contains("@import"),
        "it needs nothing else"
    );
}

#[test]
fn what_makes_no_sense_is_named_with_its_place() {
    let world = World::empty();
    let tasks = file(&world, "tasks.csv", "submit_s,duration_s,gpus\n0,10,1\n5,soon,1\n");
    let told = |words: &[&str]| {
        let ran = world.run(words);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{words:?}");
        ran.stderr
    };
    let error = told(&["simulate", "trace", &tasks, "--cluster", "8xH100"]);
    assert!(error.contains("tasks.csv, line 3, column 2 (duration_s): `soon` is not a number"), "{error}");
    let error = told(&["simulate", "trace", &tasks, "--cluster", "8xZ9"]);
    assert!(error.contains("--cluster, line 1: `Z9` does not say how much memory it has"), "{error}");
    let error = told(&["simulate", "trace", &tasks, "--cluster", "8xH100", "--policy", "best"]);
    assert!(error.contains("there is no policy `best`") && error.contains("best_fit"), "{error}");
    let error = told(&["simulate", "synthetic", "--faults", "fire=1d"]);
    assert!(error.contains("`fire` is no fault"), "{error}");
}

#[test]
fn the_experiment_on_openb_has_its_shape() {
    let world = World::empty();
    let nodes = traces("openb/openb_node_list_gpu_node.csv.gz");
    let tasks = traces("openb/openb_pod_list_default.csv.gz");
    let answer = world.json(&[
        "simulate", "openb", "--nodes", &nodes, "--tasks", &tasks, "--policy", "best_fit", "--seeds",
        "42..43", "-o", "json",
    ]);
    assert_eq!(answer["policy"], "best_fit");
    assert_eq!(answer["seeds"].as_array().unwrap().len(), 2);
    let seed = &answer["seeds"][0];
    assert_eq!(seed["seed"], 42);
    assert!((seed["allocation"]["130"].as_f64().unwrap() - 93.03).abs() < 0.011);
    assert!(seed["decision_us"]["p99"].as_f64().unwrap() > 0.0);
    for number in ["unusable", "idle_gpus"] {
        assert!(seed[number].is_number() && answer["mean"][number].is_number(), "{number}");
    }
}

#[test]
fn the_experiment_on_philly_has_its_shape_and_several_policies_are_a_list() {
    let world = World::empty();
    let tasks = traces("philly/philly_oct_nov_2017.csv.gz");
    let answer = world.json(&[
        "simulate",
        "philly",
        "--tasks",
        &tasks,
        "--load",
        "0.6",
        "--vc",
        "e13805",
        "--durations",
        "known",
        "--policy",
        "srtf",
        "--policy",
        "fifo-bf,placement=best_fit",
        "-o",
        "json",
    ]);
    assert_eq!(answer.as_array().unwrap().len(), 2);
    let fifo = &answer[1];
    assert_eq!((&fifo["completion_s_mean"], &fifo["queue_s_mean"]), (&49_453.6.into(), &5_445.9.into()));
    assert_eq!((&fifo["preemptions"], &fifo["lost_work_s"]), (&0.into(), &0.0.into()));
    for number in ["p50", "p90", "p99", "p999"] {
        assert!(fifo["wait_s"][number].is_number(), "{number}");
    }
    assert_eq!(fifo["vcs"]["e13805"]["nodes"], 4);
}

#[test]
fn the_history_of_a_server_is_played_on_more_machines() {
    let world = World::with_gpus("2xA100-80GB");
    for _ in 0..3 {
        world.run(&["run", "--gpu", "1", "--name", "short", "--", "true"]);
    }
    let answer = world.json(&[
        "simulate",
        "trace",
        "--from-server",
        "--add",
        "4xA100-80GB",
        "--policy",
        "default",
        "--price",
        "1.5",
        "-o",
        "json",
    ]);
    assert_eq!((&answer["tasks"], &answer["cluster"]["gpus"]), (&3.into(), &6.into()));
    assert_eq!(answer["policies"][0]["tasks"]["succeeded"], 3);
}

#[test]
fn the_recording_of_a_server_is_decided_again_and_a_forged_one_is_found_out() {
    let mut world = World::empty();
    let recording = world.path().join("recording").display().to_string();
    world.start_with(&["--record", &recording]);
    let waiting = world.submit(&["--gpu", "2"], "sleep 600");
    for number in 0..6 {
        let share = ["0.25", "0.5", "1"][number % 3];
        world.submit(&["--gpu", share, "--priority", &number.to_string()], "exit 0");
    }
    world.ok(&["cancel", "-y", &waiting]);
    let done = || world.json(&["ps", "-o", "json"])["items"].as_array().unwrap().is_empty();
    wait_for("all tasks are over", || done().then_some(()));
    world.stop_server(Signal::TERM);

    let told = world.ok(&["simulate", "replay", &recording]);
    assert!(told.ends_with("decisions, all equal"), "{told}");
    let compared = world.json(&["simulate", "replay", &recording, "-o", "json"]);
    assert!(
        compared["rounds"].as_u64() >= Some(2) && compared["decisions"].as_u64() >= Some(7),
        "{compared}"
    );

    // Somebody has torn a page out.
    let text = fs::read_to_string(&recording).unwrap();
    let forged = file(&world, "forged", &forged(&text));
    let ran = world.run(&["simulate", "replay", &forged]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("decided otherwise: round "), "{ran:?}");
    let ran = world.run(&["simulate", "replay", "--go-on", &forged]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("decided otherwise"), "{ran:?}");
    let ran = world.run(&["simulate", "replay", &file(&world, "torn", "{}\n")]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("line 1 of the journal is damaged"), "{ran:?}");
}

/// The recording without the batch in which the first task was started.
fn forged(recording: &str) -> String {
    let place =
        recording.lines().position(|line| line.contains("\"starts\":[{")).expect("something was started");
    recording
        .lines()
        .enumerate()
        .filter(|(line, _)| *line != place)
        .map(|(_, text)| format!("{text}\n"))
        .collect()
}
