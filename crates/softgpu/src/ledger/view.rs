//! Looking at the ledger without waiting for ever: a program that is stopped in the middle of a change keeps its
//! lock, and nobody may hang for that who only wants to know.
#![expect(
    unsafe_code,
    reason = "what lies in shared memory is copied as it is; two small functions are the fence"
)]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::layout::{DEVICES_MAX, DeviceState, Facts, PROCESSES_MAX, Registry};
use super::lock::SharedLock;
use super::{DeviceGuard, Ledger, RegistryGuard};
use crate::schedule::{CONTEXTS_MAX, ContextRun};

/// How long somebody who looks waits for a lock.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// For so long after a wait that was in vain nobody of this process waits for the same device again.
const STUCK_NS: u64 = 2_000_000_000;

/// By device: until when it counts as stuck, on the machine's clock.
static STUCK_UNTIL_NS: [AtomicU64; DEVICES_MAX] = [const { AtomicU64::new(0) }; DEVICES_MAX];

/// Somebody holds a lock and does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    what: &'static str,
    owner: u32,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, owner } = self;
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{owner}/{name}")).unwrap_or_default();
        let status = read("status");
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let name = line("Name:").unwrap_or("gone");
        // As in `T (stopped)`.
        let state = line("State:").and_then(|state| state.split(['(', ')']).nth(1)).unwrap_or("unknown");
        write!(f, "process {owner} ({name}, {state}) holds the lock of {what} and does not go on; ")?;
        f.write_str("continue it (`kill -CONT`) or end it")
    }
}

impl std::error::Error for Stuck {}

/// A device: itself under its lock, or a copy if the lock did not come. What is written into a copy is lost.
#[derive(Debug)]
pub enum DeviceView {
    /// Itself.
    Locked(DeviceGuard),
    /// As it was in the middle of somebody's change.
    Copied(Box<DeviceState>),
}

impl Deref for DeviceView {
    type Target = DeviceState;
    fn deref(&self) -> &DeviceState {
        match self {
            Self::Locked(guard) => guard,
            Self::Copied(copy) => copy,
        }
    }
}

impl DerefMut for DeviceView {
    fn deref_mut(&mut self) -> &mut DeviceState {
        match self {
            Self::Locked(guard) => guard,
            Self::Copied(copy) => copy,
        }
    }
}

impl Ledger {
    /// What never changes of a device; takes no lock.
    ///
    /// # Panics
    /// If there is no such device.
    #[must_use]
    pub fn facts(&self, index: usize) -> Facts {
        assert!(index < self.device_count(), "device {index} of {}", self.device_count());
        let state = self.root().devices[index].state.get();
        // SAFETY: this part was written before anybody else could see the ledger, and never since.
        unsafe { (*state).facts }
    }

    /// Takes a device's lock and carries the device on, unless somebody is stuck with it.
    ///
    /// # Errors
    /// Who is stuck.
    ///
    /// # Panics
    /// If there is no such device.
    pub fn device_within(&self, index: usize, patience: Duration) -> Result<DeviceGuard, Stuck> {
        assert!(index < self.device_count(), "device {index} of {}", self.device_count());
        let cell = &self.root().devices[index];
        let (now, stuck_until) = (super::monotonic_ns(), &STUCK_UNTIL_NS[index]);
        let patience = if now < stuck_until.load(Relaxed) { Duration::ZERO } else { patience };
        match within(&cell.lock, patience) {
            Some(taken) => {
                stuck_until.store(0, Relaxed);
                Ok(self.entered(cell, taken))
            }
            None => {
                stuck_until.store(now + STUCK_NS, Relaxed);
                Err(Stuck { what: "a software GPU", owner: cell.lock.owner() })
            }
        }
    }

    /// A device to look at: under its lock, or a copy of it if somebody is stuck with that.
    ///
    /// # Panics
    /// If there is no such device.
    #[must_use]
    pub fn view(&self, index: usize) -> DeviceView {
        if let Ok(guard) = self.device_within(index, PATIENCE) {
            return DeviceView::Locked(guard);
        }
        let mut copy = copied_device(self.root().devices[index].state.get());
        copy.mend();
        copy.schedule.advance(self.now_ns());
        DeviceView::Copied(copy)
    }

    /// Takes the registry's lock, unless somebody is stuck with it.
    ///
    /// # Errors
    /// Who is stuck.
    pub fn registry_within(&self, patience: Duration) -> Result<RegistryGuard, Stuck> {
        let lock = &self.root().registry_lock;
        let taken = within(lock, patience);
        taken
            .map(|taken| self.listed(taken))
            .ok_or_else(|| Stuck { what: "the list of processes on software GPUs", owner: lock.owner() })
    }

    /// Above this no process slot was ever used. A word that only rises, read without a lock: too small by one
    /// process that is just coming is no harm, it looks by itself.
    #[must_use]
    pub fn processes_high(&self) -> usize {
        // SAFETY: the registry is mapped for as long as the process lives, and any bits make a number.
        let high = unsafe { (&raw const (*self.root().registry.get()).processes_high).read_volatile() };
        (high as usize).min(PROCESSES_MAX)
    }

    /// The registry to look at, as it is at this moment.
    #[must_use]
    pub fn registry_view(&self) -> Box<Registry> {
        let _held = self.registry_within(PATIENCE);
        copied(self.root().registry.get())
    }
}

fn within(lock: &SharedLock, patience: Duration) -> Option<super::Taken> {
    lock.lock_within(patience).expect("the lock was initialised and is never destroyed")
}

/// A device as it lies there. Contexts that never were are not looked at: there is no memory behind them, and there
/// may be none left to put there.
fn copied_device(from: *const DeviceState) -> Box<DeviceState> {
    let contexts = DeviceState::CONTEXTS;
    let mut copy = Box::<DeviceState>::new_zeroed();
    // SAFETY: both sides are valid for a device, which is numbers only, so that zeros and any bits are one. Both
    // stretches lie inside it.
    unsafe {
        let high = (&raw const (*from).schedule.contexts_high).read_volatile() as usize;
        let used = contexts.start + high.min(CONTEXTS_MAX) * size_of::<ContextRun>();
        for (start, end) in [(0, used), (contexts.end, size_of::<DeviceState>())] {
            let to = copy.as_mut_ptr().cast::<u8>().add(start);
            std::ptr::copy_nonoverlapping(from.cast::<u8>().add(start), to, end - start);
        }
        let mut copy = copy.assume_init();
        copy.schedule.contexts_high = u32::try_from(high.min(CONTEXTS_MAX)).unwrap_or(0);
        copy
    }
}

/// What lies there, whoever may be writing.
fn copied<T>(from: *const T) -> Box<T> {
    let mut copy = Box::<T>::new_uninit();
    // SAFETY: both sides are valid for a `T`, which is numbers only, so that any bits are one; half a change is
    // as good as none to somebody who looks.
    unsafe {
        std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), 1);
        copy.assume_init()
    }
}
