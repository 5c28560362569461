//! The ledger: one file in shared memory that says what is true of the devices.
//!
//! Here: making it, opening it, its locks and its clock. [`layout`] is what lies in it, [`processes`] who is
//! attached and what becomes of the dead, [`memory`] what each holds, [`events`] what they tell each other. Any process may die at any point,
//! also with a lock in its hand: the next one mends what can be derived and returns what the dead one held.
#![expect(unsafe_code, reason = "shared memory has no safe form; this file and `lock` are the fence")]

pub mod events;
pub mod layout;
pub mod lock;
pub mod memory;
pub mod processes;
pub mod teams;
pub mod view;

mod create;
mod futex;
mod room;

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use layout::{DeviceCell, DeviceState, LAYOUT_VERSION, MAGIC, Registry, Root};
use lock::{SharedLock, Taken};

pub use create::{ClockMode, Creation};
pub use futex::{wait_on, wake_all};

/// The file's name in its folder.
pub const LEDGER_FILE: &str = "ledger";
/// Locks on bytes of this file say who is alive.
const ALIVE_FILE: &str = "alive";
/// Where the folder is, if not at its default.
pub const FOLDER_VARIABLE: &str = "FASTGPU_SOFTGPU_DIR";
/// Which devices a new ledger has, as `8xH100-80GB,2xL4`.
pub const DEVICES_VARIABLE: &str = "FASTGPU_SOFTGPU_DEVICES";
/// Which clock a new ledger has: `test`, `manual`, or the machine's.
pub const CLOCK_VARIABLE: &str = "FASTGPU_SOFTGPU_CLOCK";
/// Length of a slice of a new ledger's devices, in microseconds, if not the usual one.
pub const SLICE_VARIABLE: &str = "FASTGPU_SOFTGPU_SLICE_US";
/// Cost of a switch on a new ledger's devices, in microseconds, if not the usual one.
pub const SWITCH_VARIABLE: &str = "FASTGPU_SOFTGPU_SWITCH_US";
/// What a new ledger has if nobody says.
const DEVICES_DEFAULT: &str = "1xH100-80GB";

/// An opened ledger. It stays open until the process ends: closing the file would give up the sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    root: &'static Root,
    folder: &'static Path,
    alive: &'static File,
}

impl Ledger {
    /// Opens the ledger in `folder`.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(folder.join(LEDGER_FILE))?;
        let root = map(&file)?;
        let header = &root.header;
        let sound = header.magic.load(Acquire) == MAGIC
            && header.version.load(Relaxed) == LAYOUT_VERSION
            && header.bytes.load(Relaxed) == size_of::<Root>() as u64;
        if !sound {
            let what = format!("{} was made by another version; remove it", folder.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let alive = Box::leak(Box::new(options.open(folder.join(ALIVE_FILE))?));
        Ok(Self { root, folder: Box::leak(folder.to_owned().into_boxed_path()), alive })
    }

    /// Opens the ledger that the environment names; makes it if it is not there.
    pub fn from_environment() -> io::Result<Self> {
        let folder = folder_from_environment();
        match Self::open(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let devices = std::env::var(DEVICES_VARIABLE).unwrap_or_else(|_| DEVICES_DEFAULT.to_owned());
        let spec = devices.parse().map_err(|error: crate::spec::SpecError| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{DEVICES_VARIABLE}: {error}"))
        })?;
        let clock = match std::env::var(CLOCK_VARIABLE).as_deref() {
            Ok("test") => ClockMode::Test,
            Ok("manual") => ClockMode::Manual,
            _ => ClockMode::Machine,
        };
        let usual = Creation::of(&spec);
        let slice_ns = nanoseconds(SLICE_VARIABLE)?.unwrap_or(usual.slice_ns);
        let switch_ns = nanoseconds(SWITCH_VARIABLE)?.unwrap_or(usual.switch_ns);
        Self::open_or_create(&folder, &Creation { clock, slice_ns, switch_ns, ..usual })
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &'static Path {
        self.folder
    }

    /// Everything, for readers of single words; what has a lock is read through [`Ledger::device`] and
    /// [`Ledger::registry`].
    #[must_use]
    pub fn root(&self) -> &'static Root {
        self.root
    }

    /// How many devices there are.
    #[must_use]
    pub fn device_count(&self) -> usize {
        self.root.header.devices.load(Relaxed) as usize
    }

    /// Takes a device's lock and carries the device on to the present.
    ///
    /// # Panics
    /// If there is no such device.
    #[must_use]
    pub fn device(&self, index: usize) -> DeviceGuard {
        assert!(index < self.device_count(), "device {index} of {}", self.device_count());
        let cell = &self.root.devices[index];
        self.entered(cell, take(&cell.lock))
    }

    /// A device whose lock was just taken: mended if need be, and carried on to the present.
    fn entered(&self, cell: &'static DeviceCell, taken: Taken) -> DeviceGuard {
        let mut guard = DeviceGuard { cell };
        if taken == Taken::OwnerDied {
            guard.mend();
            cell.lock.mended();
        }
        let now = self.now_ns();
        guard.schedule.advance(now);
        guard
    }

    /// Takes the registry's lock. A device's lock may be taken while it is held, never the other way round.
    #[must_use]
    pub fn registry(&self) -> RegistryGuard {
        self.listed(take(&self.root.registry_lock))
    }

    /// The registry, whose lock was just taken.
    fn listed(&self, taken: Taken) -> RegistryGuard {
        if taken == Taken::OwnerDied {
            // Its entries are independent of each other, and each is valid at every point of a change.
            self.root.registry_lock.mended();
        }
        RegistryGuard { root: self.root }
    }

    /// Device time in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        let header = &self.root.header;
        if header.clock_mode.load(Relaxed) == ClockMode::Machine as u32 {
            monotonic_ns().saturating_sub(header.clock_epoch_ns.load(Relaxed))
        } else {
            header.clock_now_ns.load(Acquire)
        }
    }

    /// Wall time of a moment of device time, in microseconds since 1970.
    #[must_use]
    pub fn wall_us(&self, device_ns: u64) -> u64 {
        self.root.header.wall_epoch_us.load(Relaxed) + device_ns / 1_000
    }

    /// Which clock it has.
    #[must_use]
    pub fn clock_mode(&self) -> ClockMode {
        ClockMode::from_word(self.root.header.clock_mode.load(Relaxed))
    }

    /// Moves a test clock on to `to_ns`, never back. The machine's clock is not moved.
    pub fn move_clock(&self, to_ns: u64) {
        let header = &self.root.header;
        header.clock_now_ns.fetch_max(to_ns, Release);
        header.clock_bell.fetch_add(1, Release);
        wake_all(&header.clock_bell);
        self.ring_workers();
    }

    /// Waits until device time is `until_ns`, at most a tenth of a second so that faults are seen. A test
    /// clock is moved there, unless it is moved by hand.
    pub fn sleep_until(&self, until_ns: u64) {
        const LOOK_AGAIN_NS: u64 = 100_000_000;
        let header = &self.root.header;
        match self.clock_mode() {
            ClockMode::Machine => {
                let left = until_ns.saturating_sub(self.now_ns()).min(LOOK_AGAIN_NS);
                if left > 0 {
                    std::thread::sleep(Duration::from_nanos(left));
                }
            }
            ClockMode::Test => self.move_clock(until_ns),
            ClockMode::Manual => {
                let bell = header.clock_bell.load(Acquire);
                if self.now_ns() < until_ns {
                    wait_on(&header.clock_bell, bell, Some(Duration::from_nanos(LOOK_AGAIN_NS)));
                }
            }
        }
    }

    /// Tells every waiter that a fault was set or cleared.
    pub fn ring_fault(&self) {
        self.root.header.fault_bell.fetch_add(1, Release);
        wake_all(&self.root.header.fault_bell);
        self.ring_workers();
    }

    /// How often that bell has rung.
    #[must_use]
    pub fn faults_rung(&self) -> u32 {
        self.root.header.fault_bell.load(Acquire)
    }

    /// Wakes the workers of all attached processes, so that they look at the clock and the faults.
    pub fn ring_workers(&self) {
        for words in &self.root.words[..self.processes_high()] {
            words.doorbell.fetch_add(1, Release);
            wake_all(&words.doorbell);
        }
    }

    /// Counts a call of something that is not there. `check` of the ledger tool, and tests, read the counts.
    pub fn count_unsupported(&self, name: &str) {
        if let Ok(mut registry) = self.registry_within(view::PATIENCE) {
            registry.count(name);
        }
    }

    fn alive_fd(&self) -> i32 {
        self.alive.as_raw_fd()
    }
}

/// The folder that the environment names, or the default: in memory, one for each user.
#[must_use]
pub fn folder_from_environment() -> PathBuf {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        // SAFETY: getuid cannot fail and touches no memory.
        _ => PathBuf::from(format!("/dev/shm/fastgpu-softgpu-{}", unsafe { libc::getuid() })),
    }
}

/// A number of microseconds that the environment may give.
fn nanoseconds(variable: &str) -> io::Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    let us = text.parse::<u32>().map_err(|_| {
        let what = format!("{variable} is `{text}`; it must be a number of microseconds");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })?;
    Ok(Some(u64::from(us) * 1_000))
}

/// A device whose lock is held.
#[derive(Debug)]
pub struct DeviceGuard {
    cell: &'static DeviceCell,
}

impl Deref for DeviceGuard {
    type Target = DeviceState;
    fn deref(&self) -> &DeviceState {
        // SAFETY: the guard holds the lock; only guards reach into the cell.
        unsafe { &*self.cell.state.get() }
    }
}

impl DerefMut for DeviceGuard {
    fn deref_mut(&mut self) -> &mut DeviceState {
        // SAFETY: the guard holds the lock and is borrowed mutably.
        unsafe { &mut *self.cell.state.get() }
    }
}

impl Drop for DeviceGuard {
    fn drop(&mut self) {
        self.cell.lock.unlock();
    }
}

/// The registry whose lock is held.
#[derive(Debug)]
pub struct RegistryGuard {
    root: &'static Root,
}

impl Deref for RegistryGuard {
    type Target = Registry;
    fn deref(&self) -> &Registry {
        // SAFETY: the guard holds the lock; only guards reach into the cell.
        unsafe { &*self.root.registry.get() }
    }
}

impl DerefMut for RegistryGuard {
    fn deref_mut(&mut self) -> &mut Registry {
        // SAFETY: the guard holds the lock and is borrowed mutably.
        unsafe { &mut *self.root.registry.get() }
    }
}

impl Drop for RegistryGuard {
    fn drop(&mut self) {
        self.root.registry_lock.unlock();
    }
}

// SAFETY: the cells in it are reached through guards alone, which hold their locks.
unsafe impl Sync for Root {}

fn take(lock: &SharedLock) -> Taken {
    lock.lock().expect("the lock was initialised, is never destroyed and is mended after each death")
}

fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for one write; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Maps the whole file for as long as the process lives.
fn map(file: &File) -> io::Result<&'static Root> {
    let length = size_of::<Root>();
    if file.metadata()?.len() < length as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the ledger is too short; remove it"));
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of an open file, at an address of the kernel's choice.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: page-aligned, as long as `Root`, never unmapped; all of its fields accept any bit pattern.
    Ok(unsafe { &*address.cast::<Root>() })
}
