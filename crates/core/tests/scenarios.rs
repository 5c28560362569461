//! Placement, order and explanation as stories; see [`story`] for their language.

mod story;

use std::sync::Arc;

use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused};
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::{Inventory, Report};
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::units::Timestamp;
use insta::assert_snapshot;
use story::*;

#[test]
fn small_tasks_share_a_device_and_keep_the_big_hole() {
    assert_snapshot!(check("80 24", "0.25+8GiB; 0.25+8GiB; 80GiB; 80GiB"), @r"
    task-1 starts on node-2 gpu-0
    task-2 starts on node-2 gpu-0
    task-3 starts on node-1 gpu-0
    task-4 waits
    ");
}

#[test]
fn whole_devices_go_to_the_node_with_the_fewest_to_spare() {
    assert_snapshot!(check("8x80 2x80 4x80", "2; 3; 0.5; 0.5; 1"), @r"
    task-1 starts on node-2 gpu-0+gpu-1
    task-2 starts on node-3 gpu-0+gpu-1+gpu-2
    task-3 starts on node-3 gpu-3
    task-4 starts on node-3 gpu-3
    task-5 starts on node-1 gpu-0
    ");
}

#[test]
fn a_gang_starts_whole_or_not_at_all_and_spans_nodes_only_if_it_may() {
    assert_snapshot!(check("2x80 2x80", "3 spread; 2; end task-1; 4 spread; end task-2"), @r"
    task-1 starts on node-1 gpu-0+gpu-1 and node-2 gpu-0
    task-1 ends
    task-2 starts on node-1 gpu-0+gpu-1
    task-2 ends
    task-3 starts on node-1 gpu-0+gpu-1 and node-2 gpu-0+gpu-1
    ");
}

#[test]
fn priority_goes_first_then_who_came_first_and_who_fits_skips_ahead() {
    assert_snapshot!(check("2x80", "1; 2; 1; 1 p5; end task-1; end task-4; end task-3"), @r"
    task-1 starts on node-1 gpu-0
    task-3 starts on node-1 gpu-1
    task-1 ends
    task-4 starts on node-1 gpu-0
    task-4 ends
    task-3 ends
    task-2 starts on node-1 gpu-0+gpu-1
    ");
}

#[test]
fn the_head_is_overtaken_for_ten_minutes_then_devices_are_kept_for_it() {
    assert_snapshot!(
        check("2x80", "1 900s; 2; 1 300s; wait 300s; end task-3; 1 400s; wait 300s; 1; end task-4; 1; end task-1"),
        @r"
        task-1 starts on node-1 gpu-0
        task-3 starts on node-1 gpu-1
        task-3 ends
        task-4 starts on node-1 gpu-1
        task-2 is kept node-1 gpu-0, node-1 gpu-1
        task-4 ends
        task-1 ends
        task-2 starts on node-1 gpu-0+gpu-1
        task-5 waits
        task-6 waits
        "
    );
}

#[test]
fn a_queue_timeout_ends_who_waits_and_never_who_runs() {
    assert_snapshot!(check("1x80", "1 q5s; 1 q5s; wait 6s; end task-1; 1 q5s; wait 60s"), @r"
    task-1 starts on node-1 gpu-0
    task-2 is over
    task-1 ends
    task-3 starts on node-1 gpu-0
    ");
}

#[test]
fn what_is_kept_for_the_head_is_free_again_when_the_head_leaves() {
    assert_snapshot!(play("4x80", "3 900s; 4; wait 700s; 1; cancel task-2", true), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2
    task-2 is kept node-1 gpu-0, node-1 gpu-1, node-1 gpu-2, node-1 gpu-3
    task-2 is cancelled
    task-3 starts on node-1 gpu-3
    ");
}

#[test]
fn a_short_task_has_room_made_for_it_at_once_though_a_longer_one_of_its_shape_waits() {
    let steps = "queue lab shortest any; in:lab x40000s; wait 200s; in:lab x50000s; in:lab x60s";
    assert_snapshot!(check("80", steps), @r"
    task-1 starts on node-1 gpu-0
    task-3 is kept node-1 gpu-0
    task-1 is stopped for task-3
    task-3 starts on node-1 gpu-0
    task-1 waits
    task-2 waits
    ");
}

#[test]
fn why_does_not_promise_what_is_kept_for_another() {
    assert_snapshot!(play("2x80", "1 900s; 2; wait 700s; 1", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 is kept node-1 gpu-0, node-1 gpu-1
    task-2 waits: position 1 of 2; starts within 3 min 20 s at the latest, unless others go first
      needs 2 whole GPUs; 1 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): busy; held by task-1 (ends within 3 min 20 s)
      node-1 gpu-1 GPU-80GB (software GPU): would do
      2 devices are kept for it as they become free
      could start now with: `--gpu 1`
    task-3 waits: position 2 of 2; devices are kept for a task that goes first
      needs 1 whole GPU; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): busy; held by task-1 (ends within 3 min 20 s)
      node-1 gpu-1 GPU-80GB (software GPU): kept for task-2
      2 devices are kept for task-2, first in the queue and overtaken for 10 min
      could start now with: nothing smaller would start now: everything that would do is in use or kept for others
    ");
}

#[test]
fn an_elastic_task_gets_the_most_there_is() {
    let mut many = task("2");
    Arc::make_mut(&mut many.terms.ask).devices.max = 10_000;
    let mut story = Story::begin("2x80 8x80 4x80");
    story.submit_task(many).unwrap();
    story.round();
    assert_snapshot!(story.told, @r"
    task-1 starts on node-2 gpu-0+gpu-1+gpu-2+gpu-3+gpu-4+gpu-5+gpu-6+gpu-7
    ");
}

#[test]
fn cores_and_host_memory_are_placed_too() {
    assert_snapshot!(check("2x80 2x80", "1 6c; 1 6c; 1 4c; 1 2c; end task-1"), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-2 gpu-0
    task-4 starts on node-1 gpu-1
    task-1 ends
    task-3 starts on node-1 gpu-0
    ");
}

#[test]
fn what_can_never_run_is_refused_with_the_numbers() {
    assert_snapshot!(check("2x80 1x24", "96GiB; 3; 3 spread; 4 spread; 1 9c; 0.5+90GiB"), @r"
    96GiB is refused: no device offers 96 GiB of GPU memory; the largest has 80 GiB
    3 is refused: 3 GPUs are asked for; the largest node has 2
    task-1 starts on node-1 gpu-0+gpu-1 and node-2 gpu-0
    4 spread is refused: 4 GPUs are asked for; there are 3
    1 9c is refused: 9 cores are asked for; the largest node has 8
    0.5+90GiB is refused: no device offers 90 GiB of GPU memory; the largest has 80 GiB
    ");
}

#[test]
fn why_names_what_is_short_who_frees_it_and_what_would_start_now() {
    assert_snapshot!(play("2x80", "0.6 60s; 1; 0.5 p1; 2; 60GiB", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    task-3 waits: position 1 of 3; starts within 1 min at the latest, unless others go first
      needs 0.5 of a GPU; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.4 of it free, short by 0.1; held by task-1 (ends within 1 min)
      node-1 gpu-1 GPU-80GB (software GPU): busy; held by task-2 (no time limit)
      could start now with: `--gpu 0.4`
    task-4 waits: position 2 of 3; no latest start is known: what is in its way has no time limit
      needs 2 whole GPUs; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.4 of it free, short by 0.6; held by task-1 (ends within 1 min)
      node-1 gpu-1 GPU-80GB (software GPU): busy; held by task-2 (no time limit)
      could start now with: `--gpu 0.4`
    task-5 waits: position 3 of 3; starts within 1 min at the latest, unless others go first
      needs 1 GPU with 60 GiB free; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.4 of it free, short by 0.35; held by task-1 (ends within 1 min)
      node-1 gpu-1 GPU-80GB (software GPU): busy; held by task-2 (no time limit)
      could start now with: `--gpu-memory 32768MiB`
    ");
}

#[test]
fn where_data_cannot_be_hidden_from_tasks_only_the_first_owner_runs_any() {
    use fastgpu_core::node::{Ability, HIDES_OUR_DATA};
    use fastgpu_core::token::{Role, Token};
    let submit = |works: bool, owner: &str| {
        let mut state = State::new(Beginning::default());
        for (id, owner, created) in [("first", "ann", 1), ("second", "bob", 2)] {
            let token = Token {
                id: id.into(),
                hash: [0; 32],
                owner: owner.into(),
                project: "default".into(),
                role: Role::Admin,
                created_at: Timestamp(created),
                expires_at: None,
                revoked_at: None,
            };
            let command = Command::TokenCreate { token, actor: Actor::Local };
            state.apply(command, Timestamp(3), &mut Changes::default()).unwrap();
        }
        let detail = "user namespaces are off".to_owned();
        let ability = Ability { name: HIDES_OUR_DATA.into(), works, detail };
        let inventory = Inventory { abilities: vec![ability], ..inventory(0, 2, 80) };
        let report = Report::Hello { inventory, attempts: Vec::new() };
        state
            .apply(Command::Report { node: NodeId(0), report }, Timestamp(3), &mut Changes::default())
            .unwrap();
        let actor = Actor::Token { id: "x".into(), owner: owner.into() };
        state.apply(Command::Submit { tasks: vec![task("1")], actor }, Timestamp(4), &mut Changes::default())
    };
    assert!(submit(true, "bob").is_ok());
    assert!(submit(false, "ann").is_ok());
    assert!(matches!(submit(false, "bob"), Err(Refused::Exposed { .. })));
}

#[test]
fn the_programs_of_all_live_tasks_together_have_a_limit() {
    use fastgpu_core::config::SPEC_BYTES_MAX;
    let large = || {
        let mut large = task("1");
        let env = std::iter::once(("BLOB".to_owned(), "x".repeat(64 << 20))).collect();
        large.spec = Arc::new(Spec { command: vec!["true".to_owned()], env, ..Spec::default() });
        large
    };
    let mut story = Story::begin("1x80");
    let fitting = SPEC_BYTES_MAX / (64 << 20) - 1;
    let one = large();
    for _ in 0..fitting {
        story.submit_task(one.clone()).unwrap();
    }
    let refused = story.submit_task(large()).unwrap_err();
    assert_snapshot!(refused.to_string(), @"the queue is full: the commands and environments of its tasks take 4 GiB, the most allowed");
}
