//! Parts that are gone while tasks go on: what happens meanwhile is neither lost nor done again.

use crate::ledger::{Deed, Ledger};
use crate::program::Effects;
use crate::verdict::{History, Verdict};
use crate::world::{World, is_gone, kill, wait_for};

/// Some that end well and some that do not, all while nobody listens.
const DEEDS: [Deed; 6] = [
    Deed::Run { ms: 250, exit_code: 0 },
    Deed::Run { ms: 250, exit_code: 3 },
    Deed::Run { ms: 300, exit_code: 0 },
    Deed::Run { ms: 300, exit_code: 7 },
    Deed::Run { ms: 350, exit_code: 0 },
    Deed::Run { ms: 350, exit_code: 0 },
];

/// A world in which all of [`DEEDS`] run.
fn running() -> (World, Ledger) {
    let mut world = World::new();
    world.start_well();
    let mut ledger = Ledger::new(&world, "a");
    let request = ledger.batch(&DEEDS);
    assert!(ledger.send(&world.door(), request));
    wait_for("the start of all", || effects(&world, &ledger).iter().all(|seen| seen.started == [1]));
    (world, ledger)
}

fn effects(world: &World, ledger: &Ledger) -> Vec<Effects> {
    let plans = ledger.requests.iter().flat_map(|request| &request.plans);
    plans.map(|plan| Effects::read(&world.effects().join(&plan.name))).collect()
}

fn all_ended(world: &World, ledger: &Ledger) -> bool {
    effects(world, ledger).iter().all(|seen| seen.ended.contains(&1))
}

/// Everything is as if nothing had happened: nothing was even tried twice.
#[track_caller]
fn must_be_untouched(mut world: World, ledger: Ledger) {
    let verdict = Verdict::of(&mut world, &mut [ledger], History::Kept);
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
    assert_eq!(verdict.retried, 0, "{verdict}");
    world.end();
    assert!(world.processes().is_empty());
}

#[test]
fn ends_that_cannot_be_reported_are_kept_until_somebody_listens() {
    let (mut world, ledger) = running();
    world.kill_server();
    wait_for("the end of all", || all_ended(&world, &ledger) && world.guardians().is_empty());
    assert_eq!(std::fs::read_dir(world.attempts()).unwrap().count(), DEEDS.len(), "the node keeps them");
    world.start_well();
    must_be_untouched(world, ledger);
}

#[test]
fn ends_that_only_the_guardians_saw_are_reported_by_the_next_keeper() {
    let (mut world, ledger) = running();
    world.kill_server();
    world.kill_keepers();
    wait_for("the end of all", || all_ended(&world, &ledger) && world.guardians().is_empty());
    assert!(world.keepers().is_empty());
    world.start_well();
    must_be_untouched(world, ledger);
}

#[test]
fn a_keeper_that_restarts_adopts_every_attempt_and_no_slot_stays_held() {
    let (world, ledger) = running();
    let first = world.keepers();
    world.kill_keepers();
    wait_for("another keeper", || world.keepers().iter().any(|pid| !first.contains(pid)));
    assert!(!all_ended(&world, &ledger), "there was nothing left to adopt");
    must_be_untouched(world, ledger);
}

#[test]
fn an_attempt_that_cannot_be_adopted_fails_and_is_tried_again() {
    let (mut world, ledger) = running();
    let guardians = world.guardians();
    assert_eq!(guardians.len(), DEEDS.len());
    world.kill_server();
    world.kill_keepers();
    kill(guardians[0]);
    world.start_well();
    assert!(is_gone(guardians[0]));
    let verdict = Verdict::of(&mut world, &mut [ledger], History::Kept);
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
    assert_eq!(verdict.retried, 1, "{verdict}");
    world.end();
}
