//! Queues and labels, as a person types them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::world::World;

/// A world whose server starts with this in its settings file.
fn with_settings(text: &str) -> World {
    let mut world = World::empty();
    let folder = world.path().join("home/.config/fastgpu");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
    world.start();
    world
}

#[test]
fn a_queue_is_made_changed_and_taken_out_again() {
    let world = World::with_gpus("2xA100-80GB");
    let set = ["queue", "set", "nightly", "--order", "least_attained", "--priority", "-10"];
    assert_snapshot!(world.run(&set).told(), @r"
    exit 0
    stdout: new queue nightly: priority -10, order least_attained, placement fragmentation, preempt spot, wait max 7 d
    ");
    assert_snapshot!(world.run(&["queue", "set", "nightly", "--preempt", "any", "--wait-max", "2d"]).told(), @r"
    exit 0
    stdout: queue nightly: priority -10, order least_attained, placement fragmentation, preempt any, wait max 2 d
    ");
    assert_snapshot!(world.run(&["queue"]).told(), @r"
    exit 0
    stdout: QUEUE    PRIORITY  ORDER           PLACEMENT      PREEMPT  WAITING  RUNNING
    stdout: default  0         fifo            fragmentation  spot     0        0
    stdout: nightly  -10       least_attained  fragmentation  any      0        0
    ");
    let listed = world.json(&["queue", "-o", "json"]);
    assert_eq!(listed["items"][1]["policy"]["wait_max_ms"], 172_800_000);
    assert_snapshot!(world.run(&["queue", "rm", "nightly"]).told(), @r"
    exit 0
    stderr: queue nightly is gone
    ");
    assert_snapshot!(world.run(&["queue", "rm", "nightly"]).told(), @r"
    exit 1
    stderr: error: there is no queue `nightly`
    stderr:   help: `fastgpu queue` lists the queues
    ");
    assert_snapshot!(world.run(&["queue", "nightly"]).told(), @r"
    exit 1
    stderr: error: there is no queue `nightly`
    stderr:   help: `fastgpu queue` lists the queues, `fastgpu queue set` makes one
    ");
    assert_snapshot!(world.run(&["queue", "set", "Nightly", "--priority", "1"]).told(), @r"
    exit 1
    stderr: error: the configuration is not valid: `Nightly` is no name of a queue; it has 1 to 63 of a-z, 0-9, `-` and `_`
    stderr:   help: the configuration before it stays in force
    ");
    let refused = world.run(&["queue", "set", "nightly", "--order", "lifo"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("fifo, least_attained, predicted, shortest"), "{}", refused.stderr);
}

#[test]
fn who_waits_in_a_queue_learns_when_it_will_probably_start() {
    let world = World::with_gpus("2xA100-80GB");
    world.ok(&["queue", "set", "nightly", "--order", "shortest"]);
    let running = world.submit(&["--gpu", "2", "--time", "1h"], "sleep 1000");
    world.wait_for_state(&running, "running");
    let long =
        world.submit(&["--queue", "nightly", "--expect", "3h", "--gpu", "2", "--name", "long"], "true");
    let short =
        world.submit(&["--queue", "nightly", "--expect", "2m", "--gpu", "2", "--name", "short"], "true");
    let starts = |task: &str, wanted: &str| {
        crate::world::wait_for("a forecast", || {
            let listed = world.ok(&["ps", "--queue", "nightly"]);
            assert_eq!(listed.lines().count(), 3, "{listed}");
            let line = listed.lines().find(|line| line.contains(task)).unwrap();
            line.contains(wanted).then_some(())
        });
    };
    starts(&short, "~60 min");
    starts(&long, "~62 min");
    assert!(
        world.ok(&["why", "long"]).contains("expected to start in ~62 min, by stated and learned run times")
    );
    assert!(
        world.ok(&["why", "short"]).contains("expected to start in ~60 min, by the time limits of what runs")
    );
    let detail = world.ok(&["queue", "nightly"]);
    let waiting: Vec<&str> = detail.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert!(waiting.ends_with(&["short", "long"]), "{detail}");
    assert!(detail.contains("2 wait for 4 GPUs, 0 run on 0"), "{detail}");
    let listed = world.ok(&["queue"]);
    let line = listed.lines().find(|line| line.starts_with("nightly")).unwrap();
    assert!(line.contains("~60 min") && line.contains(&short), "{listed}");
    world.ok(&["queue", "rm", "nightly"]);
    let gone = world.run(&["queue", "nightly"]);
    assert!(gone.stdout.contains("it was taken out of the configuration"), "{}", gone.stdout);
    let refused = world.run(&["run", "-d", "--queue", "nightly", "--", "true"]);
    assert_snapshot!(refused.told(), @r"
    exit 1
    stderr: error: there is no queue `nightly`
    stderr:   help: the queues here are: default
    ");
}

#[test]
fn a_task_runs_only_on_machines_with_its_labels() {
    let world = with_settings("labels = [\"zone=north\", \"rack=7\"]\n");
    assert_eq!(
        world.json(&["nodes", "-o", "json"])["items"][0]["labels"],
        serde_json::json!(["rack=7", "zone=north"])
    );
    assert!(world.ok(&["nodes"]).contains("rack=7 zone=north"));
    let id = world.submit(&["--label", "zone=north", "--gpu", "none"], "true");
    assert_eq!(world.run(&["wait", &id]).code, Some(0));
    assert_snapshot!(world.run(&["run", "-d", "--label", "zone=south", "--", "true"]).told(), @r"
    exit 1
    stderr: error: no node carries the labels zone=south
    stderr:   help: `fastgpu nodes` lists the nodes with their labels; `--wait-for-capacity` queues it all the same
    ");
    assert_snapshot!(world.run(&["run", "-d", "--label", "zone", "--", "true"]).told(), @r"
    exit 2
    stderr: error: `--label`: `zone` is no label: there is no `=` in it; a label is `key=value`, each 1 to 63 letters a-z A-Z, digits and . _ - /
    stderr:   help: write for example `--label rack=7`
    ");
    assert_snapshot!(world.run(&["up", "--label", "zone"]).told(), @r"
    exit 2
    stderr: error: `--label`: `zone` is no label: there is no `=` in it; a label is `key=value`, each 1 to 63 letters a-z A-Z, digits and . _ - /
    stderr:   help: write for example `--label rack=7`
    ");
}

#[test]
fn all_that_is_decided_is_written_down_and_nothing_that_is_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal");
    let mut world = with_settings(&format!("record = {file:?}\n"));
    let id = world.submit(&["--env", "KEY=hunter2", "--gpu", "1"], "echo hunter2");
    assert_eq!(world.run(&["wait", &id]).code, Some(0));
    world.kill_server();
    world.start();
    let id = world.submit(&["--gpu", "none"], "true");
    assert_eq!(world.run(&["wait", &id]).code, Some(0));
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(written.matches("{\"begin\":").count(), 2);
    assert!(written.contains("\"submit\"") && written.contains("\"starts\""), "{written}");
    assert!(!written.contains("hunter2") && !written.contains("fgp_"), "{written}");
    let replayed = world.ok(&["simulate", "replay", &file.display().to_string()]);
    assert!(replayed.ends_with("2 decisions, all equal"), "{replayed}");
}
