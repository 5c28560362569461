//! What a program says: taken from its pipes, held to a rate, and written to its log.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::clock::now;
use crate::log::LogWriter;
use crate::log_frame::LogStream;

/// Output taken at once from a task that was quiet, and how fast a flood is taken after that. A task that
/// writes faster waits at its pipe; nobody else pays for it.
const OUTPUT_BURST_BYTES: u64 = 32 * 1024 * 1024;
const OUTPUT_BYTES_PER_MS: u64 = 16 * 1024;
/// How long a flood waits for its next portion.
pub(super) const OUTPUT_PAUSE: Duration = Duration::from_millis(20);
/// Output still taken when the task is over: what two full pipes hold, as large as pipes may be made.
const OUTPUT_REST_BYTES: usize = 2 * 1024 * 1024;

/// The output of one program.
pub(super) struct Output {
    /// Standard output and standard error, until they end.
    pipes: [Option<OwnedFd>; 2],
    buffer: Vec<u8>,
    log: LogWriter,
    /// Output that may be taken now, and when that was counted.
    allowance: (u64, Instant),
}

impl Output {
    pub(super) fn new(folder: PathBuf, log_bytes_max: u64) -> Self {
        Self {
            pipes: [None, None],
            buffer: Vec::new(),
            log: LogWriter::new(folder, log_bytes_max),
            allowance: (OUTPUT_BURST_BYTES, Instant::now()),
        }
    }

    pub(super) fn connect(&mut self, stdout: OwnedFd, stderr: OwnedFd) {
        self.pipes = [Some(stdout), Some(stderr)];
    }

    /// The pipe to wait at, if it is open.
    pub(super) fn pipe(&self, index: usize) -> Option<&OwnedFd> {
        self.pipes[index].as_ref()
    }

    /// Whether anything was written.
    pub(super) fn has_log(&self) -> bool {
        self.log.has_begun()
    }

    /// Adds a sentence of ours.
    pub(super) fn note(&mut self, sentence: &str) {
        self.log.write(LogStream::Note, now(), sentence.as_bytes());
    }

    /// Whether output may be taken now, by the rate that a flood is held to.
    pub(super) fn may_read(&mut self) -> bool {
        let (left, counted) = self.allowance;
        if left > 0 {
            return true;
        }
        let passed = u64::try_from(counted.elapsed().as_millis()).unwrap_or(u64::MAX);
        if passed < 10 {
            return false;
        }
        self.allowance = (passed.saturating_mul(OUTPUT_BYTES_PER_MS).min(OUTPUT_BURST_BYTES), Instant::now());
        true
    }

    /// Takes one portion; says how much.
    pub(super) fn read(&mut self, index: usize) -> usize {
        let Some(pipe) = &self.pipes[index] else { return 0 };
        let room = self.log.body_bytes_max();
        self.buffer.clear();
        // Only the pages that output touches become memory of ours.
        self.buffer.reserve_exact(room);
        let count = match rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut self.buffer)) {
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return 0,
            Err(_) => 0,
        };
        if count == 0 {
            self.pipes[index] = None;
            return 0;
        }
        self.allowance.0 = self.allowance.0.saturating_sub(count as u64);
        if self.allowance.0 == 0 {
            self.allowance.1 = Instant::now();
        }
        let stream = if index == 0 { LogStream::Stdout } else { LogStream::Stderr };
        let at = now();
        for part in self.buffer.chunks(room) {
            self.log.write(stream, at, part);
        }
        count
    }

    /// Takes what the pipes still hold.
    pub(super) fn drain(&mut self) {
        for index in 0..self.pipes.len() {
            let mut rest = OUTPUT_REST_BYTES;
            while let Some(pipe) = &self.pipes[index] {
                let mut fds = [PollFd::new(pipe, PollFlags::IN)];
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                let ready = rustix::event::poll(&mut fds, Some(&at_once)).is_ok_and(|count| count > 0);
                let count = if ready { self.read(index) } else { 0 };
                if count == 0 || rest < count {
                    break;
                }
                rest -= count;
            }
        }
    }
}
