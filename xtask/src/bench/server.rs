//! A real server for a row: started in a fresh folder, killed and started again, and cleaned up without a trace.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Context;
use super::http::{Address, Connection};
use super::process::{self, Process};
use crate::root::program;

/// Even with a million tasks to load, a server is up by then.
const READY_WAIT: Duration = Duration::from_secs(60);
/// How long a task may take to a state that it reaches in milliseconds.
const STATE_WAIT: Duration = Duration::from_secs(20);
/// How long a server gets to end, with all that runs, when a row is over.
const END_WAIT: Duration = Duration::from_secs(20);

pub(super) struct Server {
    binary: PathBuf,
    /// Gone when the row is over.
    folder: tempfile::TempDir,
    devices: String,
    child: Child,
    pub(super) address: Address,
}

impl Server {
    /// A server with this many simulated devices, ready to take tasks.
    pub(super) fn start(context: &Context, devices: usize) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&context.work)?;
        let devices = format!("{devices}xA100-80GB");
        let (child, address) = launch(&context.binary, folder.path(), &devices)?;
        Ok(Self { binary: context.binary.clone(), folder, devices, child, address })
    }

    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        self.address.connect()
    }

    /// The end without warning that the server must survive.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again in the same folder; returns when it answers that it is ready.
    pub(super) fn restart(&mut self) -> anyhow::Result<Duration> {
        let client = self.folder.path().join("client.json");
        std::fs::remove_file(client).ok();
        let began = Instant::now();
        (self.child, self.address) = launch(&self.binary, self.folder.path(), &self.devices)?;
        Ok(began.elapsed())
    }

    /// Server, keeper and guardians.
    pub(super) fn processes(&self) -> Vec<Process> {
        process::with_argument(self.folder.path())
    }

    /// Server and keeper alone: what is there when nothing runs.
    pub(super) fn resident(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| !process.is_guardian()).collect()
    }

    /// Takes every device until the row is over, so that whatever comes later waits.
    pub(super) fn occupy(&self, devices: usize) -> anyhow::Result<()> {
        let mut connection = self.connect()?;
        let body = json!({ "name": "blocker", "command": ["/bin/sleep", "3600"], "gpu": devices });
        let id = id_of(&connection.post("/v1/tasks", &body.to_string())?)?;
        wait_for_state(&mut connection, &id, "running")
    }
}

impl Drop for Server {
    /// Nothing of a row may disturb the next one. A server that was told so ends all that runs, and what it needed.
    fn drop(&mut self) {
        if let Some(server) = i32::try_from(self.child.id()).ok().and_then(Process::read) {
            signal(&server, Signal::TERM);
        }
        let deadline = Instant::now() + END_WAIT;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = self.processes().into_iter().chain(process::working_in(self.folder.path()));
        for process in left {
            println!("  {} ({}) had to be killed", process.name, process.pid);
            signal(&process, Signal::KILL);
        }
        self.child.wait().ok();
    }
}

pub(super) fn signal(process: &Process, signal: Signal) {
    if let Some(pid) = Pid::from_raw(process.pid).filter(|_| process.is_there()) {
        // It may have ended in between, and then all is well.
        kill_process(pid, signal).ok();
    }
}

fn launch(binary: &Path, folder: &Path, devices: &str) -> anyhow::Result<(Child, Address)> {
    let output = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("bench-output"))?;
    let mut child = program(binary)
        .args(["up", "--ephemeral", "--listen", "127.0.0.1:0", "--simulate", devices, "--data-dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    match wait_until_ready(&mut child, folder) {
        Ok(address) => Ok((child, address)),
        Err(error) => {
            child.kill().ok();
            child.wait().ok();
            let output = std::fs::read_to_string(folder.join("bench-output")).unwrap_or_default();
            Err(error.context(format!("the server said: {}", output.trim())))
        }
    }
}

/// First the file with the address, then the answer that it is ready.
fn wait_until_ready(child: &mut Child, folder: &Path) -> anyhow::Result<Address> {
    let deadline = Instant::now() + READY_WAIT;
    let mut address = None;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended at once ({status})");
        }
        if address.is_none() {
            address = read_address(&folder.join("client.json"));
        }
        if let Some(address) = &address
            && address
                .connect()
                .and_then(|mut connection| connection.call("GET", "/readyz", ""))
                .is_ok_and(|a| a.0 == 200)
        {
            return Ok(address.clone());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the server is not ready after {} s", READY_WAIT.as_secs())
}

/// `None` while the file is not there or not whole.
fn read_address(path: &Path) -> Option<Address> {
    let client: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let host = client["url"].as_str()?.strip_prefix("http://")?.trim_end_matches('/');
    Some(Address {
        socket: host.to_socket_addrs().ok()?.next()?,
        token: client["token"].as_str()?.to_owned(),
    })
}

pub(super) fn id_of(answer: &Value) -> anyhow::Result<String> {
    Ok(answer["id"].as_str().with_context(|| format!("no id in {answer}"))?.to_owned())
}

pub(super) fn wait_for_state(connection: &mut Connection, id: &str, wanted: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + STATE_WAIT;
    let mut state = Value::Null;
    while Instant::now() < deadline {
        state = connection.get(&format!("/v1/tasks/{id}"))?["state"].take();
        if state == wanted {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("{id} is {state} and not {wanted} after {} s", STATE_WAIT.as_secs())
}
