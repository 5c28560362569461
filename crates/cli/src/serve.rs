//! A whole FastGPU in this process: store, control loop, node, HTTP server, in the order in which each
//! needs the one before, and back again at the end.
//!
//! Start with [`run`], then [`Instance::start`]. What is printed about it is in `commands/up.rs`. Absent on purpose:
//! any decision; these files only join the parts.

mod door;
mod http;
mod log;
mod machine;
mod ports;
mod ready;
mod record;
mod refusals;
mod signals;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastgpu_control::{Control, Handle, Options};
use fastgpu_server::ServerParts;
use fastgpu_store::{OpenOptions, SqliteHistory, SqliteStore};
use tokio::runtime::Runtime;

use crate::detach::Ready;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{Environment, UpSettings};

use door::Door;
use http::Http;
use machine::Machine;
pub(crate) use machine::{Ending, probe_command};
use ports::LocalNode;
pub(crate) use refusals::failure_of;

/// How long blocking work may go on after the server has ended.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(1);
/// Threads for requests: two hide a slow read behind a fast one, and the loop behind them is one thread,
/// so more than a few only cost memory.
const WORKERS_MIN: usize = 2;
const WORKERS_MAX: usize = 8;

/// Starts a server and serves until a signal ends it. `on_ready` is called once, when it answers.
pub(crate) fn run(
    settings: &UpSettings,
    environment: &Environment,
    ending: Ending,
    out: &Output,
    on_ready: impl FnOnce(&Ready) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    log::begin(settings.log_filter.as_deref())?;
    let mut instance = Instance::start(settings, environment)?;
    let runtime = runtime()?;
    let served = runtime.block_on(instance.serve(environment, ending, out, on_ready));
    instance.stop(ending);
    runtime.shutdown_timeout(RUNTIME_PATIENCE);
    served.map(|()| 0)
}

fn runtime() -> Result<Runtime, Failure> {
    let threads = std::thread::available_parallelism().map_or(WORKERS_MIN, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(WORKERS_MIN, WORKERS_MAX))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))
}

/// A running FastGPU, all but its HTTP server.
struct Instance {
    began: Instant,
    data_dir: PathBuf,
    history: SqliteHistory,
    door: Door,
    control: Control,
    handle: Handle,
    machine: Machine,
}

impl Instance {
    /// Starts everything that must be there before the first request is answered.
    fn start(settings: &UpSettings, environment: &Environment) -> Result<Self, Failure> {
        let began = Instant::now();
        let simulate = settings.simulate.as_deref().map(machine::parse_simulate).transpose()?;
        let data_dir = settings.data_dir.clone();
        let store = SqliteStore::open(&data_dir, OpenOptions::default())
            .map_err(|error| refusals::of_open(&error, &data_dir))?;
        // The folder is ours from here on; where a killed server listened, somebody else may listen.
        token::forget_address(&data_dir);
        let door = Door::open(settings.listen)?;
        let history = store.history();
        let port = Arc::new(LocalNode::default());
        let options = Options { recorder: record::open(settings.record.as_deref()), ..Options::default() };
        let (control, handle) =
            Control::start(Box::new(store), port.clone(), options).map_err(|error| failure_of(&error))?;
        let machine = Machine::start(settings, simulate.as_ref(), environment, &handle, &port)?;
        Ok(Self { began, data_dir, history, door, control, handle, machine })
    }

    /// Answers requests until somebody or something ends it.
    async fn serve(
        &mut self,
        environment: &Environment,
        ending: Ending,
        out: &Output,
        on_ready: impl FnOnce(&Ready) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let parts = ServerParts {
            handle: self.handle.clone(),
            history: Arc::new(self.history.clone()),
            logs: Arc::new(self.machine.logs()),
            options: fastgpu_server::Options::default(),
        };
        let http = Http::start(self.door.listener()?, parts)?;
        let ready = self.ready().await;
        token::write_client_file(&self.handle, &ready.url, &self.data_dir, environment).await?;
        tracing::info!(url = ready.url, pid = ready.pid, ready_ms = ready.ready_ms, "ready");
        on_ready(&ready)?;
        http.until_the_end(&self.control, ending, out).await
    }

    /// What there is to say about this server once it answers.
    async fn ready(&self) -> Ready {
        let found = ready::devices_found(&self.machine, &self.handle).await;
        Ready {
            url: self.door.url(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.data_dir.clone(),
            ready_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            simulated: found.devices.iter().any(|device| device.simulated),
            has_devices: !found.devices.is_empty(),
            devices: ready::describe(&found),
        }
    }

    /// Ends our part; what runs on the node goes on, or is ended too.
    fn stop(self, ending: Ending) {
        // While the folder is ours still.
        token::forget_address(&self.data_dir);
        self.machine.stop(ending);
        // Readers first: the writer, closed last, leaves a database without a log.
        drop(self.history);
        self.control.stop();
    }
}
