//! Half-written files, wherever a power cut or a full disk may leave them: they never stop a start.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::ledger::{Deed, Ledger};
use crate::verdict::{History, Verdict};
use crate::world::{World, wait_for};

const RUN: Deed = Deed::Run { ms: 0, exit_code: 0 };

fn log_of(world: &World) -> PathBuf {
    world.data().join("fastgpu.db-wal")
}

fn append(file: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(file).unwrap().write_all(bytes).unwrap();
}

fn cut(file: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(bytes)).unwrap();
}

/// A killed server with some tasks that are over, and some that are held.
fn killed() -> (World, Ledger) {
    let mut world = World::new();
    world.start_well();
    let mut ledger = Ledger::new(&world, "a");
    for deed in [RUN, Deed::Held, RUN, Deed::Held] {
        let request = ledger.one(deed);
        assert!(ledger.send(&world.door(), request));
    }
    wait_for("the end of what runs", || {
        std::fs::read_dir(world.attempts()).unwrap().count() == 0 && world.guardians().is_empty()
    });
    world.kill_server();
    (world, ledger)
}

#[test]
fn garbage_behind_the_last_commit_loses_nothing() {
    let (mut world, mut ledger) = killed();
    for round in 0..3_u8 {
        assert!(log_of(&world).metadata().unwrap().len() > 0);
        // Half a frame of the log, which no commit ever ended.
        append(&log_of(&world), &vec![round.wrapping_mul(91); 1_000 + usize::from(round) * 1_777]);
        world.start_well();
        let request = ledger.one(RUN);
        assert!(ledger.send(&world.door(), request));
        world.kill_server();
    }
    world.start_well();
    let verdict = Verdict::of(&mut world, &mut [ledger], History::Kept);
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
    world.end();
}

/// What a disk that lies may do. What was cut off is gone; the start, and all that came before, is not. And
/// what the node holds of forgotten tasks is let go.
#[test]
fn a_log_that_lost_its_tail_still_starts() {
    let (mut world, mut ledger) = killed();
    world.start_well();
    // Runs, but its last commits are about to be cut off.
    let late = ledger.one(Deed::Run { ms: 400, exit_code: 0 });
    assert!(ledger.send(&world.door(), late));
    wait_for("its start", || !world.guardians().is_empty());
    world.kill_server();
    for bytes in [1, 700, 5_000, 9_000] {
        cut(&log_of(&world), bytes);
        world.start_well();
        let tasks = crate::verdict::by_name(&world.door());
        for request in &ledger.requests[..late] {
            assert_eq!(tasks.get(&request.plans[0].name).map(Vec::len), Some(1), "{bytes} cut off");
        }
        world.kill_server();
    }
    world.start_well();
    wait_for("an empty node", || {
        std::fs::read_dir(world.attempts()).unwrap().count() == 0 && world.strangers().is_empty()
    });
    world.end();
}

#[test]
fn half_written_records_of_attempts_stop_nothing() {
    let mut world = World::new();
    world.start_well();
    let mut ledger = Ledger::new(&world, "a");
    let request = ledger.batch(&[Deed::Run { ms: 300, exit_code: 0 }; 6]);
    assert!(ledger.send(&world.door(), request));
    wait_for("six running attempts", || world.guardians().len() == 6);
    world.kill_server();
    world.kill_keepers();
    wait_for("their ends", || world.guardians().is_empty());
    let mut folders: Vec<_> =
        std::fs::read_dir(world.attempts()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort_unstable();
    assert_eq!(folders.len(), 6);
    tear(&folders);
    // Names and files that nobody knows, and settings that are cut in half.
    std::fs::create_dir(world.attempts().join("t-0000000000000.1")).unwrap();
    std::fs::create_dir(world.attempts().join("not an attempt")).unwrap();
    std::fs::write(world.attempts().join("stray"), "x").unwrap();
    let settings = world.data().join("node/keeper.json");
    cut(&settings, settings.metadata().unwrap().len() / 2);
    world.start_well();
    std::fs::remove_dir(world.attempts().join("not an attempt")).unwrap();
    std::fs::remove_file(world.attempts().join("stray")).unwrap();
    let verdict = Verdict::of(&mut world, &mut [ledger], History::Kept);
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
    assert_eq!(verdict.retried, 5, "all but the one whose end is whole: {verdict}");
    world.end();
}

/// Five attempts lose their end, each in another way; the sixth keeps it, and gets garbage behind it.
fn tear(folders: &[PathBuf]) {
    let record = |index: usize| folders[index].join("record");
    let length = |index: usize| record(index).metadata().unwrap().len();
    // Half of the end.
    cut(&record(0), 20);
    // Half of the first line.
    cut(&record(1), length(1) - 10);
    // Nothing at all.
    cut(&record(2), length(2));
    // No record.
    std::fs::remove_file(record(3)).unwrap();
    // Another program's bytes where the end was.
    cut(&record(4), 30);
    append(&record(4), &[0, 159, 146, 150, b'\n', b'{', b'"']);
    append(&record(5), b"{\"exit\":{\"at\":");
}
