//! A full disk under a running server: new tasks are refused in words, everything else goes on, and nobody
//! has to come and help.
//!
//! The disk is a small file system in memory, mounted where nobody else sees it: the test starts itself
//! again in mount namespace of its own. Where that is not allowed, it says that it did not run.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::http::Door;
use crate::ledger::{Deed, Ledger};
use crate::verdict::{History, Verdict, by_name};
use crate::world::{World, wait_for};

/// Set for a test that runs in a mount namespace of its own.
const INSIDE: &str = "FASTGPU_TEST_INSIDE";
/// Room for the database, its log, the reserve, and hardly anything else.
const DISK: &str = "size=48m";
/// How soon after there is room again a submit must be taken.
const RECOVERED_MAX: Duration = Duration::from_secs(5);
/// More submits than the disk has room for.
const SUBMITS_MAX: usize = 400;

#[test]
fn a_full_disk_refuses_new_tasks_and_nothing_else_and_recovers_by_itself() {
    on_a_small_disk(
        "disk_full::a_full_disk_refuses_new_tasks_and_nothing_else_and_recovers_by_itself",
        |mut world| {
            world.start_well();
            let mut ledger = Ledger::new(&world, "a");
            let running = ledger.one(Deed::Run { ms: 2_000, exit_code: 3 });
            assert!(ledger.send(&world.door(), running));
            let held = ledger.batch(&[Deed::Held; 10]);
            assert!(ledger.send(&world.door(), held));
            wait_for("its start", || !world.guardians().is_empty());
            let filler = fill(&world);
            let taken = submit_until_refused(&world.door(), &mut ledger);
            assert!(world.guardians().len() == 1, "the task must outlast the last free block");
            reads_go_on(&world.door(), &ledger);
            assert!(ledger.cancel(&world.door(), held), "a cancel is no new task");
            wait_for("the end of what ran", || state_of(&world.door(), &ledger, running) == "failed");
            wait_for("the node to be told", || world.guardians().is_empty());
            must_be_refused(&world.door());
            reads_go_on(&world.door(), &ledger);
            std::fs::remove_file(filler).unwrap();
            let freed = Instant::now();
            let request = ledger.one(Deed::Run { ms: 0, exit_code: 0 });
            while world.door().post("/v1/tasks", None, Some(SPEC)).unwrap().status == 507 {
                assert!(freed.elapsed() < RECOVERED_MAX, "it does not notice that there is room");
                std::thread::sleep(Duration::from_millis(20));
            }
            let took = freed.elapsed();
            wait_for("a ready server", || world.door().get("/readyz").unwrap().is_success());
            assert!(ledger.send(&world.door(), request));
            let verdict = Verdict::of(&mut world, &mut [ledger], History::Kept);
            assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
            assert_eq!(verdict.retried, 0);
            say(&format!(
                "disk full after {taken} large tasks, taken again {took:?} after there was room; {verdict}"
            ));
            world.end();
        },
    );
}

/// The one crash point that only a full disk leads to: what was kept back is given up, and then it ends.
#[cfg(feature = "failpoints")]
#[test]
fn a_crash_on_a_full_disk_is_survived_on_the_full_disk() {
    use crate::crash_points::Crash;
    on_a_small_disk("disk_full::a_crash_on_a_full_disk_is_survived_on_the_full_disk", |mut world| {
        for round in 0..3 {
            let crash = Crash::at(&world, "store.reserve.released", 1);
            world.start(&crash.orders()).unwrap();
            let mut ledger = Ledger::new(&world, &format!("r{round}"));
            let running = ledger.one(Deed::Run { ms: 1_000, exit_code: 0 });
            assert!(ledger.send(&world.door(), running));
            wait_for("its start", || !world.guardians().is_empty());
            let filler = fill(&world);
            // One of these, or the end of what runs, finds the disk full.
            for _ in 0..SUBMITS_MAX {
                let request = ledger.one(Deed::HeldLarge(100));
                if !ledger.send(&world.door(), request) {
                    break;
                }
            }
            crash.must_have_happened(&mut world);
            assert!(world.kill_server().is_some_and(crate::world::crashed));
            world.start_well();
            let tasks = by_name(&world.door());
            let acknowledged = ledger.requests.iter().filter(|request| request.ids.is_some());
            for request in acknowledged {
                assert!(tasks.contains_key(&request.plans[0].name), "lost: {:?}", request.plans[0]);
            }
            std::fs::remove_file(filler).unwrap();
            wait_for("room", || world.door().post("/v1/tasks", None, Some(SPEC)).unwrap().is_success());
            let verdict = Verdict::of(&mut world, &mut [ledger], History::Kept);
            assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
            world.end();
        }
    });
}

/// A task that leaves nothing behind.
const SPEC: &str = r#"{"command":["true"],"gpu":0.1,"cpu":0.01}"#;

/// Runs a story whose data folder is a small disk.
fn on_a_small_disk(name: &str, story: impl FnOnce(World)) {
    if std::env::var_os(INSIDE).is_some() {
        let world = World::new();
        std::fs::create_dir(world.data()).unwrap();
        let words = ["-t", "tmpfs", "-o", DISK, "fastgpu-test"];
        let mounted = Command::new("mount").args(words).arg(world.data()).status().unwrap();
        assert!(mounted.success());
        return story(world);
    }
    let mut own_mounts = vec!["--mount", "--propagation", "private"];
    if !rustix::process::geteuid().is_root() {
        own_mounts.push("--map-root-user");
    }
    let trial = "d=$(mktemp -d) && mount -t tmpfs fastgpu-test $d && umount $d; rmdir $d";
    let trial = Command::new("unshare").args(&own_mounts).args(["sh", "-c", trial]).output();
    if !trial.as_ref().is_ok_and(|trial| trial.status.success()) {
        return say(&format!("NOT RUN: {name}: no file system can be mounted here: {trial:?}"));
    }
    let mut again = Command::new("unshare");
    again.args(&own_mounts).arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    assert!(again.env(INSIDE, "1").status().unwrap().success(), "see above");
}

/// Takes all the room there is.
fn fill(world: &World) -> PathBuf {
    let path = world.data().join("filler");
    let mut file = File::create(&path).unwrap();
    while file.write_all(&[7; 4_096]).is_ok() {}
    path
}

/// Submits until there is no room left even in what is allocated; says how many were taken.
fn submit_until_refused(door: &Door, ledger: &mut Ledger) -> usize {
    for number in 0..SUBMITS_MAX {
        let request = ledger.one(Deed::HeldLarge(100));
        let body = ledger.body(request).to_owned();
        let answer = door.post("/v1/tasks", Some(ledger.key(request)), Some(&body)).unwrap();
        if answer.status == 507 {
            assert!(answer.kind.starts_with("application/problem+json"), "{answer:?}");
            assert_eq!(answer.body["code"], "storage_full", "{answer:?}");
            assert!(answer.body["hint"].is_string(), "{answer:?}");
            ledger.requests.pop();
            must_be_refused(door);
            return number;
        }
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(ledger.send(door, request), "a repeated request needs no room");
    }
    panic!("{SUBMITS_MAX} tasks of 100 KiB fit into {DISK}");
}

#[track_caller]
fn must_be_refused(door: &Door) {
    for _ in 0..5 {
        let answer = door.post("/v1/tasks", None, Some(SPEC)).unwrap();
        assert_eq!(answer.status, 507, "{answer:?}");
    }
}

#[track_caller]
fn reads_go_on(door: &Door, ledger: &Ledger) {
    for _ in 0..20 {
        for path in ["/v1/tasks", "/v1/gpus", "/v1/nodes", "/healthz"] {
            assert_eq!(door.get(path).unwrap().status, 200, "{path}");
        }
    }
    let there = by_name(door);
    let known = ledger.requests.iter().filter(|request| request.ids.is_some());
    assert!(known.flat_map(|request| &request.plans).all(|plan| there.contains_key(&plan.name)));
    assert_eq!(door.get("/readyz").unwrap().status, 503, "a balancer should send new tasks elsewhere");
}

fn state_of(door: &Door, ledger: &Ledger, request: usize) -> String {
    let id = &ledger.requests[request].ids.as_ref().unwrap()[0];
    let task = door.get(&format!("/v1/tasks/{id}")).unwrap();
    task.body["state"].as_str().unwrap_or_default().to_owned()
}

/// Said even when the runner swallows what tests print.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
