//! What is true of a store on a disk: whose folder it is, what a crash leaves, what a copy holds.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fastgpu_core::change::Change;
use fastgpu_core::ids::TaskId;
use fastgpu_store::sqlite::{BackupError, Existing, RestoreError, restore};
use fastgpu_store::{
    Check, Filter, History, OpenError, OpenOptions, Page, Retention, Scope, SqliteStore, Store, StoreError,
};
use rusqlite::Connection;
use support::{Dice, ended, event, ids, named, new, spec, task, update};

fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(folder, OpenOptions::default())
}

/// A store with these tasks, one commit each, closed cleanly.
fn filled(folder: &Path, ids: &[TaskId]) {
    let mut store = open(folder).unwrap();
    let term = store.begin_term().unwrap();
    for id in ids {
        store.commit(term, &[spec(1), new(task(*id)), Change::Event(event(*id, 0))]).unwrap();
    }
}

fn live(folder: &Path) -> Vec<TaskId> {
    open(folder).unwrap().load().unwrap().tasks.into_iter().map(|task| task.id).collect()
}

#[test]
fn a_folder_in_use_is_refused_and_the_user_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let refused = open(folder.path()).unwrap_err();
    let expected =
        format!("the data folder `{}` is in use by process {}", folder.path().display(), std::process::id());
    assert_eq!(refused.to_string(), expected);
    assert!(matches!(
        restore(Path::new("any"), folder.path(), Existing::Replace),
        Err(RestoreError::Refused(OpenError::InUse { .. }))
    ));
    drop(store);
    open(folder.path()).unwrap();
}

#[test]
fn a_folder_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &[]);
    let file = folder.path().join("fastgpu.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&file).unwrap();
    let refused = open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 99, known: 2, .. }), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fastgpu.db");
    Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE photos (a); PRAGMA user_version = 1")
        .unwrap();
    let before = fs::read(&file).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::NotOurs { .. })));
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::write(&file, "no database at all, but long enough to look at ".repeat(50)).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::NotOurs { .. })));
}

#[test]
fn a_folder_that_cannot_be_written_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("a-file");
    fs::write(&file, "").unwrap();
    for folder in [file.join("below"), Path::new("/proc/fastgpu").to_owned()] {
        let refused = open(&folder).unwrap_err();
        assert_eq!(refused.to_string(), format!("the data folder `{}` is not writable", folder.display()));
    }
}

#[test]
fn the_folder_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let mut store = open(&folder).unwrap();
    store.begin_term().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn everything_is_there_after_a_restart_and_older_terms_stay_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let ids = ids(20);
    filled(folder.path(), &ids);
    let mut store = open(folder.path()).unwrap();
    let saved = store.load().unwrap();
    assert_eq!(saved.tasks, ids.iter().map(|id| task(*id)).collect::<Vec<_>>());
    assert_eq!(saved.last_task, ids.last().copied());
    let older = store.begin_term().unwrap();
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert!(store.begin_term().unwrap() > older);
    assert!(matches!(store.commit(older, &[]), Err(StoreError::Fenced { .. })));
}

#[test]
fn a_log_cut_anywhere_keeps_every_batch_whole() {
    const BATCH: usize = 3;
    let folder = tempfile::tempdir().unwrap();
    let ids = ids(60);
    filled(folder.path(), &[]);
    let mut store = open(folder.path()).unwrap();
    let term = store.begin_term().unwrap();
    for batch in ids.chunks(BATCH) {
        let mut changes = vec![spec(1)];
        changes.extend(batch.iter().flat_map(|id| [new(task(*id)), Change::Event(event(*id, 0))]));
        store.commit(term, &changes).unwrap();
    }
    // As a crash would find it: the log is long, and nothing was copied into the file.
    let file = fs::read(folder.path().join("fastgpu.db")).unwrap();
    let log = fs::read(folder.path().join("fastgpu.db-wal")).unwrap();
    let mut dice = Dice(42);
    let mut lengths = Vec::new();
    for round in 0..150 {
        let cut = usize::try_from(dice.below(log.len() as u64 + 1)).unwrap();
        let mut tail = log[..cut].to_vec();
        if round % 2 == 0 {
            // A half-written record, and whatever was on the disk behind it.
            tail.extend((0..5_000).map(|_| u8::try_from(dice.below(256)).unwrap()));
        }
        let crashed = tempfile::tempdir().unwrap();
        fs::write(crashed.path().join("fastgpu.db"), &file).unwrap();
        fs::write(crashed.path().join("fastgpu.db-wal"), &tail).unwrap();
        let found = live(crashed.path());
        assert!(found.len().is_multiple_of(BATCH), "cut at {cut}: {}", found.len());
        assert_eq!(found, ids[..found.len()], "cut at {cut}");
        let history = open(crashed.path()).unwrap().history();
        for id in &found {
            assert_eq!(history.events(&Scope::All, *id, 0, 9).unwrap().len(), 1);
        }
        lengths.push((cut, found.len()));
    }
    lengths.sort_unstable();
    assert!(lengths.is_sorted_by_key(|(_, found)| found), "a longer log never holds less");
    drop(store);
    assert_eq!(live(folder.path()), ids);
}

#[test]
fn a_flipped_bit_is_never_a_wrong_task() {
    let folder = tempfile::tempdir().unwrap();
    let ids = ids(40);
    filled(folder.path(), &ids);
    let path = folder.path().join("fastgpu.db");
    let whole = fs::read(&path).unwrap();
    let mut dice = Dice(7);
    let mut noticed = 0;
    for _ in 0..400 {
        let mut flipped = whole.clone();
        let place = usize::try_from(dice.below(whole.len() as u64)).unwrap();
        flipped[place] ^= 1 << dice.below(8);
        fs::write(&path, &flipped).unwrap();
        let Ok(mut store) = SqliteStore::open(folder.path(), OpenOptions { check: Check::Always }) else {
            noticed += 1;
            continue;
        };
        let history = store.history();
        let listed = history.tasks(&Scope::All, &Filter::default(), Page { before: None, limit: 99 });
        let one_by_one: Vec<_> = ids.iter().map(|id| history.task(&Scope::All, *id)).collect();
        let loaded = store.load().map(|saved| saved.tasks);
        noticed += usize::from(loaded.is_err() || listed.is_err());
        let read = one_by_one.into_iter().filter_map(|task| task.ok().flatten());
        for found in read.chain(listed.into_iter().flatten()).chain(loaded.into_iter().flatten()) {
            assert_eq!(found, task(found.id), "byte {place}");
        }
    }
    // Most of a file this small is free space and rows without a checksum of their own.
    assert!(noticed > 40, "{noticed}");
}

#[test]
fn a_damaged_file_is_refused_after_an_unclean_stop() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &ids(200));
    let path = folder.path().join("fastgpu.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4_096].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    // A clean stop leaves no log, an unclean one leaves some.
    SqliteStore::open(folder.path(), OpenOptions { check: Check::Never }).unwrap();
    fs::write(folder.path().join("fastgpu.db-wal"), [0; 32]).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_backup_under_load_holds_one_moment_and_can_be_put_back() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open(from.path()).unwrap();
    let term = store.begin_term().unwrap();
    let history = store.history();
    let backup = to.path().join("backup.db");
    let ids = ids(3_000);
    let done = AtomicBool::new(false);
    store.commit(term, &[spec(1)]).unwrap();
    let written = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let copied = history.backup(&backup);
            done.store(true, Ordering::Release);
            copied
        });
        let mut written = 0;
        for pair in ids.chunks(2) {
            store.commit(term, &[new(task(pair[0])), new(task(pair[1]))]).unwrap();
            written += 2;
            if done.load(Ordering::Acquire) {
                break;
            }
        }
        copying.join().unwrap().unwrap();
        written
    });
    assert!(matches!(store.history().backup(&backup), Err(BackupError::Exists { .. })));
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing but the backup is left");

    let restored = tempfile::tempdir().unwrap();
    restore(&backup, restored.path(), Existing::Keep).unwrap();
    let found = live(restored.path());
    assert!(found.len().is_multiple_of(2) && found.len() <= written);
    assert_eq!(found, ids[..found.len()]);
    // It goes on from there, with a newer term than any that the copied server had.
    assert!(open(restored.path()).unwrap().begin_term().unwrap() > term);
}

#[test]
fn restoring_replaces_only_on_demand_and_only_by_something_whole() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ids = ids(30);
    filled(new.path(), &ids[..20]);
    let backup = new.path().join("backup.db");
    open(new.path()).unwrap().history().backup(&backup).unwrap();
    filled(old.path(), &ids[20..]);
    // With a log of its own that must not be applied to the new file.
    let mut store = open(old.path()).unwrap();
    store.begin_term().unwrap();
    let log = fs::read(old.path().join("fastgpu.db-wal")).unwrap();
    drop(store);
    fs::write(old.path().join("fastgpu.db-wal"), log).unwrap();

    assert!(matches!(restore(&backup, old.path(), Existing::Keep), Err(RestoreError::Exists { .. })));
    let torn = new.path().join("torn.db");
    let whole = fs::read(&backup).unwrap();
    fs::write(&torn, &whole[..whole.len() / 2]).unwrap();
    assert!(restore(&torn, old.path(), Existing::Replace).is_err());
    fs::write(&torn, b"").unwrap();
    let refused = restore(&torn, old.path(), Existing::Replace);
    assert!(matches!(refused, Err(RestoreError::Refused(OpenError::NotOurs { .. }))));
    assert!(matches!(
        restore(Path::new("/nowhere"), old.path(), Existing::Replace),
        Err(RestoreError::Io { .. })
    ));
    assert_eq!(live(old.path()), ids[20..]);

    restore(&backup, old.path(), Existing::Replace).unwrap();
    assert_eq!(live(old.path()), ids[..20]);
    assert!(!old.path().join("fastgpu.db.restoring").exists());
}

#[test]
fn the_log_stays_short_and_pruning_shrinks_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).unwrap();
    let term = store.begin_term().unwrap();
    let history = store.history();
    let ids = ids(6_000);
    let mut longest = 0;
    for batch in ids.chunks(20) {
        let mut changes = vec![spec(1)];
        let tasks = batch.iter().map(|id| named(task(*id), &"x".repeat(128)));
        changes.extend(tasks.map(new));
        store.commit(term, &changes).unwrap();
        longest = longest.max(history.log_bytes().unwrap());
    }
    assert!(longest > 0 && longest < 16 * 1_024 * 1_024, "{longest}");
    store.idle();
    for batch in ids.chunks(500) {
        let ends: Vec<_> = batch.iter().map(|id| update(ended(*id, 1))).collect();
        store.commit(term, &ends).unwrap();
    }
    store.release_reserve();
    let full = fs::metadata(folder.path().join("fastgpu.db")).unwrap().len();
    let now = support::NOW;
    let keep = Retention { ended_before: now, tasks_max: 0, keys_before: now, at_most: 1_000 };
    while store.prune(term, keep).unwrap() > 0 {}
    store.release_reserve();
    let empty = fs::metadata(folder.path().join("fastgpu.db")).unwrap().len();
    assert!(empty < full / 4, "{empty} of {full}");
}
