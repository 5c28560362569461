//! How fast changes become durable, next to what SQLite itself can do with rows of the same size.
//!
//! `cargo run --release -p fastgpu-store --example commit_rate [folder [seconds per row of the table]]` prints
//! one JSON document. Put the folder on the disk to be measured.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails should say where")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share};
use fastgpu_core::change::{Actor, Attempt, AttemptEnd, Change, Event};
use fastgpu_core::ids::{IdSource, SpecHash, TaskId, Term};
use fastgpu_core::retry::{FailureClass, Strikes};
use fastgpu_core::spec::Spec;
use fastgpu_core::task::{End, Outcome, Standing, Task, TaskState, Work};
use fastgpu_core::terms::Terms;
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Timestamp};
use fastgpu_store::{OpenOptions, SqliteStore, Store};
use rusqlite::{Connection, params};
use serde::Serialize;

const BATCHES: [usize; 5] = [1, 10, 64, 100, 1_000];
/// A submit is a task, its specification and its first event.
const ROWS_PER_SUBMIT: usize = 3;

#[derive(Serialize)]
struct Report {
    submits: Vec<Rate>,
    submits_of_one_spec: Vec<Rate>,
    events: Vec<Rate>,
    ends: Vec<Rate>,
    sqlite_rows: Vec<Rate>,
    restart: Restart,
    restart_after_crash: Restart,
    load_with_history: Loaded,
}

#[derive(Serialize)]
struct Rate {
    batch: usize,
    commits_per_s: f64,
    changes_per_s: f64,
    rows_per_s: f64,
    commit_p50_us: u128,
    commit_p99_us: u128,
    commit_max_us: u128,
    log_bytes_max: u64,
}

#[derive(Serialize)]
struct Restart {
    live_tasks: usize,
    file_bytes: u64,
    open_ms: u128,
    load_ms: u128,
    first_commit_ms: u128,
}

/// Loading when nothing lives and a lot has been.
#[derive(Serialize)]
struct Loaded {
    ended_tasks: usize,
    runs: usize,
    file_bytes: u64,
    load_ms: u128,
    load_again_ms: u128,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds = arguments.next().map_or(2.0, |text| text.parse().unwrap());
    let span = Duration::from_secs_f64(seconds);
    let parent = Path::new(&parent);
    let report = Report {
        submits: BATCHES.map(|batch| submits(parent, span, batch, Specs::Different)).into(),
        submits_of_one_spec: BATCHES.map(|batch| submits(parent, span, batch, Specs::One)).into(),
        events: BATCHES.map(|batch| events(parent, span, batch)).into(),
        ends: BATCHES.map(|batch| ends(parent, span, batch)).into(),
        sqlite_rows: BATCHES.map(|batch| raw(parent, span, batch)).into(),
        restart: restart(parent, 100_000, Stop::Clean),
        restart_after_crash: restart(parent, 100_000, Stop::Crash),
        load_with_history: load_with_history(parent, 1_000_000),
    };
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}

#[derive(Clone, Copy, PartialEq)]
enum Specs {
    One,
    Different,
}

struct Opened {
    store: SqliteStore,
    term: Term,
    folder: tempfile::TempDir,
}

fn open(parent: &Path) -> Opened {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let mut store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
    let term = store.begin_term().unwrap();
    Opened { store, term, folder }
}

fn measure(
    opened: &mut Opened,
    span: Duration,
    batch: usize,
    rows: usize,
    mut next: impl FnMut() -> Vec<Change>,
) -> Rate {
    let Opened { store, term, folder } = opened;
    let log = folder.path().join("fastgpu.db-wal");
    let mut meter = Meter::new(batch, rows);
    while meter.spent < span {
        let changes = next();
        if changes.is_empty() {
            break;
        }
        meter.time(|| store.commit(*term, &changes).unwrap());
        meter.log_bytes_max = meter.log_bytes_max.max(std::fs::metadata(&log).map_or(0, |log| log.len()));
    }
    meter.rate()
}

/// Times commits alone: making the changes is the core's work, not the store's.
struct Meter {
    batch: usize,
    rows: usize,
    spent: Duration,
    commits: Vec<Duration>,
    log_bytes_max: u64,
}

impl Meter {
    fn new(batch: usize, rows: usize) -> Self {
        Self { batch, rows, spent: Duration::ZERO, commits: Vec::new(), log_bytes_max: 0 }
    }

    fn time(&mut self, commit: impl FnOnce()) {
        let begun = Instant::now();
        commit();
        self.commits.push(begun.elapsed());
        self.spent += begun.elapsed();
    }

    #[expect(clippy::cast_precision_loss, reason = "rates need no more than 52 bits")]
    fn rate(mut self) -> Rate {
        self.commits.sort_unstable();
        let at = |percent: usize| self.commits[(self.commits.len() - 1) * percent / 100].as_micros();
        let commits_per_s = self.commits.len() as f64 / self.spent.as_secs_f64();
        Rate {
            batch: self.batch,
            commits_per_s: commits_per_s.round(),
            changes_per_s: (commits_per_s * self.batch as f64).round(),
            rows_per_s: (commits_per_s * (self.batch * self.rows) as f64).round(),
            commit_p50_us: at(50),
            commit_p99_us: at(99),
            commit_max_us: at(100),
            log_bytes_max: self.log_bytes_max,
        }
    }
}

fn submits(parent: &Path, span: Duration, batch: usize, specs: Specs) -> Rate {
    let mut opened = open(parent);
    let mut ids = IdSource::after(None);
    measure(&mut opened, span, batch, ROWS_PER_SUBMIT, || {
        (0..batch).flat_map(|_| submit(ids.next(Timestamp(0)), specs)).collect()
    })
}

fn events(parent: &Path, span: Duration, batch: usize) -> Rate {
    let mut opened = open(parent);
    let mut ids = IdSource::after(None);
    measure(&mut opened, span, batch, 1, || {
        (0..batch).map(|_| Change::Event(event(ids.next(Timestamp(0))))).collect()
    })
}

/// The update that touches the most indexes, with its event.
fn ends(parent: &Path, span: Duration, batch: usize) -> Rate {
    const TASKS: usize = 100_000;
    let mut opened = filled(parent, TASKS);
    let mut ids = IdSource::after(None);
    let mut left = TASKS / batch;
    measure(&mut opened, span, batch, 2, || {
        left = left.saturating_sub(1);
        let count = if left == 0 { 0 } else { batch };
        let end = |id| {
            let end = End { outcome: Outcome::Succeeded, at: Timestamp(1), exit: None };
            let task = Task { state: TaskState::Ended(end), ..task(id, Specs::Different) };
            [Change::Task { task, new: false }, Change::Event(Event { number: 1, ..event(id) })]
        };
        (0..count).flat_map(|_| end(ids.next(Timestamp(0)))).collect()
    })
}

fn filled(parent: &Path, tasks: usize) -> Opened {
    let mut opened = open(parent);
    let mut ids = IdSource::after(None);
    for _ in 0..tasks / 1_000 {
        let changes: Vec<_> =
            (0..1_000).flat_map(|_| submit(ids.next(Timestamp(0)), Specs::Different)).collect();
        opened.store.commit(opened.term, &changes).unwrap();
    }
    opened
}

/// Rows as large as an event, in one table with one key, through the same engine with the same settings.
fn raw(parent: &Path, span: Duration, batch: usize) -> Rate {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let connection = Connection::open(folder.path().join("raw.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)").unwrap();
    let body = "x".repeat(100);
    let mut meter = Meter::new(batch, 1);
    while meter.spent < span {
        meter.time(|| {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut insert = connection.prepare_cached("INSERT INTO rows (body) VALUES (?1)").unwrap();
            for _ in 0..batch {
                insert.execute(params![body]).unwrap();
            }
            connection.execute_batch("COMMIT").unwrap();
        });
    }
    meter.rate()
}

#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Clean,
    Crash,
}

/// A start with the files that a stop leaves behind.
fn restart(parent: &Path, tasks: usize, stop: Stop) -> Restart {
    let Opened { store, folder, .. } = filled(parent, tasks);
    let left = tempfile::tempdir_in(parent).unwrap();
    let copy = |name: &str| std::fs::copy(folder.path().join(name), left.path().join(name));
    match stop {
        Stop::Clean => drop(store),
        Stop::Crash => drop((copy("fastgpu.db").unwrap(), copy("fastgpu.db-wal").unwrap(), store)),
    }
    if stop == Stop::Clean {
        copy("fastgpu.db").unwrap();
    }
    let begun = Instant::now();
    let mut store = SqliteStore::open(left.path(), OpenOptions::default()).unwrap();
    let open_ms = begun.elapsed().as_millis();
    let begun = Instant::now();
    let live_tasks = store.load().unwrap().tasks.len();
    let load_ms = begun.elapsed().as_millis();
    let begun = Instant::now();
    let term = store.begin_term().unwrap();
    store.commit(term, &[Change::Event(event(TaskId::new(0).unwrap()))]).unwrap();
    let first_commit_ms = begun.elapsed().as_millis();
    let file_bytes = std::fs::metadata(left.path().join("fastgpu.db")).unwrap().len();
    Restart { live_tasks, file_bytes, open_ms, load_ms, first_commit_ms }
}

fn load_with_history(parent: &Path, tasks: usize) -> Loaded {
    let Opened { mut store, term, folder } = open(parent);
    let mut ids = IdSource::after(None);
    for batch in 0..tasks.div_ceil(BATCH_OF_HISTORY) {
        let rows = (0..BATCH_OF_HISTORY).flat_map(|number| {
            let at = Timestamp(i64::try_from(batch * BATCH_OF_HISTORY + number).unwrap());
            over(ids.next(at), at)
        });
        store.commit(term, &rows.collect::<Vec<_>>()).unwrap();
    }
    drop(store);
    let mut store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
    let begun = Instant::now();
    let runs = store.load().unwrap().runs.len();
    let load_ms = begun.elapsed().as_millis();
    let begun = Instant::now();
    store.load().unwrap();
    let load_again_ms = begun.elapsed().as_millis();
    let file_bytes = std::fs::metadata(folder.path().join("fastgpu.db")).unwrap().len();
    Loaded { ended_tasks: tasks, runs, file_bytes, load_ms, load_again_ms }
}

const BATCH_OF_HISTORY: usize = 1_000;

/// A task that is over: every third has failed, so that some are looked at in vain.
fn over(id: TaskId, at: Timestamp) -> [Change; 3] {
    let [spec, ..] = submit(id, Specs::One);
    let failed = Outcome::Failed(FailureClass::UserError);
    let outcome = if id.get().is_multiple_of(3) { failed } else { Outcome::Succeeded };
    let name = Some(format!("train-{}", id.get() % 100).into());
    let state = TaskState::Ended(End { outcome, at, exit: None });
    let task = task(id, Specs::One);
    let terms = Arc::new(Terms { name, ..Terms::clone(&task.terms) });
    let task = Task { terms, state, ..task };
    let ended = Some(AttemptEnd { at, exit: None, class: None });
    let attempt =
        Attempt { task: id, attempt: 1, parts: Vec::new(), placed_at: at, started_at: Some(at), ended };
    [spec, Change::Task { task, new: true }, Change::Attempt(attempt)]
}

fn submit(id: TaskId, specs: Specs) -> [Change; ROWS_PER_SUBMIT] {
    let task = task(id, specs);
    let spec = Spec {
        command: vec!["python".to_owned(), "train.py".to_owned(), "--epochs=90".to_owned(), id.to_string()],
        env: [("DATA".to_owned(), "/mnt/datasets/imagenet/2012/train-and-validation".repeat(2))].into(),
        working_dir: None,
    };
    let hash = task.work.spec();
    [Change::Spec { hash, spec: Arc::new(spec) }, Change::Task { task, new: true }, Change::Event(event(id))]
}

fn task(id: TaskId, specs: Specs) -> Task {
    let mut hash = [7; 32];
    if specs == Specs::Different {
        // As scattered as a real hash.
        let scattered = id.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        hash[..8].copy_from_slice(&scattered);
    }
    Task {
        id,
        project: "default".into(),
        owner: "ada".into(),
        terms: Arc::new(Terms::new(Ask {
            devices: DeviceCount::exactly(1),
            share: Share::Milli(GpuMilli::FULL),
            constraints: Constraints::default(),
            class: Class::Standard,
            isolation: Isolation::Soft,
            cpu: CpuMilli(1_000),
            host_memory: MemoryMib(1_024),
        })),
        priority: 0,
        time_limit: None,
        work: Work::Program(SpecHash(hash)),
        attained: 0,
        standing: Standing::default(),
        strikes: Strikes::default(),
        broken_nodes: Vec::new(),
        last_fault: None,
        submitted_at: Timestamp(0),
        first_started_at: None,
        attempt: 0,
        revision: 1,
        next_event: 1,
        cost_carry: 0,
        spec_bytes: 200,
        state: TaskState::submitted(Timestamp(0)),
    }
}

fn event(task: TaskId) -> Event {
    Event {
        task,
        number: 0,
        at: Timestamp(0),
        attempt: 0,
        state: "queued",
        cause: fastgpu_core::cause::Cause::Submitted,
        detail: None,
        actor: Actor::Token { id: "k3vq7w".into(), owner: "ada".into() },
    }
}
