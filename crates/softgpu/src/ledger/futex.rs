//! Sleeping on a word in shared memory, and waking those who do.
#![expect(unsafe_code, reason = "the futex call has no safe form; two small functions are its fence")]

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps until somebody wakes the word's waiters, unless it is no longer `expected`. Comes back early at
/// will: the caller looks again.
pub fn wait_on(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word is a valid aligned address for the whole call, the timeout is null or valid.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, timeout) };
}

/// Wakes everybody who sleeps on the word, in all processes.
pub fn wake_all(word: &AtomicU32) {
    // SAFETY: the word is a valid aligned address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}
