//! Where a node's inventory comes from: software GPUs at once, or real ones as soon as the driver has told
//! of them, and then every change of either.
//!
//! Ready never waits for a GPU: [`DeviceSource::start`] returns at once with what is known without the
//! driver. How the driver is asked is in [`crate::probe`]; how readings become devices in `known`.

pub(crate) mod health;
mod host;
mod known;
mod look;

pub use host::hostname;
pub use look::Looker;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastgpu_core::ids::Name;
use fastgpu_core::node::{Ability, Closeness, Device, Inventory};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::clock::now;
use crate::probe::{Probe, ProbeCommand, ProbeError, Readings};
use crate::software::Software;
use known::Known;
use look::{Looks, Turn};

/// How often moving readings are taken.
const PERIOD: Duration = Duration::from_secs(2);
/// A healthy driver answers in milliseconds; one that needs longer than this counts as hung.
const DEADLINE: Duration = Duration::from_secs(5);
/// The first call of a child wakes the GPUs up, which takes seconds per GPU without persistence mode.
const FIRST_DEADLINE: Duration = Duration::from_secs(60);
/// How often everything is read again, and how often a driver that is not there is looked for.
const SEARCH_PERIOD: Duration = Duration::from_secs(60);
/// How often the child is replaced by a fresh one, which finds the driver as programs that start now do.
const RENEW_PERIOD: Duration = Duration::from_secs(60);
/// A fresh child has more to do than one that runs.
const FRESH_DEADLINES: u32 = 3;
/// How often a driver that is there and does not work is tried again.
const BROKEN_PERIOD: Duration = Duration::from_secs(10);
/// What the kernel knows of devices by their PCI addresses.
const PCI_DEVICES: &str = "/sys/bus/pci/devices";
/// The name of what this module knows among a node's abilities.
const ABILITY: &str = "nvml";

/// What to do about a software GPU; nothing is the matter with this machine.
pub(crate) const MENDED_BY: &str =
    "mend it with `fastgpu simulate-fault all clear`, or start the server again";

/// What a [`DeviceSource`] needs to know.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// The software GPUs to ask in the driver's place.
    pub software: Option<Software>,
    /// How to start the probe child.
    pub probe: ProbeCommand,
    /// The machine's name; `None` means its own.
    pub hostname: Option<Name>,
    /// What the operator says of the machine, as `key=value`, sorted.
    pub labels: Vec<Name>,
    /// How often moving readings are taken.
    pub period: Duration,
    /// How long a call may take.
    pub deadline: Duration,
    /// How long the first call of a child may take.
    pub first_deadline: Duration,
    /// How often everything is read again, and how often a driver that is not there is looked for.
    pub search_period: Duration,
    /// How often that is done by a fresh child.
    pub renew_period: Duration,
}

impl DeviceConfig {
    /// The devices of this machine, or `software`, at the usual pace.
    #[must_use]
    pub fn new(probe: ProbeCommand, software: Option<Software>) -> Self {
        Self {
            software,
            probe,
            hostname: None,
            labels: Vec::new(),
            period: PERIOD,
            deadline: DEADLINE,
            first_deadline: FIRST_DEADLINE,
            search_period: SEARCH_PERIOD,
            renew_period: RENEW_PERIOD,
        }
    }
}

/// The inventory of this machine, kept up to date by a thread of its own.
#[derive(Debug)]
pub struct DeviceSource {
    current: Arc<Mutex<Inventory>>,
    looker: Looker,
    /// None once it is stopped.
    watcher: Option<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    /// Closing it ends whatever the thread waits for.
    stop: OwnedFd,
    thread: JoinHandle<()>,
}

impl DeviceSource {
    /// Returns at once: [`current`](Self::current) has what is known already. `on_change` is called for
    /// every change after that, at most once per period for moving readings, and `on_look` after that when a
    /// look that a [`Looker`] asked for is over, with its number; both from the source's own thread. They must
    /// not call [`stop`](Self::stop).
    ///
    /// # Errors
    /// When the system has no thread or pipe left for us.
    pub fn start(
        config: DeviceConfig,
        on_change: impl Fn(Inventory) + Send + 'static,
        on_look: impl Fn(u64) + Send + 'static,
    ) -> io::Result<DeviceSource> {
        let inventory = at_once(&config);
        let current = Arc::new(Mutex::new(inventory.clone()));
        let (listen, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let command = match &config.software {
            Some(software) => software.probe(config.probe.clone()),
            None => config.probe.clone(),
        };
        let probe = Probe::new(command).stopped_by(listen.try_clone()?);
        let looker = Looker::new()?;
        let search = Search {
            looks: Looks::new(looker.clone()),
            renew_at: None,
            on_look,
            config,
            probe,
            stop: listen,
            known: known::listed(&inventory.devices),
            inventory,
            current: Arc::clone(&current),
            on_change,
        };
        let thread = thread::Builder::new().name("devices".to_owned()).spawn(move || search.run())?;
        Ok(Self { current, looker, watcher: Some(Watcher { stop, thread }) })
    }

    /// With what to ask for a look between two readings.
    #[must_use]
    pub fn looker(&self) -> Looker {
        self.looker.clone()
    }

    /// The inventory as of now.
    #[must_use]
    pub fn current(&self) -> Inventory {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread and the probe, also in the middle of a call that hangs. Takes a moment at most.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(Watcher { stop, thread }) = self.watcher.take() {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the thread that watches the devices had panicked");
            }
        }
    }
}

impl Drop for DeviceSource {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is known without asking the driver.
fn at_once(config: &DeviceConfig) -> Inventory {
    let hostname = config.hostname.clone().unwrap_or_else(host::hostname);
    let software = config.software.as_ref();
    let (devices, detail) = match software.map(Software::devices) {
        Some(Ok(devices)) => (devices, "looking at the software GPUs".to_owned()),
        Some(Err(error)) => (Vec::new(), format!("the software GPUs cannot be read: {error}")),
        None => (Vec::new(), "looking for devices".to_owned()),
    };
    Inventory {
        hostname,
        cpu: host::cpu(),
        host_memory: host::memory(),
        devices,
        labels: config.labels.clone(),
        abilities: vec![Ability { name: ABILITY.into(), works: false, detail }],
        probed: software.is_some(),
    }
}

/// The thread's part.
struct Search<F, L> {
    looks: Looks,
    /// When the child is to be replaced; at once if it is not known.
    renew_at: Option<Instant>,
    on_look: L,
    config: DeviceConfig,
    probe: Probe,
    stop: OwnedFd,
    known: Vec<Known>,
    /// What was said last.
    inventory: Inventory,
    current: Arc<Mutex<Inventory>>,
    on_change: F,
}

/// The owner wants us to end.
struct Stopped;

impl<F: Fn(Inventory), L: Fn(u64)> Search<F, L> {
    fn run(mut self) {
        // Ends by being stopped and in no other way.
        while let Ok(()) = self.look_and_follow() {}
    }

    /// Reads everything, then follows what moves until everything has to be read again.
    fn look_and_follow(&mut self) -> Result<(), Stopped> {
        let number = self.looks.begin();
        match self.inventory() {
            Ok(readings) => self.found(&readings),
            Err(error) => return self.lost(error, number),
        }
        self.looked(number);
        if self.known.is_empty() {
            // A driver without devices: nothing to follow, so no process either.
            self.probe.close();
            return self.wait(self.config.search_period);
        }
        let look_again = Instant::now() + self.config.search_period;
        while Instant::now() < look_again {
            match self.looks.wait(&self.stop, self.config.period) {
                Turn::Stop => return Err(Stopped),
                Turn::Asked if self.looks.may_be_fresh() => {
                    self.renew_at = None;
                    return Ok(());
                }
                Turn::Asked | Turn::Late => {}
            }
            let number = self.looks.begin();
            match self.probe.telemetry(self.config.deadline) {
                Ok(readings) if known::update(&mut self.known, &readings, now()) => self.publish(),
                Ok(_) => return Ok(()),
                Err(error) => return self.lost(error, number),
            }
            self.looked(number);
        }
        Ok(())
    }

    /// Asks for everything, and a fresh child if it is time for that.
    fn inventory(&mut self) -> Result<Readings, ProbeError> {
        let woken = self.probe.child_pid().is_some();
        if woken && self.renew_at.is_some_and(|at| Instant::now() < at) {
            return self.probe.inventory(self.config.deadline);
        }
        let deadline =
            if woken { self.config.deadline * FRESH_DEADLINES } else { self.config.first_deadline };
        let readings = self.probe.inventory_afresh(deadline);
        self.renew_at = Some(Instant::now() + self.config.renew_period);
        readings
    }

    /// A look is over; whoever asked for it hears so.
    fn looked(&mut self, number: u64) {
        if self.looks.end(number) {
            (self.on_look)(number);
        }
    }

    fn found(&mut self, readings: &Readings) {
        let simulated = self.config.software.is_some();
        self.known = known::merge(std::mem::take(&mut self.known), readings, simulated, now());
        for device in self.known.iter_mut().map(|one| &mut one.device) {
            // Which devices share an NVLink is not asked of the driver yet.
            let read = || host::numa_node(Path::new(PCI_DEVICES), device.pci.as_deref()?);
            let numa = device.closeness.numa.or_else(read);
            device.closeness = if simulated {
                crate::simulate::closeness(device.index.0, &device.model)
            } else {
                Closeness { numa, nvlink: None }
            };
        }
        let version = readings.driver.as_deref().unwrap_or("of unknown version");
        let detail = match readings.devices.len() {
            0 => format!("driver {version} works and reports no devices"),
            1 => format!("driver {version}, 1 device"),
            count => format!("driver {version}, {count} devices"),
        };
        let detail = match &self.config.software {
            Some(software) => format!("software GPUs ({}): {detail}", software.spec),
            None => detail,
        };
        self.say(true, detail);
        self.publish();
    }

    /// The driver gave no answer: nobody may start on its devices. Waits until it makes sense to ask again.
    fn lost(&mut self, error: ProbeError, number: u64) -> Result<(), Stopped> {
        let search_period = self.config.search_period;
        let wait = match &error {
            ProbeError::Stopped => return Err(Stopped),
            // The failure before it was already reported.
            ProbeError::Resting { left, .. } => {
                self.looked(number);
                return self.wait(*left);
            }
            ProbeError::Hung { .. } | ProbeError::Crashed { .. } => self.probe.rest_left(),
            ProbeError::VersionMismatch | ProbeError::NoPermission | ProbeError::Driver { .. } => {
                search_period.min(BROKEN_PERIOD)
            }
            _ => search_period.max(self.probe.rest_left()),
        };
        let sentence = match &self.config.software {
            Some(_) => format!("software GPU: {error}; {MENDED_BY}"),
            None => error.sentence(),
        };
        known::lose_all(&mut self.known, &sentence);
        self.say(false, sentence);
        self.publish();
        self.looked(number);
        self.wait(wait)
    }

    /// Sets the ability's sentence; an operator hears of it when it is news.
    fn say(&mut self, works: bool, detail: String) {
        let ability = Ability { name: ABILITY.into(), works, detail };
        if self.inventory.probed && self.inventory.abilities.contains(&ability) {
            return;
        }
        if works || self.known.is_empty() {
            tracing::info!("GPUs: {}", ability.detail);
        } else {
            tracing::warn!("GPUs: {}", ability.detail);
        }
        self.inventory.abilities = vec![ability];
    }

    /// Tells the owner, if there is anything new to tell.
    fn publish(&mut self) {
        self.inventory.probed = true;
        let before = std::mem::take(&mut self.inventory.devices);
        let stamped = |known: &Known| {
            let mut device = known.device.clone();
            let old = before.iter().find(|old| old.index == device.index).map(|old| old.telemetry);
            device.telemetry = known::stamped(old.unwrap_or_default(), device.telemetry, now());
            device
        };
        self.inventory.devices = self.known.iter().map(stamped).collect();
        tell_changes(&before, &self.inventory.devices);
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if *current == self.inventory {
                return;
            }
            current.clone_from(&self.inventory);
        }
        (self.on_change)(self.inventory.clone());
    }

    /// Waits, or less if somebody wants a look.
    fn wait(&self, span: Duration) -> Result<(), Stopped> {
        match self.looks.wait(&self.stop, span) {
            Turn::Stop => Err(Stopped),
            Turn::Late | Turn::Asked => Ok(()),
        }
    }
}

/// Tells an operator which devices are out of service now, and which are back.
fn tell_changes(before: &[Device], now: &[Device]) {
    for device in now {
        let old = before.iter().find(|old| old.index == device.index);
        let was = old.and_then(|old| old.unusable.as_deref());
        let (index, uuid) = (device.index, &device.uuid);
        match (was, &device.unusable) {
            (None, Some(reason)) => tracing::warn!(%uuid, reason, "{index} is out of service"),
            (Some(reason), None) => tracing::info!(%uuid, before = reason, "{index} is back in service"),
            _ => {}
        }
    }
}
