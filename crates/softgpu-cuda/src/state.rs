//! The objects of one process, under one lock: the parts of all floors, one above the other.
//!
//! A part holds the one below and reads through to it, so that whoever has a part has all that is below, and
//! cannot name what is above.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use fastgpu_softgpu::ledger::layout::Account;

use crate::dump_settings::Settings;
use crate::green::GreenPart;
use crate::handle::{Slab, names};
use crate::process::Process;

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    below: GreenPart,
    pub(crate) notifications: Slab<names::Notification, Notification>,
    /// What was held of each device, by ordinal, when the process was suspended.
    pub(crate) suspended: Option<Vec<Account>>,
    /// Settings of core dumps for all contexts, once anybody asked.
    dumps: Option<Settings>,
}

/// Somebody who wants to be told of a device's budget.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) ordinal: i32,
}

static STATE: OnceLock<Mutex<State>> = OnceLock::new();

impl Process {
    /// The objects of this process.
    pub(crate) fn state(&self) -> MutexGuard<'static, State> {
        let state = STATE.get_or_init(|| Mutex::new(State::new(self.device_count())));
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(devices: usize) -> Self {
        Self { below: GreenPart::new(devices), notifications: Slab::new(0x62), suspended: None, dumps: None }
    }

    /// The settings of core dumps for all contexts.
    pub(crate) fn dumps(&mut self) -> &mut Settings {
        self.dumps.get_or_insert_with(Settings::new)
    }
}

impl Deref for State {
    type Target = GreenPart;

    fn deref(&self) -> &GreenPart {
        &self.below
    }
}

impl DerefMut for State {
    fn deref_mut(&mut self) -> &mut GreenPart {
        &mut self.below
    }
}
