//! The guardian: one small process that looks after an attempt, and after it perhaps after another.
//!
//! It is the keeper, forked, without exec: it starts with everything it needs in memory and opens nothing it
//! does not. It owns the pipes, the log and the end of its [`attempt`], and outlives keeper and server. Its
//! keeper speaks to it through a socket ([`crate::duty`]), any other keeper by `SIGTERM`, which means stop, with
//! the grace in milliseconds attached. What it has to say goes into the attempt's record first, then, as a
//! hint, into the keeper's pipe.
//!
//! When an attempt is over nothing of it is left, and the guardian waits for the next. It ends when its keeper
//! is gone, when the keeper needs it no more, or when a hint is not heard. Start with [`run`].

mod attempt;
mod output;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};

use crate::complaints::complain;
use crate::duty::{self, Duty, Received};
use crate::folder::{Line, RecordFile, start_time};
use crate::guardian::attempt::{Attempt, Heard};
use crate::hide::View;
use crate::sys;

/// Blocked in the keeper and, from birth, in every guardian: a stop that comes early is not lost.
pub(crate) const BLOCKED_SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGCHLD, libc::SIGINT, libc::SIGHUP];

/// What a guardian is given at birth, for life.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    /// Where the keeper speaks to it alone.
    pub(crate) keeper: OwnedFd,
    pub(crate) view: Option<&'a View>,
    /// The keeper's pipe.
    pub(crate) hints: &'a OwnedFd,
}

/// What a guardian has besides its attempt.
struct Post<'a> {
    /// `None` once the keeper is gone.
    keeper: Option<OwnedFd>,
    signals: OwnedFd,
    view: Option<&'a View>,
    hints: &'a OwnedFd,
    pid: i32,
}

/// The whole life of a guardian.
pub(crate) fn run(birth: Birth<'_>, duty: Duty, record: RecordFile) -> ! {
    let lived = live(birth, duty, record);
    if let Err(error) = &lived {
        // The record has no end then, and the keeper says that the guardian vanished.
        complain(&format!("a guardian could not go on: {error}"));
    }
    sys::exit_now(i32::from(lived.is_err()));
}

fn live(birth: Birth<'_>, duty: Duty, mut record: RecordFile) -> io::Result<()> {
    let mut post = Post::take(birth, &mut record)?;
    let mut next = Some((duty, record));
    while let Some((duty, record)) = next {
        rustix::thread::set_name(c"fastgpu-guard")?;
        if Attempt::begin(&mut post, duty, record)?.look_after() == Heard::No {
            break;
        }
        next = post.wait_for_next()?;
    }
    Ok(())
}

impl<'a> Post<'a> {
    /// The first steps after the fork.
    fn take(birth: Birth<'a>, record: &mut RecordFile) -> io::Result<Self> {
        let Birth { keeper, view, hints } = birth;
        let mut keep = vec![record.file().as_raw_fd(), keeper.as_raw_fd(), hints.as_raw_fd()];
        keep.extend(view.iter().flat_map(|view| view.descriptors()));
        sys::close_all_but(&mut keep)?;
        rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let start = start_time(pid).ok_or(io::ErrorKind::NotFound)?;
        record.add(&[&Line::Guardian { pid, start }])?;
        // Blocked by the keeper already: a stop may come before this line.
        let signals = sys::signalfd(&BLOCKED_SIGNALS)?;
        Ok(Self { keeper: Some(keeper), signals, view, hints, pid })
    }

    /// What the keeper says now.
    fn hear_keeper(&mut self) -> io::Result<Received> {
        let Some(keeper) = &self.keeper else { return Ok(Received::Closed) };
        let received = duty::receive(keeper.as_fd())?;
        if matches!(received, Received::Closed) {
            self.keeper = None;
        }
        Ok(received)
    }

    /// The next attempt; `None` when there is none.
    fn wait_for_next(&mut self) -> io::Result<Option<(Duty, RecordFile)>> {
        rustix::thread::set_name(c"fastgpu-idle")?;
        fastgpu_failpoints::hit("guardian.next.before_wait");
        loop {
            let Some(keeper) = &self.keeper else { return Ok(None) };
            let mut fds = [PollFd::new(keeper, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            // An interrupted wait is a short wait.
            let _ = rustix::event::poll(&mut fds, None);
            let is_signalled = !fds[1].revents().is_empty();
            match self.hear_keeper()? {
                Received::Duty(duty, record) => {
                    fastgpu_failpoints::hit("guardian.next.after_receive");
                    return Ok(Some((duty, record)));
                }
                Received::Closed => return Ok(None),
                // Of an attempt that was over when it came.
                Received::Stop { .. } | Received::Nothing => {}
            }
            if is_signalled && self.is_told_to_end() {
                return Ok(None);
            }
        }
    }

    /// Whether somebody wants this process to end, who is not its keeper.
    fn is_told_to_end(&self) -> bool {
        let mut is_told = false;
        while let Ok(Some(read)) = sys::read_signal(self.signals.as_fd()) {
            is_told |= read.signal == libc::SIGTERM;
        }
        is_told
    }
}
