use super::*;

const MS: u64 = 1_000_000;

/// A device with contexts 0, 1, 2… of processes 0, 1, 2….
fn device(contexts: u32) -> Box<Schedule> {
    let mut schedule = empty();
    schedule.slice_ns = SLICE_NS;
    schedule.switch_ns = SWITCH_NS;
    for process in 0..contexts {
        schedule.open(process).unwrap();
    }
    schedule
}

#[expect(unsafe_code, reason = "too large for the stack, and zero is what shared memory begins with")]
fn empty() -> Box<Schedule> {
    // SAFETY: numbers only; zero is valid for all of them.
    unsafe { Box::new_zeroed().assume_init() }
}

#[test]
fn a_context_alone_runs_without_a_break_and_its_items_end_when_their_work_is_served() {
    let mut schedule = device(1);
    let slot = ContextSlot(0);
    let first = schedule.submit(slot, 5 * MS);
    let second = schedule.submit(slot, 3 * MS);
    assert_eq!(schedule.predict(slot, second), Some(8 * MS));
    schedule.advance(6 * MS);
    assert_eq!(schedule.reached(slot, first), Some(5 * MS));
    assert_eq!(schedule.reached(slot, second), None);
    schedule.advance(100 * MS);
    assert_eq!(schedule.reached(slot, second), Some(8 * MS));
    assert_eq!(schedule.busy_ns, 8 * MS);
    assert_eq!(schedule.switches, 0);
}

#[test]
fn two_contexts_take_turns_and_each_turn_costs_a_switch() {
    let mut schedule = device(2);
    let ends: Vec<_> = (0..2).map(|slot| schedule.submit(ContextSlot(slot), 4 * MS)).collect();
    schedule.advance(20 * MS);
    // 2 ms, switch, 2 ms, switch, 2 ms, switch, 2 ms.
    assert_eq!(schedule.reached(ContextSlot(0), ends[0]), Some(6 * MS + 200_000));
    assert_eq!(schedule.reached(ContextSlot(1), ends[1]), Some(8 * MS + 300_000));
    assert_eq!((schedule.switches, schedule.switched_ns), (3, 300_000));
    assert_eq!(schedule.busy_ns, 8 * MS);
}

#[test]
fn the_answer_does_not_depend_on_how_often_one_looks() {
    let run = |step: u64| {
        let mut schedule = device(3);
        let mut ends = Vec::new();
        for now in (0..60 * MS).step_by(usize::try_from(step).unwrap()) {
            schedule.advance(now);
            if now == 0 {
                ends = (0..3)
                    .map(|slot| schedule.submit(ContextSlot(slot), (7 + 2 * u64::from(slot)) * MS))
                    .collect();
            }
        }
        schedule.advance(60 * MS);
        (0..3u32).map(|slot| schedule.reached(ContextSlot(slot), ends[slot as usize])).collect::<Vec<_>>()
    };
    assert_eq!(run(60 * MS), run(MS / 3));
    assert!(run(MS).iter().all(Option::is_some));
}

#[test]
fn a_prediction_comes_true_if_nobody_submits_anything_more() {
    let work = [(0u32, 9 * MS), (1, 3 * MS), (2, 5 * MS + 123)];
    for looked_at in [0, MS, 3 * MS + 50_000, 7 * MS] {
        let mut schedule = device(3);
        let ends: Vec<_> = work.iter().map(|(slot, ns)| schedule.submit(ContextSlot(*slot), *ns)).collect();
        schedule.advance(looked_at);
        let said: Vec<_> =
            (0..3).map(|slot| schedule.predict(ContextSlot(slot), ends[slot as usize])).collect();
        schedule.advance(100 * MS);
        let came: Vec<_> =
            (0..3).map(|slot| schedule.reached(ContextSlot(slot), ends[slot as usize])).collect();
        assert_eq!(said, came, "looked at {looked_at}");
    }
}

#[test]
fn a_hanging_device_serves_nothing_until_it_goes_on() {
    let mut schedule = device(1);
    let end = schedule.submit(ContextSlot(0), MS);
    schedule.stalled = 1;
    schedule.advance(50 * MS);
    assert_eq!(schedule.reached(ContextSlot(0), end), None);
    assert_eq!(schedule.predict(ContextSlot(0), end), None);
    schedule.stalled = 0;
    schedule.advance(60 * MS);
    assert_eq!(schedule.reached(ContextSlot(0), end), Some(51 * MS));
}

#[test]
fn the_end_of_a_process_ends_its_work() {
    let mut schedule = device(2);
    schedule.submit(ContextSlot(0), 1_000 * MS);
    let end = schedule.submit(ContextSlot(1), MS);
    schedule.close_all_of(0);
    schedule.advance(10 * MS);
    assert_eq!(schedule.reached(ContextSlot(1), end), Some(MS));
    assert_eq!(schedule.busy_ns, MS);
}

#[test]
fn copies_queue_on_their_engine_and_the_two_directions_do_not_wait_for_each_other() {
    let mut schedule = device(1);
    assert_eq!(schedule.submit_copy(CopyEngine::In, 0, 4 * MS), 4 * MS);
    assert_eq!(schedule.submit_copy(CopyEngine::In, MS, 2 * MS), 6 * MS);
    assert_eq!(schedule.submit_copy(CopyEngine::Out, MS, 2 * MS), 3 * MS);
}

#[test]
fn utilization_looks_back_over_whole_buckets() {
    let mut schedule = device(1);
    schedule.submit(ContextSlot(0), 500 * MS);
    schedule.advance(2_000 * MS);
    assert_eq!(schedule.busy.within(2_000 * MS, 167 * MS), 0);
    let second = schedule.busy.within(1_001 * MS, 1_000 * MS);
    assert!((480 * MS..=500 * MS).contains(&second), "{second}");
}

#[test]
fn what_is_older_than_memory_is_given_the_oldest_time_there_is() {
    let mut schedule = device(2);
    let first = schedule.submit(ContextSlot(0), MS);
    schedule.submit(ContextSlot(0), 1_000 * MS);
    schedule.submit(ContextSlot(1), 1_000 * MS);
    schedule.advance(10_000 * MS);
    let remembered = schedule.reached(ContextSlot(0), first).unwrap();
    assert!(remembered > MS && remembered < 10_000 * MS, "{remembered}");
}

#[test]
fn small_work_runs_beside_other_work_of_its_context_and_after_what_it_waits_for() {
    let mut schedule = device(1);
    let slot = ContextSlot(0);
    let large = schedule.submit(slot, 5 * MS);
    let beside = schedule.submit_beside(slot, 0, 3 * MS);
    let behind = schedule.submit_beside(slot, beside, 4 * MS);
    schedule.advance(2 * MS);
    let late = schedule.submit_beside(slot, 0, MS);
    let after_all = schedule.submit(slot, MS);
    schedule.advance(20 * MS);
    let reached = [large, beside, behind, late, after_all].map(|one| schedule.reached(slot, one));
    assert_eq!(reached, [5, 3, 7, 3, 8].map(|ms| Some(ms * MS)));
    assert_eq!(schedule.busy_ns, 8 * MS);
    // A queue that is empty begins where it is.
    assert_eq!(schedule.submit_beside(slot, 0, MS), 9 * MS);
}

#[test]
fn nobody_breaks_a_device_by_asking_for_more_time_than_there_is() {
    let mut schedule = device(2);
    for _ in 0..3 {
        schedule.submit(ContextSlot(0), u64::MAX);
        schedule.submit_copy(CopyEngine::In, 0, u64::MAX);
    }
    let end = schedule.submit(ContextSlot(1), 3 * MS);
    schedule.advance(100 * MS);
    assert!(schedule.reached(ContextSlot(1), end).is_some());
    let never = schedule.submit(ContextSlot(0), 1);
    assert!(schedule.predict(ContextSlot(0), never).is_some_and(|at| at > 1_000_000_000 * MS));
    schedule.close(ContextSlot(1));
    // Nor by a clock that has come to its end.
    schedule.advance(u64::MAX);
    schedule.submit(ContextSlot(0), MS);
    schedule.submit_copy(CopyEngine::Out, 0, MS);
    schedule.advance(u64::MAX);
}
