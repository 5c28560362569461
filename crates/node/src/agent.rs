//! The agent: the server's side of a node. It turns orders into the keeper's words and back.
//!
//! Start with [`AgentHandle::start`]. One thread ([`link`]) owns the connection to the keeper, starts a
//! keeper when none answers, and says hello whenever it meets one. The agent remembers nothing of any
//! attempt: the keeper and the node's folder do. When the server ends, the agent's thread ends with it,
//! and everything that runs goes on.

mod link;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use fastgpu_core::ids::NodeId;
use fastgpu_core::node::{Delivery, Inventory, Report};
use rustix::event::EventfdFlags;

use crate::devices::Looker;
use crate::folder::NodeFolder;
use crate::software::Software;

/// Orders that wait for the keeper. More than a server hands out between two of its rounds; when it is
/// full, the orders are dropped and the agent says hello, after which whatever is still wanted comes again.
const ORDERS_WAITING_MAX: usize = 100_000;

/// What an agent must know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The node it speaks for.
    pub node: NodeId,
    /// The node's folder, see [`crate::folder`].
    pub node_dir: PathBuf,
    /// Program and first arguments that become a keeper; the node's folder is added as the last argument.
    pub keeper_command: Vec<OsString>,
    /// `PATH`, `HOME`, `USER`, `LANG`, `SHELL`: what every task's environment begins with.
    pub base_env: Vec<(String, String)>,
    /// Folders no task may see: the server's data and configuration.
    pub hide: Vec<PathBuf>,
    /// Whether control groups may be used where they work.
    pub use_cgroups: bool,
    /// How much of an attempt's output is kept, in bytes on disk.
    pub log_bytes_max: u64,
    /// What the node offers, as far as it is known now.
    pub inventory: Inventory,
    /// The software GPUs that tasks are to use, if the node's devices are such.
    pub software: Option<Software>,
    /// With what to ask for a look at the devices when a program ends badly; whoever takes the looks tells of
    /// them with [`AgentHandle::looked`].
    pub looker: Option<Looker>,
}

/// Log kept per attempt unless something else is said.
pub const LOG_BYTES_MAX_DEFAULT: u64 = 64 * 1024 * 1024;

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The node's folder cannot be used.
    #[error("could not use the node's folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system refused a thread or a descriptor.
    #[error("could not start the node's agent")]
    Start(#[source] io::Error),
    /// There is no program to start a keeper with.
    #[error("the command that starts a keeper is empty")]
    NoKeeperCommand,
}

/// How the keeper should leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKeeper {
    /// When nothing runs and every end is acknowledged.
    WhenIdle,
    /// At once, after ending everything that runs.
    KillAll,
}

/// What the thread is asked to do.
#[derive(Debug)]
enum Ask {
    Deliver(Delivery),
    Hello,
    InventoryChanged,
    StopKeeper(StopKeeper),
}

/// What callers and the agent's thread share.
#[derive(Debug)]
struct Shared {
    asks: Mutex<Asks>,
    /// Wakes the thread.
    wake: OwnedFd,
    /// Told when the keeper has left.
    keeper_left: Condvar,
}

#[derive(Debug)]
struct Asks {
    waiting: VecDeque<Ask>,
    inventory: Inventory,
    /// The latest look at the devices that is over.
    looked: u64,
    keeper_left: bool,
    /// Whether the thread is to end. No place in the queue: nothing in there may hold it up.
    shutdown: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the thread is awake already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn push(&self, asks: impl IntoIterator<Item = Ask>) {
        let was_empty = {
            let mut queue = self.lock();
            let was_empty = queue.waiting.is_empty();
            queue.waiting.extend(asks);
            was_empty
        };
        if was_empty {
            self.wake();
        }
    }
}

/// A cheap handle on the agent of one node.
#[derive(Debug, Clone)]
pub struct AgentHandle {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl AgentHandle {
    /// Starts the agent. `report` is called on the agent's own thread, in order; it must not block for long.
    pub fn start(
        config: AgentConfig,
        report: impl FnMut(NodeId, Report) + Send + 'static,
    ) -> Result<Self, AgentError> {
        if config.keeper_command.is_empty() {
            return Err(AgentError::NoKeeperCommand);
        }
        let refuse = |source| AgentError::Folder { path: config.node_dir.clone(), source };
        let folder = NodeFolder::create(&config.node_dir).map_err(refuse)?;
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| AgentError::Start(error.into()))?;
        let asks = Asks {
            waiting: VecDeque::new(),
            inventory: config.inventory.clone(),
            looked: 0,
            keeper_left: false,
            shutdown: false,
        };
        let shared = Arc::new(Shared { asks: Mutex::new(asks), wake, keeper_left: Condvar::new() });
        let link = link::Link::new(config, folder, Arc::clone(&shared), Box::new(report));
        let thread = std::thread::Builder::new()
            .name("node-agent".to_owned())
            .spawn(move || link.run())
            .map_err(AgentError::Start)?;
        Ok(Self { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Hands orders to the node, without waiting.
    pub fn deliver(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        if self.shared.lock().waiting.len() + deliveries.len() > ORDERS_WAITING_MAX {
            tracing::warn!(dropped = deliveries.len(), "too many orders wait for the keeper");
            return self.hello();
        }
        self.shared.push(deliveries.into_iter().map(Ask::Deliver));
    }

    /// Asks for a [`Report::Hello`].
    pub fn hello(&self) {
        self.shared.push([Ask::Hello]);
    }

    /// Tells what the node offers from now on; it is reported.
    pub fn set_inventory(&self, inventory: Inventory) {
        self.shared.lock().inventory = inventory;
        self.shared.push([Ask::InventoryChanged]);
    }

    /// Tells that a look at the devices is over, after the inventory that it found.
    pub fn looked(&self, number: u64) {
        {
            let mut asks = self.shared.lock();
            asks.looked = asks.looked.max(number);
        }
        self.shared.wake();
    }

    /// Sends the keeper away and starts no other. Says whether it has left within `patience`.
    #[must_use]
    pub fn stop_keeper(&self, how: StopKeeper, patience: Duration) -> bool {
        self.shared.push([Ask::StopKeeper(how)]);
        let asks = self.shared.lock();
        let waited = self.shared.keeper_left.wait_timeout_while(asks, patience, |asks| !asks.keeper_left);
        waited.is_ok_and(|(asks, _)| asks.keeper_left)
    }

    /// Sends the keeper away if it holds nothing, and waits for nobody. Before a [`shutdown`](Self::shutdown): a
    /// keeper that holds something stays for the next agent.
    pub fn release_keeper(&self) {
        self.shared.push([Ask::StopKeeper(StopKeeper::WhenIdle)]);
    }

    /// Ends the agent's thread; keeper and tasks go on. Orders handed over before are still sent if a keeper
    /// is there and takes them within a moment.
    pub fn shutdown(&self) {
        self.shared.lock().shutdown = true;
        self.shared.wake();
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the node's agent panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ids::{Fence, TaskId};
    use fastgpu_core::node::Order;
    use fastgpu_core::units::{CpuMilli, MemoryMib, Millis};

    use super::*;

    /// Far above every limit of the agent's own.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn agent(node_dir: &std::path::Path, keeper_command: &[&str]) -> AgentHandle {
        let inventory =
            Inventory { cpu: CpuMilli(1_000), host_memory: MemoryMib(1_000), ..Inventory::of("here", []) };
        let config = AgentConfig {
            node: NodeId(0),
            node_dir: node_dir.to_path_buf(),
            keeper_command: keeper_command.iter().map(OsString::from).collect(),
            base_env: Vec::new(),
            hide: Vec::new(),
            use_cgroups: false,
            log_bytes_max: LOG_BYTES_MAX_DEFAULT,
            inventory,
            software: None,
            looker: None,
        };
        AgentHandle::start(config, |_, _| {}).unwrap()
    }

    fn order() -> Delivery {
        let task = TaskId::new(1).unwrap();
        let order = Order::Stop { task, fence: Fence { attempt: 1, version: 1 }, grace: Millis(0) };
        Delivery { node: NodeId(0), order, spec: None }
    }

    /// Whether a shutdown comes to an end.
    fn ends(agent: AgentHandle) -> bool {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            agent.shutdown();
            let _ = tell.send(());
        });
        told.recv_timeout(PATIENCE).is_ok()
    }

    #[test]
    fn a_shutdown_ends_though_orders_wait_for_a_keeper_that_never_comes() {
        for keeper in [&["/bin/false"][..], &["/bin/sh", "-c", "sleep 2"]] {
            let node = tempfile::tempdir().unwrap();
            let agent = agent(node.path(), keeper);
            agent.deliver(vec![order()]);
            assert!(ends(agent), "{keeper:?}");
        }
    }

    #[test]
    fn a_shutdown_ends_though_the_keeper_says_nothing() {
        let node = tempfile::tempdir().unwrap();
        let _deaf = std::os::unix::net::UnixListener::bind(node.path().join("keeper.sock")).unwrap();
        let agent = agent(node.path(), &["/bin/false"]);
        agent.deliver(vec![order()]);
        assert!(ends(agent));
    }

    #[test]
    fn a_shutdown_ends_though_the_keeper_was_sent_away_and_orders_came_after() {
        let node = tempfile::tempdir().unwrap();
        let agent = agent(node.path(), &["/bin/false"]);
        let _ = agent.stop_keeper(StopKeeper::KillAll, Duration::from_millis(100));
        agent.deliver(vec![order()]);
        assert!(ends(agent));
    }
}
