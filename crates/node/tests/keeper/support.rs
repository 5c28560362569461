//! A node of one's own, and words to talk with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fastgpu_core::ask::GrantPart;
use fastgpu_core::ids::{Fence, NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Ability, Delivery, Exit, ExitKind, HeldAttempt, Inventory, Launch, Order, Report};
use fastgpu_core::spec::Spec;
use fastgpu_core::units::{CpuMilli, MemoryMib, Millis};
use fastgpu_node::{AgentConfig, AgentHandle, LogOffset, LogReader, LogStream, StopKeeper};

/// Nothing here takes this long on any machine; a story that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static NEXT_TASK: AtomicU64 = AtomicU64::new(1);

/// A node in a fresh folder.
pub(crate) struct Node {
    pub(crate) dir: PathBuf,
    pub(crate) agent: AgentHandle,
    reports: Receiver<Report>,
    seen: Vec<Report>,
    use_cgroups: bool,
    log_bytes_max: u64,
    // Last: deleted when everything that uses it is gone.
    home: Arc<tempfile::TempDir>,
}

pub(crate) fn inventory() -> Inventory {
    Inventory { cpu: CpuMilli(2_000), host_memory: MemoryMib(1_000), ..Inventory::of("here", []) }
}

/// An agent whose keeper is this very binary.
pub(crate) fn config(node_dir: PathBuf, use_cgroups: bool, log_bytes_max: u64) -> AgentConfig {
    AgentConfig {
        node: NodeId(0),
        keeper_command: vec![std::env::current_exe().unwrap().into(), "__keeper".into()],
        base_env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/nowhere".into())],
        hide: vec![node_dir.parent().unwrap().to_path_buf()],
        node_dir,
        use_cgroups,
        log_bytes_max,
        inventory: inventory(),
        software: None,
        looker: None,
    }
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(true, 64 << 20)
    }

    pub(crate) fn without_cgroups() -> Self {
        Self::with(false, 64 << 20)
    }

    pub(crate) fn with(use_cgroups: bool, log_bytes_max: u64) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        // Longer than the path of a socket may be.
        let dir = home.path().join("data".repeat(30)).join("node");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.parent().unwrap().join("secret"), "42").unwrap();
        Self::at(home, dir, use_cgroups, log_bytes_max)
    }

    fn at(home: Arc<tempfile::TempDir>, dir: PathBuf, use_cgroups: bool, log_bytes_max: u64) -> Self {
        let (tell, reports) = channel();
        let config = config(dir.clone(), use_cgroups, log_bytes_max);
        let agent = AgentHandle::start(config, move |_, report| {
            let _ = tell.send(report);
        })
        .unwrap();
        Self { dir, agent, reports, seen: Vec::new(), use_cgroups, log_bytes_max, home }
    }

    /// An agent of a folder of one's own, whose reports nobody reads.
    pub(crate) fn agent_of(dir: &std::path::Path) -> AgentHandle {
        AgentHandle::start(config(dir.to_path_buf(), false, 64 << 20), |_, _| {}).unwrap()
    }

    /// Ends the agent, as the end of the server does, and starts another.
    pub(crate) fn restart_agent(self) -> Self {
        self.agent.shutdown();
        let again = Self::at(Arc::clone(&self.home), self.dir.clone(), self.use_cgroups, self.log_bytes_max);
        std::mem::forget(self);
        again
    }

    /// Lets the keeper go, as a server that stops does.
    pub(crate) fn release_keeper(&self) {
        self.agent.release_keeper();
    }

    /// Ends the agent, waits until the keeper has left, and starts another agent.
    pub(crate) fn without_keeper(self) -> Self {
        self.agent.shutdown();
        wait_for("the keeper's end", || (!self.dir.join("keeper.sock").exists()).then_some(()));
        self.restart_agent()
    }

    pub(crate) fn keeper_pid(&mut self) -> i32 {
        // The lock's owner is the keeper; its pid stands in no file, so it is found by its command line.
        let dir = self.dir.clone();
        wait_for("a keeper", || {
            processes().into_iter().find(|&pid| {
                let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                words.contains(dir.to_str().unwrap()) && name.trim() == "fastgpu-keeper"
            })
        })
    }

    pub(crate) fn deliver(&self, order: Order, spec: Option<Spec>) {
        self.agent.deliver(vec![Delivery { node: NodeId(0), order, spec: spec.map(Arc::new) }]);
    }

    pub(crate) fn launch(&self, task: Task) -> TaskId {
        let id = task.launch.task;
        self.deliver(Order::Launch(task.launch), Some(task.spec));
        id
    }

    pub(crate) fn stop(&self, task: TaskId, grace: Duration) {
        let grace = Millis(u64::try_from(grace.as_millis()).unwrap());
        self.deliver(Order::Stop { task, fence: Fence { attempt: 1, version: 1 }, grace }, None);
    }

    pub(crate) fn forget(&self, task: TaskId) {
        self.deliver(Order::Forget { task, attempt: 1 }, None);
    }

    pub(crate) fn hello(&mut self) -> BTreeMap<TaskId, HeldAttempt> {
        self.seen.retain(|report| !matches!(report, Report::Hello { .. }));
        self.agent.hello();
        self.next_hello()
    }

    /// Waits until every end is forgotten.
    pub(crate) fn holds_nothing(&mut self) {
        wait_for("an empty list", || self.hello().is_empty().then_some(()));
    }

    /// Kills the keeper; what the next one says it holds.
    pub(crate) fn replace_keeper(&mut self) -> BTreeMap<TaskId, HeldAttempt> {
        let keeper = self.keeper_pid();
        // Whatever was asked for is answered, so that the next hello is the new keeper's.
        self.settle();
        kill(keeper);
        self.next_hello()
    }

    /// Waits until no hello is on its way.
    fn settle(&mut self) {
        let task = self.launch(Task::new(&["true"]));
        self.exit(task);
        self.forget(task);
        self.seen.retain(|report| !matches!(report, Report::Hello { .. }));
    }

    pub(crate) fn next_hello(&mut self) -> BTreeMap<TaskId, HeldAttempt> {
        self.wait("hello", |report| match report {
            Report::Hello { attempts, .. } => {
                Some(attempts.iter().map(|held| (held.task, held.clone())).collect())
            }
            _ => None,
        })
    }

    pub(crate) fn ability(&mut self, name: &str) -> Ability {
        self.agent.hello();
        self.wait("hello", |report| match report {
            Report::Hello { inventory, .. } => inventory.abilities.iter().find(|a| a.name == name).cloned(),
            _ => None,
        })
    }

    /// What the node says of a keeper that does not do its part.
    pub(crate) fn trouble(&mut self) -> String {
        self.wait("trouble", |report| match report {
            Report::Inventory(inventory) => {
                let keeper = inventory.abilities.iter().find(|ability| ability.name == "keeper")?;
                (!keeper.works).then(|| keeper.detail.clone())
            }
            _ => None,
        })
    }

    pub(crate) fn started(&mut self, task: TaskId) {
        self.wait("start", |report| {
            matches!(report, Report::Started { task: which, .. } if *which == task).then_some(())
        });
    }

    pub(crate) fn exit(&mut self, task: TaskId) -> Exit {
        self.wait("exit", |report| match report {
            Report::Exited { task: which, exit, .. } if *which == task => Some(exit.clone()),
            // An end that came while nobody was connected is only in the list.
            Report::Hello { attempts, .. } => attempts.iter().find(|held| held.task == task)?.exit.clone(),
            _ => None,
        })
    }

    pub(crate) fn how(&mut self, task: TaskId) -> ExitKind {
        self.exit(task).how
    }

    /// Leaves out of the story what was reported of a task until now.
    pub(crate) fn unsee(&mut self, task: TaskId) {
        self.seen.extend(self.reports.try_iter());
        self.seen.retain(|report| match report {
            Report::Started { task: which, .. } | Report::Exited { task: which, .. } => *which != task,
            Report::Hello { .. } => false,
            _ => true,
        });
    }

    /// How often something was reported that `matches`, in what came until now.
    pub(crate) fn count(&mut self, matches: impl Fn(&Report) -> bool) -> usize {
        self.seen.extend(self.reports.try_iter());
        self.seen.iter().filter(|report| matches(report)).count()
    }

    /// The first report, past or to come, from which `pick` gets something.
    fn wait<T>(&mut self, what: &str, pick: impl Fn(&Report) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            if let Some(found) = self.seen[looked_at..].iter().find_map(&pick) {
                return found;
            }
            looked_at = self.seen.len();
            match self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(report) => self.seen.push(report),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let log = std::fs::read_to_string(self.dir.join("keeper.log")).unwrap_or_default();
                    panic!("no {what} came; seen {:#?}; keeper.log: {log}", self.seen);
                }
            }
        }
    }

    /// The whole log, one string per stream.
    pub(crate) fn log(&self, task: TaskId) -> (String, String) {
        let reader = LogReader::new(&self.dir);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut from = LogOffset(0);
        loop {
            let chunk = reader.read(task, 1, from, 1 << 20).unwrap();
            for frame in chunk.frames {
                match frame.stream {
                    LogStream::Stdout => stdout.extend(frame.bytes),
                    LogStream::Stderr => stderr.extend(frame.bytes),
                    LogStream::Note => {}
                }
            }
            from = chunk.next;
            if chunk.ended {
                return (String::from_utf8_lossy(&stdout).into(), String::from_utf8_lossy(&stderr).into());
            }
        }
    }

    pub(crate) fn stdout(&self, task: TaskId) -> String {
        self.log(task).0
    }

    pub(crate) fn attempt_dir(&self, task: TaskId) -> PathBuf {
        self.dir.join("attempts").join(format!("{task}.1"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let left = self.agent.stop_keeper(StopKeeper::KillAll, PATIENCE);
        self.agent.shutdown();
        if !std::thread::panicking() {
            assert!(left, "the keeper did not leave");
        }
    }
}

/// A launch in the making.
pub(crate) struct Task {
    pub(crate) launch: Launch,
    pub(crate) spec: Spec,
}

impl Task {
    pub(crate) fn new(command: &[&str]) -> Self {
        let spec =
            Spec { command: command.iter().map(|word| (*word).to_owned()).collect(), ..Spec::default() };
        let launch = Launch {
            task: TaskId::new(NEXT_TASK.fetch_add(1, Ordering::Relaxed)).unwrap(),
            fence: Fence { attempt: 1, version: 1 },
            part: GrantPart {
                node: NodeId(0),
                cpu: CpuMilli(0),
                host_memory: MemoryMib(0),
                slices: Vec::new(),
            },
            spec: SpecHash([0; 32]),
            time_limit: None,
            stop_grace: Millis(200),
            project: "default".into(),
            name: Some("story".into()),
        };
        Self { launch, spec }
    }

    pub(crate) fn sh(script: &str) -> Self {
        Self::new(&["/bin/sh", "-c", script])
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.spec.env.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn dir(mut self, dir: &str) -> Self {
        self.spec.working_dir = Some(dir.to_owned());
        self
    }

    pub(crate) fn time_limit(mut self, limit: Duration) -> Self {
        self.launch.time_limit = Some(Millis(u64::try_from(limit.as_millis()).unwrap()));
        self
    }

    pub(crate) fn memory(mut self, mib: u64) -> Self {
        self.launch.part.host_memory = MemoryMib(mib);
        self
    }
}

/// Waits until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every pid there is.
pub(crate) fn processes() -> Vec<i32> {
    let names = std::fs::read_dir("/proc").unwrap().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Living processes (no zombies) that carry `marker` in their environment.
pub(crate) fn marked(marker: &str) -> Vec<i32> {
    let carries = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environ).split('\0').any(|pair| pair == format!("MARKER={marker}"))
    };
    processes().into_iter().filter(carries).collect()
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
