//! What a journal says is what was done, and nothing of what must not be told is in it.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::io::Write as _;
use std::sync::Arc;

use fastgpu_core::ask::Share;
use fastgpu_core::change::{Actor, NodeRow};
use fastgpu_core::command::{Command, Submit, Update};
use fastgpu_core::config::Config;
use fastgpu_core::decision::{Keep, KeepCause, Preempt, Start};
use fastgpu_core::ids::{DeviceIndex, Fence, NodeId, TaskId};
use fastgpu_core::node::{
    Ability, Closeness, Device, Exit, ExitKind, Fault, HeldAttempt, Inventory, Report, Telemetry,
};
use fastgpu_core::policy::QueuePolicy;
use fastgpu_core::predict::Run;
use fastgpu_core::retry::RetryPolicy;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::Beginning;
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};
use fastgpu_store::journal::{Batch, Entry, JournalError, Round, Writer, read};
use support::{NOW, ask, hash, ids, parts, tasks_in_every_shape};
use tempfile::TempDir;

const SECRET: &str = "hunter2";

fn id() -> TaskId {
    ids(1)[0]
}

fn device() -> Device {
    Device {
        index: DeviceIndex(3),
        uuid: "GPU-3".into(),
        model: "NVIDIA H200".into(),
        memory: MemoryMib(143_000),
        simulated: true,
        pci: None,
        driver: None,
        mig: Some(false),
        closeness: Closeness { nvlink: Some(1), numa: Some(2) },
        unusable: Some("lost".to_owned()),
        fault: Some(Fault { at: NOW, what: "XID 79".to_owned() }),
        telemetry: Telemetry::default(),
    }
}

fn inventory() -> Inventory {
    Inventory {
        hostname: "gpu-box".into(),
        cpu: CpuMilli(64_000),
        host_memory: MemoryMib(9),
        devices: vec![device()],
        labels: vec!["rack=7".into()],
        abilities: vec![Ability { name: "cgroup".into(), works: true, detail: String::new() }],
        probed: true,
    }
}

fn submit(command: &[&str]) -> Submit {
    Submit {
        project: "vision".into(),
        owner: "ada".into(),
        terms: terms(),
        spec: Arc::new(Spec {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            ..Spec::default()
        }),
        spec_hash: hash(4),
        held: true,
    }
}

/// Terms of which none is as it is when nothing is said.
fn terms() -> Terms {
    Terms {
        name: Some("train".into()),
        ask: ask(Share::Milli(GpuMilli::FULL)).into(),
        queue: "nightly".into(),
        priority: -3,
        limits: Limits { run: Some(Millis(1)), queue: Some(Millis(2)), stop_grace: Millis(3) },
        expected: Some(Millis(4)),
        retry: RetryPolicy { max: 5, backoff: Some(Millis(6)) },
        wait_for_capacity: true,
    }
}

/// One command of each kind that a journal tells, as it comes back.
fn commands() -> Vec<Command> {
    let (task, fence, actor) = (id(), Fence { attempt: 2, version: 3 }, Actor::Local);
    let report = |report| Command::Report { node: NodeId(7), report };
    let update =
        Update { priority: Some(-1), held: Some(false), share: GpuMilli::new(5), memory: Some(MemoryMib(6)) };
    let exit = |how| Exit { at: NOW, how, cpu_ms: 8, rss_max_kib: 9, sick: None };
    let queues = [("nightly".into(), QueuePolicy::default())].into();
    let held = HeldAttempt { task, fence, started: Some(NOW), exit: Some(exit(ExitKind::Code(3))) };
    vec![
        Command::Tick,
        Command::Submit { tasks: vec![submit(&["program"]), submit(&[])], actor: actor.clone() },
        Command::Cancel { task, grace: Some(Millis(7)), actor: actor.clone() },
        Command::Release { task, actor: actor.clone() },
        Command::Update { task, update, if_revision: None, actor: actor.clone() },
        Command::Suspend { task, actor: actor.clone() },
        Command::Resume { task, actor: actor.clone() },
        Command::Drain { node: NodeId(7), drain: true, actor: actor.clone() },
        Command::Configure { config: Config { queues, ..Config::default() }, actor },
        report(Report::Hello { inventory: inventory(), attempts: vec![held] }),
        report(Report::Inventory(inventory())),
        report(Report::Started { task, fence, at: NOW }),
        report(Report::Exited { task, fence, exit: exit(ExitKind::Signal(9)) }),
        report(Report::Exited { task, fence, exit: exit(ExitKind::BadSpec(String::new())) }),
        report(Report::Regranted { task, fence }),
        report(Report::Suspended { task, fence }),
        report(Report::Resumed { task, fence }),
        report(Report::Lost),
    ]
}

fn rounds() -> Vec<Round> {
    let keep = |cause, free_at| Keep {
        task: id(),
        devices: vec![(NodeId(7), DeviceIndex(3))],
        nodes: vec![NodeId(7)],
        free_at,
        cause,
    };
    let round = Round {
        starts: vec![Start { task: id(), parts: parts() }],
        preempts: vec![Preempt { task: id(), for_task: ids(2)[1] }],
        keeps: vec![keep(KeepCause::Overtaken, Timestamp::NEVER), keep(KeepCause::Preempting, NOW)],
    };
    vec![round, Round::default()]
}

fn beginning() -> Beginning {
    let run = Run { project: "vision".into(), owner: "ada".into(), name: None, milli: 500, ran: Millis(3) };
    Beginning {
        tasks: tasks_in_every_shape(),
        nodes: vec![NodeRow { id: NodeId(7), hostname: "gpu-box".into(), drained: true }],
        tokens: Vec::new(),
        config: Some(Config { queue_max: 7, ..Config::default() }),
        last_task: Some(id()),
        runs: vec![Run { name: Some("train".into()), ..run.clone() }, run],
    }
}

struct Book {
    folder: TempDir,
    writer: Writer,
}

impl Book {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(&folder.path().join("journal")).unwrap();
        Self { folder, writer }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("journal")).unwrap()
    }

    fn batch(&mut self, commands: Vec<Command>) {
        self.writer.batch(&Batch { now: NOW, commands, ..Batch::default() }).unwrap();
    }
}

fn entries(text: &str) -> Vec<Result<Entry, JournalError>> {
    read(text.as_bytes()).collect()
}

fn reported(inventory: Inventory) -> Command {
    Command::Report { node: NodeId(7), report: Report::Inventory(inventory) }
}

#[test]
fn what_was_begun_with_comes_back_as_it_was() {
    let mut book = Book::new();
    book.writer.begin(&beginning()).unwrap();
    let read = entries(&book.text()).remove(0).unwrap();
    let Entry::Begin(read) = read else { panic!("{read:?}") };
    let written = beginning();
    assert_eq!(read.tasks, written.tasks);
    assert_eq!((read.nodes, read.config), (written.nodes, written.config));
    assert_eq!((read.last_task, read.runs), (written.last_task, written.runs));
}

#[test]
fn every_command_and_every_decision_comes_back_as_it_was() {
    let mut book = Book::new();
    let written = Batch { now: NOW, commands: commands(), accepted: ids(2), rounds: rounds() };
    book.writer.batch(&written).unwrap();
    let read = entries(&book.text()).remove(0).unwrap();
    let Entry::Batch(read) = read else { panic!("{read:?}") };
    assert_eq!((read.now, &read.accepted, &read.rounds), (NOW, &written.accepted, &written.rounds));
    for (read, written) in read.commands.iter().zip(&written.commands) {
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }
    assert_eq!(read.commands.len(), written.commands.len());
}

#[test]
fn no_command_no_environment_and_no_token_is_told() {
    let mut book = Book::new();
    let env = [("PASSWORD".to_owned(), SECRET.to_owned())].into();
    let command = vec!["train".to_owned(), format!("--key={SECRET}")];
    let spec = Arc::new(Spec { command, env, working_dir: Some(format!("/home/{SECRET}")) });
    let actor = Actor::Token { id: SECRET.into(), owner: SECRET.into() };
    let exit = Exit {
        at: NOW,
        how: ExitKind::BadSpec(format!("there is no {SECRET}")),
        cpu_ms: 0,
        rss_max_kib: 0,
        sick: None,
    };
    let fence = Fence { attempt: 1, version: 1 };
    let report = Report::Exited { task: id(), fence, exit };
    book.batch(vec![
        Command::Submit { tasks: vec![Submit { spec, ..submit(&[]) }], actor: actor.clone() },
        Command::Report { node: NodeId(0), report },
        Command::TokenRevoke { id: SECRET.into(), actor: actor.clone() },
        Command::Cancel { task: id(), grace: None, actor },
    ]);
    let text = book.text();
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains("\"reservation\"") && text.contains("\"cancel\""), "{text}");
}

#[test]
fn readings_alone_are_not_told_again_and_nothing_is_no_line() {
    let mut book = Book::new();
    let warm = |celsius| {
        let telemetry = Telemetry { temperature_c: Some(celsius), ..Telemetry::default() };
        Inventory { devices: vec![Device { telemetry, ..device() }], ..inventory() }
    };
    book.batch(vec![reported(warm(40))]);
    book.batch(vec![reported(warm(41))]);
    book.batch(Vec::new());
    assert_eq!(book.text().lines().count(), 1, "{}", book.text());
    book.batch(vec![reported(Inventory { labels: Vec::new(), ..warm(41) })]);
    assert_eq!(book.text().lines().count(), 2);
    // Once a node was away, what it says is news.
    book.batch(vec![Command::Report { node: NodeId(7), report: Report::Lost }]);
    book.batch(vec![reported(Inventory { labels: Vec::new(), ..warm(41) })]);
    assert_eq!(book.text().lines().count(), 4);
}

#[test]
fn a_torn_last_line_is_passed_over_and_cut_off() {
    let mut book = Book::new();
    book.batch(vec![Command::Release { task: id(), actor: Actor::Local }]);
    let path = book.folder.path().join("journal");
    let whole = book.text();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    // Longer than what is looked at in one piece.
    file.write_all(format!("{{\"batch\":{{\"now\":{}", "1".repeat(200_000)).as_bytes()).unwrap();
    assert_eq!(entries(&book.text()).len(), 1);
    let mut writer = Writer::open(&path).unwrap();
    assert_eq!(book.text(), whole);
    writer.begin(&Beginning::default()).unwrap();
    let read = entries(&book.text());
    assert!(matches!(&read[..], [Ok(Entry::Batch(_)), Ok(Entry::Begin(_))]), "{read:?}");
}

#[test]
fn a_damaged_line_ends_the_reading_and_is_named() {
    let good = r#"{"batch":{"now":1}}"#;
    for bad in [
        "",
        "{}",
        r#"{"batch":{"now":"x"}}"#,
        r#"{"batch":{"now":1,"accepted":[18446744073709551615]}}"#,
        r#"{"batch":{"now":1,"commands":[{"dance":{}}]}}"#,
        r#"{"begin":{"version":1,"tasks":[{"id":1}]}}"#,
    ] {
        let read = entries(&format!("{good}\n{bad}\n{good}\n"));
        let [Ok(_), Err(JournalError::Damaged { line: 2, .. })] = &read[..] else {
            panic!("{bad}: {read:?}")
        };
    }
    let newer = entries("{\"begin\":{\"version\":2}}\n");
    assert!(matches!(newer[..], [Err(JournalError::Version { found: 2 })]), "{newer:?}");
    assert!(matches!(entries("\u{0}\n")[..], [Err(_)]));
}

#[test]
fn a_full_journal_says_so_and_ends() {
    let mut book = Book::new();
    book.writer = Writer::open_bounded(&book.folder.path().join("journal"), 200).unwrap();
    for _ in 0..50 {
        book.batch(vec![Command::Release { task: id(), actor: Actor::Local }]);
    }
    assert!(!book.writer.is_open());
    let text = book.text();
    assert!(text.len() < 250 && text.ends_with("{\"full\":{}}\n"), "{text}");
    assert!(entries(&text).iter().all(Result::is_ok));
}
