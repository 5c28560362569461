//! When things happened on a node: a node tells wall time, the state knows the clock of the control plane.

use fastgpu_core::node::{Inventory, Report};
use fastgpu_core::units::Timestamp;

/// The report of a node whose wall clock is ahead of our clock by so many milliseconds, with its times as ours.
pub(crate) fn as_ours(mut report: Report, ahead_ms: i64) -> Report {
    if ahead_ms == 0 {
        return report;
    }
    let shift = |at: &mut Timestamp| *at = Timestamp(at.0.saturating_sub(ahead_ms));
    match &mut report {
        Report::Started { at, .. } => shift(at),
        Report::Exited { exit, .. } => shift(&mut exit.at),
        Report::Hello { inventory, attempts } => {
            for attempt in attempts {
                attempt.started.iter_mut().for_each(shift);
                attempt.exit.iter_mut().for_each(|exit| shift(&mut exit.at));
            }
            of_devices(inventory, shift);
        }
        Report::Inventory(inventory) => of_devices(inventory, shift),
        Report::Regranted { .. } | Report::Suspended { .. } | Report::Resumed { .. } | Report::Lost => {}
    }
    report
}

fn of_devices(inventory: &mut Inventory, shift: impl Fn(&mut Timestamp)) {
    for device in &mut inventory.devices {
        device.fault.iter_mut().for_each(|fault| shift(&mut fault.at));
        device.telemetry.read_at.iter_mut().for_each(&shift);
    }
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ids::{Fence, TaskId};

    use super::*;

    #[test]
    fn a_start_is_told_in_the_time_of_the_control_plane() {
        let task: TaskId = "t-0000000000000".parse().unwrap();
        let started =
            |at| Report::Started { task, fence: Fence { attempt: 1, version: 1 }, at: Timestamp(at) };
        assert_eq!(as_ours(started(10_000), 3_000), started(7_000));
        assert_eq!(as_ours(started(10_000), -3_000), started(13_000));
    }
}
