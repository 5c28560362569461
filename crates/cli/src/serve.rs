//! A whole FastGPU in this process: store, control loop, node, HTTP server, in the order in which each
//! needs the one before, and back again at the end.
//!
//! Start with [`Instance::start`]. What is printed about it is in `commands/up.rs`. Absent on purpose:
//! any decision; this file only joins the parts.

mod ports;
mod record;
mod refusals;
mod token;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fastgpu_control::{Control, Handle, Options};
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::Inventory;
use fastgpu_node::agent::LOG_BYTES_MAX_DEFAULT;
use fastgpu_node::devices::{DeviceConfig, DeviceSource};
use fastgpu_node::probe::ProbeCommand;
use fastgpu_node::retention::{Pace, Retention, Sweeper};
use fastgpu_node::simulate::SimulateSpec;
use fastgpu_node::software::Software;
use fastgpu_node::{AgentConfig, AgentHandle, LogReader, StopKeeper};
use fastgpu_store::{OpenOptions, SqliteHistory, SqliteStore};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::detach::Ready;
use crate::failure::{Failure, exit};
use crate::output::Output;
use crate::settings::{Environment, UpSettings};

use ports::{LocalLogs, LocalNode};
pub(crate) use refusals::failure_of;

/// The machine the control plane runs on.
const LOCAL_NODE: NodeId = NodeId(0);
/// How long a first look at the GPUs may take before "ready" is said without them.
const DEVICES_PATIENCE: Duration = Duration::from_millis(100);
/// How often it is asked whether the first look is over, and whether the node is known.
const ASKED_EVERY: Duration = Duration::from_millis(2);
/// How long ending everything that runs may take; all is killed at once.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);
/// How long blocking work may go on after the server has ended.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(1);
/// Threads for requests: two hide a slow read behind a fast one, and the loop behind them is one thread,
/// so more than a few only cost memory.
const WORKERS_MIN: usize = 2;
const WORKERS_MAX: usize = 8;
/// What an operator wants to read when nothing else is said.
const LOG_FILTER_DEFAULT: &str = "info";
/// What every task's environment begins with, as far as we have it ourselves.
const BASE_VARIABLES: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "SHELL"];

/// A running FastGPU, all but its HTTP server.
pub(crate) struct Instance {
    control: Control,
    handle: Handle,
    agent: AgentHandle,
    devices: DeviceSource,
    history: SqliteHistory,
    logs: Arc<LocalLogs>,
    /// Sweeps old logs as long as it lives.
    _sweeper: Sweeper,
    /// Taken by the HTTP server.
    listener: Option<TcpListener>,
    address: SocketAddr,
    data_dir: PathBuf,
    software: Option<Software>,
    began: Instant,
}

impl Instance {
    /// Starts everything that must be there before the first request is answered.
    pub(crate) fn start(settings: &UpSettings, environment: &Environment) -> Result<Self, Failure> {
        let began = Instant::now();
        let simulate = settings.simulate.as_deref().map(parse_simulate).transpose()?;
        let data_dir = settings.data_dir.clone();
        let opened = SqliteStore::open(&data_dir, OpenOptions::default());
        let store = opened.map_err(|error| refusals::of_open(&error, &data_dir))?;
        // The folder is ours from here on; where a killed server listened, somebody else may listen.
        token::forget_address(&data_dir);
        let (listener, address) = listen(settings.listen)?;
        let history = store.history();
        let node_dir = data_dir.join("node");

        let port = Arc::new(LocalNode::default());
        let options = Options { recorder: record::open(settings.record.as_deref()), ..Options::default() };
        let (control, handle) =
            Control::start(Box::new(store), port.clone(), options).map_err(|error| failure_of(&error))?;
        let probe = probe_command(settings.nvml_path.clone(), environment)?;
        let late = Arc::new(OnceLock::<AgentHandle>::new());
        let software = simulate.map(|spec| software(&node_dir, &spec)).transpose()?;
        let labels = settings.labels.iter().map(|label| label.as_str().into()).collect();
        let found = DeviceConfig { labels, ..DeviceConfig::new(probe, software.clone()) };
        let (changed, looked) = (late.clone(), late.clone());
        let devices = DeviceSource::start(
            found,
            move |inventory| {
                if let Some(agent) = changed.get() {
                    agent.set_inventory(inventory);
                }
            },
            move |number| {
                if let Some(agent) = looked.get() {
                    agent.looked(number);
                }
            },
        )
        .map_err(|error| Failure::new(format!("the search for GPUs cannot be started: {error}")))?;
        let config = AgentConfig {
            node: LOCAL_NODE,
            node_dir: node_dir.clone(),
            keeper_command: vec![own_program()?.into_os_string(), OsString::from(crate::KEEPER)],
            base_env: base_variables(environment),
            hide: settings.hidden_dirs.iter().filter(|folder| folder.exists()).cloned().collect(),
            use_cgroups: true,
            log_bytes_max: LOG_BYTES_MAX_DEFAULT,
            inventory: devices.current(),
            software: software.clone(),
            looker: Some(devices.looker()),
        };
        let reports = handle.clone();
        let agent = AgentHandle::start(config, move |node, report| {
            // Nobody listens any more only while the control plane is stopping; a new one asks again.
            let _ = reports.report(node, report);
        })
        .map_err(|error| failure_of(&error))?;
        port.connect(agent.clone());
        // What was found before the agent was there is told now; what is found later goes its own way.
        if late.set(agent.clone()).is_ok() {
            agent.set_inventory(devices.current());
            agent.looked(devices.looker().looked());
        }
        let logs = Arc::new(LocalLogs(LogReader::new(&node_dir)));
        let sweeper = Sweeper::start(&node_dir, Retention::default(), Pace::default())
            .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
        Ok(Self {
            control,
            handle,
            agent,
            devices,
            history,
            logs,
            _sweeper: sweeper,
            listener: Some(listener),
            address,
            data_dir,
            software,
            began,
        })
    }

    /// The address for clients on this machine.
    pub(crate) fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }
}

impl Instance {
    /// What there is to say about this server once it answers.
    async fn ready(&self, url: &str) -> Ready {
        let found = self.devices_found().await;
        Ready {
            url: url.to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.data_dir.clone(),
            ready_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            simulated: found.devices.iter().any(|device| device.simulated),
            has_devices: !found.devices.is_empty(),
            devices: describe(&found),
        }
    }

    /// Waits a moment for the first look at the GPUs, and until the control plane has heard of it: who
    /// submits right after "ready" must not be told that there is no GPU.
    async fn devices_found(&self) -> Inventory {
        let deadline = Instant::now() + DEVICES_PATIENCE;
        loop {
            let found = self.devices.current();
            let count = found.devices.len();
            let known = self.handle.query(move |state, _| {
                state
                    .cluster()
                    .node(LOCAL_NODE)
                    .is_some_and(|node| node.present && node.devices.len() >= count)
            });
            let known = known.await.unwrap_or(true);
            if (found.probed && known) || Instant::now() > deadline {
                return found;
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }

    /// Ends our part; what runs on the node goes on, or is ended too.
    fn stop(self, ending: Ending) {
        // While the folder is ours still.
        token::forget_address(&self.data_dir);
        match ending {
            Ending::LeaveTasks => self.agent.release_keeper(),
            Ending::EndEverything if self.agent.stop_keeper(StopKeeper::KillAll, KEEPER_PATIENCE) => {}
            Ending::EndEverything => tracing::warn!("the keeper has not left in time"),
        }
        self.devices.stop();
        self.agent.shutdown();
        if let (Ending::EndEverything, Some(software)) = (ending, &self.software) {
            software.remove();
        }
        // Readers first: the writer, closed last, leaves a database without a log.
        drop(self.history);
        self.control.stop();
    }
}

/// Starts a server and serves until a signal ends it. `on_ready` is called once, when it answers.
pub(crate) fn run(
    settings: &UpSettings,
    environment: &Environment,
    ending: Ending,
    out: &Output,
    on_ready: impl FnOnce(&Ready) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    begin_log(settings.log_filter.as_deref())?;
    let mut instance = Instance::start(settings, environment)?;
    let threads = std::thread::available_parallelism().map_or(WORKERS_MIN, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(WORKERS_MIN, WORKERS_MAX))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let served = runtime.block_on(instance.serve(environment, ending, out, on_ready));
    instance.stop(ending);
    runtime.shutdown_timeout(RUNTIME_PATIENCE);
    served
}

impl Instance {
    /// Answers requests until a signal comes or the control plane ends by itself.
    async fn serve(
        &mut self,
        environment: &Environment,
        ending: Ending,
        out: &Output,
        on_ready: impl FnOnce(&Ready) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let url = self.url();
        let listener = self.listener.take().expect("serving happens once");
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|error| Failure::new(format!("cannot listen: {error}")))?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let parts = fastgpu_server::ServerParts {
            handle: self.handle.clone(),
            history: Arc::new(self.history.clone()),
            logs: self.logs.clone(),
            options: fastgpu_server::Options::default(),
        };
        let mut signals = Signals::new()?;
        let mut server = tokio::spawn(fastgpu_server::serve(listener, parts, async {
            // The sender's end counts as a stop too.
            let _ = stopped.await;
        }));
        let ready = self.ready(&url).await;
        token::write_client_file(&self.handle, &url, &self.data_dir, environment).await?;
        tracing::info!(url, pid = ready.pid, ready_ms = ready.ready_ms, "ready");
        on_ready(&ready)?;

        let fatal = self.control.fatal();
        let broken = async {
            match fatal {
                Some(fatal) => fatal.await.ok(),
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            name = signals.next() => Ok(name),
            Some(fatal) = broken => Err(failure_of(&fatal)),
            result = &mut server => return Err(match result {
                Ok(Err(error)) => Failure::new(format!("the server had to stop: {error}")),
                _ => Failure::new("the server stopped by itself"),
            }),
        };
        if let Ok(name) = &ended {
            out.say(match ending {
                Ending::LeaveTasks => {
                    "stopping; tasks that run go on, and the next `fastgpu up` finds them again"
                }
                Ending::EndEverything => "stopping, and ending everything that runs",
            });
            tracing::info!(signal = name, "stopping");
        }
        let _ = stop.send(());
        tokio::select! {
            _ = &mut server => {}
            // Whoever asks twice means now. What is acknowledged is durable.
            _ = signals.next() => std::process::exit(i32::from(exit::INTERRUPTED)),
        }
        ended.map(|_| 0)
    }
}

/// The signals that end a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let take =
            |kind| signal(kind).map_err(|error| Failure::new(format!("cannot wait for signals: {error}")));
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Begins the log on stderr. In the background, stderr is `server.log`.
fn begin_log(filter: Option<&str>) -> Result<(), Failure> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter.unwrap_or(LOG_FILTER_DEFAULT)).map_err(|error| {
            Failure::usage(format!("FASTGPU_LOG: {error}")).help("write for example `FASTGPU_LOG=debug`")
        })?;
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
    Ok(())
}

/// What becomes of running tasks when the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// They go on; the next server adopts them.
    LeaveTasks,
    /// They are ended, and the node's keeper with them.
    EndEverything,
}

/// One line per kind of device, or why there is none.
fn describe(found: &Inventory) -> Vec<String> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for device in &found.devices {
        let driver =
            device.driver.as_deref().map(|version| format!(" (driver {version})")).unwrap_or_default();
        let simulated = if device.simulated { ", software GPU" } else { "" };
        let kind = format!("{}, {}{driver}{simulated}", device.model, device.memory);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    if kinds.is_empty() {
        return found.abilities.iter().map(|ability| ability.detail.clone()).collect();
    }
    kinds.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect()
}

/// What a person reads about the devices of a server.
pub(crate) fn device_lines(ready: &Ready) -> Vec<String> {
    if ready.has_devices {
        return ready.devices.iter().map(|line| format!("GPUs     {line}")).collect();
    }
    let mut lines: Vec<_> = ready.devices.iter().map(|line| format!("GPUs     none: {line}")).collect();
    lines.push("         have software GPUs with `--simulate 8xA100-80GB`".to_owned());
    lines
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(address).map_err(|error| refusals::of_listen(&error, address))?;
    let bound = listener.set_nonblocking(true).and_then(|()| listener.local_addr());
    let bound = bound.map_err(|error| refusals::of_listen(&error, address))?;
    Ok((listener, bound))
}

/// Makes the software GPUs ready, or says why that cannot be.
fn software(node_dir: &Path, spec: &SimulateSpec) -> Result<Software, Failure> {
    Software::prepare(node_dir, spec, &fastgpu_node::devices::hostname()).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::ResourceBusy => "start with those, or end them first: `fastgpu down --tasks`",
            _ => "they need some room in the data folder and in /dev/shm",
        };
        Failure::new(format!("the software GPUs cannot be made: {error}")).help(help)
    })
}

fn parse_simulate(text: &str) -> Result<SimulateSpec, Failure> {
    text.parse().map_err(|error: fastgpu_node::simulate::SimulateError| {
        Failure::usage(format!("`--simulate`: {error}")).help(error.help())
    })
}

fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program does not know where it is: {error}")))
}

/// What every task's environment begins with. The path ends with the folder of this program, so that a task finds
/// `fastgpu` wherever it was started from.
fn base_variables(environment: &Environment) -> Vec<(String, String)> {
    let set = |name: &&str| environment.get(name).map(|value| ((*name).to_owned(), value.to_owned()));
    let mut variables: Vec<(String, String)> = BASE_VARIABLES.iter().filter_map(set).collect();
    let own = own_program().ok();
    let own = own.as_deref().and_then(Path::parent).and_then(Path::to_str).filter(|own| !own.contains(':'));
    if let (Some(own), Some((_, path))) = (own, variables.iter_mut().find(|(name, _)| name == "PATH"))
        && !path.split(':').any(|folder| folder == own)
    {
        *path = format!("{path}:{own}");
    }
    variables
}

/// How to ask the GPU driver.
pub(crate) fn probe_command(
    nvml_path: Option<PathBuf>,
    environment: &Environment,
) -> Result<ProbeCommand, Failure> {
    Ok(ProbeCommand {
        program: own_program()?,
        args: vec![OsString::from(crate::PROBE)],
        nvml_path,
        library_path: environment.get("LD_LIBRARY_PATH").map(OsString::from),
        env: Vec::new(),
    })
}
