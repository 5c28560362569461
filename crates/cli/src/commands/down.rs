//! `fastgpu down`: stops the server of a folder on this machine, and with `--tasks` everything that it runs.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastgpu_api::view::CancelRequest;
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::Inventory;
use fastgpu_node::software::Software;
use fastgpu_node::{AgentConfig, AgentHandle, StopKeeper};
use fastgpu_store::sqlite::user_of;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use super::{block_on, cancel};
use crate::args::DownArgs;
use crate::connect::connect;
use crate::failure::{Failure, exit};
use crate::local::ClientFile;
use crate::output::Output;
use crate::settings::Settings;

/// A server lets requests finish for five seconds, and may have a database to close.
const SERVER_PATIENCE: Duration = Duration::from_secs(30);
/// How long cancelled tasks may take: the usual grace, and as much again. What is left then is killed.
const TASKS_PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether they are over.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// How long ending what is left may take: all is killed at once.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Down {
    /// Of the server that was stopped; `null` when none ran.
    pid: Option<u32>,
    /// Tasks that were cancelled.
    cancelled: usize,
    /// Whether the keeper was sent away.
    keeper: bool,
}

pub(super) fn run(flags: &DownArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    must_mean_this_machine(settings)?;
    let server = Server::of(&settings.data_dir)?;
    let mut done = Down { pid: server.as_ref().map(|server| server.pid), ..Down::default() };
    // The server may take it along; it is gone in the end all the same.
    let had_keeper = keeper_socket(&settings.data_dir).exists();
    if flags.tasks && server.is_some() {
        done.cancelled = block_on(cancel_all(settings, out))?;
    }
    if let Some(server) = server {
        server.stop()?;
    }
    if flags.tasks {
        done.keeper = end_keeper(&settings.data_dir)? || had_keeper;
        Software::remove_unused(&settings.data_dir.join("node")).map_err(|error| {
            Failure::new(format!("the memory of the software GPUs was not given back: {error}"))
        })?;
    }
    out.one(&done, &done.pid.map(|pid| pid.to_string()).unwrap_or_default(), |out| {
        match done.pid {
            Some(pid) => out.data(&format!("stopped the server (process {pid})"))?,
            None => out.data(&format!("no server runs with the folder {}", settings.data_dir.display()))?,
        }
        match (flags.tasks, done.cancelled) {
            (false, _) if done.pid.is_some() => {
                out.data("tasks that run go on, and the next `fastgpu up` finds them again")
            }
            (true, cancelled) if done.pid.is_some() => {
                out.data(&format!("{cancelled} live tasks were cancelled, and nothing is left running"))
            }
            (true, _) if done.keeper => out.data("what an earlier one had left running was ended"),
            _ => Ok(()),
        }
    })?;
    Ok(0)
}

/// The server of another machine is not ours to stop.
fn must_mean_this_machine(settings: &Settings) -> Result<(), Failure> {
    let Some(url) = &settings.url else { return Ok(()) };
    let local = ClientFile::read(&settings.data_dir).map(|local| local.url);
    if local.is_some_and(|local| local.trim_end_matches('/') == url.trim_end_matches('/')) {
        return Ok(());
    }
    Err(Failure::usage(format!("`down` stops the server of a folder on this machine, and {url} is not it"))
        .help("leave `--url` and FASTGPU_URL out, and name the folder with `--data-dir`"))
}

/// A server that lives, and can be mistaken for no other process.
struct Server {
    pid: u32,
    handle: OwnedFd,
}

impl Server {
    /// The server that has this folder.
    fn of(data_dir: &Path) -> Result<Option<Self>, Failure> {
        let user = || {
            user_of(data_dir).map_err(|error| {
                Failure::new(format!("{} cannot be looked into: {error}", data_dir.display()))
            })
        };
        let Some(pid) = user()? else { return Ok(None) };
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(handle) = raw.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return Ok(None);
        };
        // Asked again now that the process is pinned: who has the folder still is the pinned one.
        if user()? != Some(pid) {
            return Ok(None);
        }
        if !is_server(pid) {
            return Err(Failure::new(format!("the folder is in use by process {pid}, which is no server"))
                .help("wait until it has ended; `fastgpu restore` may be at work there"));
        }
        Ok(Some(Self { pid, handle }))
    }

    /// Asks it to stop, and waits until it is gone.
    fn stop(&self) -> Result<(), Failure> {
        match pidfd_send_signal(&self.handle, Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                return Err(Failure::new(format!("process {} cannot be stopped: {error}", self.pid))
                    .help("it belongs to another user, who can stop it"));
            }
        }
        let deadline = Instant::now() + SERVER_PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).expect("half a minute fits");
            match poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&timeout)) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => {
                    return Err(Failure::new(format!("the server (process {}) has not ended yet", self.pid))
                        .help(
                            "a second `fastgpu down` ends it at once; its log is `server.log` in its folder",
                        )
                        .exit(exit::GAVE_UP_WAITING));
                }
                Ok(_) => return Ok(()),
            }
        }
    }
}

/// Whether a process was started to serve.
fn is_server(pid: u32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|&byte| byte == 0).any(|word| word == b"up")
}

/// Cancels all that lives, and waits until it is over or has had its time.
async fn cancel_all(settings: &Settings, out: &Output) -> Result<usize, Failure> {
    let client = connect(settings).await?;
    let tasks = cancel::live(&client, None).await?;
    if !tasks.is_empty() {
        out.say(&format!("cancelling {} live tasks", tasks.len()));
    }
    for task in &tasks {
        client.cancel(&task.id, &CancelRequest { grace: None }).await?;
    }
    let deadline = Instant::now() + TASKS_PATIENCE;
    while !cancel::live(&client, None).await?.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(ASKED_EVERY).await;
    }
    Ok(tasks.len())
}

fn keeper_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("node/keeper.sock")
}

/// Ends what still runs on the node, and its keeper. `false`: there was no keeper.
fn end_keeper(data_dir: &Path) -> Result<bool, Failure> {
    let node_dir = data_dir.join("node");
    if !keeper_socket(data_dir).exists() {
        return Ok(false);
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program does not know where it is: {error}")))?;
    let inventory = Inventory::of("", []);
    let config = AgentConfig {
        node: NodeId(0),
        node_dir,
        // Where the keeper has died, another must be there to end what it has left.
        keeper_command: vec![program.into_os_string(), OsString::from(crate::KEEPER)],
        base_env: Vec::new(),
        hide: Vec::new(),
        use_cgroups: true,
        log_bytes_max: fastgpu_node::agent::LOG_BYTES_MAX_DEFAULT,
        inventory,
        software: None,
        looker: None,
    };
    // What it reports is kept on the node, for the next server.
    let agent = AgentHandle::start(config, |_, _| {}).map_err(|error| crate::serve::failure_of(&error))?;
    let has_left = agent.stop_keeper(StopKeeper::KillAll, KEEPER_PATIENCE);
    agent.shutdown();
    if has_left {
        return Ok(true);
    }
    Err(Failure::new("the keeper of the tasks has not left in time")
        .help(format!("its log is {}", data_dir.join("node/keeper.log").display()))
        .exit(exit::GAVE_UP_WAITING))
}
