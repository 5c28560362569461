//! Who is attached, who is still alive, and what becomes of what the dead held.
//!
//! A process is alive while it holds the lock on its byte of the file `alive`: the kernel gives that up at
//! its death, whatever way it dies, and in whatever namespace we look from. In our own namespace the pid and
//! the start time must agree before anybody is taken for dead, or the program was replaced by another.
#![expect(unsafe_code, reason = "file locks on bytes have no safe form; two small functions are the fence")]

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::layout::{Counter, PROCESSES_MAX, Process, ProcessState, Registry};
use super::view::PATIENCE;
use super::{LEDGER_FILE, Ledger, RegistryGuard};
use crate::checkpoint;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Duration;

/// How long a program that starts waits for others that start.
const ATTACH_PATIENCE: Duration = Duration::from_secs(10);

/// This process's place in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// Its slot.
    pub slot: u32,
    /// Its pid.
    pub pid: u32,
}

impl Ledger {
    /// Takes a slot for this process. It is given back when the process ends, by whoever notices.
    pub fn attach(&self) -> io::Result<Attached> {
        let now = self.now_ns();
        let pid = std::process::id();
        let mut registry = self.registry_within(ATTACH_PATIENCE).map_err(io::Error::other)?;
        self.forget_former_selves(&mut registry, pid);
        let slot = match self.take_slot(&registry)? {
            Some(slot) => slot,
            None => {
                drop(registry);
                self.reap();
                registry = self.registry_within(ATTACH_PATIENCE).map_err(io::Error::other)?;
                self.take_slot(&registry)?.ok_or_else(|| {
                    io::Error::other(format!("{PROCESSES_MAX} processes are attached; no room for more"))
                })?
            }
        };
        self.reset_words(slot);
        registry.generation += 1;
        let generation = registry.generation;
        registry.processes_high = registry.processes_high.max(slot + 1);
        let process = &mut registry.processes[slot as usize];
        process.pid = pid;
        process.start_ticks = start_ticks(pid).unwrap_or(0);
        process.generation = generation;
        process.attached_ns = now;
        process.name = padded(&program_name());
        process.state = ProcessState::Live as u32;
        Ok(Attached { slot, pid })
    }

    /// A program that was replaced by another (`exec`) keeps its pid, and nothing else.
    fn forget_former_selves(&self, registry: &mut RegistryGuard, pid: u32) {
        let started = start_ticks(pid);
        for slot in 0..registry.processes_high {
            let process = registry.processes[slot as usize];
            let same = process.pid == pid && Some(process.start_ticks) == started;
            // Another process with that lock is one of another pid namespace.
            if process.state != ProcessState::Free as u32 && same && !byte_is_locked(self.alive_fd(), slot) {
                self.bury(registry, slot);
            }
        }
    }

    fn take_slot(&self, registry: &Registry) -> io::Result<Option<u32>> {
        let free = (0u32..).zip(&registry.processes).filter(|(_, process)| process.state == 0);
        for (slot, _) in free {
            if lock_byte(self.alive_fd(), slot)? {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    fn reset_words(&self, slot: u32) {
        let words = &self.root().words[slot as usize];
        words.checkpoint_state.store(checkpoint::RUNNING, Relaxed);
        words.request.store(checkpoint::ASK_NOTHING, Relaxed);
        words.managed.store(0, Relaxed);
        words.shared.store(0, Relaxed);
        words.host_bytes.store(0, Relaxed);
        words.asker.store(0, Relaxed);
        words.worker_tid.store(0, Relaxed);
    }

    /// Returns what dead processes held. Says how many there were.
    pub fn reap(&self) -> usize {
        let Ok(mut registry) = self.registry_within(PATIENCE) else { return 0 };
        let high = registry.processes_high;
        let mut reaped = 0;
        for slot in 0..high {
            let process = registry.processes[slot as usize];
            if process.state == ProcessState::Free as u32 || self.is_alive(slot, &process) {
                continue;
            }
            reaped += usize::from(self.bury(&mut registry, slot));
        }
        reaped
    }

    /// Returns what a slot holds, and frees it. False if somebody is stuck with one of the devices: the rest is
    /// returned when that one goes on.
    fn bury(&self, registry: &mut RegistryGuard, slot: u32) -> bool {
        registry.processes[slot as usize].state = ProcessState::Ending as u32;
        self.forget_events_of(registry, slot);
        Self::forget_teams_of(registry, slot);
        for words in &self.root().words[..registry.processes_high as usize] {
            // Whom it asked something need not answer.
            let _ = words.asker.compare_exchange(slot + 1, 0, AcqRel, Relaxed);
        }
        let forget = |index: usize| {
            let Ok(mut device) = self.device_within(index, PATIENCE) else { return false };
            for id in device.forget_process(slot) {
                // Somebody else may have removed it; a file that stays is removed with the folder.
                let _ = fs::remove_file(self.object_path(index, id));
            }
            true
        };
        let stuck = (0..self.device_count()).filter(|&index| !forget(index)).count();
        if stuck == 0 {
            registry.processes[slot as usize].state = ProcessState::Free as u32;
        }
        stuck == 0
    }

    /// The file that holds a shared allocation.
    #[must_use]
    pub fn object_path(&self, device: usize, id: u64) -> std::path::PathBuf {
        self.folder().join(format!("object-{device}-{id}"))
    }

    /// Whether the process in a slot still lives.
    #[must_use]
    pub fn is_alive(&self, slot: u32, process: &Process) -> bool {
        if process.pid == std::process::id() && start_ticks(process.pid) == Some(process.start_ticks) {
            return true;
        }
        if byte_is_locked(self.alive_fd(), slot) {
            return true;
        }
        // The lock can be lost by a program that closes all its files; such a one is no less alive. One that was
        // replaced by another program has lost the ledger too.
        start_ticks(process.pid).is_some_and(|ticks| ticks == process.start_ticks)
            && self.is_mapped_by(process.pid)
    }

    /// Whether a process has the ledger in its memory; true if nobody says.
    fn is_mapped_by(&self, pid: u32) -> bool {
        let Ok(own) = fs::metadata(self.folder().join(LEDGER_FILE)) else { return true };
        let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else { return true };
        // Lines like `7f..-7f.. rw-s 00000000 00:1a 1234 /path`; inode numbers say enough.
        let inode = own.ino().to_string();
        maps.lines().any(|line| line.split_whitespace().nth(4) == Some(&inode))
    }

    /// The live processes: slot and entry. The dead are reaped first.
    #[must_use]
    pub fn processes(&self) -> Vec<(u32, Process)> {
        self.reap();
        let registry = self.registry_view();
        let used = &registry.processes[..registry.processes_high as usize];
        let live = (0u32..).zip(used).filter(|(_, process)| process.state == ProcessState::Live as u32);
        live.map(|(slot, process)| (slot, *process)).collect()
    }
}

impl Registry {
    /// Counts a call of something that is not there.
    pub fn count(&mut self, name: &str) {
        let name = padded(name);
        let high = self.counters_high as usize;
        if let Some(counter) = self.counters[..high].iter_mut().find(|counter| counter.name == name) {
            counter.calls += 1;
        } else if let Some(counter) = self.counters.get_mut(high) {
            *counter = Counter { name, calls: 1 };
            self.counters_high += 1;
        }
    }

    /// What was called that is not there, and how often.
    pub fn counted(&self) -> impl Iterator<Item = (&str, u64)> {
        let used = &self.counters[..self.counters_high as usize];
        used.iter().map(|counter| (text(&counter.name), counter.calls))
    }
}

/// The text before the first zero.
#[must_use]
pub fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or("?")
}

/// A name with zeros behind it; cut if it is too long, so that at least one zero stays.
#[must_use]
pub fn padded<const N: usize>(name: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes[..N - 1].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

fn program_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// When a process started, in clock ticks since boot; `None` if there is none, or only its corpse.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, so what follows the last one is counted.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn one_byte(slot: u32, kind: libc::c_int) -> libc::flock {
    // SAFETY: the structure is numbers only, zero is valid for all of them.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).unwrap_or(0);
    lock.l_whence = 0;
    lock.l_start = libc::off_t::from(slot);
    lock.l_len = 1;
    lock
}

/// Takes the lock on a byte; false if another process has it.
fn lock_byte(fd: i32, slot: u32) -> io::Result<bool> {
    let lock = one_byte(slot, libc::F_WRLCK);
    // SAFETY: the descriptor is open and the structure valid.
    if unsafe { libc::fcntl(fd, libc::F_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN) => Ok(false),
        _ => Err(error),
    }
}

/// True if another process has the lock on a byte.
fn byte_is_locked(fd: i32, slot: u32) -> bool {
    let mut lock = one_byte(slot, libc::F_WRLCK);
    // SAFETY: the descriptor is open and the structure valid for reading and writing.
    let answered = unsafe { libc::fcntl(fd, libc::F_GETLK, &raw mut lock) } == 0;
    // If the question cannot be put, nobody is taken for dead.
    !answered || libc::c_int::from(lock.l_type) != libc::F_UNLCK
}
