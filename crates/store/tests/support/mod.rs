//! Rows to store, and the stores to put them in.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::sync::Arc;

use fastgpu_core::ask::{
    Ask, Backend, Class, Constraints, DeviceCount, Grant, GrantPart, Isolation, Share, Slice, Spread,
};
use fastgpu_core::cause::Cause;
use fastgpu_core::change::{Actor, Attempt, AttemptEnd, Change, Event, IdempotencyKey, Segment};
use fastgpu_core::ids::{DeviceIndex, Fence, IdSource, Name, NodeId, SpecHash, TaskId, Term};
use fastgpu_core::node::{Exit, ExitKind};
use fastgpu_core::retry::{FailureClass, RetryPolicy, Strikes};
use fastgpu_core::spec::Spec;
use fastgpu_core::task::{End, Hold, Outcome, QueueCause, Standing, StopCause, Task, TaskState, Work};
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, PriceMicros, Timestamp};
use fastgpu_store::{FaultScript, FaultStore, History, MemoryStore, OpenOptions, SqliteStore, Store};
use tempfile::TempDir;

/// A moment after the first id.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// One implementation, ready for a test.
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) store: Box<dyn Store>,
    pub(crate) history: Box<dyn History>,
    pub(crate) term: Term,
    _folder: Option<TempDir>,
}

impl Subject {
    fn new(
        kind: &'static str,
        mut store: Box<dyn Store>,
        history: Box<dyn History>,
        folder: Option<TempDir>,
    ) -> Self {
        let term = store.begin_term().unwrap();
        Self { kind, store, history, term, _folder: folder }
    }

    pub(crate) fn commit(&mut self, changes: &[Change]) {
        self.store.commit(self.term, changes).unwrap();
    }
}

/// Says over which implementation a case failed.
struct NamedOnPanic(&'static str);

impl Drop for NamedOnPanic {
    #[expect(clippy::print_stderr, reason = "a test that fails should say where")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was over {}", self.0);
        }
    }
}

/// Runs a case over every implementation of the contract.
pub(crate) fn everywhere(case: impl Fn(&mut Subject)) {
    let sqlite = || {
        let folder = tempfile::tempdir().unwrap();
        (SqliteStore::open(folder.path(), OpenOptions::default()).unwrap(), folder)
    };
    let memory = MemoryStore::default();
    let history = memory.history();
    let (plain, plain_folder) = sqlite();
    let plain_history = plain.history();
    let (wrapped, wrapped_folder) = sqlite();
    let wrapped_history = wrapped.history();
    let wrapped = FaultStore::new(wrapped, FaultScript::default());
    let subjects = [
        Subject::new("memory", Box::new(memory), Box::new(history), None),
        Subject::new("sqlite", Box::new(plain), Box::new(plain_history), Some(plain_folder)),
        Subject::new(
            "sqlite that could fail",
            Box::new(wrapped),
            Box::new(wrapped_history),
            Some(wrapped_folder),
        ),
    ];
    for mut subject in subjects {
        let _named = NamedOnPanic(subject.kind);
        case(&mut subject);
    }
}

pub(crate) fn ids(count: usize) -> Vec<TaskId> {
    let mut source = IdSource::after(None);
    (0_i64..).take(count).map(|place| source.next(Timestamp(NOW.0 + place))).collect()
}

pub(crate) fn hash(number: u8) -> SpecHash {
    SpecHash([number; 32])
}

pub(crate) fn spec(number: u8) -> Change {
    let command = vec!["python".to_owned(), "train.py".to_owned(), format!("--seed={number}")];
    let env = [("LANG".to_owned(), "C.UTF-8".to_owned())].into();
    Change::Spec {
        hash: hash(number),
        spec: Arc::new(Spec { command, env, working_dir: Some("/data".to_owned()) }),
    }
}

pub(crate) fn ask(share: Share) -> Ask {
    Ask {
        devices: DeviceCount::exactly(1),
        share,
        constraints: Constraints::default(),
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(0),
        host_memory: MemoryMib(0),
    }
}

/// A queued task with nothing special about it.
pub(crate) fn task(id: TaskId) -> Task {
    Task {
        id,
        project: "default".into(),
        owner: "ada".into(),
        terms: Arc::new(Terms::new(ask(Share::Milli(GpuMilli::new(500).unwrap())))),
        priority: 0,
        time_limit: None,
        work: Work::Program(hash(1)),
        attained: 0,
        standing: Standing::default(),
        strikes: Strikes::default(),
        broken_nodes: Vec::new(),
        last_fault: None,
        submitted_at: NOW,
        first_started_at: None,
        attempt: 0,
        revision: 1,
        next_event: 1,
        cost_carry: 0,
        spec_bytes: 200,
        state: TaskState::submitted(NOW),
    }
}

/// The same task, whose user asked for something else.
pub(crate) fn asking(task: Task, change: impl FnOnce(&mut Terms)) -> Task {
    let mut terms = Terms::clone(&task.terms);
    change(&mut terms);
    Task { terms: Arc::new(terms), ..task }
}

/// The same task with a name.
pub(crate) fn named(task: Task, name: &str) -> Task {
    asking(task, |terms| terms.name = Some(name.into()))
}

pub(crate) fn ended(id: TaskId, at: i64) -> Task {
    let end = End { outcome: Outcome::Succeeded, at: Timestamp(NOW.0 + at), exit: None };
    Task { state: TaskState::Ended(end), revision: 2, ..task(id) }
}

pub(crate) fn new(task: Task) -> Change {
    Change::Task { task, new: true }
}

pub(crate) fn update(task: Task) -> Change {
    Change::Task { task, new: false }
}

pub(crate) fn event(task: TaskId, number: u32) -> Event {
    Event {
        task,
        number,
        at: NOW,
        attempt: 0,
        state: "queued",
        cause: Cause::Submitted,
        detail: Some("waits for 1 device".to_owned()),
        actor: Actor::Token { id: "abc".into(), owner: "ada".into() },
    }
}

pub(crate) fn parts() -> Vec<GrantPart> {
    let slice = Slice {
        device: DeviceIndex(3),
        milli: GpuMilli::new(250).unwrap(),
        memory: MemoryMib(20_480),
        backend: Backend::Interposer,
    };
    let whole = Slice { milli: GpuMilli::FULL, backend: Backend::Exclusive, ..slice };
    vec![
        GrantPart {
            node: NodeId(0),
            cpu: CpuMilli(4_000),
            host_memory: MemoryMib(1_024),
            slices: vec![slice, whole],
        },
        GrantPart { node: NodeId(7), cpu: CpuMilli(0), host_memory: MemoryMib(0), slices: Vec::new() },
    ]
}

pub(crate) fn attempt(task: TaskId, attempt: u32) -> Attempt {
    let sick = Some("gpu-3 of node-0 failed: XID 79".to_owned());
    let exit = Exit { at: NOW, how: ExitKind::Signal(9), cpu_ms: 12, rss_max_kib: 34, sick };
    Attempt {
        task,
        attempt,
        parts: parts(),
        placed_at: NOW,
        started_at: Some(NOW),
        ended: Some(AttemptEnd { at: NOW, exit: Some(exit), class: Some(FailureClass::UserError) }),
    }
}

pub(crate) fn segment(task: TaskId, project: &str) -> Segment {
    Segment {
        task,
        project: project.into(),
        owner: "ada".into(),
        attempt: 1,
        version: 2,
        from: NOW,
        to: Timestamp(NOW.0 + 1_000),
        charged_milli: 500,
        memory_mib: 20_480,
        gpu_milli_ms: 500_000,
        price: PriceMicros(2_000_000),
        cost_micros: 277,
    }
}

pub(crate) fn key(project: &str, key: &str, tasks: Vec<TaskId>, at: i64) -> IdempotencyKey {
    IdempotencyKey {
        project: project.into(),
        key: key.into(),
        digest: [9; 32],
        tasks,
        at: Timestamp(NOW.0 + at),
    }
}

/// One task for each thing a task can say, by rising id.
pub(crate) fn tasks_in_every_shape() -> Vec<Task> {
    let mut states = states();
    let shares = [
        Share::Milli(GpuMilli::FULL),
        Share::Cap(MemoryMib(u64::MAX)),
        Share::Both(GpuMilli::ZERO, MemoryMib(1)),
    ];
    let ids = ids(states.len());
    let shaped = ids.into_iter().zip(states.drain(..)).zip(shares.into_iter().cycle());
    shaped.map(|((id, state), share)| in_full(id, state, share)).collect()
}

fn in_full(id: TaskId, state: TaskState, share: Share) -> Task {
    let model: Name = "NVIDIA H200 \"quoted\" ☃".into();
    let constraints = Constraints {
        models: vec![model],
        device_memory_min: MemoryMib(80_000),
        nodes: vec!["node-a".into(), "node-b".into()],
        labels: vec!["rack=7".into(), "zone=north".into()],
        spread: Spread::AnyNodes,
    };
    let class = if id.get().is_multiple_of(2) { Class::Spot } else { Class::Guaranteed };
    let ask = Ask {
        devices: DeviceCount { min: 1, max: 8 },
        constraints,
        class,
        isolation: Isolation::Hard,
        cpu: CpuMilli(1),
        host_memory: MemoryMib(2),
        ..ask(share)
    };
    Task {
        terms: Arc::new(Terms {
            name: Some("näme".into()),
            ask: Arc::new(ask),
            queue: "nightly".into(),
            priority: 17,
            limits: Limits { run: None, queue: Some(Millis(0)), stop_grace: Millis(5) },
            expected: Some(Millis(7)),
            retry: RetryPolicy { max: 3, backoff: Some(Millis(100)) },
            wait_for_capacity: true,
        }),
        priority: -5,
        time_limit: Some(Millis(u64::MAX)),
        work: Work::Reservation(hash(1)),
        attained: i64::MAX,
        strikes: Strikes { user: 1, infrastructure: 2 },
        broken_nodes: vec![NodeId(1), NodeId(u32::MAX)],
        last_fault: Some("gpu-0 of node-1 failed".to_owned()),
        first_started_at: Some(Timestamp(-1)),
        attempt: 4,
        revision: u32::MAX,
        next_event: 17,
        cost_carry: -3,
        spec_bytes: 4_000_000_000,
        state,
        ..task(id)
    }
}

fn states() -> Vec<TaskState> {
    let grant = Grant { fence: Fence { attempt: 4, version: 2 }, parts: parts() };
    let hold = Box::new(Hold { grant, placed_at: NOW, metered_from: Timestamp(NOW.0 + 1) });
    let since = NOW;
    let queued = |cause| TaskState::Queued { cause, since };
    let stopping = |why, since| TaskState::Stopping { hold: hold.clone(), since, why };
    let mut states = vec![
        queued(QueueCause::Capacity),
        queued(QueueCause::Preempted),
        queued(QueueCause::Dependency(TaskId::new(77).unwrap())),
        queued(QueueCause::Held),
        queued(QueueCause::Parked),
        TaskState::Starting { hold: hold.clone() },
        TaskState::Running { hold: hold.clone(), since },
        stopping(StopCause::Cancel, None),
        stopping(StopCause::Release, Some(since)),
        stopping(StopCause::Preempt, Some(since)),
        TaskState::Suspending { hold: hold.clone(), since },
        TaskState::Suspended { hold: hold.clone(), since },
        TaskState::Resuming { hold: hold.clone(), since },
    ];
    for class in FailureClass::ALL {
        states.push(queued(QueueCause::Retrying { class, not_before: since }));
        states.push(TaskState::Ended(End { outcome: Outcome::Failed(class), at: since, exit: None }));
    }
    for outcome in [Outcome::Succeeded, Outcome::Cancelled, Outcome::TimedOutRunning, Outcome::TimedOutQueued]
    {
        states.push(TaskState::Ended(End { outcome, at: since, exit: None }));
    }
    for how in [
        ExitKind::Code(255),
        ExitKind::Signal(9),
        ExitKind::OutOfMemory,
        ExitKind::TimeLimit,
        ExitKind::BadSpec("no such program".to_owned()),
        ExitKind::Infrastructure("the guardian vanished".to_owned()),
    ] {
        let exit = Some(Exit { at: since, how, cpu_ms: u64::MAX, rss_max_kib: 0, sick: None });
        states.push(TaskState::Ended(End { outcome: Outcome::Cancelled, at: since, exit }));
    }
    states
}

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
