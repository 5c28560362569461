//! Talking to the GPU driver without trusting it: NVML lives in a child process, each call has a
//! deadline, and a child that hangs or crashes is ended and, after a rest, replaced.
//!
//! Start here for the parent's side, [`Probe`]; the child's side is [`main`]. What the readings mean for
//! the node (devices, abilities, when to ask) is decided in [`crate::devices`], not here.

mod child;
mod error;
mod watch;
mod wire;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{self, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub use child::main;
pub use error::ProbeError;
pub use wire::{DeviceReading, Readings, XidReading};

use wire::{ANSWER_BYTES_MAX, Answer, Ask, Question};

/// Rest after the first failure; doubles with each further one.
const REST_FIRST: Duration = Duration::from_secs(1);
/// Longest rest. A sick driver is not made well by asking it more often, and an operator who repaired it
/// waits no longer than this.
const REST_MAX: Duration = Duration::from_secs(300);
/// A child that lived this long before it failed starts again from [`REST_FIRST`].
const HEALTHY_AFTER: Duration = Duration::from_secs(600);
/// How long a killed child may take to be gone before it counts as stuck in the kernel.
const KILL_WAIT: Duration = Duration::from_millis(500);
/// How long a child that is replaced may take to say what it has heard.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);
/// Children stuck in the kernel before no more are started: each holds memory and a lock of the driver.
const STUCK_MAX: usize = 3;
/// Read at once from the child.
const READ_BYTES: usize = 16 * 1_024;

/// How to start the probe child: the binary that is running, with its hidden subcommand.
#[derive(Debug, Clone)]
pub struct ProbeCommand {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// The arguments that make it call [`main`] with all that follows them.
    pub args: Vec<OsString>,
    /// The NVML library; `None` means the one the driver installed.
    pub nvml_path: Option<PathBuf>,
    /// `LD_LIBRARY_PATH` for the child, if the configuration sets one. Nothing else of our environment
    /// reaches the driver's library.
    pub library_path: Option<OsString>,
    /// More variables for the child, such as where software GPUs lie.
    pub env: Vec<(OsString, OsString)>,
}

/// The driver, at arm's length.
#[derive(Debug)]
pub struct Probe {
    command: ProbeCommand,
    /// Becomes readable or is closed when the owner wants to stop; ends any wait.
    stop: Option<OwnedFd>,
    child: Option<Running>,
    /// Killed, but not gone: they hang in a driver call.
    stuck: Vec<Child>,
    rest: Rest,
    seq: u64,
}

#[derive(Debug)]
struct Running {
    process: Child,
    questions: ChildStdin,
    answers: ChildStdout,
    /// What arrived and is not a whole line yet.
    partial: Vec<u8>,
    since: Instant,
}

/// When the next child may be started.
#[derive(Debug, Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
    /// The failure, for whoever asks during the rest.
    after: String,
}

impl Probe {
    /// A probe; no process is started before the first question.
    ///
    /// The child dies with the *thread* that asks, so one thread should do all the asking.
    #[must_use]
    pub fn new(command: ProbeCommand) -> Self {
        Self { command, stop: None, child: None, stuck: Vec::new(), rest: Rest::default(), seq: 0 }
    }

    /// Lets the other end of `stop` (a pipe) end every wait, by a byte or by being closed.
    #[must_use]
    pub fn stopped_by(mut self, stop: OwnedFd) -> Self {
        self.stop = Some(stop);
        self
    }

    /// A probe whose process runs and has answered its first question within `deadline`.
    ///
    /// # Errors
    /// See [`ProbeError`].
    pub fn start(command: ProbeCommand, deadline: Duration) -> Result<(Self, Readings), ProbeError> {
        let mut probe = Self::new(command);
        let readings = probe.inventory(deadline)?;
        Ok((probe, readings))
    }

    /// Everything about every device.
    ///
    /// # Errors
    /// See [`ProbeError`]; none of them takes longer than `deadline` and a little.
    pub fn inventory(&mut self, deadline: Duration) -> Result<Readings, ProbeError> {
        self.ask(Ask::Inventory, deadline)
    }

    /// The readings that move, of every device.
    ///
    /// # Errors
    /// See [`ProbeError`]; none of them takes longer than `deadline` and a little.
    pub fn telemetry(&mut self, deadline: Duration) -> Result<Readings, ProbeError> {
        self.ask(Ask::Telemetry, deadline)
    }

    /// As [`inventory`](Self::inventory), asked of a fresh child: whether a program that starts now finds the
    /// driver well is something that one which has talked to it for long cannot know. The old child goes on
    /// until the fresh one has answered, because devices that nobody has open fall asleep.
    ///
    /// # Errors
    /// See [`ProbeError`]; the old child is ended then too.
    pub fn inventory_afresh(&mut self, deadline: Duration) -> Result<Readings, ProbeError> {
        let old = self.child.take();
        let answer = self.inventory(deadline);
        let Some(mut old) = old else { return answer };
        let last_words = answer.as_ref().ok().and_then(|_| {
            self.seq += 1;
            let question = Question { seq: self.seq, ask: Ask::Telemetry };
            let until = Instant::now() + LAST_WORDS_MAX;
            old.exchange(&question, until, self.stop.as_ref()).ok()?.result.ok()
        });
        self.end(old);
        let mut readings = answer?;
        for said in last_words.into_iter().flat_map(|words| words.devices) {
            // A lost device does not say who it is; its number has not changed within a moment.
            let is_same = |one: &DeviceReading| match (&one.uuid, &said.uuid) {
                (Some(now), Some(then)) => now == then,
                _ => one.index == said.index,
            };
            let heir = readings.devices.iter_mut().find(|one| is_same(one));
            if let Some(heir) = heir {
                heir.xids.splice(0..0, said.xids);
            }
        }
        Ok(readings)
    }

    /// How long no new child is started, after failures.
    #[must_use]
    pub fn rest_left(&self) -> Duration {
        self.rest.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The process that answers, if there is one now.
    #[must_use]
    pub fn child_pid(&self) -> Option<u32> {
        self.child.as_ref().map(|running| running.process.id())
    }

    /// Ends the child; the next question starts a fresh one.
    pub fn close(&mut self) {
        if let Some(running) = self.child.take() {
            self.end(running);
        }
    }

    fn ask(&mut self, ask: Ask, deadline: Duration) -> Result<Readings, ProbeError> {
        let until = Instant::now() + deadline;
        self.seq += 1;
        let question = Question { seq: self.seq, ask };
        let mut running = match self.child.take() {
            Some(running) => running,
            None => self.spawn()?,
        };
        match running.exchange(&question, until, self.stop.as_ref()) {
            Ok(Answer { result: Ok(readings), .. }) => {
                self.child = Some(running);
                Ok(readings)
            }
            Ok(Answer { result: Err(trouble), .. }) => {
                // A driver that comes later is found by a fresh child, with the library of that day.
                self.end(running);
                Err(trouble.into())
            }
            Err(Failure::Stopped) => {
                self.end(running);
                Err(ProbeError::Stopped)
            }
            Err(failure) => Err(self.fail(running, &failure, ask, deadline)),
        }
    }

    /// Ends the child, names the failure, and begins the rest.
    fn fail(&mut self, running: Running, failure: &Failure, ask: Ask, deadline: Duration) -> ProbeError {
        let lived = running.since.elapsed();
        let status = self.end(running);
        let doing = ask.what();
        let error = match failure {
            Failure::Late => ProbeError::Hung { waited: deadline, doing },
            Failure::TooMuch => ProbeError::TooMuch { bytes_max: ANSWER_BYTES_MAX },
            Failure::Ended | Failure::Stopped => ProbeError::Crashed {
                how: status.unwrap_or_else(|| "it closed its output".to_owned()),
                doing,
            },
        };
        self.rest.begin(lived, &error);
        error
    }

    fn spawn(&mut self) -> Result<Running, ProbeError> {
        self.stuck.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        if self.stuck.len() >= STUCK_MAX {
            return Err(ProbeError::Stuck { count: self.stuck.len() });
        }
        let left = self.rest_left();
        if !left.is_zero() {
            return Err(ProbeError::Resting { left, after: self.rest.after.clone() });
        }
        self.command.spawn().map_err(|error| {
            let program = self.command.program.display().to_string();
            let error = ProbeError::Start { program, detail: error.to_string() };
            self.rest.begin(Duration::ZERO, &error);
            error
        })
    }

    /// Kills the child and waits a little for it to be gone. Says how it had ended, if it had by itself.
    fn end(&mut self, mut running: Running) -> Option<String> {
        drop(running.questions);
        drop(running.answers);
        let pid = Pid::from_child(&running.process);
        // Its pid cannot belong to another process: it has not been waited for.
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok();
        let _ = running.process.kill();
        if let Some(handle) = handle {
            wait_readable(&handle, None, Instant::now() + KILL_WAIT);
        }
        match running.process.try_wait() {
            Ok(Some(status)) => Some(status.to_string()),
            Ok(None) => {
                self.stuck.push(running.process);
                None
            }
            Err(_) => None,
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.close();
    }
}

impl ProbeCommand {
    /// Lets a child try to make the namespaces that keep a task from seeing our data.
    ///
    /// # Errors
    /// [`ProbeError::Refused`] when the kernel refuses; the others as for any child.
    pub(crate) fn try_namespaces(&self, deadline: Duration) -> Result<(), ProbeError> {
        let doing = "trying namespaces";
        let until = Instant::now() + deadline;
        let mut probe = Probe::new(self.clone());
        probe.command.args.extend(["--try".into(), "namespaces".into()]);
        let mut running = probe.spawn()?;
        let mut said = String::new();
        let waited = wait_readable(&running.answers, None, until);
        if waited == Waited::Ready {
            // The child says one short sentence, in one write, and ends.
            let mut chunk = [0; READ_BYTES];
            let bytes = running.answers.read(&mut chunk).unwrap_or(0);
            said = String::from_utf8_lossy(&chunk[..bytes]).trim().to_owned();
        }
        let status = probe.end(running);
        match (waited, said.as_str()) {
            (Waited::Ready, child::TRIED_WELL) => Ok(()),
            (Waited::Ready, "") => Err(ProbeError::Crashed {
                how: status.unwrap_or_else(|| "it said nothing".to_owned()),
                doing,
            }),
            (Waited::Ready, detail) => {
                Err(ProbeError::Refused { what: "no mount namespace", detail: detail.to_owned() })
            }
            _ => Err(ProbeError::Hung { waited: deadline, doing }),
        }
    }

    fn spawn(&self) -> std::io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg("--parent").arg(std::process::id().to_string());
        if let Some(library) = &self.nvml_path {
            // A bare file name is searched by the loader; a path must outlive the change of folder below.
            let has_folder = library.components().count() > 1;
            let library = if has_folder { path::absolute(library)? } else { library.clone() };
            command.arg("--nvml").arg(library);
        }
        command.env_clear().current_dir("/");
        if let Some(library_path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", library_path);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let questions = process.stdin.take().expect("stdin was asked to be a pipe");
        let answers = process.stdout.take().expect("stdout was asked to be a pipe");
        Ok(Running { process, questions, answers, partial: Vec::new(), since: Instant::now() })
    }
}

/// Why there was no answer.
#[derive(Debug)]
enum Failure {
    Late,
    Ended,
    TooMuch,
    Stopped,
}

impl Running {
    fn exchange(
        &mut self,
        question: &Question,
        until: Instant,
        stop: Option<&OwnedFd>,
    ) -> Result<Answer, Failure> {
        let mut line = serde_json::to_vec(question).expect("a number and a word are always JSON");
        line.push(b'\n');
        // Never blocks: a line is far smaller than a pipe, and nothing else is under way in it.
        self.questions.write_all(&line).map_err(|_| Failure::Ended)?;
        let mut noise_bytes = 0;
        loop {
            while let Some(line) = self.take_line() {
                match serde_json::from_slice::<Answer>(&line) {
                    Ok(answer) if answer.seq == question.seq => return Ok(answer),
                    // A library that prints to stdout is rude, not broken.
                    _ => noise_bytes += line.len(),
                }
            }
            if self.partial.len() + noise_bytes > ANSWER_BYTES_MAX {
                return Err(Failure::TooMuch);
            }
            match wait_readable(&self.answers, stop, until) {
                Waited::Late => return Err(Failure::Late),
                Waited::Stop => return Err(Failure::Stopped),
                Waited::Ready => {}
            }
            let mut chunk = [0; READ_BYTES];
            match self.answers.read(&mut chunk) {
                Ok(0) => return Err(Failure::Ended),
                Ok(bytes) => self.partial.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Failure::Ended),
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.partial.iter().position(|&byte| byte == b'\n')?;
        let rest = self.partial.split_off(end + 1);
        Some(std::mem::replace(&mut self.partial, rest))
    }
}

impl Rest {
    fn begin(&mut self, lived: Duration, error: &ProbeError) {
        self.failures = if lived >= HEALTHY_AFTER { 1 } else { self.failures.saturating_add(1) };
        let doublings = self.failures.saturating_sub(1).min(16);
        let span = REST_FIRST.saturating_mul(1 << doublings).min(REST_MAX);
        self.until = Some(Instant::now() + span);
        self.after = error.to_string();
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Ready,
    Late,
    Stop,
}

/// Waits until `fd` can be read (or is closed), `stop` says so, or it is `until`.
pub(crate) fn wait_readable(fd: &impl std::os::fd::AsFd, stop: Option<&OwnedFd>, until: Instant) -> Waited {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut fds = vec![PollFd::new(fd, PollFlags::IN)];
        fds.extend(stop.map(|stop| PollFd::new(stop, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Waited::Late,
            Err(Errno::INTR) => {}
            Err(_) => return Waited::Late,
            Ok(_) if fds.get(1).is_some_and(|stop| !stop.revents().is_empty()) => return Waited::Stop,
            Ok(_) => return Waited::Ready,
        }
    }
}
