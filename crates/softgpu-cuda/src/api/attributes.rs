//! Attributes of devices: what is common to all models, and what is each model's own.

use fastgpu_softgpu::ledger::layout::DeviceState;
use fastgpu_softgpu::models::Model;

use crate::abi::{Code, Done};

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
        13 => signed(model.clocks.max * 1_000),
        16 => signed(model.multiprocessors),
        20 => signed(device.gauges.compute_mode),
        32 => i32::from(model.ecc),
        33 => signed(device.facts.pci[1]),
        34 => signed(device.facts.pci[2]),
        36 => signed(model.clocks.memory_max * 1_000),
        37 => signed(model.memory.bus_bits),
        38 => signed(model.memory.l2_kib * 1_024),
        39 => signed(limits.threads),
        40 => {
            if model.clocks.memory_max > 5_000 {
                2
            } else {
                3
            }
        }
        50 => signed(device.facts.pci[0]),
        75 => signed(capability.0),
        76 => signed(capability.1),
        81 => signed(limits.shared_bytes),
        87 => {
            if matches!(capability, (6..=10, 0)) {
                2
            } else {
                64
            }
        }
        97 => signed(limits.shared_block_optin_bytes),
        106 => signed(limits.blocks),
        108 | 109 | 111 if capability.0 < 8 => 0,
        108 => signed(model.memory.l2_kib * 1_024 / 8 * 5),
        120 | 126 | 127 if !hopper => i32::from(number == 126),
        139 => signed(u32::from(model.pci.device) << 16 | 0x10de),
        140 => model.pci.subsystem.cast_signed(),
        _ => COMMON[place],
    })
}
