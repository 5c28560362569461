//! Processes that die while they hold the ledger: what they leave is mended, and what they held returned.
#![expect(unsafe_code, reason = "only a fork can be killed at a chosen point")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use fastgpu_softgpu::ledger::layout::{Class, ObjectKind};
use fastgpu_softgpu::ledger::{Creation, Ledger};

const MIB: u64 = 1 << 20;

/// Runs `body` in a process of its own, which is killed when it comes back.
fn in_a_process_that_is_killed(body: impl FnOnce()) {
    // SAFETY: the child only touches the ledger and kills itself; it never returns into the test harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        body();
        // SAFETY: signals its own process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status & 0x7f, libc::SIGKILL, "the body must not fail");
}

fn ledger(folder: &Path) -> Ledger {
    Ledger::open_or_create(folder, &Creation::of(&"2xT4".parse().unwrap())).unwrap()
}

#[test]
fn a_death_in_the_middle_of_a_change_leaves_an_exact_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let me = ours.attach().unwrap();
    ours.device(0).charge(me.slot, me.pid, Class::Memory, 10 * MIB).unwrap();
    in_a_process_that_is_killed(|| {
        // Opened anew: the sign of life belongs to a process.
        let theirs = ledger(folder.path());
        let me = theirs.attach().unwrap();
        let mut device = theirs.device(0);
        device.charge(me.slot, me.pid, Class::Memory, 100 * MIB).unwrap();
        let shared = device.share(me.slot, Class::Memory, 40 * MIB).unwrap();
        // Half a change: the sum is wrong, an object has lost its payer, work is queued, and the lock is held.
        device.memory_used_bytes += 7;
        device.objects[0].charged = 0;
        let (context, _) = device.schedule.open(me.slot).unwrap();
        device.schedule.contexts[context.0 as usize].submitted += 1_000_000_000;
        assert!(shared > 0);
        std::mem::forget(device);
    });
    // Taking the lock mends the sums; the dead one's memory is still charged until it is reaped.
    assert!(ours.device(0).is_sound());
    assert_eq!(ours.device(0).memory_used_bytes, 110 * MIB);
    assert_eq!(ours.processes().len(), 1);
    let device = ours.device(0);
    assert!(device.is_sound());
    assert_eq!(device.memory_used_bytes, 10 * MIB);
    assert!(device.schedule.contexts.iter().all(|context| context.owner == 0));
}

#[test]
fn a_death_with_the_registry_in_hand_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    in_a_process_that_is_killed(|| {
        let theirs = ledger(folder.path());
        theirs.attach().unwrap();
        std::mem::forget(theirs.registry());
    });
    assert!(ours.processes().is_empty());
    ours.count_unsupported("cuFoo");
    ours.count_unsupported("cuFoo");
    assert_eq!(ours.registry().counted().collect::<Vec<_>>(), [("cuFoo", 2)]);
}

#[test]
fn shared_memory_outlives_its_maker_and_is_charged_to_who_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let me = ours.attach().unwrap();
    in_a_process_that_is_killed(|| {
        let theirs = ledger(folder.path());
        let them = theirs.attach().unwrap();
        let mut device = theirs.device(1);
        device.charge(them.slot, them.pid, Class::Memory, 64 * MIB).unwrap();
        let object = device.share(them.slot, Class::Memory, 64 * MIB).unwrap();
        assert_eq!(device.hold(object, me.slot), Some(64 * MIB));
    });
    assert_eq!(ours.processes().len(), 1);
    let mut device = ours.device(1);
    assert_eq!(device.accounts[me.slot as usize].total(), 64 * MIB);
    assert!(device.let_go(1, me.slot), "it was the last");
    assert_eq!(device.memory_used_bytes, 0);
    assert!(device.is_sound());
}

#[test]
fn two_who_make_a_ledger_at_once_get_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let seeds: Vec<u64> = std::thread::scope(|scope| {
        let makers: Vec<_> = (1..=8u64)
            .map(|seed| {
                let creation = Creation { seed, ..Creation::of(&"1xL4".parse().unwrap()) };
                let path = folder.path();
                scope.spawn(move || {
                    let made = Ledger::open_or_create(path, &creation).unwrap();
                    made.root().header.seed.load(std::sync::atomic::Ordering::Relaxed)
                })
            })
            .collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(seeds.iter().all(|seed| *seed == seeds[0]), "{seeds:?}");
}

#[test]
fn a_pool_that_grows_is_paid_for_by_whoever_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let me = ours.attach().unwrap();
    in_a_process_that_is_killed(|| {
        let theirs = ledger(folder.path());
        let them = theirs.attach().unwrap();
        let mut device = theirs.device(0);
        device.charge(them.slot, them.pid, Class::Pool, 32 * MIB).unwrap();
        let pool = device.share(them.slot, Class::Pool, 32 * MIB).unwrap();
        device.name_object(pool, ObjectKind::Pool, 4711);
        device.grow_object(pool, them.pid, 64 * MIB).unwrap();
        assert_eq!(device.grow_object(pool, them.pid, 1 << 50).map_err(|refused| refused.code), Err(2));
        assert_eq!(device.object_bytes(pool), Some(96 * MIB));
        assert_eq!(device.object_named(ObjectKind::Allocation, 4711), None);
        assert_eq!(device.hold(pool, me.slot), Some(96 * MIB));
        // It dies in the middle of growing once more.
        device.objects[0].bytes += 32 * MIB;
        std::mem::forget(device);
    });
    assert!(ours.device(0).is_sound());
    assert_eq!(ours.processes().len(), 1);
    let mut device = ours.device(0);
    assert_eq!((device.accounts[me.slot as usize].total(), device.memory_used_bytes), (128 * MIB, 128 * MIB));
    assert_eq!(device.object_named(ObjectKind::Pool, 4711), Some(1));
    assert!(device.let_go(1, me.slot), "it was the last");
    assert_eq!(device.memory_used_bytes, 0);
}

#[test]
fn what_a_dead_process_recorded_counts_as_reached_and_what_it_alone_held_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let me = ours.attach().unwrap();
    let (place, id) = ours.share_event(me.slot, 1).unwrap();
    let team = ours.make_team(me.slot, 815, 2 * MIB, 1, 2).unwrap();
    assert!(ours.join_team(team, 0) && !ours.join_team(team, 0));
    in_a_process_that_is_killed(|| {
        let theirs = ledger(folder.path());
        let them = theirs.attach().unwrap();
        assert_eq!(theirs.hold_event(place, id, them.slot), Some(1));
        assert_eq!(theirs.hold_event(place, id + 1, them.slot), None);
        assert!(!theirs.record_event(place, them.slot).is_reached());
        assert!(theirs.share_event(them.slot, 0).is_some());
        assert_eq!(theirs.hold_team(them.slot, 815).map(|(place, _)| place), Some(team));
        assert!(theirs.join_team(team, 1) && theirs.team(team).is_complete());
        assert!(theirs.make_team(them.slot, 816, 2 * MIB, 0, 1).is_some());
    });
    assert!(!ours.last_signal(place).is_reached());
    assert_eq!((ours.events_held(), ours.teams_held()), (2, 2));
    assert_eq!(ours.processes().len(), 1);
    assert!(ours.last_signal(place).is_reached());
    assert_eq!((ours.events_held(), ours.teams_held()), (1, 1));
    assert!(ours.team(team).is_complete(), "a device stays in for as long as there is a team");
    // Who still waits for an old record is let go when the place is used again.
    let old = ours.record_event(place, me.slot);
    ours.let_go_of_event(place, me.slot);
    ours.let_go_of_team(team, me.slot);
    assert!(old.is_reached());
    assert_eq!((ours.events_held(), ours.teams_held()), (0, 0));
    let (again, other) = ours.share_event(me.slot, 0).unwrap();
    assert_eq!((again, ours.hold_event(place, id, me.slot)), (place, None), "its name is another");
    assert!(other > id && ours.last_signal(again).is_reached());
}
