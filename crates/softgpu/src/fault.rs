//! What can be broken on order, and what a program then sees.
//!
//! Faults are words in the ledger. Whoever sets one rings the ledger's fault bell
//! ([`Ledger::ring_fault`](crate::ledger::Ledger::ring_fault)), so that waiters look again.

use crate::ledger::layout::{DeviceFaults, DeviceState, XIDS_MAX, XidEvent};

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Health {
    /// Well.
    Well = 0,
    /// It accepts work and never finishes it.
    Hung = 1,
    /// It fell off the bus.
    Lost = 2,
}

/// The driver's codes that a broken device answers with.
pub mod code {
    /// Out of memory.
    pub const OUT_OF_MEMORY: u32 = 2;
    /// An ECC error that could not be corrected.
    pub const ECC_UNCORRECTABLE: u32 = 214;
    /// An NVLink error that could not be corrected.
    pub const NVLINK_UNCORRECTABLE: u32 = 220;
    /// An error that was kept from other processes.
    pub const CONTAINED: u32 = 226;
    /// A kernel used an address that is not there.
    pub const ILLEGAL_ADDRESS: u32 = 700;
    /// A kernel failed.
    pub const LAUNCH_FAILED: u32 = 719;
    /// Anything else.
    pub const UNKNOWN: u32 = 999;
}

impl DeviceFaults {
    /// How the device is.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.health {
            0 => Health::Well,
            1 => Health::Hung,
            _ => Health::Lost,
        }
    }

    /// The code that a context with this serial must answer with, if the device failed under it.
    #[must_use]
    pub fn code_for(&self, context_serial: u64) -> Option<u32> {
        if self.health() == Health::Lost {
            return Some(code::UNKNOWN);
        }
        (self.broken_code != 0 && context_serial <= self.broken_through).then_some(self.broken_code)
    }
}

/// The driver's code that running programs get for an XID; `None` if they notice nothing.
#[must_use]
pub fn code_of_xid(xid: u64) -> Option<u32> {
    match xid {
        31 => Some(code::ILLEGAL_ADDRESS),
        13 | 43 | 45 | 69 => Some(code::LAUNCH_FAILED),
        48 | 95 => Some(code::ECC_UNCORRECTABLE),
        94 => Some(code::CONTAINED),
        74 => Some(code::NVLINK_UNCORRECTABLE),
        61 | 62 | 64 | 79 | 109 | 119 | 120 | 140 => Some(code::UNKNOWN),
        _ => None,
    }
}

impl DeviceState {
    /// Notes an XID at the device's present time. Nobody but the process is hit.
    pub fn note_xid(&mut self, xid: u64, pid: u32) {
        let at_ns = self.schedule.now_ns;
        let place = usize::try_from(self.faults.xid_count % XIDS_MAX as u64).unwrap_or(0);
        self.faults.xids[place] = XidEvent { xid, at_ns, pid, flags: 0 };
        self.faults.xid_count += 1;
    }

    /// Notes an XID and fails every context that is there, if the XID does that.
    pub fn report_xid(&mut self, xid: u64, pid: u32) {
        self.note_xid(xid, pid);
        if let Some(code) = code_of_xid(xid) {
            self.faults.broken_code = code;
            self.faults.broken_through = self.schedule.context_serial;
        }
        if xid == 79 {
            self.faults.health = Health::Lost as u32;
        }
    }

    /// Makes the device hang, or lets it go on.
    pub fn set_hung(&mut self, hung: bool) {
        self.schedule.stalled = u32::from(hung);
        if self.faults.health() != Health::Lost {
            self.faults.health = if hung { Health::Hung } else { Health::Well } as u32;
        }
    }

    /// Lets allocations fail with `code` after `left` more succeeded; `pid` 0 means everybody's.
    pub fn fail_allocations(&mut self, left: u64, pid: u32, code: u32) {
        self.faults.allocations_left = left;
        self.faults.allocation_pid = pid;
        self.faults.allocation_code = code;
        self.faults.allocation_armed = 1;
    }

    /// As if the device had been reset: everything works again for new contexts.
    pub fn clear_faults(&mut self) {
        self.faults.health = Health::Well as u32;
        self.faults.allocation_armed = 0;
        self.faults.recovery_action = 0;
        self.faults.ecc_volatile = [0; 2];
        self.schedule.stalled = 0;
    }
}
