//! Devices: how many, what they are called, and what they can do.

use super::attributes;
use crate::abi::{CUresult, Code, Out, Text, write_text};
use crate::call::call;

/// The attribute that depends on what else there is.
const MULTICAST: i32 = 132;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetCount(count: Out<i32>) -> CUresult {
    call(|process| count.set(i32::try_from(process.device_count()).unwrap_or(0)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGet(device: Out<i32>, ordinal: i32) -> CUresult {
    call(|process| {
        let device = device.required()?;
        process.index_of(ordinal)?;
        device.set(ordinal)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetName(name: Out<u8>, size: i32, device: i32) -> CUresult {
    call(|process| {
        let text = process.facts(device)?.name;
        let size = usize::try_from(size).map_err(|_| Code::INVALID_VALUE)?;
        write_text(name, size, fastgpu_softgpu::ledger::processes::text(&text))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, device: i32) -> CUresult {
    call(|process| {
        let uuid = uuid.required()?;
        uuid.set(process.facts(device)?.uuid)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, device: i32) -> CUresult {
    cuDeviceGetUuid(uuid, device)
}

/// Only another system knows these.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetLuid(_luid: Out<u8>, _mask: Out<u32>, device: i32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        Err(Code::NOT_SUPPORTED)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: i32) -> CUresult {
    call(|process| {
        let bytes = bytes.required()?;
        bytes.set(process.facts(device)?.capacity_bytes() as usize)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetAttribute(value: Out<i32>, attribute: i32, device: i32) -> CUresult {
    call(|process| {
        let value = value.required()?;
        if attribute == MULTICAST {
            return value.set(process.can_multicast(device)?.into());
        }
        let model = process.model(device)?;
        let found = attributes::value(attribute, model, &*process.device(device)?)?;
        value.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceComputeCapability(
    major: Out<i32>,
    minor: Out<i32>,
    device: i32,
) -> CUresult {
    call(|process| {
        let capability = process.model(device)?.compute_capability;
        major.set(capability.0.cast_signed())?;
        minor.set(capability.1.cast_signed())
    })
}

/// `CUdevprop`: limits of kernels, in the order of the driver's structure.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetProperties(properties: Out<[i32; 14]>, device: i32) -> CUresult {
    call(|process| {
        let properties = properties.required()?;
        let model = process.model(device)?;
        let locked = process.device(device)?;
        let numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        let mut values = [0; 14];
        for (value, number) in values.iter_mut().zip(numbers) {
            *value = attributes::value(number, model, &locked)?;
        }
        properties.set(values)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetPCIBusId(text: Out<u8>, size: i32, device: i32) -> CUresult {
    call(|process| {
        let [domain, bus, slot] = process.facts(device)?.pci;
        let size = usize::try_from(size).map_err(|_| Code::INVALID_VALUE)?;
        write_text(text, size, &format!("{domain:04X}:{bus:02X}:{slot:02X}.0"))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetByPCIBusId(device: Out<i32>, text: Text) -> CUresult {
    call(|process| {
        let device = device.required()?;
        let wanted = place(text.get()?).ok_or(Code::INVALID_VALUE)?;
        let count = i32::try_from(process.device_count()).unwrap_or(0);
        let found =
            (0..count).find(|ordinal| process.facts(*ordinal).is_ok_and(|device| device.pci == wanted));
        device.set(found.ok_or(Code::INVALID_DEVICE)?)
    })
}

/// `domain:bus:device.function`, without the domain or the function if need be.
fn place(text: &str) -> Option<[u32; 3]> {
    let text = text.split('.').next()?;
    let parts: Option<Vec<u32>> = text.split(':').map(|part| u32::from_str_radix(part, 16).ok()).collect();
    match parts?.as_slice() {
        [bus, device] => Some([0, *bus, *device]),
        [domain, bus, device] => Some([*domain, *bus, *device]),
        _ => None,
    }
}

/// Every kind of affinity but none is unsupported.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetExecAffinitySupport(
    supported: Out<i32>,
    kind: u32,
    device: i32,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        if kind > 2 { Err(Code::INVALID_VALUE) } else { supported.set(0) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetTexture1DLinearMaxWidth(
    width: Out<usize>,
    _format: u32,
    _channels: u32,
    device: i32,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        width.set(1 << 30)
    })
}
