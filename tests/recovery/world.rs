//! A folder with a server in it, which can be killed and started again, and everything that it started.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Answer, Door};

/// How long anything may take that should be a matter of moments, on a machine full of other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a start may take until `/readyz` says yes; a promise, with room for a busy machine.
pub(crate) const READY_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

const BINARY: &str = env!("CARGO_BIN_EXE_fastgpu");

/// What a server is told by its environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    pub(crate) crash_at: Option<String>,
    pub(crate) fault: Option<&'static str>,
}

/// See the module.
pub(crate) struct World {
    _owned: Option<TempDir>,
    root: PathBuf,
    server: Option<Child>,
    door: Option<Door>,
    token: String,
}

/// Why a server did not become ready.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// It ended.
    Ended(std::process::ExitStatus),
    /// It was too slow.
    Late,
}

impl World {
    pub(crate) fn new() -> Self {
        let owned = tempfile::Builder::new().prefix("fastgpu-recovery-").tempdir().unwrap();
        let mut world = Self::at(owned.path());
        world._owned = Some(owned);
        world
    }

    /// A world in a folder of somebody else.
    pub(crate) fn at(root: &Path) -> Self {
        std::fs::create_dir_all(root.join("effects")).unwrap();
        Self { _owned: None, root: root.to_owned(), server: None, door: None, token: String::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn effects(&self) -> PathBuf {
        self.root.join("effects")
    }

    pub(crate) fn attempts(&self) -> PathBuf {
        self.data().join("node/attempts")
    }

    /// The running server's address.
    pub(crate) fn door(&self) -> Door {
        self.door.clone().expect("a server was started")
    }

    /// A verb of the binary, in this world.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--data-dir").arg(self.data()).args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &self.root).env("FASTGPU_LOG", "info").current_dir("/");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Starts a server and waits until `/readyz` says yes; says how long that took.
    pub(crate) fn start(&mut self, orders: &Orders) -> Result<Duration, NotReady> {
        assert!(self.server.is_none(), "one server at a time");
        let began = Instant::now();
        let log = File::options().append(true).create(true).open(self.root.join("server.log")).unwrap();
        let mut command =
            self.command(&["-o", "id", "up", "--listen", "127.0.0.1:0", "--simulate", "4xA100-80GB"]);
        // At an orderly end nothing is left. Killed, everything is.
        command.arg("--ephemeral").stdout(Stdio::piped()).stderr(log);
        if let Some(order) = &orders.crash_at {
            command.env("FASTGPU_CRASH_AT", order);
        }
        if let Some(fault) = orders.fault {
            command.env("FASTGPU_FAULT", fault);
        }
        let mut child = command.spawn().unwrap();
        let said = first_line(child.stdout.take().expect("it is piped"));
        self.server = Some(child);
        let Ok(url) = said.recv_timeout(PATIENCE) else { return Err(NotReady::Late) };
        let Some(address) = url.trim().strip_prefix("http://").map(str::to_owned) else {
            return Err(self.ended_early());
        };
        let Some(token) = self.read_token() else { return Err(self.ended_early()) };
        self.token.clone_from(&token);
        let door = Door { address, token };
        self.door = Some(door.clone());
        while began.elapsed() < PATIENCE {
            match door.get("/readyz") {
                // A full disk is no reason not to start; it is one not to be sent new tasks.
                Ok(Answer { status: 200, .. }) => return Ok(began.elapsed()),
                Ok(Answer { status: 503, body, .. })
                    if body["detail"].to_string().contains("disk is full") =>
                {
                    return Ok(began.elapsed());
                }
                _ if self.server_ended().is_some() => return Err(self.ended_early()),
                _ => std::thread::sleep(LOOK_EVERY),
            }
        }
        Err(NotReady::Late)
    }

    /// A start without orders, which must succeed, and in time.
    pub(crate) fn start_well(&mut self) -> Duration {
        match self.start(&Orders::default()) {
            Ok(took) if took <= READY_MAX => took,
            other => panic!("a start should take at most {READY_MAX:?}: {other:?}\n{}", self.log_tail()),
        }
    }

    fn read_token(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.data().join("client.json")).ok()?;
        let file: Value = serde_json::from_str(&text).ok()?;
        file["token"].as_str().map(str::to_owned)
    }

    /// It said nothing, or stopped answering: then it must be ending.
    fn ended_early(&mut self) -> NotReady {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.server_ended() {
                self.server = None;
                return NotReady::Ended(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        NotReady::Late
    }

    /// How the server ended, if it has.
    pub(crate) fn server_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.server.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Kills the server, if it has not ended by itself, and waits until it is gone. Its exit status says which.
    pub(crate) fn kill_server(&mut self) -> Option<std::process::ExitStatus> {
        let mut child = self.server.take()?;
        let _ = child.kill();
        Some(child.wait().unwrap())
    }

    /// An orderly end: everything that runs is ended too.
    pub(crate) fn end(&mut self) {
        let Some(mut child) = self.server.take() else { return };
        send(child.id(), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the server did not end when it was asked to\n{}", self.log_tail());
    }

    /// Leaves the folder of a failed test for a look at it, where that is asked for.
    pub(crate) fn keep(&mut self) {
        if std::env::var_os("FASTGPU_KEEP").is_some() {
            self._owned.take().map(TempDir::keep);
        }
    }

    /// Every process that belongs to this world.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| Process::look(pid, &self.root)).collect()
    }

    /// The keepers of this world; there is one, but for moments.
    pub(crate) fn keepers(&self) -> Vec<u32> {
        let mut all = self.processes();
        all.retain(|process| process.name == "fastgpu-keeper");
        let named: Vec<u32> = all.iter().map(|process| process.pid).collect();
        // A guardian is a keeper until it has taken its own name.
        all.retain(|process| parent_of(process.pid).is_none_or(|parent| !named.contains(&parent)));
        all.into_iter().map(|process| process.pid).collect()
    }

    pub(crate) fn guardians(&self) -> Vec<u32> {
        let all = self.processes().into_iter();
        all.filter(|process| process.name == "fastgpu-guard").map(|process| process.pid).collect()
    }

    /// Kills the keeper and waits until it is gone.
    pub(crate) fn kill_keepers(&self) {
        for pid in self.keepers() {
            kill(pid);
        }
    }

    /// Everything but the server and its keeper: what tasks left behind.
    pub(crate) fn strangers(&self) -> Vec<Process> {
        let own = self.server_pid();
        // The probe lives and dies with the server that asks it.
        let its_probe = own.map(|pid| format!("__probe --parent {pid} "));
        let mut found = self.processes();
        found.retain(|process| {
            let asked_by_it = its_probe.as_ref().is_some_and(|probe| process.words.contains(probe));
            // A guardian that waits has nothing of a task, and goes with its keeper.
            let is_ours = ["fastgpu-keeper", "fastgpu-idle"].contains(&process.name.as_str());
            Some(process.pid) != own && !is_ours && !asked_by_it
        });
        found
    }

    /// The end of what server and keeper wrote, for a person who reads a failure.
    pub(crate) fn log_tail(&self) -> String {
        let mut text = String::new();
        for file in [self.root.join("server.log"), self.data().join("node/keeper.log")] {
            let mut log = String::new();
            let _ = File::open(&file).and_then(|mut file| file.read_to_string(&mut log));
            let lines: Vec<_> = log.lines().collect();
            let tail = lines.len().saturating_sub(15);
            text.push_str(&format!("--- {}\n{}\n", file.display(), lines[tail..].join("\n")));
        }
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_server();
        // What a failed test left: keepers first, so that nothing new is started.
        for pid in self.keepers().into_iter().chain(self.processes().into_iter().map(|process| process.pid)) {
            send(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.log_tail());
            self.keep();
        }
    }
}

/// A living process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// What it was started with.
    words: String,
}

impl Process {
    /// A process that carries the world's folder in its words or its environment and is not a zombie.
    fn look(pid: u32, root: &Path) -> Option<Self> {
        let root = root.to_str()?.as_bytes();
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let has = |bytes: &[u8]| bytes.windows(root.len()).any(|part| part == root);
        let words = read("cmdline");
        if words.is_empty() || !(has(&words) || has(&read("environ"))) {
            return None;
        }
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let name = String::from_utf8_lossy(&read("comm")).trim().to_owned();
        Some(Self { pid, name, words })
    }
}

/// Kills a process that is not our child, and waits until it is gone.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::KILL);
    wait_for(&format!("the end of {pid}"), || is_gone(pid));
}

/// Whether a process has ended, reaped or not.
pub(crate) fn is_gone(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Waits for something that must come true soon.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(comes_true(PATIENCE, &mut is_so), "waited {PATIENCE:?} for {what}");
}

pub(crate) fn comes_true(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether it ended by a crash on order.
pub(crate) fn crashed(status: std::process::ExitStatus) -> bool {
    status.signal() == Some(Signal::ABORT.as_raw())
}

/// The first line of a pipe, or what was said before it ended.
fn first_line(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        let _ = pipe.read_line(&mut line);
        let _ = sender.send(line);
        // Whatever else is said is taken, so that nobody waits at a full pipe.
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    });
    said
}
