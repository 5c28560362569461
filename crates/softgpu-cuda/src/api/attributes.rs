//! Attributes of devices: what is common to all models, and what is each model's own.

use fastgpu_softgpu::ledger::layout::DeviceState;
use fastgpu_softgpu::models::Model;

use crate::abi::{Code, Done};
use crate::numbers::{
    CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, CU_DEVICE_ATTRIBUTE_CLOCK_RATE,
    CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE,
    CU_DEVICE_ATTRIBUTE_ECC_ENABLED, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH,
    CU_DEVICE_ATTRIBUTE_GPU_PCI_DEVICE_ID, CU_DEVICE_ATTRIBUTE_GPU_PCI_SUBSYSTEM_ID,
    CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE,
    CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT,
    CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
    CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID,
    CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK,
    CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO,
    CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED,
};

/// What a large device of driver 580 answers, by number; 0 where this device cannot do what the real one can.
#[rustfmt::skip]
const COMMON: [i32; 148] = [
    0, 1024, 1024, 1024, 64, i32::MAX, 65535, 65535, 49152, 65536, 32, i32::MAX, 65536, 1980000, 512, 1,
    132, 0, 0, 1, 0, 131072, 131072, 65536, 16384, 16384, 16384, 32768, 32768, 2048, 512, 1, 1, 0, 6, 0,
    2619000, 5120, 52428800, 2048, 3, 1, 32768, 2048, 1, 32768, 32768, 8192, 8192, 32768, 0, 32, 32768,
    32768, 2046, 32768, 131072, 65536, 16384, 16384, 16384, 32768, 2048, 32768, 32768, 2048, 32768, 32768,
    2046, 268435456, 131072, 65000, 2097120, 32768, 32768, 9, 0, 32768, 1, 1, 1, 233472, 65536, 1, 0, 0, 0,
    2, 0, 1, 1, 1, 0, 0, 0, 1, 1, 232448, 0, 1, 0, 0, 1, 1, 0, 0, 32, 1, 32768000, 134217728, 0, 1024, 0, 1,
    1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 4, 1, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 590352606, 381751518, 1, 1,
    0, 1, 1, 0, 0,
];

/// The value of an attribute.
pub(super) fn value(number: i32, model: &Model, device: &DeviceState) -> Done<i32> {
    let place = usize::try_from(number).ok().filter(|place| (1..COMMON.len()).contains(place));
    let place = place.ok_or(Code::INVALID_VALUE)?;
    let limits = model.limits();
    let signed = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let capability = model.compute_capability;
    let hopper = capability.0 >= 9;
    Ok(match number {
        CU_DEVICE_ATTRIBUTE_CLOCK_RATE => signed(model.clocks.max * 1_000),
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT => signed(model.multiprocessors),
        CU_DEVICE_ATTRIBUTE_COMPUTE_MODE => signed(device.gauges.compute_mode),
        CU_DEVICE_ATTRIBUTE_ECC_ENABLED => i32::from(model.ecc),
        CU_DEVICE_ATTRIBUTE_PCI_BUS_ID => signed(device.facts.pci[1]),
        CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID => signed(device.facts.pci[2]),
        CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE => signed(model.clocks.memory_max * 1_000),
        CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH => signed(model.memory.bus_bits),
        CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE => signed(model.memory.l2_kib * 1_024),
        CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR => signed(limits.threads),
        CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT => {
            if model.clocks.memory_max > 5_000 {
                2
            } else {
                3
            }
        }
        CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID => signed(device.facts.pci[0]),
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR => signed(capability.0),
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR => signed(capability.1),
        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR => signed(limits.shared_bytes),
        CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO => {
            if matches!(capability, (6..=10, 0)) {
                2
            } else {
                64
            }
        }
        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN => signed(limits.shared_block_optin_bytes),
        CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR => signed(limits.blocks),
        CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE
        | CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE
        | CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK
            if capability.0 < 8 =>
        {
            0
        }
        CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE => signed(model.memory.l2_kib * 1_024 / 8 * 5),
        CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH
        | CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT
        | CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED
            if !hopper =>
        {
            i32::from(number == CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT)
        }
        CU_DEVICE_ATTRIBUTE_GPU_PCI_DEVICE_ID => signed(u32::from(model.pci.device) << 16 | 0x10de),
        CU_DEVICE_ATTRIBUTE_GPU_PCI_SUBSYSTEM_ID => model.pci.subsystem.cast_signed(),
        _ => COMMON[place],
    })
}
