//! The guardian: one small process per attempt that owns its pipes, its log and its end.
//!
//! It is the keeper, forked, without exec: it starts with everything it needs in memory and opens nothing
//! it does not. It outlives keeper and server, and is spoken to by signals only: `SIGTERM` means stop, with
//! the grace in milliseconds attached. What it has to say goes into the attempt's record first, then, as a
//! hint, into the keeper's pipe. Start with [`run`].

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use fastgpu_core::node::{Exit, ExitKind};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use crate::cgroup::AttemptGroups;
use crate::child::{self, NotStarted, Program, Surroundings};
use crate::folder::{AttemptKey, Line, RecordFile, start_time};
use crate::hide::View;
use crate::keeper::{BLOCKED_SIGNALS, Event, complain, now};
use crate::leftovers;
use crate::log::LogWriter;
use crate::log_read::LogStream;
use crate::protocol::LaunchWords;
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
/// Output taken at once from a task that was quiet, and how fast a flood is taken after that. A task that
/// writes faster waits at its pipe; nobody else pays for it.
const OUTPUT_BURST_BYTES: u64 = 32 * 1024 * 1024;
const OUTPUT_BYTES_PER_MS: u64 = 16 * 1024;
/// How long a flood waits for its next portion.
const OUTPUT_PAUSE: Duration = Duration::from_millis(20);
/// A task that has run this long is likely to run on: its guardian makes itself small.
const SETTLES_AFTER: Duration = Duration::from_secs(1);
/// Output still taken when the task is over: what two full pipes hold, as large as pipes may be made.
const OUTPUT_REST_BYTES: usize = 2 * 1024 * 1024;

/// Everything a guardian needs, made by the keeper before the fork.
#[derive(Debug)]
pub(crate) struct Charge<'a> {
    pub(crate) key: AttemptKey,
    pub(crate) words: &'a LaunchWords,
    pub(crate) working_dir: String,
    pub(crate) record: RecordFile,
    /// The attempt's folder.
    pub(crate) folder: OwnedFd,
    pub(crate) groups: AttemptGroups,
    pub(crate) view: Option<&'a View>,
    /// The keeper's pipe.
    pub(crate) events: &'a OwnedFd,
}

/// The whole life of a guardian.
pub(crate) fn run(charge: Charge<'_>) -> ! {
    let mut guardian = match Guardian::new(charge) {
        Ok(guardian) => guardian,
        Err(error) => {
            // The record has no end then, and the keeper says that the guardian vanished.
            complain(&format!("a guardian could not begin: {error}"));
            sys::exit_now(1);
        }
    };
    match guardian.start_program() {
        Ok(()) => guardian.started(),
        Err(not_started) => guardian.not_started = Some(not_started),
    }
    guardian.watch();
    guardian.finish()
}

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

struct Guardian<'a> {
    charge: Charge<'a>,
    signals: OwnedFd,
    outputs: [Option<OwnedFd>; 2],
    buffer: Vec<u8>,
    log: LogWriter,
    /// Output that may be taken now, and when that was counted.
    allowance: (u64, Instant),
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

impl<'a> Guardian<'a> {
    fn new(mut charge: Charge<'a>) -> io::Result<Self> {
        let mut keep =
            vec![charge.record.file().as_raw_fd(), charge.folder.as_raw_fd(), charge.events.as_raw_fd()];
        keep.extend(charge.view.iter().flat_map(|view| view.descriptors()));
        sys::close_all_but(&mut keep)?;
        rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
        rustix::thread::set_name(c"fastgpu-guard")?;
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let start = start_time(pid).ok_or(io::ErrorKind::NotFound)?;
        charge.record.add(&Line::Guardian { pid, start })?;
        let log = LogWriter::new(charge.folder.try_clone()?, charge.words.log_bytes_max);
        Ok(Self {
            // Blocked by the keeper already: a stop may come before this line.
            signals: sys::signalfd(&BLOCKED_SIGNALS)?,
            outputs: [None, None],
            buffer: Vec::new(),
            log,
            allowance: (OUTPUT_BURST_BYTES, Instant::now()),
            limit: None,
            program: None,
            program_ended: None,
            not_started: None,
            over_limit: false,
            ending: Ending::No,
            settles_at: Some(Instant::now() + SETTLES_AFTER),
            no_children: false,
            oom_kills_before: charge.groups.oom_kills(),
            cpu: Duration::ZERO,
            rss_max_kib: 0,
            charge,
        })
    }

    fn start_program(&mut self) -> Result<(), NotStarted> {
        let program = Program::prepare(self.charge.words, self.charge.working_dir.clone())?;
        let machine = |what: &str, error: io::Error| NotStarted::Machine(format!("{what}: {error}"));
        let pipe =
            || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| machine("no pipe", error.into()));
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        fastgpu_failpoints::hit("guardian.before_fork");
        let guardian = i32::try_from(std::process::id()).unwrap_or(0);
        let (groups, view) = (&self.charge.groups, self.charge.view);
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
        self.outputs = [Some(stdout), Some(stderr)];
        failure.map_or(Ok(()), Err)
    }

    /// Tells that the program runs.
    fn started(&mut self) {
        fastgpu_failpoints::hit("guardian.after_exec");
        let line = Line::Started { at: now().0 };
        self.record(&line);
        self.tell(line);
        if let Some(limit_ms) = self.charge.words.time_limit_ms {
            self.limit = time_limit(Duration::from_millis(limit_ms))
                .inspect_err(|error| {
                    complain(&format!("{} runs without its time limit: {error}", self.charge.key))
                })
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
            for (index, is_ready) in ready.outputs.into_iter().enumerate() {
                if is_ready {
                    self.read_output(index);
                }
            }
            if ready.limit {
                self.limit = None;
                self.over_limit = self.ending == Ending::No;
                self.stop(Duration::from_millis(self.charge.words.stop_grace_ms));
            }
            self.press_on();
            if self.settles_at.is_some_and(|at| at <= Instant::now()) {
                self.settles_at = None;
                sys::drop_code_pages();
            }
        }
        if self.ending != Ending::No {
            // Nothing below us is left; this is for what was moved into the group from elsewhere.
            self.charge.groups.retire();
        }
    }

    fn wait(&mut self) -> Ready {
        let may_read = self.may_read();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let optional = [
            self.limit.as_ref(),
            self.outputs[0].as_ref().filter(|_| may_read),
            self.outputs[1].as_ref().filter(|_| may_read),
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
            limit: is_ready(optional[0]),
            outputs: [is_ready(optional[1]), is_ready(optional[2])],
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

    /// Whether output may be taken now, by the rate that a flood is held to.
    fn may_read(&mut self) -> bool {
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

    fn read_signals(&mut self) {
        while let Ok(Some(read)) = sys::read_signal(self.signals.as_fd()) {
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
                Err(error) => return complain(&format!("could not wait for {}: {error}", self.charge.key)),
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
                    leftovers::ask_to_end(&self.charge.groups);
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
        leftovers::kill(&self.charge.groups, round >= THOROUGH_FROM_ROUND);
        if round == UNKILLABLE_AFTER_ROUNDS {
            let note = "a process of this task does not end although it was killed; it hangs in the kernel";
            self.log.write(LogStream::Note, now(), note.as_bytes());
        }
        self.ending = Ending::Killing(round, Instant::now() + KILL_AGAIN);
    }

    /// Takes one portion of output; says how much.
    fn read_output(&mut self, index: usize) -> usize {
        let Some(output) = &self.outputs[index] else { return 0 };
        let room = self.log.body_bytes_max();
        self.buffer.clear();
        // Only the pages that output touches become memory of ours.
        self.buffer.reserve_exact(room);
        let count = match rustix::io::read(output, rustix::buffer::spare_capacity(&mut self.buffer)) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return 0,
            Err(_) => 0,
        };
        if count == 0 {
            self.outputs[index] = None;
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
    fn drain_output(&mut self) {
        for index in 0..self.outputs.len() {
            let mut rest = OUTPUT_REST_BYTES;
            while let Some(output) = &self.outputs[index] {
                let mut fds = [PollFd::new(output, PollFlags::IN)];
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                let ready = rustix::event::poll(&mut fds, Some(&at_once)).is_ok_and(|count| count > 0);
                let count = if ready { self.read_output(index) } else { 0 };
                if count == 0 || rest < count {
                    break;
                }
                rest -= count;
            }
        }
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
        let out_of_memory = || self.charge.groups.oom_kills() > self.oom_kills_before;
        match self.program_ended {
            Some(ChildStatus::Code(0)) => ExitKind::Code(0),
            Some(_) if out_of_memory() => ExitKind::OutOfMemory,
            Some(ChildStatus::Code(code)) => ExitKind::Code(code),
            Some(ChildStatus::Signal(signal)) => ExitKind::Signal(signal),
            None => ExitKind::Infrastructure("the task's process was lost".to_owned()),
        }
    }

    fn finish(mut self) -> ! {
        self.drain_output();
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
        self.tell(line);
        fastgpu_failpoints::hit("guardian.exit.after_report");
        sys::exit_now(0);
    }

    fn record(&mut self, line: &Line) {
        if let Err(error) = self.charge.record.add(line) {
            complain(&format!("could not record {line:?} of {}: {error}", self.charge.key));
        }
    }

    /// A hint to the keeper; the record is what counts.
    fn tell(&self, line: Line) {
        let event = Event { task: self.charge.key.task.get(), attempt: self.charge.key.attempt, line };
        if let Some(bytes) = event.to_bytes() {
            // Nobody there, or too much waiting: the keeper reads the record instead.
            let _ = rustix::io::write(self.charge.events, &bytes);
        }
    }
}

/// What a wait found.
struct Ready {
    signals: bool,
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

impl Event {
    /// `None` if it is too long for one undivided write to a pipe.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        serde_json::to_writer(&mut bytes, self).ok()?;
        bytes.write_all(b"\n").ok()?;
        (bytes.len() <= libc::PIPE_BUF).then_some(bytes)
    }
}
