//! The guardians that a keeper watches: those at work, and those that wait for their next attempt.
//!
//! Only a guardian that this keeper forked can get another attempt: it has a socket to it. One that was
//! adopted hears signals, and ends after its attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions};

use crate::duty;
use crate::folder::{AttemptKey, start_time};
use crate::sys;

/// Guardians that wait at once: as many as attempts may end in one burst on a large machine.
const WAITING_MAX: usize = 64;
/// How long one waits for an attempt. Each takes a few hundred KiB.
const WAITING_STAY: Duration = Duration::from_secs(10);
/// Attempts of one guardian: whatever a process gathers over its life ends with it.
const ATTEMPTS_MAX: u32 = 1_000;

/// A guardian that is watched.
#[derive(Debug)]
pub(super) struct LivingGuardian {
    pidfd: OwnedFd,
    /// If it is a child of this keeper.
    own: Option<OwnGuardian>,
    /// What it looks after.
    attempt: Option<AttemptKey>,
}

/// What a keeper has of a guardian that it forked.
#[derive(Debug)]
pub(super) struct OwnGuardian {
    pid: i32,
    /// See [`start_time`]; 0 until it is needed.
    start: u64,
    /// `None` once it is sent away.
    socket: Option<OwnedFd>,
    attempts: u32,
    waits_since: Option<Instant>,
}

impl OwnGuardian {
    pub(super) fn new(pid: i32, socket: OwnedFd) -> Self {
        Self { pid, start: 0, socket: Some(socket), attempts: 1, waits_since: None }
    }
}

/// See the module. Each guardian has a token, which the keeper's loop wakes up with when it ends.
#[derive(Debug)]
pub(super) struct Guardians {
    all: BTreeMap<u64, LivingGuardian>,
    /// Who waits, the one that waits longest first.
    waiting: Vec<u64>,
    next_token: u64,
}

/// A guardian that can get an attempt now.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) token: u64,
    pub(super) pid: i32,
    pub(super) start: u64,
}

impl Guardians {
    pub(super) fn new(first_token: u64) -> Self {
        Self { all: BTreeMap::new(), waiting: Vec::new(), next_token: first_token }
    }

    pub(super) fn next_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }

    pub(super) fn add(&mut self, token: u64, key: AttemptKey, pidfd: OwnedFd, own: Option<OwnGuardian>) {
        self.all.insert(token, LivingGuardian { pidfd, own, attempt: Some(key) });
    }

    /// The one that has waited least: its memory is the warmest, and the others may leave.
    pub(super) fn pick(&mut self) -> Option<Waiting> {
        while let Some(token) = self.waiting.pop() {
            let Some(own) = self.all.get_mut(&token).and_then(|guardian| guardian.own.as_mut()) else {
                continue;
            };
            if own.start == 0 {
                own.start = start_time(own.pid).unwrap_or(0);
            }
            if own.start != 0 {
                return Some(Waiting { token, pid: own.pid, start: own.start });
            }
        }
        None
    }

    /// Hands a duty to a guardian that was picked. An error means that it did not get it and is of no use.
    pub(super) fn hand_over(
        &mut self,
        token: u64,
        key: AttemptKey,
        send: impl FnOnce(&OwnedFd) -> io::Result<()>,
    ) -> io::Result<()> {
        let guardian = self.all.get_mut(&token).ok_or(io::ErrorKind::NotFound)?;
        let own = guardian.own.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let sent = send(own.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?);
        match &sent {
            Ok(()) => {
                guardian.attempt = Some(key);
                own.attempts += 1;
                own.waits_since = None;
            }
            Err(_) => own.socket = None,
        }
        sent
    }

    /// The attempt is over, and its guardian said so: it waits for the next, or is sent away.
    pub(super) fn rest(&mut self, token: u64) {
        let Some(guardian) = self.all.get_mut(&token) else { return };
        guardian.attempt = None;
        let Some(own) = &mut guardian.own else { return };
        if own.attempts >= ATTEMPTS_MAX || self.waiting.len() >= WAITING_MAX {
            own.socket = None;
        } else {
            own.waits_since = Some(Instant::now());
            self.waiting.push(token);
        }
    }

    /// Sends away who has waited for too long; says when the next one has.
    pub(super) fn send_idle_away(&mut self) -> Option<Duration> {
        while let Some(token) = self.waiting.first() {
            let own = self.all.get_mut(token).and_then(|guardian| guardian.own.as_mut());
            if let Some(own) = own {
                let waited = own.waits_since.map_or(WAITING_STAY, |since| since.elapsed());
                if waited < WAITING_STAY {
                    return Some(WAITING_STAY - waited);
                }
                own.socket = None;
            }
            self.waiting.remove(0);
        }
        None
    }

    /// Asks a guardian to end its attempt.
    pub(super) fn stop(&self, token: u64, key: AttemptKey, grace_ms: u64) {
        let Some(guardian) = self.all.get(&token) else { return };
        let socket = guardian.own.as_ref().and_then(|own| own.socket.as_ref());
        if socket.is_some_and(|socket| duty::send_stop(socket.as_fd(), key, grace_ms).is_ok()) {
            return;
        }
        let grace_ms = i32::try_from(grace_ms).unwrap_or(i32::MAX);
        // It fails only for a guardian that has just ended.
        let _ = sys::pidfd_queue(guardian.pidfd.as_fd(), libc::SIGTERM, grace_ms);
    }

    /// A guardian is gone, or is not waited for any longer; says what it looked after.
    pub(super) fn remove(&mut self, token: u64) -> Option<AttemptKey> {
        let guardian = self.all.remove(&token)?;
        self.waiting.retain(|&waiting| waiting != token);
        // So that it does not stay as a zombie. It fails for an adopted one, whose end init sees to.
        let _ = rustix::process::waitid(WaitId::PidFd(guardian.pidfd.as_fd()), WaitIdOptions::EXITED);
        guardian.attempt
    }

    /// The pids of those that are children of this keeper.
    pub(super) fn children(&self) -> BTreeSet<i32> {
        self.all.values().filter_map(|guardian| Some(guardian.own.as_ref()?.pid)).collect()
    }
}
