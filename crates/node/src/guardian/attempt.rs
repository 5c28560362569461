//! One attempt under its guardian: the program, its output, its end.
//!
//! Everything of an attempt lies in one value, [`Attempt`], and goes with it: the next attempt of the same
//! guardian finds no descriptor, no process and no number of the one before.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use fastgpu_core::node::{Exit, ExitKind};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use super::Post;
use super::output::{OUTPUT_PAUSE, Output};
use crate::child::{self, NotStarted, Program, Surroundings};
use crate::clock::now;
use crate::complaints::complain;
use crate::duty::{Duty, Received};
use crate::folder::{AttemptKey, Line, RecordFile};
use crate::hint::Hint;
use crate::leftovers;
use crate::sys::{self, ChildStatus, Reaped};

/// A stop that came by plain `kill`, without a grace of its own.
const STOP_GRACE_DEFAULT: Duration = Duration::from_secs(5);
/// How long what the program left running may take to end by itself: enough for the `tee` behind a shell's
/// redirection to write its last lines.
const LEFTOVERS_GRACE: Duration = Duration::from_millis(100);
/// Between two attempts to kill what is left.
const KILL_AGAIN: Duration = Duration::from_millis(10);
/// From this round on, what left the control group is searched for as well.
const THOROUGH_FROM_ROUND: u32 = 3;
/// When to say in the log that something cannot be killed: it hangs in the kernel.
const UNKILLABLE_AFTER_ROUNDS: u32 = 3_000;
/// A task that has run this long is likely to run on: its guardian makes itself small.
const SETTLES_AFTER: Duration = Duration::from_secs(1);
/// Why the attempt is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is not.
    No,
    /// Asked politely; killed at this moment.
    Asked(Instant),
    /// Being killed; this often so far, next at this moment.
    Killing(u32, Instant),
}

/// Whether the keeper got the word that the attempt is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Yes,
    No,
}

/// See the module.
pub(super) struct Attempt<'a, 'b> {
    post: &'a mut Post<'b>,
    key: AttemptKey,
    duty: Duty,
    /// Until the end stands in it.
    record: Option<RecordFile>,
    output: Output,
    limit: Option<OwnedFd>,
    program: Option<i32>,
    program_ended: Option<ChildStatus>,
    not_started: Option<NotStarted>,
    over_limit: bool,
    ending: Ending,
    settles_at: Option<Instant>,
    no_children: bool,
    oom_kills_before: u64,
    cpu: Duration,
    rss_max_kib: u64,
}

impl<'a, 'b> Attempt<'a, 'b> {
    pub(super) fn begin(post: &'a mut Post<'b>, duty: Duty, record: RecordFile) -> io::Result<Self> {
        let key = AttemptKey::of(&duty.words).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            post,
            key,
            record: Some(record),
            output: Output::new(duty.folder.clone(), duty.words.log_bytes_max),
            limit: None,
            program: None,
            program_ended: None,
            not_started: None,
            over_limit: false,
            ending: Ending::No,
            settles_at: Some(Instant::now() + SETTLES_AFTER),
            no_children: false,
            oom_kills_before: duty.groups.oom_kills(),
            cpu: Duration::ZERO,
            rss_max_kib: 0,
            duty,
        })
    }

    /// From the start of the program until nothing of the attempt is left.
    pub(super) fn look_after(mut self) -> Heard {
        match self.start_program() {
            Ok(()) => self.started(),
            Err(not_started) => self.not_started = Some(not_started),
        }
        self.watch();
        self.finish()
    }

    fn start_program(&mut self) -> Result<(), NotStarted> {
        let program = Program::prepare(&self.duty.words, self.duty.working_dir.clone())?;
        let machine = |what: &str, error: io::Error| NotStarted::Machine(format!("{what}: {error}"));
        let pipe =
            || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| machine("no pipe", error.into()));
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        fastgpu_failpoints::hit("guardian.before_fork");
        let (groups, view, guardian) = (&self.duty.groups, self.post.view, self.post.pid);
        let mut failure = None;
        let mut child = |in_unified| {
            let surroundings = Surroundings { groups, in_unified, view, guardian };
            failure = Some(child::become_program(&program, &surroundings, &stdout_end, &stderr_end));
        };
        let group = groups.unified.as_ref().and_then(|folder| std::fs::File::open(folder).ok());
        let spawned = sys::spawn_borrowing(group.as_ref().map(AsFd::as_fd), &mut child)
            .map_err(|error| machine("could not fork the task", error))?;
        fastgpu_failpoints::hit("guardian.after_fork");
        self.program = Some(spawned.pid);
        self.output.connect(stdout, stderr);
        failure.map_or(Ok(()), Err)
    }

    /// Tells that the program runs.
    fn started(&mut self) {
        fastgpu_failpoints::hit("guardian.after_exec");
        let line = Line::Started { at: now().0 };
        self.record(&line);
        let _ = self.tell(line);
        if let Some(limit_ms) = self.duty.words.time_limit_ms {
            self.limit = time_limit(Duration::from_millis(limit_ms))
                .inspect_err(|error| complain(&format!("{} runs without its time limit: {error}", self.key)))
                .ok();
        }
    }

    /// Waits until nothing of the attempt is left.
    fn watch(&mut self) {
        while self.program.is_some() && !self.no_children {
            let ready = self.wait();
            if ready.signals {
                self.read_signals();
            }
            if ready.keeper {
                self.hear_keeper();
            }
            for (index, is_ready) in ready.outputs.into_iter().enumerate() {
                if is_ready {
                    self.output.read(index);
                }
            }
            if ready.limit {
                self.limit = None;
                self.over_limit = self.ending == Ending::No;
                self.stop(Duration::from_millis(self.duty.words.stop_grace_ms));
            }
            self.press_on();
            if self.settles_at.is_some_and(|at| at <= Instant::now()) {
                self.settles_at = None;
                sys::drop_code_pages();
            }
        }
        if self.ending != Ending::No {
            // Nothing below us is left; this is for what was moved into the group from elsewhere.
            self.duty.groups.retire();
        }
    }

    fn wait(&mut self) -> Ready {
        let may_read = self.output.may_read();
        let mut fds = vec![PollFd::new(&self.post.signals, PollFlags::IN)];
        let optional = [
            self.post.keeper.as_ref(),
            self.limit.as_ref(),
            self.output.pipe(0).filter(|_| may_read),
            self.output.pipe(1).filter(|_| may_read),
        ];
        fds.extend(optional.iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let timeout = self.patience(may_read).and_then(|patience| Timespec::try_from(patience).ok());
        // An interrupted wait is a short wait.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let mut rest = fds[1..].iter();
        let mut is_ready = |fd: Option<&OwnedFd>| {
            fd.is_some_and(|_| rest.next().is_some_and(|poll| !poll.revents().is_empty()))
        };
        Ready {
            signals: !fds[0].revents().is_empty(),
            keeper: is_ready(optional[0]),
            limit: is_ready(optional[1]),
            outputs: [is_ready(optional[2]), is_ready(optional[3])],
        }
    }

    /// How long to wait when nothing happens.
    fn patience(&self, may_read: bool) -> Option<Duration> {
        let ending = match self.ending {
            Ending::No => None,
            Ending::Asked(at) | Ending::Killing(_, at) => Some(at.saturating_duration_since(Instant::now())),
        };
        let settling = self.settles_at.map(|at| at.saturating_duration_since(Instant::now()));
        let pause = (!may_read).then_some(OUTPUT_PAUSE);
        [ending, settling, pause].into_iter().flatten().min()
    }

    fn read_signals(&mut self) {
        while let Ok(Some(read)) = sys::read_signal(self.post.signals.as_fd()) {
            match read.signal {
                libc::SIGTERM => {
                    let grace = read.value.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
                    self.stop(grace.unwrap_or(STOP_GRACE_DEFAULT));
                }
                libc::SIGCHLD => self.reap(),
                _ => {}
            }
        }
    }

    fn hear_keeper(&mut self) {
        match self.post.hear_keeper() {
            Ok(Received::Stop { key, grace_ms }) if key == self.key => {
                self.stop(Duration::from_millis(grace_ms));
            }
            Ok(Received::Duty(duty, _)) => {
                complain(&format!(
                    "{:?} was given to the guardian of {}",
                    AttemptKey::of(&duty.words),
                    self.key
                ));
            }
            // Of the attempt before this one; or the keeper is gone, and this attempt the last one here.
            Ok(Received::Stop { .. } | Received::Nothing | Received::Closed) => {}
            Err(error) => {
                complain(&format!("the guardian of {} hears its keeper no more: {error}", self.key));
                self.post.keeper = None;
            }
        }
    }

    fn reap(&mut self) {
        loop {
            match sys::reap() {
                Ok(Reaped::One(ended)) => {
                    self.cpu += ended.cpu;
                    self.rss_max_kib = self.rss_max_kib.max(ended.rss_max_kib);
                    if Some(ended.pid) == self.program {
                        self.program_ended = Some(ended.status);
                    }
                }
                Ok(Reaped::NoneYet) => return,
                Ok(Reaped::NoChildren) => {
                    self.no_children = true;
                    return;
                }
                Err(error) => return complain(&format!("could not wait for {}: {error}", self.key)),
            }
        }
    }

    /// Asks everything to end; a second ask can only shorten the grace.
    fn stop(&mut self, grace: Duration) {
        let at = Instant::now() + grace;
        match self.ending {
            Ending::Killing(..) => {}
            Ending::Asked(before) => self.ending = Ending::Asked(before.min(at)),
            Ending::No => {
                self.ending = Ending::Asked(at);
                if !grace.is_zero() {
                    leftovers::ask_to_end(&self.duty.groups);
                }
            }
        }
    }

    /// Kills what has had its time.
    fn press_on(&mut self) {
        if self.no_children {
            return;
        }
        let time = Instant::now();
        match self.ending {
            Ending::No if self.program_ended.is_some() => self.ending = Ending::Asked(time + LEFTOVERS_GRACE),
            Ending::Asked(at) if at <= time => self.kill(0),
            Ending::Killing(round, at) if at <= time => self.kill(round + 1),
            _ => {}
        }
    }

    fn kill(&mut self, round: u32) {
        leftovers::kill(&self.duty.groups, round >= THOROUGH_FROM_ROUND);
        if round == UNKILLABLE_AFTER_ROUNDS {
            let note = "a process of this task does not end although it was killed; it hangs in the kernel";
            self.output.note(note);
        }
        self.ending = Ending::Killing(round, Instant::now() + KILL_AGAIN);
    }

    /// How it all ended.
    fn exit_kind(&mut self) -> ExitKind {
        match self.not_started.take() {
            Some(NotStarted::Spec(sentence)) => return ExitKind::BadSpec(short(&sentence)),
            Some(NotStarted::Machine(sentence)) => return ExitKind::Infrastructure(short(&sentence)),
            None => {}
        }
        if self.over_limit {
            return ExitKind::TimeLimit;
        }
        let out_of_memory = || self.duty.groups.oom_kills() > self.oom_kills_before;
        match self.program_ended {
            Some(ChildStatus::Code(0)) => ExitKind::Code(0),
            Some(_) if out_of_memory() => ExitKind::OutOfMemory,
            Some(ChildStatus::Code(code)) => ExitKind::Code(code),
            Some(ChildStatus::Signal(signal)) => ExitKind::Signal(signal),
            None => ExitKind::Infrastructure("the task's process was lost".to_owned()),
        }
    }

    fn finish(mut self) -> Heard {
        self.output.drain();
        let exit = Exit {
            how: self.exit_kind(),
            at: now(),
            cpu_ms: u64::try_from(self.cpu.as_millis()).unwrap_or(u64::MAX),
            rss_max_kib: self.rss_max_kib,
            sick: None,
        };
        let line = Line::Exit(exit.into());
        fastgpu_failpoints::hit("guardian.exit.before_record");
        self.record(&line);
        fastgpu_failpoints::hit("guardian.exit.after_record");
        // Nothing of it is in use here when the keeper hears of the end.
        self.record = None;
        let heard = self.tell(line);
        fastgpu_failpoints::hit("guardian.exit.after_report");
        heard
    }

    fn record(&mut self, line: &Line) {
        let Some(record) = &mut self.record else { return };
        if let Err(error) = record.add(&[line]) {
            complain(&format!("could not record {line:?} of {}: {error}", self.key));
        }
    }

    /// A hint to the keeper; the record is what counts, and is read when this process ends.
    fn tell(&self, line: Line) -> Heard {
        let hint =
            Hint { task: self.key.task.get(), attempt: self.key.attempt, line, log: self.output.has_log() };
        let Some(bytes) = hint.to_bytes() else { return Heard::No };
        // Nobody there, or too much waiting.
        if rustix::io::write(self.post.hints, &bytes).is_ok() { Heard::Yes } else { Heard::No }
    }
}

/// What a wait found.
struct Ready {
    signals: bool,
    keeper: bool,
    limit: bool,
    outputs: [bool; 2],
}

fn short(sentence: &str) -> String {
    sentence.chars().take(child::SENTENCE_CHARS_MAX).collect()
}

/// Fires once, on the clock that also counts while the machine sleeps.
fn time_limit(limit: Duration) -> io::Result<OwnedFd> {
    let timer = rustix::time::timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
    // A timer of zero would never fire.
    let it_value =
        Timespec::try_from(limit.max(Duration::from_millis(1))).map_err(|_| io::ErrorKind::InvalidInput)?;
    let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
    Ok(timer)
}
