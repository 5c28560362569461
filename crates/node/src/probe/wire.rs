//! What parent and child say to each other: one JSON object per line, each way.
//!
//! Both ends are the same build of the same binary, so the format has no version.

use serde::{Deserialize, Serialize};

/// Most devices that are asked about; the largest machines have 16, a driver that reports more than
/// this is not believed.
pub(super) const DEVICES_MAX: u32 = 256;
/// Longest question; a real one has 40 bytes.
pub(super) const QUESTION_BYTES_MAX: u64 = 4 * 1_024;
/// Longest answer: every device with every text at its longest, and room.
pub(super) const ANSWER_BYTES_MAX: usize = 1_024 * 1_024;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// What is there: everything about every device.
    Inventory,
    /// What it does right now: only the readings that move.
    Telemetry,
}

impl Ask {
    /// For sentences: `while reading the telemetry`.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Inventory => "looking for devices",
            Self::Telemetry => "reading the telemetry",
        }
    }
}

/// One question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// Comes back in the answer, so that noise and late answers are told apart.
    pub(super) seq: u64,
    pub(super) ask: Ask,
}

/// One answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) seq: u64,
    pub(super) result: Result<Readings, Trouble>,
}

/// What the driver says about the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings {
    /// The driver's version, where it can be read.
    pub driver: Option<String>,
    /// Each device, by rising index.
    pub devices: Vec<DeviceReading>,
}

/// What the driver says about one device; whatever it cannot or will not say is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReading {
    /// Its place as the driver counts.
    pub index: u32,
    /// The driver's name for this very device.
    pub uuid: Option<String>,
    /// The model; only in an inventory.
    pub name: Option<String>,
    /// PCI address; only in an inventory.
    pub pci: Option<String>,
    /// Whether MIG mode is on; only in an inventory.
    pub mig: Option<bool>,
    /// All memory, in bytes; only in an inventory.
    pub memory_total_bytes: Option<u64>,
    /// What the driver keeps of it for itself; only in an inventory.
    pub memory_reserved_bytes: Option<u64>,
    /// Memory in use, without what the driver keeps for itself.
    pub memory_used_bytes: Option<u64>,
    /// Power draw in milliwatts.
    pub power_mw: Option<u32>,
    /// Temperature in degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Share of time the device was busy, in percent.
    pub utilization_percent: Option<u32>,
    /// Memory errors since the driver was loaded that could not be corrected.
    pub memory_errors: Option<u64>,
    /// Whether rows of memory wait for a reset to be taken out of use.
    pub remap_pending: bool,
    /// Whether rows of memory should be taken out of use and there is none to take their place.
    pub remap_failed: bool,
    /// What the driver wants done about the device, by its own number; 0 is nothing.
    pub recovery_action: Option<u32>,
    /// The errors it reported since the last answer, oldest first.
    pub xids: Vec<XidReading>,
    /// Why this device cannot be used, when the driver says so.
    pub trouble: Option<String>,
}

/// An error report of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct XidReading {
    /// Its number.
    pub xid: u64,
    /// When it came, in milliseconds since 1970.
    pub at: i64,
}

/// Why the driver gave no readings at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Trouble {
    /// The library is not there or cannot be loaded.
    NoLibrary { detail: String },
    /// Something was loaded that is no management library.
    NotNvml { detail: String },
    /// The kernel module is not loaded.
    NotLoaded,
    /// Kernel module and library are of different versions.
    VersionMismatch,
    /// This user may not talk to the driver.
    NoPermission,
    /// Anything else the driver said.
    Driver { step: String, detail: String },
}
