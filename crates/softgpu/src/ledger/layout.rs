//! What lies in the shared memory: numbers only, so that any bit pattern is a value and zero is empty.
//!
//! A change here is a new [`LAYOUT_VERSION`]. What is protected by which lock: [`Registry`] by the registry's,
//! each [`DeviceState`] by its device's; atomics by nothing. Who takes both takes the registry's first.

use std::sync::atomic::{AtomicU32, AtomicU64};

use super::lock::SharedLock;
use crate::schedule::Schedule;

/// Counts up with every change of what is below, or of what its numbers mean.
pub const LAYOUT_VERSION: u32 = 2;
/// "softgpu" and a zero, read as a little-endian number.
pub const MAGIC: u64 = 0x0075_7067_7466_6f73;
/// Most devices of one ledger; the largest real machines have 16.
pub const DEVICES_MAX: usize = 64;
/// Most processes attached at once; beyond this attaching is refused as the driver refuses without memory.
pub const PROCESSES_MAX: usize = 1_024;
/// Most allocations that processes share at once, on one device.
pub const OBJECTS_MAX: usize = 1_024;
/// Most events that processes share at once; one framework alone keeps a thousand.
pub const EVENTS_MAX: usize = 4_096;
/// Most teams of devices at once.
pub const TEAMS_MAX: usize = 256;
/// Most names whose unsupported calls are counted; more than the driver has functions.
pub const COUNTERS_MAX: usize = 2_048;
/// XID reports kept per device; older ones are overwritten.
pub const XIDS_MAX: usize = 64;

/// The whole of the shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Root {
    /// What is read before anything is trusted.
    pub header: Header,
    /// Guards `registry`.
    pub registry_lock: SharedLock,
    /// Processes and counters.
    pub registry: std::cell::UnsafeCell<Registry>,
    /// Words of the processes that are read and written without a lock; same index as the registry's.
    pub words: [ProcessWords; PROCESSES_MAX],
    /// Events that several processes may hold; see [`super::events`].
    pub events: [SharedEvent; EVENTS_MAX],
    /// The devices, by index.
    pub devices: [DeviceCell; DEVICES_MAX],
}

/// The beginning of the file.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`], written last by the creator.
    pub magic: AtomicU64,
    /// [`LAYOUT_VERSION`].
    pub version: AtomicU32,
    /// How many devices there are.
    pub devices: AtomicU32,
    /// Size of the whole in bytes; differs when another build laid it out.
    pub bytes: AtomicU64,
    /// 0: the machine's clock; 1: the test clock, which waiting moves; 2: the test clock, moved by hand.
    pub clock_mode: AtomicU32,
    /// Counts up when the test clock moves; waiters sleep on it.
    pub clock_bell: AtomicU32,
    /// The test clock in nanoseconds.
    pub clock_now_ns: AtomicU64,
    /// The machine's monotonic clock when the ledger was made, in nanoseconds; device time begins there.
    pub clock_epoch_ns: AtomicU64,
    /// Wall time when the ledger was made, in microseconds since 1970.
    pub wall_epoch_us: AtomicU64,
    /// Every NVML call takes this much longer, in nanoseconds.
    pub nvml_delay_ns: AtomicU64,
    /// Not 0: NVML calls never come back.
    pub nvml_hang: AtomicU32,
    /// Counts up when a fault is set or cleared, so that waiters look again.
    pub fault_bell: AtomicU32,
    /// What the node gives each set of devices, for stable UUIDs.
    pub seed: AtomicU64,
}

/// Everything about processes, and the counters.
#[repr(C)]
#[derive(Debug)]
pub struct Registry {
    /// Who is attached. A slot whose state is 0 is free.
    pub processes: [Process; PROCESSES_MAX],
    /// Above this no slot was ever used.
    pub processes_high: u32,
    /// Above this no counter was ever used.
    pub counters_high: u32,
    /// Above this no shared event was ever used.
    pub events_high: u32,
    /// Rises with each shared event.
    pub event_serial: u64,
    /// Rises with each attach, so that a slot that is used again is told from its former self.
    pub generation: u64,
    /// Version of the driver as text; empty: the version this was built as.
    pub driver_version: [u8; 32],
    /// Version of CUDA that the driver claims, as `1000 * major + 10 * minor`; 0: as built.
    pub cuda_version: u32,
    /// Version of the NVML library against the kernel module: not 0: they differ.
    pub version_mismatch: u32,
    /// Rises with each team.
    pub team_serial: u64,
    /// Teams of devices; see [`super::teams`].
    pub teams: [Team; TEAMS_MAX],
    /// Calls of what is not implemented, by name.
    pub counters: [Counter; COUNTERS_MAX],
}

/// A process that uses devices.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// See [`ProcessState`].
    pub state: u32,
    /// As it sees itself.
    pub pid: u32,
    /// When it started, in clock ticks since boot: with the pid, its name for ever.
    pub start_ticks: u64,
    /// Which use of this slot it is.
    pub generation: u64,
    /// When it attached, in device time.
    pub attached_ns: u64,
    /// The name of its program, ended by zero.
    pub name: [u8; 64],
}

/// What a process slot is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ProcessState {
    /// Nobody.
    Free = 0,
    /// A process that lives, or whose death nobody has seen.
    Live = 1,
    /// Its death was seen and what it held is being returned.
    Ending = 2,
}

/// Words of a process that need no lock.
#[repr(C)]
#[derive(Debug)]
pub struct ProcessWords {
    /// Its worker sleeps on this; whoever wants its attention adds 1 and wakes it.
    pub doorbell: AtomicU32,
    /// Where it stands: see `CHECKPOINT_*` in [`crate::checkpoint`].
    pub checkpoint_state: AtomicU32,
    /// What it is asked to do; 0: nothing.
    pub request: AtomicU32,
    /// Counts up when a request was answered; the asker sleeps on it.
    pub answers: AtomicU32,
    /// The driver's code that answered the last request.
    pub answer: AtomicU32,
    /// Who is asking: its process slot + 1; 0: nobody.
    pub asker: AtomicU32,
    /// Argument of the request: milliseconds to wait.
    pub timeout_ms: AtomicU32,
    /// Its worker's thread id.
    pub worker_tid: AtomicU32,
    /// Live allocations of managed memory.
    pub managed: AtomicU32,
    /// Live exports and imports of memory between processes.
    pub shared: AtomicU32,
    /// Bytes of device memory it keeps on the host while suspended.
    pub host_bytes: AtomicU64,
    /// Argument of a restore: for each device index, the index it moves to + 1; 0: it stays.
    pub moves: [AtomicU32; DEVICES_MAX],
}

/// An event that several processes may hold. Who holds it and who recorded it last changes under the registry's
/// lock; how far it has come is written by whoever comes to it.
#[repr(C)]
#[derive(Debug)]
pub struct SharedEvent {
    /// Its name; 0: the place is free.
    pub id: AtomicU64,
    /// How often it was recorded. Goes on from one use of the place to the next.
    pub recorded: AtomicU64,
    /// The newest of those that was reached.
    pub reached: AtomicU64,
    /// The process slot that recorded it last, + 1.
    pub recorder: AtomicU32,
    /// The device of the context it was made in.
    pub device: AtomicU32,
    /// One bit for each process slot that holds it.
    pub holders: [AtomicU64; PROCESSES_MAX / 64],
}

/// A team of devices that memory is to be written to at once.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Team {
    /// Its name; 0: the place is free.
    pub id: u64,
    /// The file it is known by.
    pub inode: u64,
    /// How much memory of each device can be bound to it.
    pub bytes: u64,
    /// One bit for each device that was added.
    pub added: u64,
    /// How many devices there are to be.
    pub wanted: u32,
    /// How it may be shown to other processes, as the driver's bits.
    pub handle_types: u32,
    /// One bit for each process slot that holds it.
    pub holders: [u64; PROCESSES_MAX / 64],
}

/// How often something was called that is not there.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// The name, ended by zero.
    pub name: [u8; 64],
    /// How often.
    pub calls: u64,
}

/// A device and its lock.
#[repr(C)]
#[derive(Debug)]
pub struct DeviceCell {
    /// Guards `state`.
    pub lock: SharedLock,
    /// The device.
    pub state: std::cell::UnsafeCell<DeviceState>,
}

/// What never changes of a device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its entry in [`crate::models::MODELS`].
    pub model: u32,
    /// Devices of one group are linked with each other.
    pub link_group: u32,
    /// What the driver calls it, ended by zero.
    pub name: [u8; 96],
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Where it sits: domain, bus, device.
    pub pci: [u32; 3],
    /// What the board calls itself, 0 for none.
    pub serial: u64,
    /// All of its memory, in bytes.
    pub memory_total_bytes: u64,
    /// What the driver keeps for itself of that, in bytes.
    pub memory_reserved_bytes: u64,
}

/// Everything about one device.
#[repr(C)]
#[derive(Debug)]
pub struct DeviceState {
    /// What never changes of it.
    pub facts: Facts,
    /// The sum over `accounts`, in bytes.
    pub memory_used_bytes: u64,
    /// What each process holds; same index as the registry's.
    pub accounts: [Account; PROCESSES_MAX],
    /// Allocations that several processes may hold.
    pub objects: [SharedObject; OBJECTS_MAX],
    /// Rises with each shared allocation.
    pub object_serial: u64,
    /// Who runs when.
    pub schedule: Schedule,
    /// What is wrong with it.
    pub faults: DeviceFaults,
    /// What is measured of it and set on it; the management library keeps these.
    pub gauges: Gauges,
}

/// What the management library remembers of a device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Gauges {
    /// Temperature in thousandths of a degree when it was last read; 0: never.
    pub temperature_mc: u64,
    /// When it was last read.
    pub temperature_at_ns: u64,
    /// How long the device had been busy then.
    pub temperature_busy_ns: u64,
    /// Power limit in milliwatts; 0: the model's own.
    pub power_limit_mw: u32,
    /// Persistence mode.
    pub persistence: u32,
    /// Who may use it: 0 all, 2 nobody, 3 one process.
    pub compute_mode: u32,
    /// Whether ECC is to change with the next reset.
    pub ecc_pending: u32,
    /// Accounting mode.
    pub accounting: u32,
    /// Spare.
    pub spare: [u32; 3],
}

/// What one process holds of one device's memory, in bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// By what it is for; see [`Class`].
    pub bytes: [u64; CLASSES],
}

/// How many classes of memory there are.
pub const CLASSES: usize = 9;

/// What device memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// Contexts, their heaps and stacks.
    Context = 0,
    /// Code of modules and libraries.
    Module = 1,
    /// What `cuMemAlloc` and its kin hand out.
    Memory = 2,
    /// What pools have reserved, used or not.
    Pool = 3,
    /// Physical memory of the virtual memory calls.
    Physical = 4,
    /// Arrays.
    Array = 5,
    /// Managed memory that is on the device at the moment.
    Managed = 6,
    /// Allocations in [`DeviceState::objects`] that are charged to this process.
    Shared = 7,
    /// What the driver takes for a context and shows as nobody's.
    Driver = 8,
}

/// An allocation that several processes may hold.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SharedObject {
    /// Its name; 0: the slot is free. Written last when it is made, first when it goes.
    pub id: u64,
    /// How large it is.
    pub bytes: u64,
    /// The process slot that pays, + 1.
    pub charged: u32,
    /// What it is; see [`ObjectKind`].
    pub kind: u32,
    /// The file it is in, if it is found by that; 0: by its name.
    pub inode: u64,
    /// One bit for each process slot that holds it.
    pub holders: [u64; PROCESSES_MAX / 64],
}

/// What kind of thing processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ObjectKind {
    /// One allocation, which stays as large as it is.
    Allocation = 0,
    /// A pool, which grows.
    Pool = 1,
}

/// What is wrong with a device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DeviceFaults {
    /// See [`crate::fault::Health`].
    pub health: u32,
    /// The driver's code that contexts get whose serial is at most `broken_through`.
    pub broken_code: u32,
    /// The newest context that was there when the device failed.
    pub broken_through: u64,
    /// Recovery action as NVML numbers them: 0 none, 1 reset, 2 reboot, 3 drain, 4 drain and reset.
    pub recovery_action: u32,
    /// Not 0: allocations fail once `allocations_left` is used up.
    pub allocation_armed: u32,
    /// Allocations that still succeed.
    pub allocations_left: u64,
    /// Only this process is hit; 0: all.
    pub allocation_pid: u32,
    /// The driver's code of the failure.
    pub allocation_code: u32,
    /// ECC errors since the driver was loaded: corrected, uncorrected.
    pub ecc_volatile: [u64; 2],
    /// ECC errors since the board was made: corrected, uncorrected.
    pub ecc_aggregate: [u64; 2],
    /// Rows remapped: for corrected, for uncorrected errors, pending, failed.
    pub rows_remapped: [u32; 4],
    /// How many XIDs were ever reported; the newest is at `(count - 1) % XIDS_MAX`.
    pub xid_count: u64,
    /// The reports.
    pub xids: [XidEvent; XIDS_MAX],
}

/// One XID report.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct XidEvent {
    /// Its number.
    pub xid: u64,
    /// When, in device time.
    pub at_ns: u64,
    /// Which process was hit; 0: none.
    pub pid: u32,
    /// Spare.
    pub flags: u32,
}
