//! Memory errors: counts, remapped rows, what is waiting to be repaired.

use crate::abi::{Answer, Code, Handle, Out, Room, versioned};
use crate::call::{call, refuse, tell, tell_two};
use crate::layout::{EccCounts, RemapHistogram, RepairStatus};
use crate::session::Gpu;
use fastgpu_softgpu::models::Architecture;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEccMode(device: Handle, current: Out<u32>, pending: Out<u32>) -> u32 {
    tell_two(device, current, pending, |gpu| gpu.with_ecc().map(|()| (1, 1)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDefaultEccMode(device: Handle, mode: Out<u32>) -> u32 {
    tell(device, mode, |gpu| gpu.with_ecc().map(|()| 1))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEccErrors(device: Handle, kind: u32, counter: u32, errors: Out<u64>) -> u32 {
    tell(device, errors, |gpu| gpu.ecc_errors(kind, counter))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryErrorCounter(
    device: Handle,
    kind: u32,
    counter: u32,
    location: u32,
    errors: Out<u64>,
) -> u32 {
    tell(device, errors, |gpu| {
        let all = gpu.ecc_errors(kind, counter)?;
        match location {
            // Every error there is was ordered for device memory.
            2 => Ok(all),
            7 => Ok(0),
            0 | 1 | 3..=6 => Err(Code::NotSupported),
            _ => Err(Code::InvalidArgument),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDetailedEccErrors(
    device: Handle,
    kind: u32,
    counter: u32,
    counts: Out<EccCounts>,
) -> u32 {
    tell(device, counts, |gpu| {
        let device_memory = gpu.ecc_errors(kind, counter)?;
        Ok(EccCounts { l1: 0, l2: 0, device_memory, register_file: 0 })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetSramEccErrorStatus(device: Handle, status: Room<u64>) -> u32 {
    // The version, twelve counts that are all zero here, and whether they are too many.
    const WORDS: usize = 13;
    call(|session| {
        let version = status.get(0)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the version is the lower half of the first word"
        )]
        if version as u32 != 104 | 1 << 24 {
            return Err(Code::ArgumentVersionMismatch);
        }
        session.with_gpu(device, |gpu| gpu.with_ecc())?;
        (1..WORDS).try_for_each(|at| status.put(at, 0))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRemappedRows(
    device: Handle,
    corrected: Out<u32>,
    uncorrected: Out<u32>,
    pending: Out<u32>,
    failed: Out<u32>,
) -> u32 {
    call(|session| {
        for out in [corrected, uncorrected, pending, failed] {
            out.check()?;
        }
        let rows = session.with_gpu(device, |gpu| gpu.remapped_rows())?;
        [corrected, uncorrected, pending, failed]
            .into_iter()
            .zip(rows)
            .try_for_each(|(out, row)| out.put(row))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRowRemapperHistogram(device: Handle, histogram: Out<RemapHistogram>) -> u32 {
    tell(device, histogram, |gpu| {
        let [corrected, uncorrected, ..] = gpu.remapped_rows()?;
        let banks = gpu.model.memory.bus_bits / 2;
        let high = (corrected + uncorrected).min(banks);
        Ok(RemapHistogram { max: banks - high, high, partial: 0, low: 0, none: 0 })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRepairStatus(device: Handle, status: Out<RepairStatus>) -> u32 {
    tell(device, status, |gpu| {
        let answer = status.get()?;
        if answer.version != versioned::<RepairStatus>(1) {
            return Err(Code::ArgumentVersionMismatch);
        }
        gpu.with_ecc()?;
        Ok(RepairStatus { channel_pending: 0, tpc_pending: 0, ..answer })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRetiredPages(device: Handle, cause: u32, count: Out<u32>, _pages: usize) -> u32 {
    retired_pages(device, cause, count)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRetiredPages_v2(
    device: Handle,
    cause: u32,
    count: Out<u32>,
    _pages: usize,
    _times: usize,
) -> u32 {
    retired_pages(device, cause, count)
}

/// Pages were retired before rows could be remapped.
fn retired_pages(device: Handle, cause: u32, count: Out<u32>) -> u32 {
    tell(device, count, |gpu| match cause {
        _ if gpu.remaps_rows() || !gpu.model.ecc => Err(Code::NotSupported),
        0 | 1 => Ok(0),
        _ => Err(Code::InvalidArgument),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetRetiredPagesPendingStatus(device: Handle, pending: Out<u32>) -> u32 {
    tell(
        device,
        pending,
        |gpu| {
            if gpu.remaps_rows() || !gpu.model.ecc { Err(Code::NotSupported) } else { Ok(0) }
        },
    )
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceValidateInforom(device: Handle) -> u32 {
    call(|session| session.with_gpu(device, |_| Ok(())))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetLastBBXFlushTime(device: Handle, _at: Out<u64>, _took: Out<u64>) -> u32 {
    refuse(device, Code::NotSupported)
}

impl Gpu<'_> {
    pub(crate) fn with_ecc(&self) -> Answer<()> {
        if self.model.ecc { Ok(()) } else { Err(Code::NotSupported) }
    }

    fn remaps_rows(&self) -> bool {
        self.model.architecture >= Architecture::Ampere
    }

    /// Remapped for corrected errors, for uncorrected ones, pending, failed.
    pub(crate) fn remapped_rows(&self) -> Answer<[u32; 4]> {
        self.with_ecc()?;
        if self.remaps_rows() { Ok(self.state.faults.rows_remapped) } else { Err(Code::NotSupported) }
    }

    /// `kind` 0: corrected, 1: uncorrected; `counter` 0: since the driver was loaded, 1: ever.
    pub(crate) fn ecc_errors(&self, kind: u32, counter: u32) -> Answer<u64> {
        self.with_ecc()?;
        let counts = match counter {
            0 => self.state.faults.ecc_volatile,
            1 => self.state.faults.ecc_aggregate,
            _ => return Err(Code::InvalidArgument),
        };
        counts.get(kind as usize).copied().ok_or(Code::InvalidArgument)
    }
}
