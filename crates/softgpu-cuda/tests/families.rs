//! Families of calls, each by a C program with its own assertions; the ledger says that nothing is left and nothing was
//! called that is not there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::Bench;

fn works(devices: &'static str, program: &str, words: &[&str]) {
    let bench = Bench::new(devices);
    bench.run(&bench.build(program), words);
    assert_eq!(bench.settle(), [], "{program}");
}

#[test]
fn batches_copy_all_or_nothing() {
    works("2xH100", "batches", &[]);
}

#[test]
fn planes_levels_and_textures_charge_what_they_take_and_give_it_back() {
    works("1xH100", "arrays", &[]);
}

#[test]
fn green_contexts_have_streams_of_their_own_and_all_else_in_common() {
    works("2xH100", "green", &["132", "8", "8"]);
}

#[test]
fn a_process_with_a_green_context_is_suspended_and_goes_on() {
    works("1xH100", "green_suspended", &[]);
}

#[test]
fn multiprocessors_are_split_as_documented_for_each_generation() {
    works("1xP100", "green", &["56", "2", "2"]);
    works("1xT4", "green", &["40", "2", "2"]);
    works("1xA100-80GB", "green", &["108", "4", "2"]);
    works("1xL4", "green", &["58", "4", "2"]);
}

#[test]
fn settings_are_kept_and_given_back() {
    works("2xH100", "settings", &[]);
}

#[test]
fn a_device_without_linked_others_is_in_no_multicast_object() {
    works("1xH100", "no_team", &[]);
    works("2xL4", "no_team", &[]);
}
