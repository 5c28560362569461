//! Memory behind the ledger. Its file has holes; a hole that cannot be filled when it is written to kills the
//! process. So what is about to be written is filled first, where that can be refused.
#![expect(unsafe_code, reason = "the calls have no safe form; two small functions are their fence")]

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::layout::{DeviceCell, DeviceState, Root};
use crate::schedule::{CONTEXTS_MAX, ContextRun, ContextSlot};

/// Puts memory behind `length` bytes at an address of the ledger.
///
/// # Errors
/// When there is none left.
fn back(address: *const u8, length: usize) -> io::Result<()> {
    // SAFETY: asks for a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096);
    let start = address as usize / page * page;
    let length = address as usize + length - start;
    // SAFETY: the range lies in the mapping of the ledger, which stays; its contents do not change.
    let done = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_POPULATE_WRITE) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if done == 0 => Ok(()),
        // A kernel before 5.14 cannot do it beforehand.
        Some(libc::EINVAL) => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::StorageFull, "the shared memory is full")),
    }
}

/// Puts memory behind a new ledger with so many devices: behind everything but the contexts, which get theirs one
/// by one. The maker's own memory does not grow.
///
/// # Errors
/// When there is none left.
pub(super) fn reserve(file: &File, devices: usize) -> io::Result<()> {
    const DEVICES: usize = offset_of!(Root, devices);
    const STATE: usize = offset_of!(DeviceCell, state);
    let (contexts, behind) = (STATE + DeviceState::CONTEXTS.start, STATE + DeviceState::CONTEXTS.end);
    allocate(file, 0, DEVICES)?;
    for index in 0..devices {
        let start = DEVICES + index * size_of::<DeviceCell>();
        allocate(file, start, contexts)?;
        allocate(file, start + behind, size_of::<DeviceCell>() - behind)?;
    }
    Ok(())
}

fn allocate(file: &File, start: usize, length: usize) -> io::Result<()> {
    let (start, length) = (libc::off_t::try_from(start), libc::off_t::try_from(length));
    let (Ok(start), Ok(length)) = (start, length) else { return Err(io::ErrorKind::InvalidInput.into()) };
    // SAFETY: the descriptor is open.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, start, length) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // A file system that cannot: what is missing is found when it is needed.
        Some(libc::EOPNOTSUPP) => Ok(()),
        _ => Err(error),
    }
}

impl DeviceState {
    /// Which of its bytes the contexts are.
    pub(super) const CONTEXTS: Range<usize> = {
        let start = offset_of!(Self, schedule.contexts);
        start..start + size_of::<[ContextRun; CONTEXTS_MAX]>()
    };

    /// Gives a process a queue on the device, or `None` if there are too many, or no memory for one more.
    pub fn open_context(&mut self, process_slot: u32) -> Option<(ContextSlot, u64)> {
        let schedule = &mut self.schedule;
        let high = schedule.contexts_high as usize;
        let used = schedule.contexts[..high].iter().any(|context| context.owner == 0);
        if !used && high < CONTEXTS_MAX {
            // The next one was never touched. Only its address is taken here.
            let next = schedule.contexts.as_ptr().wrapping_add(high);
            back(next.cast(), size_of_val(&schedule.contexts[0])).ok()?;
        }
        schedule.open(process_slot)
    }
}
