//! Reckoning before anything runs: no server, no data folder, and the same answer each time.

use insta::assert_snapshot;

use crate::world::World;

#[test]
fn the_article_is_set_beside_the_truth() {
    let world = World::empty();
    let said = world.ok(&["model", "--article"]);
    let first: Vec<&str> = said.lines().take(4).collect();
    assert_snapshot!(first.join("\n"), @r"
                 ARTICLE  TRUTH
    utilization  10 %     50 % over the makespan
    waiting      1 h      0 s in the mean
    completion   11 h     2 h in the mean
    ");
    let told = world.json(&["model", "--article", "-o", "json"]);
    assert_eq!((&told["article"]["utilization"], &told["article"]["wait_s"]), (&0.1.into(), &3_600.0.into()));
    assert_eq!(told["orders"][0]["utilization"], 0.5);
    assert!(!world.data().exists(), "no server was started for it");
}

#[test]
fn a_list_of_tasks_comes_from_flags_or_a_file() {
    let world = World::empty();
    let flags = ["model", "--gpus", "4", "--task", "3x10m", "--task", "4x5m", "--task", "1x9m", "-o", "json"];
    let by_flags = world.json(&flags);
    std::fs::write(world.work().join("tasks.csv"), "gpus,duration,note\n3,10m,a\n4,300,b\n1,9m,c\n").unwrap();
    let by_file = world.json(&["model", "--gpus", "4", "--file", "tasks.csv", "-o", "json"]);
    assert_eq!(by_flags, by_file);
    let [fifo, backfill] = [&by_file["orders"][0], &by_file["orders"][1]];
    assert_eq!((&fifo["wait_s_max"], &fifo["makespan_s"]), (&900.0.into(), &1_440.0.into()));
    assert_eq!((&backfill["wait_s_max"], &backfill["makespan_s"]), (&600.0.into(), &900.0.into()));
}

#[test]
fn theory_is_checked_and_a_goal_is_answered_with_its_price() {
    let world = World::empty();
    let words =
        [
            &[
                "model",
                "--arrivals",
                "12/h",
                "--service",
                "exp:2h",
                "--wait-goal",
                "5m",
                "--quantile",
                "mean",
            ][..],
            &["--price", "2.5", "--check", "--check-tasks", "200000", "-o", "json"],
        ]
        .concat();
    let told = world.json(&words);
    assert_eq!((&told["exact"], &told["gpus"], &told["load_gpus"]), (&true.into(), &30.into(), &24.0.into()));
    let choices = told["goal"]["choices"].as_array().unwrap();
    for choice in choices {
        let (gpus, wait_s) = (choice["gpus"].as_u64().unwrap(), choice["wait_s_mean"].as_f64().unwrap());
        assert_eq!(
            (choice["met"].as_bool().unwrap(), gpus >= 30),
            (wait_s <= 300.0, wait_s <= 300.0),
            "{choice}"
        );
    }
    assert_eq!(told["cost_per_month"], 54_750.0);
    let (found, theory) = (&told["check"]["wait_s_mean"], told["wait_s_mean"].as_f64().unwrap());
    let [low, high] = ["low", "high"].map(|end| found[end].as_f64().unwrap());
    assert!(low < theory && theory < high, "{theory} in {found}");
    assert_eq!(told, world.json(&words), "the same seed gives the same answer");
}

#[test]
fn what_cannot_be_reckoned_is_told_with_what_can() {
    let world = World::empty();
    let told = |words: &[&str]| world.run(&[&["model"], words].concat()).told().to_owned();
    assert_snapshot!(told(&["--arrivals", "12/h", "--service", "exp:2h", "--gpus", "24"]), @"
    exit 2
    stderr: error: 12 tasks/h of 2 h each would keep 24 GPUs busy all the time, and there are 24: the queue grows without end
    stderr:   help: at least `--gpus 25` are needed; `--wait-goal 5m` finds how many keep waits short
    ");
    assert_snapshot!(told(&["--gpus", "2", "--task", "3x1h"]), @"
    exit 2
    stderr: error: task 1 asks for 3 GPUs and there are 2
    stderr:   help: it needs at least `--gpus 3`
    ");
    assert_snapshot!(told(&["--arrivals", "12", "--service", "exp:2h", "--gpus", "30"]), @"
    exit 2
    stderr: error: `--arrivals`: `12` is not a number per time
    stderr:   help: write for example `12/h`, `0.5/min` or `200/d`
    ");
    assert!(told(&[]).starts_with("exit 2\nstderr: error: there are no tasks to reckon with"));
    std::fs::write(world.work().join("bad.csv"), "duration\n2h\nsoon\n").unwrap();
    assert!(told(&["--gpus", "1", "--file", "bad.csv"]).contains("task 2: `soon` is not a duration"));
}
