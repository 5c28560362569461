//! Queues, orders, preemption and closeness as stories; see [`story`] for their language.

mod story;

use fastgpu_core::units::Millis;
use insta::assert_snapshot;
use story::{Story, check};

#[test]
fn spot_tasks_make_room_for_others_once_their_start_has_paid_and_come_back() {
    assert_snapshot!(check("2x80", "spot; spot; 2; wait 141s; end task-3"), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    task-3 is kept node-1 gpu-0, node-1 gpu-1
    task-1 is stopped for task-3
    task-2 is stopped for task-3
    task-3 starts on node-1 gpu-0+gpu-1
    task-3 ends
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    ");
}

#[test]
fn the_class_spot_preempts_nobody_and_guaranteed_tasks_are_never_preempted() {
    assert_snapshot!(check("80", "guaranteed; spot; p9; wait 7200s; end task-1; wait 7200s"), @r"
    task-1 starts on node-1 gpu-0
    task-3 is kept node-1 gpu-0
    task-1 ends
    task-3 starts on node-1 gpu-0
    task-2 waits
    ");
}

#[test]
fn the_cheapest_place_is_cleared_and_no_more_of_it_than_needed() {
    let steps = "4 spot; 2 spot; 0.5 spot; wait 700s; 0.75";
    assert_snapshot!(check("4x80 3x80", steps), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3
    task-2 starts on node-2 gpu-0+gpu-1
    task-3 starts on node-2 gpu-2
    task-4 is kept node-2 gpu-2
    task-3 is stopped for task-4
    task-4 starts on node-2 gpu-2
    task-3 waits
    ");
}

#[test]
fn a_task_that_will_have_ended_before_it_could_restart_is_waited_for() {
    assert_snapshot!(check("80", "spot 1000s; wait 995s; 1; wait 1s"), @r"
    task-1 starts on node-1 gpu-0
    task-2 waits
    ");
}

#[test]
fn with_least_attained_service_a_newcomer_goes_before_who_ran_for_long() {
    let steps = "queue lab least_attained any; in:lab; wait 40000s; in:lab; wait 140s; in:lab";
    assert_snapshot!(check("80", steps), @r"
    task-1 starts on node-1 gpu-0
    task-2 is kept node-1 gpu-0
    task-1 is stopped for task-2
    task-2 starts on node-1 gpu-0
    task-1 waits
    task-3 waits
    ");
}

#[test]
fn the_shortest_goes_first_and_preempts_only_when_that_saves_more_than_it_costs() {
    let steps = "queue lab shortest any; in:lab x1000s; wait 200s; in:lab x790s; in:lab x60s";
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
fn who_waited_for_the_bound_goes_first_whatever_the_order() {
    let steps =
        "queue lab shortest never; in:lab x500000s; in:lab x90000s; wait 604801s; in:lab x60s; end task-1";
    assert_snapshot!(check("80", steps), @r"
    task-1 starts on node-1 gpu-0
    task-2 is kept node-1 gpu-0
    task-1 ends
    task-2 starts on node-1 gpu-0
    task-3 waits
    ");
}

#[test]
fn tasks_are_moved_together_when_that_makes_room_for_a_gang() {
    let steps = "queue lab predicted any; in:lab 2; in:lab 2; in:lab 2; end task-2; wait 700s; in:lab 4";
    assert_snapshot!(check("4x80 4x80", steps), @r"
    task-1 starts on node-1 gpu-0+gpu-1
    task-2 starts on node-1 gpu-2+gpu-3
    task-3 starts on node-2 gpu-0+gpu-1
    task-2 ends
    task-4 is kept node-1 gpu-0, node-1 gpu-1, node-1 gpu-2, node-1 gpu-3
    task-1 is stopped for task-4
    task-4 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3
    task-1 starts on node-2 gpu-2+gpu-3
    ");
}

#[test]
fn a_short_task_uses_what_is_kept_for_the_head_until_it_is_needed() {
    let steps = "1 5000s; 2; wait 601s; 1 4000s; 1 9000s; 1 400s";
    assert_snapshot!(check("2x80", steps), @r"
    task-1 starts on node-1 gpu-0
    task-2 is kept node-1 gpu-0, node-1 gpu-1
    task-3 starts on node-1 gpu-1
    task-2 waits
    task-4 waits
    task-5 waits
    ");
}

#[test]
fn a_gang_that_devices_are_kept_for_gets_those_that_are_close_to_each_other() {
    assert_snapshot!(check("8x80/4", "1; 7 2000s; 4; wait 601s; end task-2"), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1+gpu-2+gpu-3+gpu-4+gpu-5+gpu-6+gpu-7
    task-3 is kept node-1 gpu-4, node-1 gpu-5, node-1 gpu-6, node-1 gpu-7
    task-2 ends
    task-3 starts on node-1 gpu-4+gpu-5+gpu-6+gpu-7
    ");
}

#[test]
fn a_task_that_devices_are_kept_for_goes_where_its_queue_places() {
    let kept = |placement: &str| {
        let tasks = "4 2000s @zone=a; 2 2000s @zone=b; in:lab 2; wait 601s";
        check("4x80@zone=a 2x80@zone=b", &format!("queue lab fifo never {placement}; {tasks}"))
    };
    assert_snapshot!(kept("fragmentation"), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3
    task-2 starts on node-2 gpu-0+gpu-1
    task-3 is kept node-2 gpu-0, node-2 gpu-1
    task-3 waits
    ");
    assert!(kept("spreading").contains("task-3 is kept node-1 gpu-0, node-1 gpu-1"));
}

#[test]
fn a_backfilled_task_goes_where_its_queue_places() {
    let steps = "queue lab fifo never spreading; in:lab 1 5000s; 6 spread; wait 601s; in:lab 1 400s; 1 400s";
    assert_snapshot!(check("2x80 4x80", steps), @r"
    task-1 starts on node-2 gpu-0
    task-2 is kept node-1 gpu-0, node-1 gpu-1, node-2 gpu-0, node-2 gpu-1, node-2 gpu-2, node-2 gpu-3
    task-3 starts on node-2 gpu-1
    task-4 starts on node-1 gpu-0
    task-2 waits
    ");
}

#[test]
fn nothing_is_kept_for_a_task_whose_only_machine_is_drained() {
    let mut story = Story::begin("4x80 2x80");
    story.submit("2 9000s");
    story.submit("1 9000s");
    story.round();
    story.drain("node-1");
    story.submit("4");
    story.submit("2");
    story.round();
    story.now = story.now.plus(Millis::from_secs(601));
    story.round();
    // The first in the queue is passed over: its machine takes no tasks, but it may take some again.
    assert_snapshot!(story.take_told(), @r"
    task-1 starts on node-2 gpu-0+gpu-1
    task-2 starts on node-1 gpu-0
    task-4 is kept node-2 gpu-0, node-2 gpu-1
    ");
}

#[test]
fn a_gang_that_may_span_machines_gets_spot_devices_wherever_they_are() {
    let nodes = "4x80@n=1 4x80@n=2 4x80@n=3 4x80@n=4";
    let tasks = "2 @n=1; 2 spot @n=1; 2 @n=2; 2 spot @n=2; 2 @n=3; 2 spot @n=3; 2 @n=4; 2 spot @n=4";
    assert_snapshot!(check(nodes, &format!("{tasks}; wait 601s; 8 spread")), @r"
    task-1 starts on node-1 gpu-0+gpu-1
    task-2 starts on node-1 gpu-2+gpu-3
    task-3 starts on node-2 gpu-0+gpu-1
    task-4 starts on node-2 gpu-2+gpu-3
    task-5 starts on node-3 gpu-0+gpu-1
    task-6 starts on node-3 gpu-2+gpu-3
    task-7 starts on node-4 gpu-0+gpu-1
    task-8 starts on node-4 gpu-2+gpu-3
    task-9 is kept node-1 gpu-2, node-1 gpu-3, node-2 gpu-2, node-2 gpu-3, node-3 gpu-2, node-3 gpu-3, node-4 gpu-2, node-4 gpu-3
    task-2 is stopped for task-9
    task-4 is stopped for task-9
    task-6 is stopped for task-9
    task-8 is stopped for task-9
    task-9 starts on node-1 gpu-2+gpu-3 and node-2 gpu-2+gpu-3 and node-3 gpu-2+gpu-3 and node-4 gpu-2+gpu-3
    task-2 waits
    task-4 waits
    task-6 waits
    task-8 waits
    ");
}

#[test]
fn a_gang_that_may_span_machines_is_served_by_machines_of_any_size() {
    let tasks = "8 spot @n=1; 4 spot @n=2; 4 spot @n=2; 4 spot @n=2; 4 spot @n=2";
    let nodes = "8x80@n=1 4x80@n=2 4x80@n=2 4x80@n=2 4x80@n=2";
    assert_snapshot!(check(nodes, &format!("{tasks}; wait 601s; 20 spread")), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3+gpu-4+gpu-5+gpu-6+gpu-7
    task-2 starts on node-2 gpu-0+gpu-1+gpu-2+gpu-3
    task-3 starts on node-3 gpu-0+gpu-1+gpu-2+gpu-3
    task-4 starts on node-4 gpu-0+gpu-1+gpu-2+gpu-3
    task-5 starts on node-5 gpu-0+gpu-1+gpu-2+gpu-3
    task-6 is kept node-1 gpu-0, node-1 gpu-1, node-1 gpu-2, node-1 gpu-3, node-1 gpu-4, node-1 gpu-5, node-1 gpu-6, node-1 gpu-7, node-2 gpu-0, node-2 gpu-1, node-2 gpu-2, node-2 gpu-3, node-3 gpu-0, node-3 gpu-1, node-3 gpu-2, node-3 gpu-3, node-4 gpu-0, node-4 gpu-1, node-4 gpu-2, node-4 gpu-3
    task-1 is stopped for task-6
    task-2 is stopped for task-6
    task-3 is stopped for task-6
    task-4 is stopped for task-6
    task-6 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3+gpu-4+gpu-5+gpu-6+gpu-7 and node-2 gpu-0+gpu-1+gpu-2+gpu-3 and node-3 gpu-0+gpu-1+gpu-2+gpu-3 and node-4 gpu-0+gpu-1+gpu-2+gpu-3
    task-1 waits
    task-2 waits
    task-3 waits
    task-4 waits
    ");
}

#[test]
fn for_a_gang_no_more_is_stopped_than_it_needs() {
    let tasks = "3 spot @n=1; 1 spot @n=1; 2 spot @n=2; 1 @n=2; 1 spot @n=3; 1 @n=3";
    assert_snapshot!(check("4x80@n=1 4x80@n=2 4x80@n=3", &format!("{tasks}; wait 601s; 5 spread")), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2
    task-2 starts on node-1 gpu-3
    task-3 starts on node-2 gpu-0+gpu-1
    task-4 starts on node-2 gpu-2
    task-5 starts on node-3 gpu-0
    task-6 starts on node-3 gpu-1
    task-7 is kept node-2 gpu-0, node-2 gpu-1, node-2 gpu-3, node-3 gpu-2, node-3 gpu-3
    task-3 is stopped for task-7
    task-7 starts on node-2 gpu-0+gpu-1+gpu-3 and node-3 gpu-2+gpu-3
    task-3 waits
    ");
    // The spot gang leaves devices on two machines, which is enough without the others.
    let tasks = "8 spot spread @n=1; 1 spot @n=2; 1 spot @n=2; 1 spot @n=2; 1 spot @n=2";
    assert_snapshot!(check("4x80@n=1 4x80@n=1 4x80@n=2", &format!("{tasks}; wait 601s; 8 spread")), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3 and node-2 gpu-0+gpu-1+gpu-2+gpu-3
    task-2 starts on node-3 gpu-0
    task-3 starts on node-3 gpu-1
    task-4 starts on node-3 gpu-2
    task-5 starts on node-3 gpu-3
    task-6 is kept node-1 gpu-0, node-1 gpu-1, node-1 gpu-2, node-1 gpu-3, node-2 gpu-0, node-2 gpu-1, node-2 gpu-2, node-2 gpu-3
    task-1 is stopped for task-6
    task-6 starts on node-1 gpu-0+gpu-1+gpu-2+gpu-3 and node-2 gpu-0+gpu-1+gpu-2+gpu-3
    task-1 waits
    ");
}

#[test]
fn gangs_get_devices_that_are_close_to_each_other() {
    assert_snapshot!(check("8x80/4", "1; 2; 3; 2"), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1+gpu-2
    task-3 starts on node-1 gpu-4+gpu-5+gpu-6
    task-4 starts on node-1 gpu-3+gpu-7
    ");
}

#[test]
fn a_task_goes_only_where_its_labels_are() {
    assert_snapshot!(check("80@zone=a 80@zone=b", "@zone=b; @zone=b; @zone=c"), @r"
    task-1 starts on node-2 gpu-0
    @zone=c is refused: no node carries the labels zone=c
    task-2 waits
    ");
}

#[test]
fn an_unknown_queue_is_refused_by_its_name() {
    assert_snapshot!(check("80", "in:nowhere"), @r"
    in:nowhere is refused: there is no queue `nowhere`
    ");
}
