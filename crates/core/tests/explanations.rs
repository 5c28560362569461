//! What is said of tasks that cannot start: about devices that are out of order, asks that nothing can meet, and
//! smaller asks that would start.

mod story;

use fastgpu_core::node::Inventory;
use insta::assert_snapshot;
use story::*;

/// A node's inventory in which these devices are out of order.
fn sick(mut inventory: Inventory, devices: &[usize]) -> Inventory {
    for &device in devices {
        inventory.devices[device].unusable = Some("GPU is lost".to_owned());
    }
    inventory
}

#[test]
fn who_needs_a_device_that_is_out_of_order_waits_until_it_is_mended() {
    let mut story = Story::begin("2x80");
    story.node_has(sick(inventory(1, 2, 80), &[1]));
    story.submit("2");
    story.round();
    story.tell_who_waits(true);
    assert_snapshot!(story.take_told(), @r"
    task-1 waits: position 1 of 1; 1 GPU that could run it is unusable now
      needs 2 whole GPUs; 1 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): would do
      node-1 gpu-1 GPU-80GB (software GPU): unusable: GPU is lost
      could start now with: `--gpu 1`
      could start now with: `fastgpu gpus` says what is the matter with those that are unusable
    ");
    story.node_has(inventory(1, 2, 80));
    assert_snapshot!(story.take_told(), @"task-1 starts on node-1 gpu-0+gpu-1");
}

#[test]
fn while_no_device_answers_tasks_are_taken_and_told_why_they_wait() {
    let mut story = Story::begin("2x80");
    story.node_has(sick(inventory(1, 2, 80), &[0, 1]));
    story.submit("0.5");
    story.submit("3");
    story.round();
    story.tell_who_waits(true);
    assert_snapshot!(story.take_told(), @r"
    3 is refused: 3 GPUs are asked for; there are 2
    task-1 waits: position 1 of 1; 2 GPUs that could run it are unusable now
      needs 0.5 of a GPU; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): unusable: GPU is lost
      node-1 gpu-1 GPU-80GB (software GPU): unusable: GPU is lost
      could start now with: nothing smaller would start now: everything that would do is unusable
      could start now with: `fastgpu gpus` says what is the matter with those that are unusable
    ");
}

#[test]
fn of_many_devices_those_out_of_order_are_named_first() {
    let mut story = Story::begin("20x80");
    story.node_has(sick(inventory(1, 20, 80), &[19]));
    story.submit("20");
    story.tell_who_waits(true);
    let told = story.take_told();
    let first = told.lines().find(|line| line.contains("node-1 gpu-")).unwrap();
    assert_snapshot!(first, @"  node-1 gpu-19 GPU-80GB (software GPU): unusable: GPU is lost");
    assert!(told.contains("and 4 more devices"), "{told}");
}

#[test]
fn a_task_that_nothing_can_run_any_more_says_so() {
    let mut story = Story::begin("2x80");
    story.submit("1 900s");
    story.round();
    story.submit("2");
    story.take_told();
    // The node comes back with one device; the other is held, and so still in sight.
    let mut only = inventory(1, 2, 80);
    only.devices.remove(0);
    story.node_has(only);
    story.tell_who_waits(true);
    assert_snapshot!(story.take_told(), @r"
    task-2 waits: position 1 of 1; nothing here can run it: 2 GPUs are asked for; there is 1
      needs 2 whole GPUs; 1 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): unusable: the driver does not list this device any more; held by task-1 (ends within 15 min)
      node-1 gpu-1 GPU-80GB (software GPU): would do
      could start now with: ask for at most 1 GPU
      could start now with: it starts by itself once a node has it; `fastgpu cancel task-2` takes it out of the queue
    ");
}

#[test]
fn a_task_for_a_model_that_is_not_here_says_so() {
    let mut story = Story::begin("1x80");
    let mut wanted = task("1");
    std::sync::Arc::make_mut(&mut wanted.terms.ask).constraints.models.push("h100".into());
    wanted.terms.wait_for_capacity = true;
    story.submit_task(wanted.clone()).unwrap();
    story.round();
    story.tell_who_waits(true);
    assert_snapshot!(story.take_told(), @r"
    task-1 waits: position 1 of 1; nothing here can run it: no device here is of model h100
      needs 1 whole GPU, model h100; 0 of 1 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): not what is asked for
      could start now with: the models here are: GPU-80GB
      could start now with: it starts by itself once a node has it; `fastgpu cancel task-1` takes it out of the queue
    ");
    wanted.terms.wait_for_capacity = false;
    assert_snapshot!(story.submit_task(wanted).unwrap_err(), @"no device here is of model h100");
}

#[test]
fn several_devices_may_become_fewer_or_a_share_of_one() {
    assert_snapshot!(play("2x80", "0.25; 1; 2", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    task-3 waits: position 1 of 1; no latest start is known: what is in its way has no time limit
      needs 2 whole GPUs; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.75 of it free, short by 0.25; held by task-1 (no time limit)
      node-1 gpu-1 GPU-80GB (software GPU): busy; held by task-2 (no time limit)
      could start now with: `--gpu 0.75`
    ");
    assert_snapshot!(play("4x80", "1; 1; 4", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    task-3 waits: position 1 of 1; no latest start is known: what is in its way has no time limit
      needs 4 whole GPUs; 2 of 4 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): busy; held by task-1 (no time limit)
      node-1 gpu-1 GPU-80GB (software GPU): busy; held by task-2 (no time limit)
      node-1 gpu-2 GPU-80GB (software GPU): would do
      node-1 gpu-3 GPU-80GB (software GPU): would do
      could start now with: `--gpu 2`
    ");
}

#[test]
fn a_smaller_share_is_what_memory_and_compute_both_have() {
    // Memory is shorter than compute on one, compute shorter than memory on the other.
    assert_snapshot!(play("80 80", "0.1+60GiB; 0.9+60GiB; 1", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-2 gpu-0
    task-3 waits: position 1 of 1; no latest start is known: what is in its way has no time limit
      needs 1 whole GPU; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.9 of it free, short by 0.1; held by task-1 (no time limit)
      node-2 gpu-0 GPU-80GB (software GPU): 0.1 of it free, short by 0.9; held by task-2 (no time limit)
      could start now with: `--gpu 0.25`
    ");
    assert_snapshot!(play("80", "0.5+60GiB; 0.75+40GiB; 40GiB", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 waits: position 1 of 2; no latest start is known: what is in its way has no time limit
      needs 0.75 of 1 GPU with 40 GiB free; 0 of 1 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.5 of it free, short by 0.25; held by task-1 (no time limit)
      could start now with: `--gpu 0.5` and `--gpu-memory 20480MiB`
    task-3 waits: position 2 of 2; no latest start is known: what is in its way has no time limit
      needs 1 GPU with 40 GiB free; 0 of 1 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 20 GiB free, short by 20 GiB; held by task-1 (no time limit)
      could start now with: `--gpu-memory 20480MiB`
    ");
}

#[test]
fn several_things_less_at_once_are_offered_when_no_single_one_helps() {
    assert_snapshot!(play("2x80", "0.5 8c; 1; 2 4c", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    task-3 waits: position 1 of 1; no latest start is known: what is in its way has no time limit
      needs 2 whole GPUs, 4 cores; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB (software GPU): 0.5 of it free, short by 0.5; held by task-1 (no time limit)
      node-1 gpu-1 GPU-80GB (software GPU): busy; held by task-2 (no time limit)
      node-1: 0 of 8 cores and 32 GiB of 32 GiB of host memory free
      could start now with: `--gpu 0.5`, less `--cpu` and `--mem`
    ");
}

#[test]
fn a_refusal_never_says_at_most_none_and_names_the_way_round() {
    let mut story = Story::begin("1x80 1x24");
    let mut hint = |change: &dyn Fn(&mut fastgpu_core::ask::Ask)| {
        let mut wanted = task("1");
        change(std::sync::Arc::make_mut(&mut wanted.terms.ask));
        match story.submit_task(wanted).unwrap_err() {
            fastgpu_core::command::Refused::NoSuchCapacity(why) => format!("{why} / {}", why.hint()),
            other => panic!("{other}"),
        }
    };
    let mut told = vec![
        hint(&|ask| ask.devices = fastgpu_core::ask::DeviceCount::exactly(2)),
        hint(&|ask| ask.devices = fastgpu_core::ask::DeviceCount::exactly(3)),
    ];
    told.push(hint(&|ask| {
        ask.constraints.models.push("24".into());
        ask.constraints.device_memory_min = fastgpu_core::units::MemoryMib(40_960);
    }));
    assert_snapshot!(told.join("\n"), @r"
    2 GPUs are asked for; the largest node has 1 / ask for at most 1 GPU, or let the task span nodes with `--spread`; `--wait-for-capacity` queues it all the same
    3 GPUs are asked for; the largest node has 1 / ask for at most 1 GPU; `--wait-for-capacity` queues it all the same
    no GPU here meets all parts of the ask / ask for less of one of them; `--wait-for-capacity` queues it all the same
    ");
}
