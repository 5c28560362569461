//! Sets of events: XIDs, memory errors and recovery actions, waited for.
//!
//! A set remembers how far each device's reports were when it was told to watch it, and hands out one new
//! event at a time, oldest device first.

use std::sync::atomic::Ordering::Acquire;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastgpu_softgpu::ledger::layout::{DeviceFaults, XIDS_MAX};
use fastgpu_softgpu::ledger::wait_on;

use crate::abi::{Answer, Code, Handle, Out, SetHandle};
use crate::call::{call, of_device, tell};
use crate::layout::{Event, EventV1};
use crate::session::Session;

const ECC_CORRECTED: u64 = 0x1;
const ECC_UNCORRECTED: u64 = 0x2;
const XID: u64 = 0x8;
const RECOVERY_ACTION: u64 = 0x8000;
/// What can be watched for; of the others nothing ever happens here.
const SUPPORTED: u64 = ECC_CORRECTED
    | ECC_UNCORRECTED
    | 0x4
    | XID
    | 0x10
    | 0x80
    | 0x100
    | 0x200
    | 0x400
    | 0x800
    | 0x1000
    | 0x2000
    | 0x4000
    | RECOVERY_ACTION;
/// Sets of one process at once; a program that makes more forgets to free them.
const SETS_MAX: usize = 4_096;
/// How often a wait looks by itself, though whoever notes a fault rings for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One device in a set, and what was told of it.
#[derive(Debug, Clone, Copy)]
struct Watched {
    place: usize,
    kinds: u64,
    xids: u64,
    ecc: [u64; 2],
    recovery_action: u32,
}

#[derive(Debug, Default)]
struct Set {
    number: usize,
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Sets {
    made: usize,
    sets: Vec<Set>,
}

static SETS: Mutex<Sets> = Mutex::new(Sets { made: 0, sets: Vec::new() });

fn sets() -> MutexGuard<'static, Sets> {
    SETS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSupportedEventTypes(device: Handle, kinds: Out<u64>) -> u32 {
    tell(device, kinds, |_| Ok(SUPPORTED))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetCreate(set: Out<SetHandle>) -> u32 {
    call(|_| {
        set.check()?;
        let mut sets = sets();
        if sets.sets.len() >= SETS_MAX {
            return Err(Code::Unknown);
        }
        sets.made += 1;
        let number = sets.made;
        sets.sets.push(Set { number, watched: Vec::new() });
        set.put(SetHandle(number))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetFree(set: SetHandle) -> u32 {
    call(|_| {
        let mut sets = sets();
        let at = sets.sets.iter().position(|one| one.number == set.0).ok_or(Code::InvalidArgument)?;
        sets.sets.swap_remove(at);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceRegisterEvents(device: Handle, kinds: u64, set: SetHandle) -> u32 {
    of_device(device, |gpu| {
        if kinds & !SUPPORTED != 0 {
            return Err(Code::NotSupported);
        }
        let faults = &gpu.state.faults;
        let watched = Watched {
            place: gpu.index,
            kinds,
            xids: faults.xid_count,
            ecc: faults.ecc_volatile,
            recovery_action: faults.recovery_action,
        };
        let mut sets = sets();
        let set = sets.sets.iter_mut().find(|one| one.number == set.0).ok_or(Code::InvalidArgument)?;
        match set.watched.iter_mut().find(|one| one.place == watched.place) {
            Some(known) => known.kinds |= kinds,
            None => set.watched.push(watched),
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetWait(set: SetHandle, event: Out<EventV1>, timeout_ms: u32) -> u32 {
    call(|session| {
        event.check()?;
        let Event { device, kind, data, .. } = wait(session, set, timeout_ms)?;
        event.put(EventV1 { device, kind, data })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetWait_v2(set: SetHandle, event: Out<Event>, timeout_ms: u32) -> u32 {
    call(|session| {
        event.check()?;
        event.put(wait(session, set, timeout_ms)?)
    })
}

fn wait(session: &Session, set: SetHandle, timeout_ms: u32) -> Answer<Event> {
    let until = Instant::now() + Duration::from_millis(timeout_ms.into());
    let bell = &session.ledger.root().header.fault_bell;
    loop {
        let rung = bell.load(Acquire);
        if let Some(event) = next(session, set)? {
            return Ok(event);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Code::Timeout);
        }
        wait_on(bell, rung, Some(left.min(LOOK_AGAIN)));
    }
}

/// The oldest thing that a set has not yet told of.
fn next(session: &Session, set: SetHandle) -> Answer<Option<Event>> {
    let mut sets = sets();
    let set = sets.sets.iter_mut().find(|one| one.number == set.0).ok_or(Code::InvalidArgument)?;
    Ok(set.watched.iter_mut().find_map(|watched| {
        // A device that fell off the bus has one last thing to tell.
        let (kind, data) = watched.news(&session.ledger.view(watched.place).faults)?;
        let device = Handle::of(watched.place);
        Some(Event { device, kind, data, gpu_instance: u32::MAX, compute_instance: u32::MAX })
    }))
}

impl Watched {
    fn news(&mut self, faults: &DeviceFaults) -> Option<(u64, u64)> {
        let kept = XIDS_MAX as u64;
        self.xids = self.xids.max(faults.xid_count.saturating_sub(kept));
        while self.xids < faults.xid_count {
            let place = usize::try_from(self.xids % kept).unwrap_or(0);
            self.xids += 1;
            if self.kinds & XID != 0 {
                return Some((XID, faults.xids[place].xid));
            }
        }
        for (at, kind) in [ECC_CORRECTED, ECC_UNCORRECTED].into_iter().enumerate() {
            // A reset makes the count begin anew.
            self.ecc[at] = self.ecc[at].min(faults.ecc_volatile[at]);
            if self.ecc[at] < faults.ecc_volatile[at] {
                self.ecc[at] = faults.ecc_volatile[at];
                if self.kinds & kind != 0 {
                    return Some((kind, faults.ecc_volatile[at]));
                }
            }
        }
        if self.recovery_action != faults.recovery_action {
            self.recovery_action = faults.recovery_action;
            if self.kinds & RECOVERY_ACTION != 0 {
                return Some((RECOVERY_ACTION, faults.recovery_action.into()));
            }
        }
        None
    }
}
