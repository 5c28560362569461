//! The node of this machine: its GPUs, the agent that runs tasks on them, and the sweeper of what they leave behind.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastgpu_control::Handle;
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::Inventory;
use fastgpu_node::agent::LOG_BYTES_MAX_DEFAULT;
use fastgpu_node::devices::{DeviceConfig, DeviceSource};
use fastgpu_node::probe::ProbeCommand;
use fastgpu_node::retention::{Pace, Retention, Sweeper};
use fastgpu_node::simulate::SimulateSpec;
use fastgpu_node::software::Software;
use fastgpu_node::{AgentConfig, AgentHandle, LogReader, StopKeeper};

use super::failure_of;
use super::ports::{LocalLogs, LocalNode};
use crate::failure::Failure;
use crate::settings::{Environment, UpSettings};

/// The machine the control plane runs on.
pub(super) const LOCAL_NODE: NodeId = NodeId(0);
/// How long ending everything that runs may take; all is killed at once.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);
/// What every task's environment begins with, as far as we have it ourselves.
const BASE_VARIABLES: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "SHELL"];

/// What becomes of running tasks when the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// They go on; the next server adopts them.
    LeaveTasks,
    /// They are ended, and the node's keeper with them.
    EndEverything,
}

/// The node, while the server runs.
pub(super) struct Machine {
    agent: AgentHandle,
    devices: DeviceSource,
    node_dir: PathBuf,
    software: Option<Software>,
    /// Sweeps old logs as long as it lives.
    _sweeper: Sweeper,
}

impl Machine {
    /// Looks for GPUs, starts the agent, and connects it with the control plane.
    pub(super) fn start(
        settings: &UpSettings,
        simulate: Option<&SimulateSpec>,
        environment: &Environment,
        handle: &Handle,
        port: &LocalNode,
    ) -> Result<Self, Failure> {
        let node_dir = settings.data_dir.join("node");
        let probe = probe_command(settings.nvml_path.clone(), environment)?;
        let software = simulate.map(|spec| make_software(&node_dir, spec)).transpose()?;
        let labels = settings.labels.iter().map(|label| label.as_str().into()).collect();
        let late = Arc::new(OnceLock::new());
        let devices = look(DeviceConfig { labels, ..DeviceConfig::new(probe, software.clone()) }, &late)?;
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
        let sweeper = Sweeper::start(&node_dir, Retention::default(), Pace::default())
            .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
        Ok(Self { agent, devices, node_dir, software, _sweeper: sweeper })
    }

    /// What was found so far.
    pub(super) fn inventory(&self) -> Inventory {
        self.devices.current()
    }

    /// The logs it keeps.
    pub(super) fn logs(&self) -> LocalLogs {
        LocalLogs(LogReader::new(&self.node_dir))
    }

    /// Ends our part; what runs goes on, or is ended too.
    pub(super) fn stop(self, ending: Ending) {
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
    }
}

/// Begins to look for GPUs; the agent, once there is one, hears what is found.
fn look(config: DeviceConfig, late: &Arc<OnceLock<AgentHandle>>) -> Result<DeviceSource, Failure> {
    let (changed, looked) = (late.clone(), late.clone());
    DeviceSource::start(
        config,
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
    .map_err(|error| Failure::new(format!("the search for GPUs cannot be started: {error}")))
}

/// Makes the software GPUs ready, or says why that cannot be.
fn make_software(node_dir: &Path, spec: &SimulateSpec) -> Result<Software, Failure> {
    Software::prepare(node_dir, spec, &fastgpu_node::devices::hostname()).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::ResourceBusy => "start with those, or end them first: `fastgpu down --tasks`",
            _ => "they need some room in the data folder and in /dev/shm",
        };
        Failure::new(format!("the software GPUs cannot be made: {error}")).help(help)
    })
}

/// Which software GPUs are asked for.
pub(super) fn parse_simulate(text: &str) -> Result<SimulateSpec, Failure> {
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
