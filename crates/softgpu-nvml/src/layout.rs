//! The structures of NVML's interface that this library fills, as C lays them out.

use crate::abi::Handle;

/// Memory, the first way of telling it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct MemoryV1 {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) used: u64,
}

/// Memory, with what the driver keeps told apart.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct MemoryV2 {
    pub(crate) version: u32,
    pub(crate) total: u64,
    pub(crate) reserved: u64,
    pub(crate) free: u64,
    pub(crate) used: u64,
}

/// The window through which the host sees the memory.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Bar1 {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) used: u64,
}

/// Where a device sits.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PciV3 {
    pub(crate) bus_id_legacy: [u8; 16],
    pub(crate) domain: u32,
    pub(crate) bus: u32,
    pub(crate) device: u32,
    pub(crate) device_id: u32,
    pub(crate) subsystem_id: u32,
    pub(crate) bus_id: [u8; 32],
}

/// The same before bus ids grew.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PciV2 {
    pub(crate) bus_id: [u8; 16],
    pub(crate) domain: u32,
    pub(crate) bus: u32,
    pub(crate) device: u32,
    pub(crate) device_id: u32,
    pub(crate) subsystem_id: u32,
    pub(crate) reserved: [u32; 4],
}

/// The same with the class of the device.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PciExt {
    pub(crate) version: u32,
    pub(crate) domain: u32,
    pub(crate) bus: u32,
    pub(crate) device: u32,
    pub(crate) device_id: u32,
    pub(crate) subsystem_id: u32,
    pub(crate) base_class: u32,
    pub(crate) sub_class: u32,
    pub(crate) bus_id: [u8; 32],
}

/// A process on a device, before MIG.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessV1 {
    pub(crate) pid: u32,
    pub(crate) used_bytes: u64,
}

/// A process on a device.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessV2 {
    pub(crate) pid: u32,
    pub(crate) used_bytes: u64,
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
}

/// A process on a device, with its protected memory.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessDetail {
    pub(crate) pid: u32,
    pub(crate) used_bytes: u64,
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
    pub(crate) protected_bytes: u64,
}

/// The question for [`ProcessDetail`]s.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessDetailList {
    pub(crate) version: u32,
    pub(crate) mode: u32,
    pub(crate) count: u32,
    pub(crate) list: crate::abi::Room<ProcessDetail>,
}

/// How busy a device was, in percent.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Utilization {
    pub(crate) gpu: u32,
    pub(crate) memory: u32,
}

/// How busy one process kept a device, in percent.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessUse {
    pub(crate) pid: u32,
    pub(crate) at_us: u64,
    pub(crate) sm: u32,
    pub(crate) memory: u32,
    pub(crate) encoder: u32,
    pub(crate) decoder: u32,
}

/// The same, later version.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessUseV1 {
    pub(crate) at_us: u64,
    pub(crate) pid: u32,
    pub(crate) sm: u32,
    pub(crate) memory: u32,
    pub(crate) encoder: u32,
    pub(crate) decoder: u32,
    pub(crate) jpeg: u32,
    pub(crate) ofa: u32,
}

/// The question for [`ProcessUseV1`]s.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ProcessUseList {
    pub(crate) version: u32,
    pub(crate) count: u32,
    pub(crate) last_seen_us: u64,
    pub(crate) list: crate::abi::Room<ProcessUseV1>,
}

/// A value of one of several types; all of ours fit into the first eight bytes, lower ones first.
pub(crate) type Value = u64;

/// One measurement of the past.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Sample {
    pub(crate) at_us: u64,
    pub(crate) value: Value,
}

/// One value, asked for by number.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct FieldValue {
    pub(crate) field: u32,
    pub(crate) scope: u32,
    pub(crate) at_us: i64,
    pub(crate) latency_us: i64,
    pub(crate) value_type: u32,
    pub(crate) code: u32,
    pub(crate) value: Value,
}

/// How long something held the clocks down.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Violation {
    pub(crate) reference_us: u64,
    pub(crate) violation_ns: u64,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Event {
    pub(crate) device: Handle,
    pub(crate) kind: u64,
    pub(crate) data: u64,
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
}

/// The same, before MIG.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct EventV1 {
    pub(crate) device: Handle,
    pub(crate) kind: u64,
    pub(crate) data: u64,
}

/// Errors by where they were, on old devices.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct EccCounts {
    pub(crate) l1: u64,
    pub(crate) l2: u64,
    pub(crate) device_memory: u64,
    pub(crate) register_file: u64,
}

/// Banks by how many spare rows they have left.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct RemapHistogram {
    pub(crate) max: u32,
    pub(crate) high: u32,
    pub(crate) partial: u32,
    pub(crate) low: u32,
    pub(crate) none: u32,
}

/// A sensor's reading.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct TemperatureV1 {
    pub(crate) version: u32,
    pub(crate) sensor: u32,
    pub(crate) celsius: i32,
}

/// A version and one number.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Versioned {
    pub(crate) version: u32,
    pub(crate) value: u32,
}

/// A fan's reading.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct FanSpeed {
    pub(crate) version: u32,
    pub(crate) fan: u32,
    pub(crate) speed: u32,
}

/// Sessions of the encoder and of the frame grabber: how many, how fast, how late.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct SessionStats {
    pub(crate) sessions: u32,
    pub(crate) frames_per_second: u32,
    pub(crate) latency_us: u32,
}

/// What is waiting to be repaired.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct RepairStatus {
    pub(crate) version: u32,
    pub(crate) channel_pending: u32,
    pub(crate) tpc_pending: u32,
}

/// A device's number of its own.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Pdi {
    pub(crate) version: u32,
    pub(crate) value: u64,
}

/// Activity of the parts of a device.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DynamicPstates {
    pub(crate) flags: u32,
    /// Present, percent, and two thresholds; graphics, memory, video and bus come first.
    pub(crate) parts: [[u32; 4]; 8],
}

/// A UUID as a question.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct UuidQuestion {
    pub(crate) version: u32,
    /// 1: text, 2: bytes.
    pub(crate) kind: u32,
    pub(crate) value: [u8; 41],
}

/// The branch a driver comes from.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DriverBranch {
    pub(crate) version: u32,
    pub(crate) branch: [u8; 80],
}

const _: () = {
    assert!(size_of::<MemoryV2>() == 40 && size_of::<PciV3>() == 68 && size_of::<PciV2>() == 52);
    assert!(size_of::<PciExt>() == 64 && size_of::<ProcessV1>() == 16 && size_of::<ProcessV2>() == 24);
    assert!(size_of::<ProcessDetail>() == 32 && size_of::<ProcessDetailList>() == 24);
    assert!(size_of::<ProcessUse>() == 32 && size_of::<ProcessUseV1>() == 40);
    assert!(size_of::<ProcessUseList>() == 24 && size_of::<FieldValue>() == 40);
    assert!(size_of::<Event>() == 32 && size_of::<EventV1>() == 24 && size_of::<EccCounts>() == 32);
    assert!(size_of::<DynamicPstates>() == 132 && size_of::<UuidQuestion>() == 52);
    assert!(size_of::<DriverBranch>() == 84 && size_of::<Pdi>() == 16 && size_of::<RepairStatus>() == 12);
};
