//! Faults of software GPUs, on order. What each does to a program is the software GPU's own affair.
//!
//! Whoever may write the ledger may break its devices: that is the account the server runs under, and
//! nobody else can enter its folder.

use std::io;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use fastgpu_softgpu::fault::code;
use fastgpu_softgpu::ledger::layout::DeviceState;
use fastgpu_softgpu::ledger::processes::padded;
use fastgpu_softgpu::ledger::view::Stuck;

use super::Software;
use crate::xid::{Blame, meaning};

/// A device of a large model is not slower than this, even when it is sick.
pub const NVML_DELAY_MAX: Duration = Duration::from_secs(60);
/// How long a fault waits for a device that a program is changing.
const PATIENCE: Duration = Duration::from_secs(2);
/// What NVML calls "reset the device".
const RECOVERY_RESET: u32 = 1;
/// What NVML calls "restart the machine".
const RECOVERY_REBOOT: u32 = 2;
/// An error of memory that could not be corrected, as drivers report it.
const XID_ECC: u64 = 48;
/// Off the bus.
const XID_OFF_BUS: u64 = 79;

/// Something that breaks one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceFault {
    /// The driver reports this XID.
    Xid(u64),
    /// Memory errors.
    Ecc {
        /// How many.
        count: u64,
        /// Whether they could not be corrected.
        uncorrected: bool,
    },
    /// It takes work and never finishes it.
    Hang,
    /// It falls off the bus.
    OffBus,
    /// Allocations fail after this many more.
    AllocFail {
        /// How many still succeed.
        after: u64,
    },
    /// Nothing is wrong any more.
    Clear,
}

/// Something that breaks the driver, and with it every device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverFault {
    /// Each call of the management library takes this much longer.
    NvmlSlow(Duration),
    /// Calls of the management library do not come back.
    NvmlHang,
    /// The driver says that it is of this version, and the libraries are of another.
    DriverVersion(String),
    /// Nothing is wrong any more.
    Clear,
}

impl Software {
    /// Breaks, or mends, the device at this place.
    ///
    /// # Errors
    /// When the ledger cannot be used or has no such device.
    pub fn break_device(&self, place: usize, fault: DeviceFault) -> io::Result<()> {
        let ledger = self.open()?;
        if place >= ledger.device_count() {
            let what = format!("there are {} software GPUs, numbered from 0", ledger.device_count());
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let mut device = ledger.device_within(place, PATIENCE).map_err(stuck)?;
        apply(&mut device, fault);
        drop(device);
        ledger.ring_fault();
        Ok(())
    }

    /// Breaks, or mends, what all devices share.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub fn break_driver(&self, fault: &DriverFault) -> io::Result<()> {
        let ledger = self.open()?;
        let header = &ledger.root().header;
        match fault {
            DriverFault::NvmlSlow(delay) => {
                let delay = u64::try_from(delay.min(&NVML_DELAY_MAX).as_nanos()).unwrap_or(0);
                header.nvml_delay_ns.store(delay, Release);
            }
            DriverFault::NvmlHang => header.nvml_hang.store(1, Release),
            DriverFault::DriverVersion(version) => {
                let mut registry = ledger.registry_within(PATIENCE).map_err(stuck)?;
                registry.driver_version = padded(version);
                registry.version_mismatch = 1;
            }
            DriverFault::Clear => {
                header.nvml_delay_ns.store(0, Release);
                header.nvml_hang.store(0, Release);
                let mut registry = ledger.registry_within(PATIENCE).map_err(stuck)?;
                registry.driver_version = padded("");
                registry.version_mismatch = 0;
            }
        }
        ledger.ring_fault();
        Ok(())
    }
}

fn stuck(stuck: Stuck) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, stuck)
}

fn apply(device: &mut DeviceState, fault: DeviceFault) {
    match fault {
        DeviceFault::Xid(xid) => {
            device.report_xid(xid, 0);
            device.faults.recovery_action = match meaning(xid).0 {
                Blame::Lasting if xid == XID_OFF_BUS => RECOVERY_REBOOT,
                Blame::Lasting => RECOVERY_RESET,
                Blame::Passing | Blame::None => 0,
            };
        }
        DeviceFault::Ecc { count, uncorrected } => {
            let kind = usize::from(uncorrected);
            device.faults.ecc_volatile[kind] += count;
            device.faults.ecc_aggregate[kind] += count;
            if uncorrected {
                // As a driver does: the row is taken out of use, and the report comes with it.
                device.faults.rows_remapped[1] += 1;
                device.report_xid(XID_ECC, 0);
                device.faults.recovery_action = RECOVERY_RESET;
            }
        }
        DeviceFault::Hang => device.set_hung(true),
        DeviceFault::OffBus => {
            device.report_xid(XID_OFF_BUS, 0);
            device.faults.recovery_action = RECOVERY_REBOOT;
        }
        DeviceFault::AllocFail { after } => device.fail_allocations(after, 0, code::OUT_OF_MEMORY),
        DeviceFault::Clear => device.clear_faults(),
    }
}
