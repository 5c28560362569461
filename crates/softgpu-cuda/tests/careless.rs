//! Programs that do what they must not, and processes that do not answer: neither they nor others pay for it with their
//! lives, or wait for ever.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::Bench;

fn survives(scenario: &str) {
    let bench = Bench::new("1xH100");
    bench.run(&bench.build("careless"), &[scenario]);
    assert_eq!(bench.settle(), [], "{scenario}");
}

#[test]
fn memory_that_is_freed_under_work_fails_the_context_and_kills_nobody() {
    for scenario in ["pool_word", "host_word", "registered_word", "pool_fill"] {
        survives(scenario);
    }
}

#[test]
fn memory_that_is_had_again_in_a_stream_is_there_for_what_came_before() {
    survives("pool_reuse");
}

#[test]
fn what_was_given_back_is_no_side_of_a_copy() {
    survives("freed_side");
}

#[test]
fn a_context_that_failed_ends_when_nobody_is_at_its_memory() {
    survives("copy");
}

#[test]
fn lengths_that_no_memory_has_are_invalid_values() {
    survives("lengths");
}

#[test]
fn a_recording_ends_with_its_context() {
    survives("recording");
}

#[test]
fn a_handle_of_one_kind_is_none_of_another() {
    survives("kinds");
}

#[test]
fn a_stream_that_is_destroyed_goes_on_and_holds_nobody_up() {
    survives("stream");
}

#[test]
fn who_waits_for_its_own_shared_event_waits_by_any_clock() {
    survives("own_event");
    let bench = Bench::on_test_clock("1xH100");
    bench.run(&bench.build("careless"), &["own_event"]);
    assert_eq!(bench.settle(), []);
}

#[test]
fn a_host_function_that_takes_its_time_costs_no_processor_time() {
    survives("host_function");
}

#[test]
fn an_event_that_is_recorded_again_is_reached_when_that_is() {
    survives("recorded_again");
}

#[test]
fn who_asks_somebody_to_be_suspended_gets_an_answer() {
    let bench = Bench::new("1xH100");
    let program = bench.build("unheard");
    for scenario in ["beginner", "stopped", "asker_dies", "leaver", "pending"] {
        bench.run(&program, &[scenario]);
        assert_eq!(bench.settle(), [], "{scenario}");
    }
    let bench = Bench::on_test_clock("1xH100");
    bench.run(&bench.build("unheard"), &["pending"]);
    assert_eq!(bench.settle(), []);
}
