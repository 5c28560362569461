//! Modes and features: what is on, off, or not there.

use crate::abi::{Code, Handle, Out, Room, versioned};
use crate::call::{call, of_device, refuse, tell, tell_two};
use crate::layout::Versioned;
use crate::power::only_root;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPersistenceMode(device: Handle, mode: Out<u32>) -> u32 {
    // Kept one higher, so that a new ledger's zero means "never set", which is on.
    tell(device, mode, |gpu| Ok(gpu.state.gauges.persistence.checked_sub(1).unwrap_or(1)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceSetPersistenceMode(device: Handle, mode: u32) -> u32 {
    of_device(device, |gpu| {
        only_root()?;
        if mode > 1 {
            return Err(Code::InvalidArgument);
        }
        gpu.settings()?.persistence = mode + 1;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeMode(device: Handle, mode: Out<u32>) -> u32 {
    tell(device, mode, |gpu| Ok(gpu.state.gauges.compute_mode))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceSetComputeMode(device: Handle, mode: u32) -> u32 {
    of_device(device, |gpu| {
        only_root()?;
        // 0: everybody, 2: nobody, 3: one process. Exclusive threads are gone.
        match mode {
            0 | 2 | 3 => gpu.settings()?.compute_mode = mode,
            1 => return Err(Code::NotSupported),
            _ => return Err(Code::InvalidArgument),
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDisplayMode(device: Handle, mode: Out<u32>) -> u32 {
    // Deprecated, and always on since.
    tell(device, mode, |_| Ok(1))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDisplayActive(device: Handle, active: Out<u32>) -> u32 {
    tell(device, active, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(device: Handle, current: Out<u32>, pending: Out<u32>) -> u32 {
    tell_two(device, current, pending, |gpu| if gpu.model.mig { Ok((0, 0)) } else { Err(Code::NotSupported) })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceIsMigDeviceHandle(device: Handle, is_slice: Out<u32>) -> u32 {
    tell(device, is_slice, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, count: Out<u32>) -> u32 {
    // As long as the mode is off there are none.
    tell(device, count, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(device: Handle, _index: u32, slice: Out<Handle>) -> u32 {
    of_device(device, |_| slice.check().and(Err(Code::NotFound)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(slice: Handle, _device: Out<Handle>) -> u32 {
    refuse(slice, Code::InvalidArgument)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuInstanceId(device: Handle, id: Out<u32>) -> u32 {
    of_device(device, |_| id.check().and(Err(Code::InvalidArgument)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeInstanceId(device: Handle, id: Out<u32>) -> u32 {
    of_device(device, |_| id.check().and(Err(Code::InvalidArgument)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAttributes(device: Handle, _attributes: usize) -> u32 {
    refuse(device, Code::NotSupported)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAttributes_v2(device: Handle, _attributes: usize) -> u32 {
    refuse(device, Code::NotSupported)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetVirtualizationMode(device: Handle, mode: Out<u32>) -> u32 {
    tell(device, mode, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHostVgpuMode(device: Handle, mode: Out<u32>) -> u32 {
    of_device(device, |_| mode.check().and(Err(Code::NotSupported)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDriverModel(device: Handle, current: Out<u32>, _pending: Out<u32>) -> u32 {
    of_device(device, |_| current.check().and(Err(Code::NotSupported)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDriverModel_v2(device: Handle, current: Out<u32>, _pending: Out<u32>) -> u32 {
    of_device(device, |_| current.check().and(Err(Code::NotSupported)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuOperationMode(device: Handle, current: Out<u32>, _pending: Out<u32>) -> u32 {
    of_device(device, |_| current.check().and(Err(Code::NotSupported)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAPIRestriction(device: Handle, api: u32, restricted: Out<u32>) -> u32 {
    tell(device, restricted, |_| match api {
        0 => Ok(0),
        1 => Err(Code::NotSupported),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumaNodeId(device: Handle, node: Out<u32>) -> u32 {
    of_device(device, |_| node.check().and(Err(Code::NotSupported)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCapabilities(device: Handle, capabilities: Out<Versioned>) -> u32 {
    tell(device, capabilities, |_| {
        let answer = capabilities.get()?;
        if answer.version != versioned::<Versioned>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        Ok(Versioned { value: 0, ..answer })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetAddressingMode(device: Handle, mode: Out<Versioned>) -> u32 {
    tell(device, mode, |_| {
        let answer = mode.get()?;
        if answer.version != versioned::<Versioned>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        Ok(Versioned { value: 0, ..answer })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuFabricInfo(device: Handle, _info: usize) -> u32 {
    refuse(device, Code::NotSupported)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuFabricInfoV(device: Handle, _info: usize) -> u32 {
    refuse(device, Code::NotSupported)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetConfComputeState(state: Room<u32>) -> u32 {
    // Environment, feature and developer tools: all off.
    call(|_| (0..3).try_for_each(|at| state.put(at, 0)))
}
