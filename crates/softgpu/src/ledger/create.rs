//! Making a ledger: in a file of its own first, which then gets its name in one step.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{SystemTime, UNIX_EPOCH};

use super::layout::{DEVICES_MAX, DeviceState, LAYOUT_VERSION, MAGIC, Root};
use super::{LEDGER_FILE, Ledger};
use crate::models::MODELS;
use crate::schedule::{SLICE_NS, SWITCH_NS};
use crate::spec::{Spec, Wanted};

/// Devices that are linked with each other, at most: one machine's board.
const LINK_GROUP: u32 = 8;

/// Whose time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum ClockMode {
    /// The machine's.
    #[default]
    Machine = 0,
    /// Nobody's: it stands still until somebody waits, and then is at once what that one waits for.
    Test = 1,
    /// Nobody's: it is moved by hand.
    Manual = 2,
}

impl ClockMode {
    pub(super) fn from_word(word: u32) -> Self {
        match word {
            1 => Self::Test,
            2 => Self::Manual,
            _ => Self::Machine,
        }
    }
}

/// What a new ledger is like.
#[derive(Debug, Clone, Default)]
pub struct Creation {
    /// Its devices, by rising index.
    pub devices: Vec<Wanted>,
    /// UUIDs are derived from it: the same seed gives the same ones.
    pub seed: u64,
    /// Its clock.
    pub clock: ClockMode,
    /// How long a context runs before others get their turn, in nanoseconds.
    pub slice_ns: u64,
    /// What it costs to bring another context in, in nanoseconds.
    pub switch_ns: u64,
}

impl Creation {
    /// The devices of a specification, with everything else as usual.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let devices = spec.devices().collect();
        Self { devices, seed: 0, clock: ClockMode::Machine, slice_ns: SLICE_NS, switch_ns: SWITCH_NS }
    }
}

impl Ledger {
    /// Opens the ledger in `folder`, or makes it. If two make it at once, one of them wins and both open it.
    pub fn open_or_create(folder: &Path, creation: &Creation) -> io::Result<Self> {
        match Self::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        if creation.devices.len() > DEVICES_MAX {
            let what = format!("{} devices; at most {DEVICES_MAX} can be simulated", creation.devices.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        fs::create_dir_all(folder)?;
        let draft = folder.join(format!("{LEDGER_FILE}.{}.{:p}", std::process::id(), creation));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&draft)?;
        let made = file.set_len(size_of::<Root>() as u64).and_then(|()| {
            super::room::reserve(&file, creation.devices.len())?;
            fill(super::map(&file)?, creation)?;
            fs::hard_link(&draft, folder.join(LEDGER_FILE))
        });
        fs::remove_file(&draft)?;
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::open(folder),
        }
    }
}

fn fill(root: &'static Root, creation: &Creation) -> io::Result<()> {
    let header = &root.header;
    header.version.store(LAYOUT_VERSION, Relaxed);
    header.bytes.store(size_of::<Root>() as u64, Relaxed);
    header.devices.store(u32::try_from(creation.devices.len()).unwrap_or(0), Relaxed);
    header.clock_mode.store(creation.clock as u32, Relaxed);
    header.clock_epoch_ns.store(super::monotonic_ns(), Relaxed);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    header.wall_epoch_us.store(u64::try_from(wall).unwrap_or(0), Relaxed);
    header.seed.store(creation.seed, Relaxed);
    root.registry_lock.initialise()?;
    for (index, (cell, wanted)) in (0u32..).zip(root.devices.iter().zip(&creation.devices)) {
        cell.lock.initialise()?;
        let _ = cell.lock.lock()?;
        describe(&mut super::DeviceGuard { cell }, index, wanted, creation);
    }
    header.magic.store(MAGIC, Release);
    Ok(())
}

fn describe(device: &mut DeviceState, index: u32, wanted: &Wanted, creation: &Creation) {
    const MIB: u64 = 1 << 20;
    let place = MODELS.iter().position(|model| model == wanted.model).unwrap_or(0);
    let facts = &mut device.facts;
    facts.model = u32::try_from(place).unwrap_or(0);
    facts.name = super::processes::padded(&wanted.name);
    facts.link_group = index / LINK_GROUP;
    facts.uuid = uuid(creation.seed, &wanted.name, index);
    // As in a large server: one bus for each device, with gaps.
    facts.pci = [index / 16, 0x10 + (index % 16) * 0x0b, 0];
    facts.serial = 1_650_000_000_000 + u64::from(index);
    facts.memory_total_bytes = wanted.memory_total_mib * MIB;
    facts.memory_reserved_bytes = wanted.model.memory_reserved_bytes().min(facts.memory_total_bytes / 4);
    device.schedule.slice_ns = creation.slice_ns.max(1_000);
    device.schedule.switch_ns = creation.switch_ns;
}

/// A version 4 UUID that depends on nothing but its arguments.
fn uuid(seed: u64, name: &str, index: u32) -> [u8; 16] {
    let model = name.bytes().fold(0, |hash, byte| mixed(hash ^ u64::from(byte)));
    let high = mixed(seed ^ mixed(model ^ mixed(u64::from(index))));
    let low = mixed(high ^ 0x6661_7374_6770_7531);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// Spreads every bit of the input over the whole output (the finisher of the `splitmix` generator).
fn mixed(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
