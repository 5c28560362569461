//! Attributes of launches and kernel nodes, by the driver's numbers.

use std::collections::BTreeMap;

use crate::abi::{Code, Done};

/// Attributes that a kernel node can have, and their value's size in bytes.
const ATTRIBUTES: [(u32, usize); 11] = [
    (CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, 32),
    (CU_LAUNCH_ATTRIBUTE_COOPERATIVE, 4),
    (CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, 12),
    (CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE, 4),
    (CU_LAUNCH_ATTRIBUTE_PRIORITY, 4),
    (CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP, 2),
    (CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN, 4),
    (CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION, 12),
    (CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, 16),
    (CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 4),
    (CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING, 4),
];
const CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW: u32 = 1;
const CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION: u32 = 4;
const CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE: u32 = 5;
const CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN: u32 = 10;
const CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION: u32 = 11;
const CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: u32 = 14;
const CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING: u32 = 16;
/// All blocks at once.
pub(super) const CU_LAUNCH_ATTRIBUTE_COOPERATIVE: u32 = 2;
/// The stream's priority, or another.
pub(super) const CU_LAUNCH_ATTRIBUTE_PRIORITY: u32 = 8;
/// The number of each domain of memory order; one byte for each of the two.
pub(super) const CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP: u32 = 9;
/// Other kernels may change the node while the graph runs.
pub(super) const CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE: u32 = 13;

/// How much of a value an attribute has.
pub(super) fn value_bytes(number: u32) -> Done<usize> {
    ATTRIBUTES.iter().find(|(known, _)| *known == number).map(|(_, bytes)| *bytes).ok_or(Code::INVALID_VALUE)
}

/// Those of a launch's attributes that a kernel node has.
pub(super) fn attributes_of(launch: impl Iterator<Item = (u32, [u64; 8])>) -> BTreeMap<u32, [u64; 8]> {
    launch.filter(|(number, _)| value_bytes(*number).is_ok()).collect()
}

/// Reached when every block lets the next kernel begin; reached when the kernel has begun.
pub(super) const CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT: u32 = 7;
pub(super) const CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT: u32 = 12;
