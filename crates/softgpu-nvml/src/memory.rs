//! Memory: the ledger's sums, in the ways NVML has told them.

use crate::abi::{Code, Handle, Out, versioned};
use crate::call::{call, tell};
use crate::layout::{Bar1, MemoryV1, MemoryV2};

const MIB: u64 = 1 << 20;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo(device: Handle, memory: Out<MemoryV1>) -> u32 {
    call(|session| {
        memory.check()?;
        session.ledger.reap();
        memory.put(session.with_gpu(device, |gpu| {
            let (total, free) = (gpu.state.facts.memory_total_bytes, gpu.state.free_bytes());
            Ok(MemoryV1 { total, free, used: total - free })
        })?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: Out<MemoryV2>) -> u32 {
    call(|session| {
        let asked = memory.get()?;
        if asked.version != versioned::<MemoryV2>(2) {
            // Other structures answer "version mismatch"; for this one a driver looks for another function.
            return Err(Code::FunctionNotFound);
        }
        session.ledger.reap();
        memory.put(session.with_gpu(device, |gpu| {
            Ok(MemoryV2 {
                version: asked.version,
                total: gpu.state.facts.memory_total_bytes,
                reserved: gpu.state.facts.memory_reserved_bytes,
                free: gpu.state.free_bytes(),
                used: gpu.state.memory_used_bytes,
            })
        })?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetBAR1MemoryInfo(device: Handle, memory: Out<Bar1>) -> u32 {
    tell(device, memory, |gpu| {
        let (total, used) = (gpu.model.memory.bar1_mib * MIB, MIB);
        Ok(Bar1 { total, free: total - used, used })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryBusWidth(device: Handle, bits: Out<u32>) -> u32 {
    tell(device, bits, |gpu| Ok(gpu.model.memory.bus_bits))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetConfComputeMemSizeInfo(device: Handle, memory: Out<[u64; 2]>) -> u32 {
    // Protected and unprotected, in KiB.
    tell(device, memory, |gpu| Ok([0, gpu.state.facts.memory_total_bytes / 1_024]))
}
