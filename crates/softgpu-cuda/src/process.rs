//! What one process knows: its place in the ledger, the devices it may see, and its objects.

use std::cell::Cell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Condvar, OnceLock};

use fastgpu_softgpu::checkpoint;
use fastgpu_softgpu::fault::Health;
use fastgpu_softgpu::ledger::layout::{Class, Facts, ProcessWords};
use fastgpu_softgpu::ledger::processes::Attached;
use fastgpu_softgpu::ledger::{DeviceGuard, Ledger, wait_on, wake_all};
use fastgpu_softgpu::models::{MODELS, Model};

use crate::abi::{Code, Done};
use crate::{sys, visible};

/// What the driver sets up on a device for the first who comes.
const FIRST_BYTES: u64 = 3_407_872;

/// The library's memory of this process.
#[derive(Debug)]
pub(crate) struct Process {
    /// What is true for all processes.
    pub(crate) ledger: Ledger,
    /// This process in it.
    pub(crate) me: Attached,
    /// For each ordinal, the device's index in the ledger; a restore can change it.
    devices: Vec<AtomicUsize>,
    /// Rung when work was done in this process.
    pub(crate) progress: Condvar,
    /// Whether the worker sleeps, so that it must be rung.
    pub(crate) asleep: AtomicBool,
    /// Calls that are inside at the moment.
    inside: AtomicU32,
}

static PROCESS: OnceLock<Result<Process, Code>> = OnceLock::new();
thread_local! {
    /// Whether this thread is inside a call.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// True in a child that was forked after `cuInit`: the driver does not survive that.
static FORKED: AtomicBool = AtomicBool::new(false);

/// What `cuInit` does.
pub(crate) fn initialise() -> Done<&'static Process> {
    if FORKED.load(Relaxed) {
        return Err(Code::NOT_INITIALIZED);
    }
    match PROCESS.get_or_init(Process::start) {
        Ok(process) => Ok(process),
        Err(code) => Err(*code),
    }
}

/// The process, if `cuInit` was called and succeeded.
pub(crate) fn initialised() -> Done<&'static Process> {
    match PROCESS.get() {
        Some(Ok(process)) if !FORKED.load(Relaxed) => Ok(process),
        _ => Err(Code::NOT_INITIALIZED),
    }
}

extern "C" fn in_the_child() {
    FORKED.store(true, Relaxed);
}

impl Process {
    fn start() -> Result<Self, Code> {
        let ledger = Ledger::from_environment().map_err(|_| Code::NO_DEVICE)?;
        if ledger.registry_view().version_mismatch != 0 {
            return Err(Code::SYSTEM_DRIVER_MISMATCH);
        }
        let present = (0..ledger.device_count()).filter(|index| {
            let device = ledger.device(*index);
            device.faults.health() != Health::Lost
        });
        let present: Vec<(usize, [u8; 16])> =
            present.map(|index| (index, ledger.facts(index).uuid)).collect();
        let wanted = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let devices = visible::choose(&present, wanted.as_deref());
        if devices.is_empty() {
            return Err(Code::NO_DEVICE);
        }
        let me = ledger.attach().map_err(|_| Code::OUT_OF_MEMORY)?;
        for index in &devices {
            // The first to come to a device pays for what the driver sets up there.
            let mut device = ledger.device(*index);
            if device.memory_used_bytes == 0 {
                let _ = device.charge(me.slot, me.pid, Class::Driver, FIRST_BYTES);
            }
        }
        sys::at_fork(in_the_child);
        Ok(Self {
            ledger,
            me,
            devices: devices.into_iter().map(AtomicUsize::new).collect(),
            progress: Condvar::new(),
            asleep: AtomicBool::new(false),
            inside: AtomicU32::new(0),
        })
    }

    /// How many devices this process sees.
    pub(crate) fn device_count(&self) -> usize {
        self.devices.len()
    }

    /// The index in the ledger of the device with an ordinal.
    pub(crate) fn index_of(&self, ordinal: i32) -> Done<usize> {
        let ordinal = usize::try_from(ordinal).map_err(|_| Code::INVALID_DEVICE)?;
        self.devices.get(ordinal).map(|index| index.load(Relaxed)).ok_or(Code::INVALID_DEVICE)
    }

    /// The ordinal of the device with an index in the ledger.
    pub(crate) fn ordinal_of(&self, index: usize) -> Option<i32> {
        let ordinal = self.devices.iter().position(|device| device.load(Relaxed) == index)?;
        i32::try_from(ordinal).ok()
    }

    /// Lets an ordinal mean another device from now on.
    pub(crate) fn move_ordinal(&self, ordinal: i32, index: usize) {
        if let Some(device) = usize::try_from(ordinal).ok().and_then(|ordinal| self.devices.get(ordinal)) {
            device.store(index, Relaxed);
        }
    }

    /// A device, locked and carried on to the present.
    pub(crate) fn device(&self, ordinal: i32) -> Done<DeviceGuard> {
        Ok(self.ledger.device(self.index_of(ordinal)?))
    }

    /// What never changes of a device; takes no lock.
    pub(crate) fn facts(&self, ordinal: i32) -> Done<Facts> {
        Ok(self.ledger.facts(self.index_of(ordinal)?))
    }

    /// What the table says of a device.
    pub(crate) fn model(&self, ordinal: i32) -> Done<&'static Model> {
        let place = self.facts(ordinal)?.model as usize;
        MODELS.get(place).ok_or(Code::UNKNOWN)
    }

    /// Charges this process for device memory. The dead are asked to pay back before anybody is refused.
    pub(crate) fn charge(&self, ordinal: i32, class: Class, bytes: u64) -> Done {
        let charge = || {
            let mut device = self.device(ordinal)?;
            device.charge(self.me.slot, self.me.pid, class, bytes).map_err(|refused| Code(refused.code))
        };
        match charge() {
            Err(Code::OUT_OF_MEMORY) if self.ledger.reap() > 0 => charge(),
            result => result,
        }
    }

    /// Takes a charge back.
    pub(crate) fn release(&self, ordinal: i32, class: Class, bytes: u64) {
        if let Ok(mut device) = self.device(ordinal) {
            device.release(self.me.slot, class, bytes);
        }
    }

    /// The words in the ledger through which others speak with this process.
    pub(crate) fn words(&self) -> &'static ProcessWords {
        &self.ledger.root().words[self.me.slot as usize]
    }

    /// Wakes the worker, if it sleeps.
    pub(crate) fn ring_worker(&self) {
        if self.asleep.load(Acquire) {
            let bell = &self.words().doorbell;
            bell.fetch_add(1, Release);
            wake_all(bell);
        }
    }

    /// Begins a call: waits while the process is suspended. `None` if this thread is inside already: what its call
    /// called must not wait for what waits for it.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        if INSIDE.get() {
            return None;
        }
        loop {
            self.inside.fetch_add(1, SeqCst);
            let state = &self.words().checkpoint_state;
            let now = state.load(SeqCst);
            if now == checkpoint::RUNNING {
                INSIDE.set(true);
                return Some(Inside { process: self });
            }
            self.inside.fetch_sub(1, AcqRel);
            wait_on(state, now, None);
        }
    }

    /// Calls that are inside at the moment.
    pub(crate) fn calls_inside(&self) -> u32 {
        self.inside.load(Acquire)
    }
}

/// A call that is inside.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    process: &'a Process,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        INSIDE.set(false);
        self.process.inside.fetch_sub(1, AcqRel);
    }
}
