//! A lock in shared memory that survives its owner: whoever takes it after a death is told so.
//!
//! It is the C library's robust mutex. A process that is killed while it holds the lock leaves the data
//! half-written; the next one mends the data first. Nothing here knows what the data is.
#![expect(unsafe_code, reason = "a lock between processes has no safe form; this file is its fence")]

use std::cell::UnsafeCell;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A lock that lies in memory shared by processes.
#[repr(C)]
pub struct SharedLock {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
}

// SAFETY: a process-shared mutex is made to be used by many threads at once.
unsafe impl Sync for SharedLock {}
// SAFETY: the owner is recorded in the mutex itself; moving a reference to another thread changes nothing.
unsafe impl Send for SharedLock {}

impl fmt::Debug for SharedLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedLock")
    }
}

/// How the lock was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The last owner gave it back.
    Sound,
    /// The last owner died with it; the data must be mended before [`SharedLock::mended`].
    OwnerDied,
}

impl SharedLock {
    /// Makes the lock usable. Only the creator of the shared memory calls this, before anybody else looks.
    pub fn initialise(&self) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        // SAFETY: the attributes are initialised by the first call, and no other thread can see the mutex
        // yet, as the caller promises.
        let result = unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutex_init(self.mutex.get(), attributes.as_ptr())
        };
        if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> io::Result<Taken> {
        // SAFETY: the mutex was initialised by the creator of the memory, which outlives `self`.
        match unsafe { libc::pthread_mutex_lock(self.mutex.get()) } {
            0 => Ok(Taken::Sound),
            libc::EOWNERDEAD => Ok(Taken::OwnerDied),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits for the lock, at most about so long; `None` if it did not come. Its owner may be stopped, and then it
    /// never comes.
    pub fn lock_within(&self, patience: Duration) -> io::Result<Option<Taken>> {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + patience;
        let until = libc::timespec {
            tv_sec: until.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: until.subsec_nanos().into(),
        };
        // SAFETY: as above, and the time is valid.
        match unsafe { libc::pthread_mutex_timedlock(self.mutex.get(), &raw const until) } {
            0 => Ok(Some(Taken::Sound)),
            libc::EOWNERDEAD => Ok(Some(Taken::OwnerDied)),
            libc::ETIMEDOUT => Ok(None),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// The thread that holds the lock as its pid namespace numbers it, for messages; 0: nobody, or who knows.
    #[must_use]
    pub fn owner(&self) -> u32 {
        /// What the kernel's robust futexes keep beside the thread: somebody waits, the owner died.
        const FLAGS: u32 = 0xc000_0000;
        // SAFETY: a mutex begins with its futex word, which is written atomically.
        let word = unsafe { &*self.mutex.get().cast::<AtomicU32>() };
        word.load(Ordering::Relaxed) & !FLAGS
    }

    /// Says that the data is whole again after [`Taken::OwnerDied`].
    pub fn mended(&self) {
        // SAFETY: the caller holds the lock in its inconsistent state; otherwise the call does nothing.
        unsafe { libc::pthread_mutex_consistent(self.mutex.get()) };
    }

    /// Gives the lock back.
    pub fn unlock(&self) {
        // SAFETY: only a guard that took the lock on this thread calls this, once.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }
}
