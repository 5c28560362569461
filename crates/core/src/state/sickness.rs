//! Whether a device failed under an attempt: then its end is not charged to the user.
//!
//! The nodes say what happened to their devices and when ([`Fault`](crate::node::Fault)), the grants who was on
//! them; only here is the one laid beside the other.

use crate::node::{Device, ExitKind};
use crate::state::State;
use crate::state::life::Ended;
use crate::task::Hold;
use crate::units::{Millis, Timestamp};

/// A driver may report what broke a program a moment before the program could begin, or after it has ended.
const MARGIN: Millis = Millis::from_secs(5);

impl State {
    /// The same end, with what was wrong with the devices of the attempt if it failed.
    pub(super) fn with_sickness(&self, ended: Ended, hold: &Hold) -> Ended {
        match ended {
            Ended::Exit(mut exit) if exit.how != ExitKind::Code(0) => {
                exit.sick = self.sickness(hold, exit.at);
                Ended::Exit(exit)
            }
            other => other,
        }
    }

    /// Which devices of the attempt failed until it ended `at`, and how.
    fn sickness(&self, hold: &Hold, at: Timestamp) -> Option<String> {
        let from = Timestamp(hold.placed_at.0.saturating_sub_unsigned(MARGIN.0));
        let to = at.plus(MARGIN);
        let mut stories = Vec::new();
        for part in &hold.grant.parts {
            let Some(node) = self.cluster.node(part.node) else { continue };
            let devices = part.slices.iter().filter_map(|slice| node.device(slice.device));
            for device in devices.map(|slot| &slot.info) {
                if let Some(why) = what_failed(device, from, to) {
                    stories.push(format!("{} of {} ({}) failed: {why}", device.index, node.id, device.uuid));
                }
            }
        }
        (!stories.is_empty()).then(|| stories.join("; "))
    }
}

/// A fault within the time, or that the device is out of service by now.
fn what_failed(device: &Device, from: Timestamp, to: Timestamp) -> Option<&str> {
    let fault = device.fault.as_ref().filter(|fault| (from..=to).contains(&fault.at));
    // What to do about it is for operators, and follows a semicolon.
    let unusable = || device.unusable.as_deref().map(|why| why.split("; ").next().unwrap_or(why));
    fault.map(|fault| &*fault.what).or_else(unusable)
}
