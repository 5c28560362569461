//! The bus: where a device sits, how fast its link is, what goes over it.

use crate::abi::{Code, Handle, Out, fixed, versioned};
use crate::call::tell;
use crate::gauge;
use crate::layout::{PciExt, PciV2, PciV3};
use crate::session::Gpu;

/// All slots are wide.
const LANES: u32 = 16;
/// A 3D controller among display devices.
const CLASS: (u32, u32) = (0x3, 0x2);

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo(device: Handle, info: Out<PciV2>) -> u32 {
    // What was called so first had a short bus id; programs that still ask for it were built for that.
    tell(device, info, |gpu| Ok(gpu.pci_v2()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v2(device: Handle, info: Out<PciV2>) -> u32 {
    tell(device, info, |gpu| Ok(gpu.pci_v2()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, info: Out<PciV3>) -> u32 {
    tell(device, info, |gpu| Ok(gpu.pci_v3()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfoExt(device: Handle, info: Out<PciExt>) -> u32 {
    tell(device, info, |gpu| {
        let version = info.get()?.version;
        if version != versioned::<PciExt>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        let PciV3 { domain, bus, device, device_id, subsystem_id, bus_id, .. } = gpu.pci_v3();
        let (base_class, sub_class) = CLASS;
        Ok(PciExt { version, domain, bus, device, device_id, subsystem_id, base_class, sub_class, bus_id })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetBusType(device: Handle, kind: Out<u32>) -> u32 {
    tell(device, kind, |_| Ok(2))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkGeneration(device: Handle, generation: Out<u32>) -> u32 {
    tell(device, generation, |gpu| Ok(gpu.model.pci.generation))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGpuMaxPcieLinkGeneration(device: Handle, generation: Out<u32>) -> u32 {
    tell(device, generation, |gpu| Ok(gpu.model.pci.generation))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkWidth(device: Handle, lanes: Out<u32>) -> u32 {
    tell(device, lanes, |_| Ok(LANES))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkGeneration(device: Handle, generation: Out<u32>) -> u32 {
    // Links of devices that rest are taken down to the first generation, but not those of servers' boards.
    tell(device, generation, |gpu| {
        Ok(if gpu.performance_state() == 0 { gpu.model.pci.generation } else { 1 })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkWidth(device: Handle, lanes: Out<u32>) -> u32 {
    tell(device, lanes, |_| Ok(LANES))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPcieLinkMaxSpeed(device: Handle, speed: Out<u32>) -> u32 {
    tell(device, speed, |gpu| Ok(gpu.model.pci.generation))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPcieSpeed(device: Handle, megatransfers: Out<u32>) -> u32 {
    tell(device, megatransfers, |gpu| Ok(gpu.lane_megatransfers()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPcieReplayCounter(device: Handle, replays: Out<u32>) -> u32 {
    tell(device, replays, |_| Ok(0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPcieThroughput(device: Handle, counter: u32, kilobytes: Out<u32>) -> u32 {
    tell(device, kilobytes, |gpu| {
        // Copies run at the link's rate, and both ways are one figure in the ledger.
        let at_ns = gauge::taken_at(gpu.model, gpu.now_ns());
        let share =
            u64::from(gauge::percent(&gpu.state.schedule.copying, at_ns, gauge::period_ns(gpu.model)));
        let link = u64::from(gpu.lane_megatransfers()) * u64::from(LANES) * 1_000 / 8;
        match counter {
            0 | 1 => Ok(u32::try_from(link * share / 100).unwrap_or(u32::MAX)),
            _ => Err(Code::InvalidArgument),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIrqNum(device: Handle, number: Out<u32>) -> u32 {
    tell(device, number, |gpu| Ok(64 + gpu.number()))
}

impl Gpu<'_> {
    fn lane_megatransfers(&self) -> u32 {
        match self.model.pci.generation {
            0..=3 => 8_000,
            4 => 16_000,
            5 => 32_000,
            _ => 64_000,
        }
    }

    fn device_id(&self) -> u32 {
        u32::from(self.model.pci.device) << 16 | 0x10de
    }

    pub(crate) fn pci_v3(&self) -> PciV3 {
        let [domain, bus, device] = self.state.facts.pci;
        PciV3 {
            bus_id_legacy: fixed(&format!("{domain:04X}:{bus:02X}:{device:02X}.0")),
            domain,
            bus,
            device,
            device_id: self.device_id(),
            subsystem_id: self.model.pci.subsystem,
            bus_id: fixed(&format!("{domain:08X}:{bus:02X}:{device:02X}.0")),
        }
    }

    fn pci_v2(&self) -> PciV2 {
        let PciV3 { bus_id_legacy: bus_id, domain, bus, device, device_id, subsystem_id, .. } = self.pci_v3();
        PciV2 { bus_id, domain, bus, device, device_id, subsystem_id, reserved: [0; 4] }
    }
}
