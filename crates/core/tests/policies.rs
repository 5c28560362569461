//! Queues, orders, preemption and closeness as stories; see [`story`] for their language.

mod story;

use insta::assert_snapshot;
use story::check;

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
