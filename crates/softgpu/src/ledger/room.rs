//! Memory behind the ledger. Its file has holes; a hole that cannot be filled when it is written to kills the
//! process. So what is about to be written is filled first, where that can be refused.
#![expect(unsafe_code, reason = "the call has no safe form; one small function is its fence")]

use std::io;

use super::layout::DeviceState;
use crate::schedule::{CONTEXTS_MAX, ContextSlot};

/// Puts memory behind `length` bytes at an address of the ledger.
///
/// # Errors
/// When there is none left.
pub(super) fn back(address: *const u8, length: usize) -> io::Result<()> {
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

impl DeviceState {
    /// Puts memory behind everything but the contexts, which get theirs one by one.
    pub(super) fn back(&self) -> io::Result<()> {
        let start = std::ptr::from_ref(self).cast::<u8>();
        let contexts = self.schedule.contexts.as_ptr_range();
        let (begin, end) = (contexts.start.cast::<u8>(), contexts.end.cast::<u8>());
        let after = start as usize + size_of::<Self>() - end as usize;
        back(start, begin as usize - start as usize)?;
        back(end, after)
    }

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
