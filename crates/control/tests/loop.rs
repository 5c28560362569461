//! The loop with a real store behind it and a node that keeps its promises: nobody hears of anything before
//! it is durable, and nothing durable is forgotten.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastgpu_control::{CommandError, Control, Handle, KeyUse, NodePort, Options, Recorder, Submitted};
use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused, Reply, Submit};
use fastgpu_core::ids::{Fence, NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Delivery, Device, Exit, ExitKind, HeldAttempt, Inventory, Order, Report};
use fastgpu_core::plan::Planner;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::task::Task;
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis};
use fastgpu_store::journal::{self, Batch, Entry, Round, Writer};
use fastgpu_store::{
    Fault, FaultScript, FaultStore, History, OpenOptions, Scope, SqliteHistory, SqliteStore, Store,
};

/// A node in memory. It launches an attempt once, and keeps its end until told to forget it.
#[derive(Default)]
struct Node {
    held: Mutex<BTreeMap<(TaskId, u32), HeldAttempt>>,
    launches: Mutex<Vec<(TaskId, u32)>>,
    /// Reports on their way, in order, on a thread of their own as in the real agent.
    link: Mutex<Option<Sender<Report>>>,
    /// Whether programs end by themselves at once.
    quick: bool,
}

impl Node {
    fn connect(&self, handle: Handle) {
        let (link, reports) = channel();
        *self.link.lock().unwrap() = Some(link);
        std::thread::spawn(move || reports.iter().all(|report| handle.report(NodeId(0), report)));
    }

    fn report(&self, report: Report) {
        if let Some(link) = &*self.link.lock().unwrap() {
            let _ = link.send(report);
        }
    }

    fn end(&self, task: TaskId, attempt: u32, how: ExitKind) {
        let exit = Exit { at: Default::default(), how, cpu_ms: 0, rss_max_kib: 0, sick: None };
        if let Some(held) = self.held.lock().unwrap().get_mut(&(task, attempt)) {
            held.exit = Some(exit.clone());
            self.report(Report::Exited { task, fence: held.fence, exit });
        }
    }
}

struct Port(Arc<Node>);

impl NodePort for Port {
    fn deliver(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery.order {
                Order::Launch(launch) => {
                    let (task, fence) = (launch.task, launch.fence);
                    let command = delivery.spec.unwrap().command.clone();
                    assert_eq!(command, ["true"]);
                    self.0.launches.lock().unwrap().push((task, fence.attempt));
                    let held = HeldAttempt { task, fence, started: Some(Default::default()), exit: None };
                    self.0.held.lock().unwrap().insert((task, fence.attempt), held);
                    self.0.report(Report::Started { task, fence, at: Default::default() });
                    if self.0.quick {
                        self.0.end(task, fence.attempt, ExitKind::Code(0));
                    }
                }
                Order::Stop { task, fence, .. } => self.0.end(task, fence.attempt, ExitKind::Signal(15)),
                Order::Forget { task, attempt } => drop(self.0.held.lock().unwrap().remove(&(task, attempt))),
                Order::Regrant { .. } | Order::Suspend { .. } | Order::Resume { .. } => {}
            }
        }
    }

    fn greet(&self) {
        let attempts = self.0.held.lock().unwrap().values().cloned().collect();
        self.0.report(Report::Hello { inventory: inventory(), attempts });
    }
}

fn inventory() -> Inventory {
    let device = |index| Device::simulated(index, "A100", MemoryMib(81_920));
    Inventory {
        cpu: CpuMilli(8_000),
        host_memory: MemoryMib(32_768),
        ..Inventory::of("here", (0..2).map(device))
    }
}

fn submit(count: u16) -> Submit {
    let ask = Ask {
        devices: DeviceCount::exactly(count),
        share: Share::Milli(GpuMilli::FULL),
        constraints: Constraints::default(),
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(0),
        host_memory: MemoryMib(0),
    };
    let limits = Limits { stop_grace: Millis(1_000), ..Limits::default() };
    Submit {
        project: "default".into(),
        owner: "ann".into(),
        terms: Terms { limits, wait_for_capacity: true, ..Terms::new(ask) },
        spec: Arc::new(Spec { command: vec!["true".to_owned()], ..Spec::default() }),
        spec_hash: SpecHash([7; 32]),
        held: false,
    }
}

/// A control plane over a folder, with its node.
struct World {
    control: Control,
    handle: Handle,
    history: SqliteHistory,
    script: FaultScript,
}

impl World {
    async fn start(folder: &Path, node: Arc<Node>) -> Self {
        Self::start_with(folder, node, Options::default()).await
    }

    /// Whose every decision is written to a journal in the folder.
    async fn start_recorded(folder: &Path, node: Arc<Node>) -> Self {
        let journal = Journal(Writer::open(&folder.join("journal")).unwrap());
        Self::start_with(folder, node, Options { recorder: Some(Box::new(journal)), ..Options::default() })
            .await
    }

    async fn start_with(folder: &Path, node: Arc<Node>, options: Options) -> Self {
        let store = SqliteStore::open(folder, OpenOptions::default()).unwrap();
        let history = store.history();
        let script = FaultScript::default();
        let store: Box<dyn Store> = Box::new(FaultStore::new(store, script.clone()));
        let port = Arc::new(Port(node.clone()));
        let (control, handle) = Control::start(store, port.clone(), options).unwrap();
        node.connect(handle.clone());
        port.greet();
        while !handle.query(|state, _| state.cluster().nodes().any(|node| node.present)).await.unwrap() {
            tokio::task::yield_now().await;
        }
        Self { control, handle, history, script }
    }

    async fn submit(&self, count: u16) -> Result<TaskId, CommandError> {
        let submitted = self.handle.submit(vec![submit(count)], Actor::Local, None).await?;
        Ok(submitted.ids[0])
    }

    fn task(&self, id: TaskId) -> Task {
        self.history.task(&Scope::All, id).unwrap().expect("an acknowledged task is in the store")
    }

    /// Waits for a state, by news and not by polling.
    async fn reaches(&self, id: TaskId, state: &str) -> Task {
        let waiting = async {
            loop {
                let mut news = self.handle.watch(id);
                let task = self.task(id);
                if task.state.code() == state {
                    return task;
                }
                assert!(news.changed().await, "the control plane stopped");
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.unwrap_or_else(|_| panic!("{id} is {} and not {state}", self.task(id).state.code()))
    }
}

#[derive(Debug)]
struct Journal(Writer);

impl Recorder for Journal {
    fn begin(&mut self, beginning: &Beginning) {
        self.0.begin(beginning).unwrap();
    }

    fn batch(&mut self, batch: &Batch) {
        self.0.batch(batch).unwrap();
    }
}

/// Does again what a journal tells, and compares every decision; returns how many tasks were started and how
/// often it all began anew.
fn replay(folder: &Path) -> (usize, usize) {
    let file = std::fs::File::open(folder.join("journal")).unwrap();
    let (mut starts, mut beginnings) = (0, 0);
    let mut world: Option<(State, Planner)> = None;
    for entry in journal::read(std::io::BufReader::new(file)) {
        let batch = match entry.unwrap() {
            Entry::Begin(beginning) => {
                beginnings += 1;
                world = Some((State::new(*beginning), Planner::default()));
                continue;
            }
            Entry::Batch(batch) => batch,
        };
        let (state, planner) = world.as_mut().expect("a journal begins with a beginning");
        let (now, mut accepted, changes) = (batch.now, Vec::new(), &mut Changes::default());
        for command in batch.commands {
            if let Reply::Submitted(ids) = state.apply(command, now, changes).unwrap() {
                accepted.extend(ids);
            }
        }
        assert_eq!(accepted, batch.accepted);
        for round in batch.rounds {
            let plan = planner.plan(state, now);
            assert_eq!(Round::from(&plan), round);
            state.adopt(&plan, now, changes);
            starts += plan.starts.len();
        }
        state.assert_sound();
    }
    (starts, beginnings)
}

#[tokio::test]
async fn what_was_written_down_decides_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(Node::default());
    let world = World::start_recorded(folder.path(), node.clone()).await;
    let first = world.submit(2).await.unwrap();
    world.reaches(first, "running").await;
    let cancelled = world.submit(1).await.unwrap();
    let (second, third) = (world.submit(1).await.unwrap(), world.submit(1).await.unwrap());
    world.submit(10_001).await.unwrap();
    let cancel = Command::Cancel { task: cancelled, grace: None, actor: Actor::Local };
    world.handle.command(cancel).await.unwrap();
    let nobody = Command::Release { task: TaskId::MAX, actor: Actor::Local };
    world.handle.command(nobody).await.unwrap_err();
    node.end(first, 1, ExitKind::Code(0));
    world.reaches(second, "running").await;
    world.reaches(third, "running").await;
    // What a full disk undoes was never done.
    let retried = world.submit(1).await.unwrap();
    world.script.next(Fault::Full);
    world.submit(1).await.unwrap_err();
    node.end(second, 1, ExitKind::Code(0));
    world.reaches(retried, "running").await;
    world.control.stop();
    drop(world);
    let world = World::start_recorded(folder.path(), node.clone()).await;
    node.end(third, 1, ExitKind::Code(0));
    let last = world.submit(1).await.unwrap();
    world.reaches(last, "running").await;
    world.control.stop();
    assert_eq!(replay(folder.path()), (5, 3));
}

fn quick_node() -> Arc<Node> {
    Arc::new(Node { quick: true, ..Node::default() })
}

#[tokio::test]
async fn a_task_goes_from_submit_to_its_end_and_all_of_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), quick_node()).await;
    let id = world.submit(1).await.unwrap();
    let task = world.reaches(id, "succeeded").await;
    assert_eq!(task.attempt, 1);
    let causes: Vec<_> = world
        .history
        .events(&Scope::All, id, 0, 10)
        .unwrap()
        .iter()
        .map(|event| event.cause.code())
        .collect();
    assert_eq!(causes, ["submitted", "placed", "started", "exited"]);
    assert_eq!(world.history.attempts(&Scope::All, id).unwrap().len(), 1);
    assert_eq!(world.history.usage(&Scope::All, id).unwrap().len(), 1);
    world.control.stop();
}

#[tokio::test]
async fn a_restart_adopts_what_runs_and_launches_what_never_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(Node::default());
    let world = World::start(folder.path(), node.clone()).await;
    let running = world.submit(2).await.unwrap();
    world.reaches(running, "running").await;
    let waiting = world.submit(1).await.unwrap();
    world.control.stop();
    drop(world);

    let world = World::start(folder.path(), node.clone()).await;
    assert_eq!(world.task(running).state.code(), "running");
    assert_eq!(world.task(waiting).state.code(), "queued");
    node.end(running, 1, ExitKind::Code(0));
    world.reaches(running, "succeeded").await;
    world.reaches(waiting, "running").await;
    assert_eq!(*node.launches.lock().unwrap(), [(running, 1), (waiting, 1)]);
    world.control.stop();
}

#[tokio::test]
async fn an_end_that_came_while_nobody_listened_is_taken_up_and_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(Node::default());
    let world = World::start(folder.path(), node.clone()).await;
    let id = world.submit(1).await.unwrap();
    world.reaches(id, "running").await;
    world.control.stop();
    drop(world);
    *node.link.lock().unwrap() = None;
    node.end(id, 1, ExitKind::Code(3));

    let world = World::start(folder.path(), node.clone()).await;
    let task = world.reaches(id, "failed").await;
    assert_eq!(task.attempt, 1);
    // The acknowledgement goes out after the commit that the news is about.
    world.handle.query(|_, _| ()).await.unwrap();
    assert!(node.held.lock().unwrap().is_empty(), "an acknowledged end is still kept");
    world.control.stop();
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_another_request_under_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let node = quick_node();
    let world = World::start(folder.path(), node.clone()).await;
    let key = |digest| Some(KeyUse { key: "k".into(), digest: [digest; 32] });
    let again = || world.handle.submit(vec![submit(1)], Actor::Local, key(1));
    let (first, second, third) = tokio::join!(again(), again(), again());
    let ids: Vec<_> = [first, second, third].into_iter().map(|answer| answer.unwrap().ids).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = world.handle.submit(vec![submit(1)], Actor::Local, key(2)).await;
    assert_eq!(other, Err(CommandError::KeyReused));
    world.control.stop();
    drop(world);

    let world = World::start(folder.path(), node).await;
    let repeated = world.handle.submit(vec![submit(1)], Actor::Local, key(1)).await.unwrap();
    assert_eq!(repeated, Submitted { ids: ids[0].clone(), repeated: true });
    world.control.stop();
}

#[tokio::test]
async fn committed_but_reported_as_failed_makes_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let node = quick_node();
    let world = World::start(folder.path(), node.clone()).await;
    let key = Some(KeyUse { key: "once".into(), digest: [1; 32] });
    world.script.next(Fault::Lost);
    let answer = world.handle.submit(vec![submit(1)], Actor::Local, key.clone()).await;
    assert!(matches!(answer, Err(CommandError::StorageFailed(_))), "{answer:?}");
    // The loop ends rather than trust a memory that may differ from the disk.
    assert!(world.control.fatal().unwrap().await.is_ok());
    world.control.stop();
    drop(world);

    let world = World::start(folder.path(), node.clone()).await;
    let repeated = world.handle.submit(vec![submit(1)], Actor::Local, key).await.unwrap();
    assert!(repeated.repeated, "the first submit was durable");
    world.reaches(repeated.ids[0], "succeeded").await;
    assert_eq!(node.launches.lock().unwrap().len(), 1);
    world.control.stop();
}

#[tokio::test]
async fn a_failed_commit_leaves_nothing_behind_and_the_caller_knows() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), quick_node()).await;
    world.script.next(Fault::Failed);
    let answer = world.submit(1).await;
    assert!(matches!(answer, Err(CommandError::StorageFailed(_))), "{answer:?}");
    assert!(world.history.count(&Scope::All).unwrap().iter().all(|(_, count)| *count == 0));
    world.control.stop();
}

#[tokio::test]
async fn a_full_disk_refuses_new_tasks_lets_others_end_and_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(Node::default());
    let world = World::start(folder.path(), node.clone()).await;
    let running = world.submit(1).await.unwrap();
    world.reaches(running, "running").await;

    world.script.next(Fault::Full);
    assert_eq!(world.submit(1).await, Err(CommandError::StorageFull));
    node.end(running, 1, ExitKind::Code(0));
    world.reaches(running, "succeeded").await;

    let recovers = async {
        while world.handle.stats().storage_full {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovers).await.unwrap();
    let id = world.submit(1).await.unwrap();
    world.reaches(id, "running").await;
    world.control.stop();
}

#[tokio::test]
async fn a_cancel_works_at_any_moment_and_twice() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), Arc::new(Node::default())).await;
    let running = world.submit(2).await.unwrap();
    world.reaches(running, "running").await;
    let queued = world.submit(1).await.unwrap();
    for id in [queued, running, running] {
        let cancel = Command::Cancel { task: id, grace: None, actor: Actor::Local };
        let answer = world.handle.command(cancel).await;
        assert!(
            answer.is_ok() || answer == Err(CommandError::Refused(Refused::NoSuchTask(id))),
            "{answer:?}"
        );
    }
    world.reaches(queued, "cancelled").await;
    world.reaches(running, "cancelled").await;
    world.control.stop();
}

#[tokio::test]
async fn a_report_about_an_older_attempt_is_acknowledged_and_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), Arc::new(Node::default())).await;
    let id = world.submit(1).await.unwrap();
    let before = world.reaches(id, "running").await;
    let exit = Exit { at: Default::default(), how: ExitKind::Code(0), cpu_ms: 0, rss_max_kib: 0, sick: None };
    let old = Fence { attempt: 0, version: 1 };
    world.handle.report(NodeId(0), Report::Exited { task: id, fence: old, exit });
    world.handle.query(|_, _| ()).await.unwrap();
    assert_eq!(world.task(id), before);
    world.control.stop();
}
