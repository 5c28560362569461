//! What processes share, and what is left when one of them is killed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::Bench;

/// Runs a program, and gives what was called that is not there; nothing may be left.
fn nothing_is_left(program: &str, scenario: &str) {
    let bench = Bench::new("2xH100");
    bench.run(&bench.build(program), &[scenario]);
    assert_eq!(bench.settle(), [], "{program} {scenario}");
}

#[test]
fn a_pool_is_shared_and_given_back_in_order() {
    nothing_is_left("shared_pools", "orderly");
}

#[test]
fn a_pool_outlives_its_maker_for_those_who_have_it_open() {
    nothing_is_left("shared_pools", "maker_dies");
}

#[test]
fn a_pool_forgets_a_user_that_is_killed() {
    nothing_is_left("shared_pools", "user_dies");
}

#[test]
fn an_event_is_recorded_in_one_process_and_waited_for_in_another() {
    nothing_is_left("shared_events", "orderly");
}

#[test]
fn nobody_waits_for_an_event_that_a_dead_maker_recorded() {
    nothing_is_left("shared_events", "maker_dies");
}

#[test]
fn nobody_waits_for_an_event_that_a_dead_user_recorded() {
    nothing_is_left("shared_events", "user_dies");
}

#[test]
fn a_multicast_object_keeps_what_is_bound_to_it() {
    nothing_is_left("teams", "alone");
}

#[test]
fn a_multicast_object_is_made_of_devices_that_two_processes_add() {
    nothing_is_left("teams", "orderly");
}

#[test]
fn a_multicast_object_outlives_its_maker() {
    nothing_is_left("teams", "maker_dies");
}

#[test]
fn a_multicast_object_forgets_a_user_that_is_killed() {
    nothing_is_left("teams", "user_dies");
}
