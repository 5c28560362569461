//! Listening to what a driver reports by itself: a thread for each device, because a wait for several ends when
//! one of them is lost, and because drivers remember only the last of several reports nobody fetched.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::event::EventSet;

use super::wire::XidReading;
use crate::clock::now;

/// How long one wait takes when nothing happens.
const WAIT_MS: u32 = 60_000;
/// Rest after a wait that failed: a lost device fails each of them at once.
const REST: Duration = Duration::from_secs(5);
/// Drivers and devices that cannot report are asked this often after they were seen well.
const TRIES: u32 = 3;
/// Reports kept until they are asked for; more only repeat.
const KEPT_MAX: usize = 32;
/// A driver whose device is ill has said why, or does so within a few of these.
const REASON_PATIENCE: Duration = Duration::from_millis(5);
const REASON_LOOKS: usize = 10;

/// One device, listened to.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) index: u32,
    heard: Arc<Mutex<Vec<XidReading>>>,
    /// Whether the driver took the wish to be told.
    listens: bool,
    /// How often it is still tried to make it.
    tries: u32,
    /// Whether the device was ill when it was read last.
    was_ill: Option<bool>,
}

impl Watch {
    /// Begins to listen. A device or driver that reports nothing stays silent.
    pub(super) fn start(nvml: &'static Nvml, index: u32) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let set = nvml.create_event_set().ok().and_then(|set| {
            let device = nvml.device_by_index(index).ok()?;
            device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok()
        });
        let listens = set.is_some();
        if let Some(set) = set {
            let heard = Arc::clone(&heard);
            let thread = thread::Builder::new().name(format!("xids {index}"));
            // Without a thread nothing is heard; the readings still tell.
            let _ = thread.spawn(move || listen(&set, &heard));
        }
        Self { index, heard, listens, tries: TRIES, was_ill: None }
    }

    /// Begins to listen to a device that is well and could not be listened to before: it may have been lost then.
    pub(super) fn renew(&mut self, nvml: &'static Nvml, is_ill: bool) {
        if is_ill {
            self.tries = TRIES;
        } else if !self.listens && self.tries > 0 {
            let fresh = Self::start(nvml, self.index);
            *self = Self { tries: self.tries - 1, was_ill: self.was_ill, ..fresh };
        }
    }

    /// What was heard since the last time. Where it is news that the device is ill, the report of why is waited for
    /// a moment.
    pub(super) fn news(&mut self, is_ill: bool) -> Vec<XidReading> {
        let is_news = is_ill && self.was_ill == Some(false);
        self.was_ill = Some(is_ill);
        for _ in 0..if is_news { REASON_LOOKS } else { 0 } {
            if !self.heard.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                break;
            }
            thread::sleep(REASON_PATIENCE);
        }
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends with the process.
fn listen(set: &EventSet<'static>, heard: &Mutex<Vec<XidReading>>) {
    loop {
        match set.wait(WAIT_MS) {
            Ok(event) => {
                let Some(XidError::Value(xid)) = event.event_data else { continue };
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.len() < KEPT_MAX {
                    heard.push(XidReading { xid, at: now().0 });
                }
            }
            Err(NvmlError::Timeout) => {}
            Err(_) => thread::sleep(REST),
        }
    }
}
