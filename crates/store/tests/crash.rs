//! The process ends at each named point, as by `kill -9`, and the store goes on from there.
//!
//! This very program is started again as the process to crash: with [`ROLE`] set, the test `the_process_to_crash`
//! works on a folder until the point is reached.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fastgpu_core::change::Change;
use fastgpu_core::ids::TaskId;
use fastgpu_store::sqlite::{Existing, restore};
use fastgpu_store::{CRASH_POINTS, History, OpenOptions, Retention, Scope, SqliteStore, Store};
use support::{ended, event, ids, new, spec, task, update};

/// The folder to work in; set only for the process to crash.
const ROLE: &str = "FASTGPU_STORE_TEST_FOLDER";
/// Batches that the process writes, of [`BATCH`] tasks each.
const BATCHES: usize = 12;
const BATCH: usize = 4;

#[test]
fn the_process_to_crash() {
    let Ok(folder) = std::env::var(ROLE) else { return };
    let folder = PathBuf::from(folder);
    let mut store = SqliteStore::open(&folder, OpenOptions::default()).unwrap();
    let term = store.begin_term().unwrap();
    let mut acknowledged =
        std::fs::File::options().append(true).create(true).open(folder.join("acknowledged")).unwrap();
    for (number, batch) in ids(BATCHES * BATCH).chunks(BATCH).enumerate() {
        let mut changes = vec![spec(1)];
        changes.extend(batch.iter().flat_map(|id| [new(task(*id)), Change::Event(event(*id, 0))]));
        store.commit(term, &changes).unwrap();
        writeln!(acknowledged, "{number}").unwrap();
        // Copies the log, however short it is.
        store.release_reserve();
        store.restore_reserve();
    }
    // From here on, tasks end and go.
    let first: Vec<_> = ids(BATCH);
    let ends: Vec<_> = first.iter().map(|id| update(ended(*id, 1))).collect();
    store.commit(term, &ends).unwrap();
    store.history().backup(&folder.join("backup.db")).unwrap();
    let now = support::NOW;
    let keep = Retention { ended_before: now, tasks_max: 0, keys_before: now, at_most: 2 };
    store.prune(term, keep).unwrap();
    drop(store);
    restore(&folder.join("backup.db"), &folder, Existing::Replace).unwrap();
}

/// Runs the process until it passes `point` for the `passing`th time. False if it never did.
fn crash(folder: &Path, point: &str, passing: u32) -> bool {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_to_crash"])
        .env(ROLE, folder)
        .env("FASTGPU_CRASH_AT", format!("{point}:{passing}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(ended.success() || ended.signal().is_some(), "the process failed by itself: {ended}");
    !ended.success()
}

/// What must hold after any crash: every acknowledged batch, no half of any batch.
fn check(folder: &Path, context: &str) {
    let all = ids(BATCHES * BATCH);
    let mut store = SqliteStore::open(folder, OpenOptions::default()).unwrap();
    let history = store.history();
    let saved = store.load().unwrap();
    let live: BTreeSet<TaskId> = saved.tasks.iter().map(|task| task.id).collect();
    let stored = |id: &TaskId| history.task(&Scope::All, *id).unwrap();
    let acknowledged = std::fs::read_to_string(folder.join("acknowledged")).unwrap_or_default();
    let acknowledged = acknowledged.lines().count();
    for (number, batch) in all.chunks(BATCH).enumerate().skip(1) {
        let found = batch.iter().filter(|id| live.contains(id)).count();
        assert!(found == BATCH || found == 0, "{context}: {found} tasks of batch {number}");
        assert!(found == BATCH || number >= acknowledged, "{context}: batch {number} was acknowledged");
        for id in batch.iter().filter(|id| live.contains(id)) {
            assert_eq!(history.events(&Scope::All, *id, 0, 9).unwrap().len(), 1, "{context}");
            assert!(store.spec(support::hash(1)).unwrap().is_some(), "{context}");
        }
    }
    // The first batch ends and is pruned, in whole transactions.
    let first = all.iter().take(BATCH).filter(|id| stored(id).is_some()).count();
    assert!(first.is_multiple_of(2) && (first > 0 || acknowledged == 0), "{context}: {first} of the first");
    // And life goes on.
    let term = store.begin_term().unwrap();
    let next = TaskId::new(all.last().unwrap().get() + 1).unwrap();
    store.commit(term, &[spec(1), new(task(next))]).unwrap();
    assert!(store.restore_reserve(), "{context}");
}

#[test]
fn every_crash_point_is_reached_and_recovered_from() {
    for point in CRASH_POINTS {
        let mut reached = 0;
        for passing in [1, 2, 7] {
            let folder = tempfile::tempdir().unwrap();
            if crash(folder.path(), point, passing) {
                reached += 1;
                check(folder.path(), &format!("{point}, passing {passing}"));
            }
        }
        assert!(reached > 0, "{point} was never reached");
    }
}

#[test]
fn without_a_crash_the_process_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!crash(folder.path(), "store.no.such.point", 1));
    check(folder.path(), "no crash");
}
