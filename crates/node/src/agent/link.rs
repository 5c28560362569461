//! The agent's thread: one connection to one keeper.
//!
//! It waits on two descriptors, the handle's wake-up and the keeper's socket, and never on anything else:
//! orders are written as far as the socket takes them, the rest waits here.

mod doubt;
mod silence;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastgpu_core::ids::NodeId;
use fastgpu_core::node::{Ability, Delivery, Exit, ExitKind, HeldAttempt, Inventory, Launch, Order, Report};
use fastgpu_core::spec::Spec;
use fastgpu_core::units::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::{AgentConfig, Ask, Shared, StopKeeper};
use crate::clock::now;
use crate::environment;
use crate::folder::NodeFolder;
use crate::protocol::{
    FrameBuffer, FromKeeper, LaunchWords, PROTOCOL_VERSION, ToKeeper, WireAbility, WireHeld, write_frame,
};
use crate::settings::KeeperSettings;
use crate::sys;

/// How long a fresh keeper may take until it answers: it only reads its folder and opens a socket.
const KEEPER_START_MAX: Duration = Duration::from_secs(10);
/// The first wait between two tries to reach a fresh keeper; it doubles.
const CONNECT_RETRY_FIRST: Duration = Duration::from_millis(1);
const CONNECT_RETRY_MAX: Duration = Duration::from_millis(50);
/// The waits between two keepers that could not be started.
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(5);
/// How long a keeper that has hung up for good may take to end.
const KEEPER_END_MAX: Duration = Duration::from_secs(5);
/// How long an agent that is told to end tries to hand over what waits. Whatever is still wanted after that is
/// ordered again by the next server.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);
/// Bytes waiting for the socket, from which on no further order is taken from the queue.
const OUT_BYTES_MAX: usize = 1024 * 1024;
/// A server whose node has had nothing to do for this long makes itself small.
const SETTLES_AFTER: Duration = Duration::from_secs(10);
/// Reads before orders get their turn again.
const READS_MAX: usize = 16;

/// A greeted keeper.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    inbox: FrameBuffer,
    out: Vec<u8>,
    written: usize,
    held: Vec<HeldAttempt>,
    welcomed: bool,
    greeted_at: Instant,
    /// Whether it is known to be late with its answer.
    is_late: bool,
}

/// See the module.
pub(super) struct Link {
    config: AgentConfig,
    folder: NodeFolder,
    shared: Arc<Shared>,
    report: Box<dyn FnMut(NodeId, Report) + Send>,
    connection: Option<Connection>,
    keeper: Option<Child>,
    abilities: Vec<Ability>,
    /// Why the keeper does not do its part now.
    trouble: Option<Ability>,
    restart_wait: Duration,
    restart_at: Option<Instant>,
    crash_armed: bool,
    leaving: Option<StopKeeper>,
    /// Ends that wait for a look at the devices, the oldest first.
    doubts: VecDeque<doubt::Doubt>,
    /// When the node had something to do last, until the memory that it took is given back.
    busy_at: Option<Instant>,
    /// When to end in any case, once a shutdown is asked for.
    end_by: Option<Instant>,
}

impl Link {
    pub(super) fn new(
        config: AgentConfig,
        folder: NodeFolder,
        shared: Arc<Shared>,
        report: Box<dyn FnMut(NodeId, Report) + Send>,
    ) -> Self {
        Self {
            config,
            folder,
            shared,
            report,
            connection: None,
            keeper: None,
            abilities: Vec::new(),
            trouble: None,
            restart_wait: RESTART_FIRST,
            restart_at: None,
            crash_armed: true,
            leaving: None,
            doubts: VecDeque::new(),
            busy_at: Some(Instant::now()),
            end_by: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            self.ensure_keeper();
            self.take_asks();
            self.settle_doubts();
            self.flush();
            if self.may_end() {
                return;
            }
            self.wait();
            self.receive();
            self.look_at_silence();
            self.settle();
        }
    }

    /// Whether a shutdown is asked for, and all is said or its time is over.
    fn may_end(&mut self) -> bool {
        let all_taken = {
            let asks = self.shared.lock();
            if !asks.shutdown {
                return false;
            }
            asks.waiting.is_empty()
        };
        let now = Instant::now();
        let end_by = *self.end_by.get_or_insert(now + SHUTDOWN_MAX);
        now >= end_by || self.connection.as_ref().is_none_or(|c| all_taken && c.out.is_empty())
    }

    /// Connects, and starts a keeper if none answers.
    fn ensure_keeper(&mut self) {
        if self.connection.is_some() || self.shared.lock().shutdown {
            return;
        }
        if self.leaving.is_some() {
            return self.keeper_has_left();
        }
        if self.restart_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        match connect(&self.folder).or_else(|_| self.start_keeper()) {
            Ok(stream) => self.greet(stream),
            Err(error) => {
                tracing::error!(%error, wait = ?self.restart_wait, "no keeper could be reached or started");
                self.restart_at = Some(Instant::now() + self.restart_wait);
                self.restart_wait = (self.restart_wait * 2).min(RESTART_MAX);
                self.say_trouble(format!("no keeper could be reached or started: {error}"));
            }
        }
    }

    fn start_keeper(&mut self) -> io::Result<UnixStream> {
        self.reap_keeper();
        let (program, arguments) = self.config.keeper_command.split_first().expect("checked at the start");
        let log = open_keeper_log(&self.folder)?;
        // Each time: whatever became of the file since, a keeper must not run without its settings.
        let (hide, use_cgroups) = (self.config.hide.clone(), self.config.use_cgroups);
        let settings = KeeperSettings { hide, use_cgroups, idle_leave_ms: None };
        settings.save(&self.folder)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(self.folder.root()).current_dir("/").env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // A crash on order happens once: a keeper that follows must be able to recover. Passings counted in
        // a file (`@`) see to that themselves.
        if let Some((key, value)) = fastgpu_failpoints::inherited()
            && (std::mem::take(&mut self.crash_armed) || value.contains('@'))
        {
            command.env(key, value);
        }
        let mut child = command.spawn()?;
        tracing::info!(pid = child.id(), "started a keeper");
        let deadline = Instant::now() + KEEPER_START_MAX;
        let mut wait = CONNECT_RETRY_FIRST;
        let stream = loop {
            match connect(&self.folder) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline || self.shared.lock().shutdown => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("the keeper ended at once ({status}), see keeper.log")));
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(CONNECT_RETRY_MAX);
        };
        let serving = rustix::net::sockopt::socket_peercred(stream.as_fd())?.pid.as_raw_nonzero().get();
        if u32::try_from(serving).is_ok_and(|serving| serving == child.id()) {
            self.keeper = Some(child);
        } else {
            // One that an earlier agent had just started was quicker. Ours waits to take its place one day,
            // when nobody would know of it.
            let _ = child.kill();
            child.wait()?;
        }
        Ok(stream)
    }

    fn greet(&mut self, stream: UnixStream) {
        let mut out = Vec::new();
        write_frame(&mut out, &ToKeeper::Hello { version: PROTOCOL_VERSION }).expect("a short message");
        let inbox = FrameBuffer::default();
        self.connection = Some(Connection {
            stream,
            inbox,
            out,
            written: 0,
            held: Vec::new(),
            welcomed: false,
            greeted_at: Instant::now(),
            is_late: false,
        });
        self.restart_at = None;
    }

    /// The connection is over; the next turn makes a new one.
    fn disconnect(&mut self, why: &io::Error) {
        if self.leaving.is_none() {
            tracing::warn!(%why, "lost the keeper");
        }
        if self.connection.take().is_some_and(|connection| !connection.welcomed) {
            self.restart_at = Some(Instant::now() + self.restart_wait);
            self.restart_wait = (self.restart_wait * 2).min(RESTART_MAX);
        }
        self.reap_keeper();
    }

    /// Collects a keeper of ours that ended, so that it does not stay as a zombie.
    fn reap_keeper(&mut self) {
        if let Some(child) = &mut self.keeper
            && matches!(child.try_wait(), Ok(Some(_)) | Err(_))
        {
            self.keeper = None;
        }
    }

    fn keeper_has_left(&mut self) {
        // Its socket is closed: it is on its last steps.
        let deadline = Instant::now() + KEEPER_END_MAX;
        let mut wait = CONNECT_RETRY_FIRST;
        while self.keeper.is_some() && Instant::now() < deadline {
            self.reap_keeper();
            if self.keeper.is_some() {
                std::thread::sleep(wait);
                wait = (wait * 2).min(CONNECT_RETRY_MAX);
            }
        }
        self.shared.lock().keeper_left = true;
        self.shared.keeper_left.notify_all();
    }

    /// Takes orders as long as the socket keeps up.
    fn take_asks(&mut self) {
        loop {
            let ready = self.connection.as_ref().is_some_and(|c| c.welcomed && c.out.len() < OUT_BYTES_MAX);
            let ask = {
                let mut asks = self.shared.lock();
                match asks.waiting.front() {
                    None => return,
                    Some(Ask::Deliver(_)) if !ready => return,
                    Some(_) => asks.waiting.pop_front(),
                }
            };
            match ask {
                Some(Ask::Deliver(delivery)) => self.send_order(delivery),
                Some(Ask::Hello) => self.send(&ToKeeper::List),
                Some(Ask::InventoryChanged) => {
                    let inventory = self.inventory();
                    self.pass(Report::Inventory(inventory));
                }
                Some(Ask::StopKeeper(how)) => {
                    self.leaving = Some(how);
                    if self.connection.is_none()
                        && let Ok(stream) = connect(&self.folder)
                    {
                        self.greet(stream);
                    }
                    self.send(&ToKeeper::Leave { kill_all: how == StopKeeper::KillAll });
                    self.ensure_keeper();
                }
                None => return,
            }
        }
    }

    fn send(&mut self, message: &ToKeeper) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = write_frame(&mut connection.out, message)
        {
            tracing::error!(%error, "a message to the keeper was dropped");
        }
    }

    fn send_order(&mut self, delivery: Delivery) {
        self.busy_at = Some(Instant::now());
        match delivery.order {
            Order::Launch(launch) => self.send_launch(&launch, delivery.spec.as_deref()),
            Order::Stop { task, fence, grace } => self.send(&ToKeeper::Stop {
                task: task.get(),
                attempt: fence.attempt,
                version: fence.version,
                grace_ms: grace.0,
            }),
            Order::Forget { task, attempt } => self.send(&ToKeeper::Forget { task: task.get(), attempt }),
            // The control plane refuses these before they reach a node whose backends cannot do them, and no
            // backend here can: there is nothing to answer.
            Order::Regrant { task, .. } | Order::Suspend { task, .. } | Order::Resume { task, .. } => {
                tracing::debug!(%task, "ignored an order that no backend of this node supports");
            }
        }
    }

    fn send_launch(&mut self, launch: &Launch, spec: Option<&Spec>) {
        fastgpu_failpoints::hit("agent.launch.before_send");
        let how = match self.launch_words(launch, spec) {
            Ok(words) => {
                let Some(connection) = &mut self.connection else { return };
                match write_frame(&mut connection.out, &ToKeeper::Launch(Box::new(words))) {
                    Ok(()) => return,
                    Err(_) => ExitKind::BadSpec("the command and its environment are too large".to_owned()),
                }
            }
            Err(how) => how,
        };
        let exit = Exit { at: now(), how, cpu_ms: 0, rss_max_kib: 0, sick: None };
        self.pass(Report::Exited { task: launch.task, fence: launch.fence, exit });
    }

    fn launch_words(&self, launch: &Launch, spec: Option<&Spec>) -> Result<LaunchWords, ExitKind> {
        let spec =
            spec.ok_or_else(|| ExitKind::Infrastructure("the order came without its program".to_owned()))?;
        if spec.command.is_empty() {
            return Err(ExitKind::BadSpec("the command is empty".to_owned()));
        }
        let AgentConfig { base_env, software, .. } = &self.config;
        let software = software.as_ref();
        let env = environment::of_attempt(base_env, launch, spec, &self.shared.lock().inventory, software)
            .map_err(|error| ExitKind::Infrastructure(error.to_string()))?;
        Ok(LaunchWords {
            task: launch.task.get(),
            attempt: launch.fence.attempt,
            version: launch.fence.version,
            command: spec.command.clone(),
            env,
            working_dir: spec.working_dir.clone(),
            time_limit_ms: launch.time_limit.map(|limit| limit.0),
            stop_grace_ms: launch.stop_grace.0,
            host_memory_mib: launch.part.host_memory.0,
            log_bytes_max: self.config.log_bytes_max,
        })
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        while connection.written < connection.out.len() {
            match connection.stream.write(&connection.out[connection.written..]) {
                Ok(count) => connection.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.disconnect(&error),
            }
        }
        if connection.written > 0 {
            connection.out.clear();
            connection.written = 0;
            fastgpu_failpoints::hit("agent.launch.after_send");
        }
    }

    /// Gives back the memory of code that ran while there was something to do; most of it never runs again.
    fn settle(&mut self) {
        if self.busy_at.is_some_and(|at| at.elapsed() >= SETTLES_AFTER) {
            self.busy_at = None;
            sys::drop_code_pages();
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self) {
        let timeout = match (&self.connection, self.restart_at) {
            (None, Some(at)) => Some(at.saturating_duration_since(Instant::now())),
            (None, None) if self.leaving.is_none() => Some(Duration::ZERO),
            _ => None,
        };
        let end_in = self.end_by.map(|at| at.saturating_duration_since(Instant::now()));
        let late_in = self.late_at().map(|at| at.saturating_duration_since(Instant::now()));
        let settled_in = self.doubt_ends_at().map(|at| at.saturating_duration_since(Instant::now()));
        let small_in = self.busy_at.map(|at| SETTLES_AFTER.saturating_sub(at.elapsed()));
        let timeout = [timeout, end_in, late_in, settled_in, small_in].into_iter().flatten().min();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        if let Some(connection) = &self.connection {
            let out = if connection.out.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            fds.push(PollFd::new(&connection.stream, PollFlags::IN | out));
        }
        // An interrupted wait is a short wait.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        if fds[0].revents().contains(PollFlags::IN) {
            let _ = rustix::io::read(&self.shared.wake, &mut [0u8; 8]);
        }
    }

    fn receive(&mut self) {
        for _ in 0..READS_MAX {
            let Some(connection) = &mut self.connection else { return };
            match connection.inbox.read_from(&connection.stream) {
                Ok(0) => return self.disconnect(&io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    if let Err(error) = self.read_messages() {
                        return self.disconnect(&error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.disconnect(&error),
            }
        }
    }

    fn read_messages(&mut self) -> io::Result<()> {
        while let Some(connection) = &mut self.connection
            && let Some(message) = connection.inbox.next::<FromKeeper>()?
        {
            self.read_message(message)?;
        }
        Ok(())
    }

    fn read_message(&mut self, message: FromKeeper) -> io::Result<()> {
        let report = match message {
            FromKeeper::Welcome { version, pid, abilities } => {
                if version != PROTOCOL_VERSION {
                    tracing::info!(pid, version, "an older keeper makes room");
                    return Err(io::Error::other("the keeper speaks another version"));
                }
                self.abilities = abilities.into_iter().filter_map(ability).collect();
                return Ok(());
            }
            FromKeeper::Held { attempts, last } => {
                let Some(connection) = &mut self.connection else { return Ok(()) };
                connection.held.extend(attempts.into_iter().filter_map(WireHeld::read));
                if !last {
                    return Ok(());
                }
                connection.welcomed = true;
                let attempts = std::mem::take(&mut connection.held);
                self.trouble_is_over();
                self.restart_wait = RESTART_FIRST;
                self.pass_hello(attempts);
                return Ok(());
            }
            FromKeeper::Started { task, attempt, version, at } => {
                let held = WireHeld { task, attempt, version, started: Some(at), exit: None };
                let Some(HeldAttempt { task, fence, .. }) = held.read() else { return Ok(()) };
                Report::Started { task, fence, at: Timestamp(at) }
            }
            FromKeeper::Exited { task, attempt, version, exit } => {
                let held = WireHeld { task, attempt, version, started: None, exit: Some(exit) };
                let Some(HeldAttempt { task, fence, exit: Some(exit), .. }) = held.read() else {
                    return Ok(());
                };
                self.pass_exit(task, fence, exit);
                return Ok(());
            }
        };
        self.pass(report);
        Ok(())
    }

    fn pass(&mut self, report: Report) {
        fastgpu_failpoints::hit("agent.report.before_pass");
        (self.report)(self.config.node, report);
    }

    /// What the node offers, with what the keeper found out about it.
    fn inventory(&self) -> Inventory {
        let mut inventory = self.shared.lock().inventory.clone();
        inventory.abilities.extend(self.abilities.iter().chain(&self.trouble).cloned());
        inventory
    }
}

/// The abilities a keeper can speak of, by their stable names.
fn ability(wire: WireAbility) -> Option<Ability> {
    let name = ["cgroup", "memory_limit", "mount_namespace"].into_iter().find(|&name| name == wire.name)?;
    Some(Ability { name: name.into(), works: wire.works, detail: wire.detail })
}

/// Reaches the keeper's socket, however long its path is, and makes sure that it is ours.
fn connect(folder: &NodeFolder) -> io::Result<UnixStream> {
    let directory = std::fs::File::open(folder.root())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/keeper.sock", directory.as_raw_fd()));
    let stream = UnixStream::connect(path)?;
    let peer = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
    if peer.uid != rustix::process::getuid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the keeper's socket is not ours"));
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// A log that a keeper in trouble cannot grow for ever: it begins anew when it has become large.
fn open_keeper_log(folder: &NodeFolder) -> io::Result<std::fs::File> {
    const KEEPER_LOG_BYTES_MAX: u64 = 1024 * 1024;
    let path = folder.keeper_log();
    let large = std::fs::metadata(&path).is_ok_and(|meta| meta.len() > KEEPER_LOG_BYTES_MAX);
    if large {
        std::fs::remove_file(&path)?;
    }
    std::fs::OpenOptions::new().append(true).create(true).open(path)
}
