//! What is known of one device's health, from reading to reading: its latest fault, and whether it is out of
//! service for it. Pure.
//!
//! What the driver wants done comes first. Where it wants nothing, a device that failed rests a while, so that
//! what failed on it is tried elsewhere if there is an elsewhere. Where the driver is too old to say what it wants,
//! the [table](crate::xid) decides, and the device is out of service until the server is started again.

use fastgpu_core::node::Fault;
use fastgpu_core::units::{Millis, Timestamp};

use crate::probe::DeviceReading;
use crate::xid::{Blame, meaning};

/// How long a device rests after a fault: longer than the first waits of tasks that are tried again.
const REST: Millis = Millis::from_secs(60);

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// Since the driver was loaded, those that could not be corrected.
    memory_errors: Option<u64>,
    /// What the driver wants done, by its number.
    action: Option<u32>,
    /// The latest fault that no program brought about.
    fault: Option<Fault>,
    rest_until: Option<Timestamp>,
    /// It needs a reset, and the driver cannot tell when it had one.
    is_broken: bool,
    /// The device did not answer when it was read last.
    is_lost: bool,
}

impl Health {
    /// Takes in what was read at `now`.
    pub(super) fn take(&mut self, reading: &DeviceReading, now: Timestamp) {
        let is_lost = reading.trouble.is_some();
        let is_mended = (self.is_lost && !is_lost)
            || (self.action.is_some_and(|action| action > 0) && reading.recovery_action == Some(0));
        if is_mended {
            *self = Self { memory_errors: self.memory_errors, ..Self::default() };
        }
        self.is_lost = is_lost;
        for report in &reading.xids {
            let (blame, words) = meaning(report.xid);
            if blame != Blame::None {
                self.failed(Timestamp(report.at), format!("XID {}, {words}", report.xid), now);
                // Whether it needs more than a rest, a driver that can tell knows best.
                let is_told = reading.recovery_action.or(self.action).is_some();
                self.is_broken |= blame == Blame::Lasting && !is_told && !is_lost;
            }
        }
        if let Some(errors) = reading.memory_errors {
            let more = errors.saturating_sub(self.memory_errors.unwrap_or(errors));
            self.memory_errors = Some(errors);
            if more > 0 && !self.failed_lately(now) {
                let errors = if more == 1 { "memory error" } else { "memory errors" };
                self.failed(now, format!("{more} {errors} that could not be corrected"), now);
            }
        }
        if let Some(action) = reading.recovery_action {
            let is_new = self.action.is_some_and(|before| before == 0) && action > 0;
            self.action = Some(action);
            if is_new && !self.failed_lately(now) {
                self.failed(now, wish(action).to_owned(), now);
            }
        }
    }

    fn failed(&mut self, at: Timestamp, what: String, now: Timestamp) {
        self.fault = Some(Fault { at, what });
        self.rest_until = Some(now.plus(REST));
    }

    /// Whether the same story was told by another reading just now.
    fn failed_lately(&self, now: Timestamp) -> bool {
        self.fault.as_ref().is_some_and(|fault| now.since(fault.at) < Millis::from_secs(5))
    }

    /// The latest fault that no program brought about.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Why the device is out of service, and what to do about it, if it is.
    pub(super) fn trouble(&self, now: Timestamp) -> Option<Trouble> {
        let what = self.fault.as_ref().map(|fault| fault.what.clone());
        let wanted = self.action.filter(|&action| action > 0);
        let reason = match (what, wanted) {
            (Some(what), Some(action)) if what != wish(action) => format!("{what}; {}", wish(action)),
            (_, Some(action)) => wish(action).to_owned(),
            (Some(what), None) if self.is_broken => what,
            (Some(what), None) if self.rest_until.is_some_and(|until| now < until) => {
                return Some(Trouble { reason: what, remedy: Remedy::Rest });
            }
            _ => return None,
        };
        let remedy = if wanted == Some(RESTART) { Remedy::Restart } else { Remedy::Reset };
        Some(Trouble { reason, remedy })
    }
}

/// Why a device is out of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What happened.
    pub(super) reason: String,
    /// What mends it.
    pub(super) remedy: Remedy,
}

/// What mends a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A minute without tasks.
    Rest,
    /// A reset of the device.
    Reset,
    /// A restart of the machine.
    Restart,
}

/// The recovery action that takes the machine down.
const RESTART: u32 = 2;

/// A recovery action in words.
pub(crate) const fn wish(action: u32) -> &'static str {
    match action {
        RESTART => "the driver wants the machine to be restarted",
        3 => "the driver wants the device and its NVLink peers to be emptied",
        _ => "the driver wants the device to be reset",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::XidReading;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn reading(action: Option<u32>, errors: u64, xids: &[u64]) -> DeviceReading {
        DeviceReading {
            recovery_action: action,
            memory_errors: Some(errors),
            xids: xids.iter().map(|&xid| XidReading { xid, at: NOW.0 }).collect(),
            ..DeviceReading::default()
        }
    }

    fn after(readings: &[DeviceReading]) -> Health {
        let mut health = Health::default();
        readings.iter().for_each(|reading| health.take(reading, NOW));
        health
    }

    fn later(span: Millis) -> Timestamp {
        NOW.plus(span)
    }

    #[test]
    fn errors_of_programs_leave_a_device_in_service_and_without_a_fault() {
        let health = after(&[reading(Some(0), 0, &[]), reading(Some(0), 0, &[13, 31, 43, 45])]);
        assert_eq!((health.fault(), health.trouble(NOW)), (None, None));
    }

    #[test]
    fn what_the_driver_wants_counts_until_it_wants_nothing() {
        let mut health = after(&[reading(Some(0), 0, &[]), reading(Some(1), 1, &[48, 45])]);
        assert!(health.fault().unwrap().what.starts_with("XID 48, "), "{health:?}");
        let trouble = health.trouble(later(Millis::from_secs(3_600))).unwrap();
        assert!(trouble.reason.ends_with("the driver wants the device to be reset"), "{trouble:?}");
        health.take(&reading(Some(0), 1, &[]), NOW);
        assert_eq!((health.fault(), health.trouble(NOW)), (None, None), "it was mended");
    }

    #[test]
    fn a_device_that_works_again_by_itself_rests_for_a_minute() {
        let health = after(&[reading(Some(0), 0, &[94])]);
        assert_eq!(health.trouble(NOW).unwrap().remedy, Remedy::Rest);
        assert_eq!(health.trouble(later(REST)), None);
        assert!(health.fault().is_some(), "what failed on it is still known");
    }

    #[test]
    fn a_driver_that_cannot_say_what_it_wants_is_judged_by_its_reports() {
        assert_eq!(after(&[reading(None, 0, &[94])]).trouble(later(REST)), None);
        let broken = after(&[reading(None, 0, &[119])]);
        assert_eq!(broken.trouble(later(REST)).unwrap().remedy, Remedy::Reset);
    }

    #[test]
    fn only_new_memory_errors_are_a_fault() {
        assert_eq!(after(&[reading(Some(0), 7, &[]), reading(Some(0), 7, &[])]).fault(), None);
        let health = after(&[reading(Some(0), 7, &[]), reading(Some(0), 9, &[])]);
        assert_eq!(health.fault().unwrap().what, "2 memory errors that could not be corrected");
        assert_eq!(after(&[reading(Some(0), 9, &[]), reading(Some(0), 0, &[])]).fault(), None, "a reset");
    }

    #[test]
    fn a_lost_device_that_is_back_has_no_fault_any_more() {
        let lost = DeviceReading { trouble: Some("lost".to_owned()), ..reading(None, 0, &[79]) };
        let mut health = after(&[reading(Some(0), 0, &[]), lost]);
        assert!(health.fault().unwrap().what.contains("fallen off the bus"));
        health.take(&reading(Some(0), 0, &[]), NOW);
        assert_eq!((health.fault(), health.trouble(NOW)), (None, None));
    }
}
