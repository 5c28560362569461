//! Which of root's powers a task of root does not have.
//!
//! Where the server runs as root, so do its tasks, and all of them share one view of the file system
//! ([`crate::hide`]). With all of root's powers one task could uncover our data, mount over what later tasks
//! use, or look through `/proc/<pid>/root` of a process that sees everything. Files, owners, ports and
//! priorities stay a task's to change: it is not caged, and whoever distrusts it runs the server under an
//! ordinary account.

use std::io;

use rustix::io::Errno;
use rustix::process::DumpableBehavior;
use rustix::thread::CapabilitySet;

/// Given up before a task begins, and never had again by anything it starts.
const GIVEN_UP: [CapabilitySet; 14] = [
    // Mounts, and other processes' namespaces.
    CapabilitySet::SYS_ADMIN,
    // Other processes' memory, files and root; without it, only of those that have no more powers.
    CapabilitySet::SYS_PTRACE,
    CapabilitySet::CHECKPOINT_RESTORE,
    // Files by their number, below whatever covers their folder.
    CapabilitySet::DAC_READ_SEARCH,
    // The kernel and the machine.
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_RAWIO,
    CapabilitySet::SYS_BOOT,
    CapabilitySet::SYS_TIME,
    CapabilitySet::SYSLOG,
    CapabilitySet::BPF,
    CapabilitySet::PERFMON,
    CapabilitySet::MKNOD,
    CapabilitySet::MAC_ADMIN,
    CapabilitySet::MAC_OVERRIDE,
];

/// Whether tasks run as root, and if so, whether they can be kept from its dangerous powers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// An ordinary account, whose tasks have no powers to give up.
    Ordinary,
    /// Root without the powers above.
    LesserRoot,
    /// Root, of which the kernel does not let us take anything.
    Root,
}

impl Tasks {
    pub(crate) fn look() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Ordinary;
        }
        let has = |given_up| rustix::thread::capability_is_in_bounding_set(given_up).unwrap_or(false);
        let may = rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SETPCAP));
        if may || !GIVEN_UP.into_iter().any(has) { Self::LesserRoot } else { Self::Root }
    }
}

/// Gives the powers up, for this process and what it will become. Only system calls, nothing allocated: it
/// runs between a fork and an exec.
pub(crate) fn give_up() -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    // What root has after an exec is what the bounding set leaves, and what is inherited.
    if sets.effective.contains(CapabilitySet::SETPCAP) {
        for power in GIVEN_UP {
            match rustix::thread::remove_capability_from_bounding_set(power) {
                // A kernel that does not know it.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let given_up = GIVEN_UP.into_iter().fold(CapabilitySet::empty(), CapabilitySet::union);
    sets.effective.remove(given_up);
    sets.permitted.remove(given_up);
    sets.inheritable.remove(given_up);
    // What is not permitted and inheritable is not ambient either.
    rustix::thread::set_capabilities(None, sets)?;
    Ok(())
}

/// Keeps other processes of the same user out of this one's memory, and from looking through `/proc` with
/// its eyes. It also ends core files and debuggers.
pub(crate) fn close_to_others() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
