//! Who is charged when a program fails on a device that failed too.
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use fastgpu_core::command::Command;
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::{Exit, ExitKind, Fault, Inventory, Report};
use fastgpu_core::retry::FailureClass;
use fastgpu_core::state::Changes;
use fastgpu_core::task::{QueueCause, TaskState};
use fastgpu_core::units::Timestamp;

mod story;
use story::{Story, inventory};

/// When the program ends, after it was placed.
const RAN_MS: i64 = 60_000;

/// What becomes of a program on one of two devices that ends as `how`, when its node has said `change` of them:
/// `gpu_sick` if it is tried again for that, else `over`.
fn verdict(how: ExitKind, change: impl Fn(&mut Inventory, Timestamp)) -> (&'static str, Option<String>) {
    let mut story = Story::begin("2x80");
    story.submit("1");
    story.round();
    let (id, placed_at) = (story.id("task-1"), story.now);
    let fence = story.state.task(id).unwrap().state.hold().unwrap().grant.fence;
    story.now = Timestamp(placed_at.0 + RAN_MS);
    let mut told = inventory(1, 2, 80);
    change(&mut told, placed_at);
    let exit = Exit { at: story.now, how, cpu_ms: 0, rss_max_kib: 0, sick: None };
    for report in [Report::Inventory(told), Report::Exited { task: id, fence, exit }] {
        let command = Command::Report { node: NodeId(1), report };
        story.state.apply(command, story.now, &mut Changes::default()).unwrap();
    }
    let Some(task) = story.state.task(id) else { return ("over", None) };
    assert_eq!((task.strikes.user, task.strikes.infrastructure), (0, 1), "ours to pay");
    match task.state {
        TaskState::Queued { cause: QueueCause::Retrying { class, .. }, .. } => {
            assert_eq!(class, FailureClass::GpuSick);
            (class.code(), task.last_fault.clone())
        }
        ref other => panic!("{other:?}"),
    }
}

/// A fault of a device, so long after the program was placed.
fn fault(device: usize, after_ms: i64) -> impl Fn(&mut Inventory, Timestamp) {
    move |told, placed_at| {
        let fault = Fault { at: Timestamp(placed_at.0 + after_ms), what: "XID 48".to_owned() };
        told.devices[device].fault = Some(fault);
    }
}

#[test]
fn a_fault_of_its_device_counts_from_a_little_before_the_start_to_a_little_after_the_end() {
    let failed = |change: &dyn Fn(&mut Inventory, Timestamp)| verdict(ExitKind::Code(1), change).0;
    for (after_ms, expected) in [
        (-6_000, "over"),
        (-4_000, "gpu_sick"),
        (RAN_MS / 2, "gpu_sick"),
        (RAN_MS + 4_000, "gpu_sick"),
        (RAN_MS + 6_000, "over"),
    ] {
        assert_eq!(failed(&fault(0, after_ms)), expected, "{after_ms} ms after the start");
    }
    assert_eq!(failed(&fault(1, RAN_MS / 2)), "over", "it was another device");
    assert_eq!(failed(&|_, _| ()), "over", "nothing was wrong with it");
}

#[test]
fn a_device_that_is_out_of_service_by_then_counts_and_is_named_with_its_reason() {
    let lost = |told: &mut Inventory, _: Timestamp| {
        told.devices[0].unusable = Some("GPU is lost; restart the machine".to_owned());
    };
    let (class, told) = verdict(ExitKind::Signal(6), lost);
    assert_eq!(class, "gpu_sick");
    assert_eq!(told.as_deref(), Some("gpu-0 of node-1 (SIM-1-0) failed: GPU is lost"));
}

#[test]
fn only_a_failure_needs_somebody_to_blame() {
    for how in [ExitKind::Code(0), ExitKind::BadSpec("no such program".to_owned())] {
        assert_eq!(verdict(how.clone(), fault(0, RAN_MS / 2)).0, "over", "{how:?}");
    }
    for how in [ExitKind::Signal(11), ExitKind::OutOfMemory, ExitKind::TimeLimit] {
        assert_eq!(verdict(how.clone(), fault(0, RAN_MS / 2)).0, "gpu_sick", "{how:?}");
    }
}

#[test]
fn a_task_for_devices_that_are_out_of_service_waits_and_one_too_large_for_all_is_refused() {
    let mut story = Story::begin("2x80");
    let mut told = inventory(1, 2, 80);
    for device in &mut told.devices {
        device.unusable = Some("GPU is lost".to_owned());
    }
    let report = Command::Report { node: NodeId(1), report: Report::Inventory(told) };
    story.state.apply(report, story.now, &mut Changes::default()).unwrap();
    ["2", "3"].into_iter().for_each(|words| story.submit(words));
    story.round();
    story.tell_who_waits(false);
    let expected = "3 is refused: 3 GPUs are asked for; there are 2\ntask-1 waits\n";
    assert_eq!(story.told, expected);
}
