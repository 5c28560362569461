//! What lies between `nvmlInit` and `nvmlShutdown`: the opened ledger, and one device of it at a time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastgpu_softgpu::fault::Health;
use fastgpu_softgpu::ledger::layout::{DEVICES_MAX, Gauges};
use fastgpu_softgpu::ledger::view::DeviceView;
use fastgpu_softgpu::ledger::{LEDGER_FILE, Ledger, folder_from_environment, wait_on};
use fastgpu_softgpu::models::{MODELS, Model};

use crate::abi::{Answer, Code, Handle};

/// How often a call that hangs looks whether it still has to.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The library between init and shutdown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) ledger: Ledger,
}

/// How often init was called, and what it opened.
#[derive(Debug)]
struct State {
    starts: u32,
    opened: Option<Opened>,
}

/// A ledger stays open for as long as the process lives, so it is kept and used again.
#[derive(Debug, Clone, Copy)]
struct Opened {
    ledger: Ledger,
    /// Device and number of its file.
    file: (u64, u64),
}

static STATE: Mutex<State> = Mutex::new(State { starts: 0, opened: None });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The session, if there is one.
pub(crate) fn current() -> Option<Session> {
    let state = state();
    let opened = state.opened.filter(|_| state.starts > 0)?;
    Some(Session { ledger: opened.ledger })
}

/// `nvmlInit`: may be called again, and then must be undone as often.
pub(crate) fn begin() -> Answer<()> {
    let ledger = open()?;
    let session = Session { ledger };
    session.obey_delays();
    if ledger.registry_view().version_mismatch != 0 {
        return Err(Code::VersionMismatch);
    }
    state().starts += 1;
    Ok(())
}

/// `nvmlShutdown`.
pub(crate) fn end() -> Answer<()> {
    let mut state = state();
    state.starts = state.starts.checked_sub(1).ok_or(Code::Uninitialized)?;
    Ok(())
}

fn open() -> Answer<Ledger> {
    let mut state = state();
    let path = folder_from_environment().join(LEDGER_FILE);
    let on_disk = fs::metadata(&path).ok().map(|file| (file.dev(), file.ino()));
    if let Some(opened) = state.opened.filter(|opened| Some(opened.file) == on_disk) {
        return Ok(opened.ledger);
    }
    let ledger = Ledger::from_environment().map_err(|_| Code::DriverNotLoaded)?;
    let file = fs::metadata(&path).map_err(|_| Code::DriverNotLoaded)?;
    state.opened = Some(Opened { ledger, file: (file.dev(), file.ino()) });
    Ok(ledger)
}

/// The end of every function that is not written: counted by name wherever there is a ledger to count in.
pub(crate) fn unsupported(name: &str) -> u32 {
    let Some(session) = current() else { return Code::Uninitialized as u32 };
    session.obey_delays();
    session.ledger.count_unsupported(name);
    Code::NotSupported as u32
}

impl Session {
    /// Takes as long as was ordered, which may be for ever.
    pub(crate) fn obey_delays(&self) {
        let header = &self.ledger.root().header;
        let delay_ns = header.nvml_delay_ns.load(Relaxed);
        if delay_ns > 0 {
            std::thread::sleep(Duration::from_nanos(delay_ns));
        }
        loop {
            let bell = header.fault_bell.load(Acquire);
            if header.nvml_hang.load(Acquire) == 0 {
                return;
            }
            wait_on(&header.fault_bell, bell, Some(LOOK_AGAIN));
        }
    }

    /// The place of a device, whether or not it is still on its bus.
    pub(crate) fn place(&self, device: Handle) -> Answer<usize> {
        let index = device.index()?;
        if index < self.ledger.device_count().min(DEVICES_MAX) {
            Ok(index)
        } else {
            Err(Code::InvalidArgument)
        }
    }

    /// Does something with a device while nobody else does.
    pub(crate) fn with_gpu<T>(
        &self,
        device: Handle,
        body: impl FnOnce(&mut Gpu<'_>) -> Answer<T>,
    ) -> Answer<T> {
        self.at(self.place(device)?, body)
    }

    /// The same by index, which must be below the count.
    pub(crate) fn at<T>(&self, index: usize, body: impl FnOnce(&mut Gpu<'_>) -> Answer<T>) -> Answer<T> {
        let state = self.ledger.view(index);
        if state.faults.health() == Health::Lost {
            return Err(Code::GpuIsLost);
        }
        let model = MODELS.get(state.facts.model as usize).ok_or(Code::Unknown)?;
        body(&mut Gpu { session: self, index, state, model })
    }
}

/// One device, carried on to the present.
#[derive(Debug)]
pub(crate) struct Gpu<'a> {
    pub(crate) session: &'a Session,
    pub(crate) index: usize,
    pub(crate) state: DeviceView,
    pub(crate) model: &'static Model,
}

impl Gpu<'_> {
    /// Device time in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.state.schedule.now_ns
    }

    /// What can be set on the device; not while somebody is stuck with its lock.
    pub(crate) fn settings(&mut self) -> Answer<&mut Gauges> {
        match &mut self.state {
            DeviceView::Locked(state) => Ok(&mut state.gauges),
            DeviceView::Copied(_) => Err(Code::Timeout),
        }
    }

    /// Whether any program has a context on it.
    pub(crate) fn has_contexts(&self) -> bool {
        let schedule = &self.state.schedule;
        schedule.contexts[..schedule.contexts_high as usize].iter().any(|context| context.owner != 0)
    }
}
