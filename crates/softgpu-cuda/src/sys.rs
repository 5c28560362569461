//! What this library asks of the system, and of memory by its address.
//!
//! Addresses in here are device memory of this library or memory of the program. Callers have checked them against
//! the allocations, or pass on what the program answers for by the driver's contract.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::abi::{Code, Done};

/// A descriptor of our own for what a program's descriptor names.
pub(crate) fn duplicate(descriptor: i32) -> Done<OwnedFd> {
    // SAFETY: dup makes a descriptor of our own out of whatever the number names, or fails.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: the descriptor was made a line above and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A file in memory that takes no room until it is written to.
pub(crate) fn memory_file(bytes: u64) -> Done<OwnedFd> {
    // SAFETY: the name is a text that ends.
    let descriptor = unsafe { libc::memfd_create(c"softgpu".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(Code::OUT_OF_MEMORY);
    }
    // SAFETY: the descriptor was made a line above and nobody else knows it.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    lengthen(&file, bytes)?;
    Ok(file)
}

/// The number that names a file.
pub(crate) fn inode(file: &OwnedFd) -> Done<u64> {
    // SAFETY: the structure is numbers only.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the structure valid for one write.
    if unsafe { libc::fstat(file.as_raw_fd(), &raw mut status) } == 0 {
        Ok(status.st_ino)
    } else {
        Err(Code::INVALID_VALUE)
    }
}

/// Makes a file of memory longer.
pub(crate) fn lengthen(file: &OwnedFd, bytes: u64) -> Done {
    let length = libc::off_t::try_from(bytes).map_err(|_| Code::OUT_OF_MEMORY)?;
    // SAFETY: ftruncate touches no memory of ours, and the descriptor is open for writing.
    if unsafe { libc::ftruncate(file.as_raw_fd(), length) } == 0 { Ok(()) } else { Err(Code::OUT_OF_MEMORY) }
}

/// Reserves so many addresses, of the system's choice, with nothing behind them.
pub(crate) fn reserve(bytes: usize) -> Option<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let base = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    (base != libc::MAP_FAILED).then_some(base as u64)
}

/// Makes a stretch of the space usable, with zeros.
pub(crate) fn commit(base: u64, bytes: u64) -> Done {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    map(base, bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
}

/// Maps a file over a stretch of the space.
pub(crate) fn commit_file(base: u64, bytes: u64, file: i32, usable: bool) -> Done {
    let protection = if usable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    map(base, bytes, protection, libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED, file, 0)
}

/// Maps a part of a file over a stretch of the space.
pub(crate) fn commit_part(base: u64, bytes: u64, file: i32, offset: u64) -> Done {
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED;
    map(base, bytes, libc::PROT_READ | libc::PROT_WRITE, flags, file, offset)
}

/// How many bytes the file system of a file has left; `None` if it does not say.
pub(crate) fn room_behind(file: i32) -> Option<u64> {
    // SAFETY: the structure is numbers only, and valid for one write.
    let (done, found) = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::fstatvfs(file, &raw mut found), found)
    };
    (done == 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
}

/// Makes a stretch unusable and gives its pages back to the system.
pub(crate) fn decommit(base: u64, bytes: u64) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // It can only fail for want of mappings; then the pages stay until the process ends.
    let _ = map(base, bytes, libc::PROT_NONE, flags, -1, 0);
}

/// Lets a mapped stretch be used, or not.
pub(crate) fn protect(base: u64, bytes: u64, usable: bool) -> Done {
    let protection = if usable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    // SAFETY: the stretch was taken from the space and holds nothing of Rust.
    let result = unsafe { libc::mprotect(base as *mut libc::c_void, bytes as usize, protection) };
    if result == 0 { Ok(()) } else { Err(Code::OUT_OF_MEMORY) }
}

fn map(base: u64, bytes: u64, protection: i32, flags: i32, file: i32, offset: u64) -> Done {
    let offset = libc::off_t::try_from(offset).map_err(|_| Code::OUT_OF_MEMORY)?;
    // SAFETY: the stretch was taken from the space, so the mapping that is replaced is one of ours and holds
    // nothing of Rust.
    let at =
        unsafe { libc::mmap(base as *mut libc::c_void, bytes as usize, protection, flags, file, offset) };
    if at == libc::MAP_FAILED { Err(Code::OUT_OF_MEMORY) } else { Ok(()) }
}

/// The calling thread's number in the system.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: gettid cannot fail and touches no memory.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// Starts a thread that gets none of the program's signals.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    // SAFETY: both sets are valid; the mask is put back at once, and the new thread inherits the full one.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        // Without a worker, work is carried on by calls alone; that is slower and not wrong.
        let _ = std::thread::Builder::new().name(name.to_owned()).stack_size(256 << 10).spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
    }
}

/// Has a function called in every child that is forked from now on. It may only store to statics.
pub(crate) fn at_fork(in_the_child: extern "C" fn()) {
    // SAFETY: the handler is a function of this library, which is not unloaded while a fork is under way.
    unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
}

/// Copies bytes; the two ranges may overlap.
pub(crate) fn copy(from: u64, to: u64, bytes: usize) {
    // SAFETY: both ranges were checked, or are the program's to answer for; `copy` lets them overlap.
    unsafe { ptr::copy(from as *const u8, to as *mut u8, bytes) };
}

/// Reads bytes into a buffer of ours.
pub(crate) fn copy_in(from: u64, to: &mut [u8]) {
    // SAFETY: the program answers for a source as long as it says; the target is valid for its own length.
    unsafe { ptr::copy(from as *const u8, to.as_mut_ptr(), to.len()) };
}

/// Writes bytes of ours.
pub(crate) fn copy_out(from: &[u8], to: u64) {
    // SAFETY: the range was checked, or is the program's to answer for; the source is valid for its own length.
    unsafe { ptr::copy(from.as_ptr(), to as *mut u8, from.len()) };
}

/// Fills `count` values in a row.
pub(crate) fn fill<T: Copy>(start: u64, count: usize, value: T) {
    for index in 0..count as u64 {
        write(start, index, value);
    }
}

/// Reads value `index` of a row.
pub(crate) fn read<T: Copy>(base: u64, index: u64) -> T {
    // SAFETY: inside a range that was checked when the work was asked for.
    unsafe { (base as *const T).add(index as usize).read_unaligned() }
}

/// Writes value `index` of a row.
pub(crate) fn write<T: Copy>(base: u64, index: u64, value: T) {
    // SAFETY: inside a range that was checked when the work was asked for.
    unsafe { (base as *mut T).add(index as usize).write_unaligned(value) };
}

/// Reads a word that others may write meanwhile: of 64 bits if it is `wide`, else of 32.
pub(crate) fn load(address: u64, wide: bool) -> u64 {
    if wide {
        // SAFETY: range and alignment were checked when it was asked for, and memory in use is not unmapped.
        unsafe { AtomicU64::from_ptr(address as *mut u64) }.load(Acquire)
    } else {
        // SAFETY: as above.
        u64::from(unsafe { AtomicU32::from_ptr(address as *mut u32) }.load(Acquire))
    }
}

/// Writes such a word; whoever sees the value sees all that was written before.
pub(crate) fn store(address: u64, wide: bool, value: u64) {
    if wide {
        // SAFETY: as for loading.
        unsafe { AtomicU64::from_ptr(address as *mut u64) }.store(value, Release);
    } else {
        // SAFETY: as for loading.
        unsafe { AtomicU32::from_ptr(address as *mut u32) }.store(value as u32, Release);
    }
}
