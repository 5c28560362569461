//! A server in the background: `up --detach`, `run` when no server is there, and `demo`.
//!
//! The parent starts `fastgpu up --detached …` with a pipe as its stdout and waits for one line of JSON
//! on it, a [`Birth`]. The child lets go of the pipe as soon as it has spoken; its talk goes to
//! `server.log`. So nobody who reads our output waits for the server's end.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::settings::UpSettings;

/// A server is ready in a third of a second; opening a large database after a crash takes longer.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// One line of a few hundred bytes.
const BIRTH_BYTES_MAX: u64 = 64 * 1_024;
/// A server's talk is a few lines a day; beyond this the log of earlier servers is set aside.
const LOG_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// What a server says once, when it is ready or cannot be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Birth {
    /// It answers.
    Ready(Ready),
    /// It will never.
    Failed { message: String, help: Option<String>, notes: Vec<String>, exit: u8 },
}

/// A server that answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) url: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) data_dir: PathBuf,
    /// How long it took to be ready.
    pub(crate) ready_ms: u64,
    /// What it found: one line per kind of device, or why there is none.
    pub(crate) devices: Vec<String>,
    /// Whether the devices are no hardware.
    pub(crate) simulated: bool,
    /// Whether there are devices at all; false while a slow driver is still being asked.
    pub(crate) has_devices: bool,
}

impl Ready {
    /// What a person reads about the devices of a server.
    pub(crate) fn device_lines(&self) -> Vec<String> {
        if self.has_devices {
            return self.devices.iter().map(|line| format!("GPUs     {line}")).collect();
        }
        let mut lines: Vec<_> = self.devices.iter().map(|line| format!("GPUs     none: {line}")).collect();
        lines.push("         have software GPUs with `--simulate 8xA100-80GB`".to_owned());
        lines
    }
}

/// A server that was started in the background.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) ready: Ready,
    pub(crate) child: Child,
}

/// Where a background server writes its talk.
pub(crate) fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.join("server.log")
}

/// Makes the data folder, for its owner alone.
pub(crate) fn make_data_dir(data_dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(|error| {
        Failure::new(format!("the data folder {} cannot be made: {}", data_dir.display(), plain(&error)))
            .help("name another one with `--data-dir` or FASTGPU_DATA_DIR")
    })
}

/// An error of the system without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Starts a server and returns when it is ready. `extra` are further flags of `up`.
pub(crate) fn start(settings: &UpSettings, extra: &[&str]) -> Result<Background, Failure> {
    make_data_dir(&settings.data_dir)?;
    let path = log_path(&settings.data_dir);
    let log = open_log(&path).map_err(|error| {
        Failure::new(format!("the data folder is not writable: {}: {}", path.display(), plain(&error)))
            .help("name another one with `--data-dir` or FASTGPU_DATA_DIR")
    })?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program does not know where it is: {error}")))?;
    let mut command = Command::new(program);
    command.arg("up").arg("--detached").arg("--listen").arg(settings.listen.to_string());
    command.arg("--data-dir").arg(&settings.data_dir).args(extra);
    if !settings.listen.ip().is_loopback() {
        command.arg("--insecure-http");
    }
    if let Some(devices) = &settings.simulate {
        command.arg("--simulate").arg(devices);
    }
    for label in &settings.labels {
        command.arg("--label").arg(label);
    }
    if let Some(record) = &settings.record {
        command.arg("--record").arg(record);
    }
    if let Some(library) = &settings.nvml_path {
        command.arg("--nvml-path").arg(library);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child =
        command.spawn().map_err(|error| Failure::new(format!("the server cannot be started: {error}")))?;
    let pipe = child.stdout.take().expect("stdout was asked to be a pipe");
    match hear(pipe) {
        Some(Birth::Ready(ready)) => Ok(Background { ready, child }),
        Some(Birth::Failed { message, help, notes, exit }) => {
            let _ = child.wait();
            Err(Failure { message, help, notes, exit, silent: false })
        }
        None => {
            let ended = child.try_wait().ok().flatten();
            let how = ended.map_or_else(|| "it is not ready yet".to_owned(), |status| status.to_string());
            Err(Failure::new(format!("the server did not start: {how}"))
                .help(format!("its log is {}", path.display())))
        }
    }
}

/// The one line of a new server, if it comes in time.
fn hear(pipe: impl Read + Send + 'static) -> Option<Birth> {
    let (sender, receiver) = mpsc::channel();
    // The thread ends with the pipe: when the server lets go of it, or ends.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(pipe.take(BIRTH_BYTES_MAX)).read_line(&mut line);
        let _ = sender.send(read.ok().and_then(|_| serde_json::from_str(&line).ok()));
    });
    receiver.recv_timeout(READY_PATIENCE).ok().flatten()
}

fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The child's end of the pipe.
#[derive(Debug)]
pub(crate) struct Announcer(OwnedFd);

impl Announcer {
    /// Takes the pipe from stdout, so that no process we start inherits it; stdout becomes stderr, the
    /// log. Leaves the terminal and its session, whose end must not be ours.
    pub(crate) fn take_stdout() -> std::io::Result<Self> {
        let stdout = std::io::stdout();
        let pipe = rustix::io::fcntl_dupfd_cloexec(stdout.as_fd(), 3)?;
        rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
        // It fails only for a process that leads a session already.
        let _ = rustix::process::setsid();
        Ok(Self(pipe))
    }

    /// Says the one thing there is to say, and lets go of the pipe.
    pub(crate) fn announce(self, birth: &Birth) {
        let mut line = serde_json::to_vec(birth).expect("texts and numbers are always JSON");
        line.push(b'\n');
        // A parent that did not wait is no reason to end.
        let _ = std::fs::File::from(self.0).write_all(&line);
    }
}
