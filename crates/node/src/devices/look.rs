//! Asking the thread that watches the devices to look at once, and hearing when it has looked.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;

use crate::probe::{Waited, wait_readable};

/// Between two looks that were asked for: a storm of failing tasks does not keep the driver busy.
const GAP: Duration = Duration::from_millis(100);
/// Fresh processes for looks that were asked for, within [`FRESH_SPAN`]; after that the old one does.
const FRESH_MAX: usize = 5;
const FRESH_SPAN: Duration = Duration::from_secs(10);

/// A cheap handle with which to ask.
#[derive(Debug, Clone)]
pub struct Looker {
    asked: Arc<AtomicU64>,
    /// The latest that is over.
    told: Arc<AtomicU64>,
    wake: Arc<OwnedFd>,
}

impl Looker {
    pub(super) fn new() -> io::Result<Self> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { asked: Arc::default(), told: Arc::default(), wake: Arc::new(wake) })
    }

    /// Asks for a look. It has been taken when a number at least as high is told.
    #[must_use]
    pub fn look(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        // It fails only when the counter is full, and then the thread is awake already.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        number
    }

    /// The number of the latest look that is over.
    #[must_use]
    pub fn looked(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }
}

/// The thread's side.
#[derive(Debug)]
pub(super) struct Looks {
    looker: Looker,
    last: Option<Instant>,
    /// When fresh processes were used, the oldest first.
    fresh: VecDeque<Instant>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing happened.
    Late,
    /// Somebody wants a look.
    Asked,
    /// The owner wants us to end.
    Stop,
}

impl Looks {
    pub(super) fn new(looker: Looker) -> Self {
        Self { looker, last: None, fresh: VecDeque::new() }
    }

    /// The number up to which a look that begins now is an answer.
    pub(super) fn begin(&self) -> u64 {
        self.looker.asked.load(Ordering::Acquire)
    }

    /// The look that began at `number` is over; true when somebody waits for that.
    pub(super) fn end(&mut self, number: u64) -> bool {
        let is_news = number > self.looker.looked();
        self.looker.told.store(number, Ordering::Release);
        self.last = Some(Instant::now());
        is_news
    }

    /// Whether the next look may be that of a fresh process.
    pub(super) fn may_be_fresh(&mut self) -> bool {
        let now = Instant::now();
        while self.fresh.front().is_some_and(|&at| now.duration_since(at) >= FRESH_SPAN) {
            self.fresh.pop_front();
        }
        let may = self.fresh.len() < FRESH_MAX;
        if may {
            self.fresh.push_back(now);
        }
        may
    }

    /// Waits for a `span`, or until somebody asks.
    pub(super) fn wait(&self, stop: &OwnedFd, span: Duration) -> Turn {
        let until = Instant::now() + span;
        while self.begin() <= self.looker.looked() {
            match wait_readable(&*self.looker.wake, Some(stop), until) {
                Waited::Stop => return Turn::Stop,
                Waited::Late => return Turn::Late,
                Waited::Ready => {
                    let _ = rustix::io::read(&*self.looker.wake, &mut [0u8; 8]);
                }
            }
        }
        let soon = self.last.map_or(Duration::ZERO, |last| GAP.saturating_sub(last.elapsed()));
        match wait_readable(stop, None, Instant::now() + soon) {
            Waited::Ready | Waited::Stop => Turn::Stop,
            Waited::Late => Turn::Asked,
        }
    }
}
