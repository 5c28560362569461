//! What a device is: names, numbers, versions, generation.

use fastgpu_softgpu::models::{Architecture, Brand, DRIVER_VERSION};

use crate::abi::{Code, Handle, Out, Text, versioned};
use crate::call::{refuse, tell, tell_text, tell_two};
use crate::find::dashed;
use crate::layout::Pdi;
use crate::session::Gpu;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetName(device: Handle, name: Text, bytes: u32) -> u32 {
    tell_text(device, name, bytes, |gpu| Ok(gpu.name()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUUID(device: Handle, uuid: Text, bytes: u32) -> u32 {
    tell_text(device, uuid, bytes, |gpu| Ok(format!("GPU-{}", dashed(&gpu.state.facts.uuid))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSerial(device: Handle, serial: Text, bytes: u32) -> u32 {
    tell_text(device, serial, bytes, |gpu| match (gpu.state.facts.serial, gpu.model.brand) {
        (0, _) | (_, Brand::GeForce) => Err(Code::NotSupported),
        (serial, _) => Ok(serial.to_string()),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetVbiosVersion(device: Handle, version: Text, bytes: u32) -> u32 {
    tell_text(device, version, bytes, |gpu| Ok(format!("{:02X}.00.00.00.01", gpu.vbios_generation())))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetBoardPartNumber(device: Handle, number: Text, bytes: u32) -> u32 {
    tell_text(device, number, bytes, |gpu| match gpu.model.brand {
        Brand::GeForce => Err(Code::NotSupported),
        _ => Ok(format!("900-2{:04X}-0000-000", gpu.model.pci.device)),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetInforomImageVersion(device: Handle, version: Text, bytes: u32) -> u32 {
    tell_text(device, version, bytes, |gpu| Ok(format!("G{:04X}.0200.00.01", gpu.model.pci.device)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetInforomVersion(device: Handle, object: u32, version: Text, bytes: u32) -> u32 {
    tell_text(device, version, bytes, |gpu| match (object, gpu.model.ecc) {
        (0, _) => Ok("2.1".to_owned()),
        (1, true) => Ok("7.16".to_owned()),
        (1..=3, _) => Err(Code::NotSupported),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetInforomConfigurationChecksum(device: Handle, checksum: Out<u32>) -> u32 {
    tell(device, checksum, |gpu| Ok(u32::from(gpu.model.pci.device).wrapping_mul(0x9e37_79b9)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGspFirmwareVersion(device: Handle, version: Text) -> u32 {
    // The caller's room is as large as a driver's version ever is.
    const ROOM: u32 = 80;
    tell_text(device, version, ROOM, |gpu| {
        if gpu.model.architecture >= Architecture::Turing {
            Ok(DRIVER_VERSION.to_owned())
        } else {
            Err(Code::NotSupported)
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGspFirmwareMode(device: Handle, enabled: Out<u32>, default: Out<u32>) -> u32 {
    tell_two(device, enabled, default, |gpu| {
        let on = u32::from(gpu.model.architecture >= Architecture::Turing);
        Ok((on, on))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIndex(device: Handle, index: Out<u32>) -> u32 {
    tell(device, index, |gpu| Ok(gpu.number()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMinorNumber(device: Handle, number: Out<u32>) -> u32 {
    tell(device, number, |gpu| Ok(gpu.number()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetModuleId(device: Handle, module: Out<u32>) -> u32 {
    tell(device, module, |gpu| match gpu.model.nvlinks {
        0 => Err(Code::NotSupported),
        _ => Ok(gpu.number() % 8 + 1),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetBoardId(device: Handle, board: Out<u32>) -> u32 {
    tell(device, board, |gpu| {
        let [domain, bus, place] = gpu.state.facts.pci;
        Ok(domain << 16 | bus << 8 | place)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMultiGpuBoard(device: Handle, several: Out<u32>) -> u32 {
    tell(device, several, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceOnSameBoard(first: Handle, second: Handle, same: Out<i32>) -> u32 {
    tell(first, same, |gpu| Ok(i32::from(second.index()? == gpu.index)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetBrand(device: Handle, brand: Out<u32>) -> u32 {
    tell(device, brand, |gpu| {
        Ok(match gpu.model.brand {
            Brand::Tesla => 2,
            Brand::GeForce => 5,
            Brand::NvidiaRtx => 13,
            Brand::Nvidia => 14,
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetArchitecture(device: Handle, architecture: Out<u32>) -> u32 {
    tell(device, architecture, |gpu| {
        Ok(match gpu.model.architecture {
            Architecture::Pascal => 4,
            Architecture::Volta => 5,
            Architecture::Turing => 6,
            Architecture::Ampere => 7,
            Architecture::Ada => 8,
            Architecture::Hopper => 9,
            Architecture::Blackwell => 10,
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(device: Handle, major: Out<u32>, minor: Out<u32>) -> u32 {
    tell_two(device, major, minor, |gpu| Ok(gpu.model.compute_capability))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumGpuCores(device: Handle, cores: Out<u32>) -> u32 {
    tell(device, cores, |gpu| Ok(gpu.model.multiprocessors * gpu.model.limits().cores))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPdi(device: Handle, pdi: Out<Pdi>) -> u32 {
    tell(device, pdi, |gpu| {
        let mut answer = pdi.get()?;
        if answer.version != versioned::<Pdi>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        let bytes: [u8; 8] = gpu.state.facts.uuid[8..].try_into().map_err(|_| Code::Unknown)?;
        answer.value = u64::from_be_bytes(bytes);
        Ok(answer)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetBridgeChipInfo(device: Handle, _chips: usize) -> u32 {
    refuse(device, Code::NotSupported)
}

impl Gpu<'_> {
    /// What the driver calls it. A size the model is not sold with is part of the name.
    fn name(&self) -> String {
        fastgpu_softgpu::ledger::processes::text(&self.state.facts.name).to_owned()
    }

    /// Its index as NVML counts.
    pub(crate) fn number(&self) -> u32 {
        u32::try_from(self.index).unwrap_or(u32::MAX)
    }

    fn vbios_generation(&self) -> u32 {
        match self.model.architecture {
            Architecture::Pascal => 0x86,
            Architecture::Volta => 0x88,
            Architecture::Turing => 0x90,
            Architecture::Ampere => 0x92,
            Architecture::Ada => 0x95,
            Architecture::Hopper => 0x96,
            Architecture::Blackwell => 0x97,
        }
    }
}
