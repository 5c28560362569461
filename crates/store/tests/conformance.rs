//! What every store promises, asked of each of them.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "conformance/alike.rs"]
mod alike;
#[path = "conformance/listing.rs"]
mod listing;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use fastgpu_core::change::{Actor, Attempt, Audit, Change, Moment, NodeRow};
use fastgpu_core::config::Config;
use fastgpu_core::ids::{Name, NodeId, TaskId, Term};
use fastgpu_core::policy::{Order, Placement, Preempt, QueuePolicy};
use fastgpu_core::retry::FailureClass;
use fastgpu_core::spec::Spec;
use fastgpu_core::task::{End, Outcome, Task, TaskState, Work};
use fastgpu_core::token::{Role, Token};
use fastgpu_core::units::{Millis, PriceMicros, Timestamp};
use fastgpu_store::{
    Filter, History, MemoryStore, OpenOptions, Page, RUNS_MAX, Retention, Scope, SqliteStore, Store,
    StoreError,
};
use support::{
    Dice, NOW, Subject, asking, attempt, ended, event, everywhere, hash, ids, key, named, new, segment, spec,
    task, tasks_in_every_shape, update,
};

const ALL: Page = Page { before: None, limit: usize::MAX };

fn project(name: &str) -> Scope {
    Scope::Project(name.into())
}

fn listed(history: &dyn History, scope: &Scope, filter: &Filter) -> Vec<TaskId> {
    history.tasks(scope, filter, ALL).unwrap().into_iter().map(|task| task.id).collect()
}

fn keep_all() -> Retention {
    let long_ago = Timestamp(0);
    Retention { ended_before: long_ago, tasks_max: u64::MAX, keys_before: long_ago, at_most: 1_000 }
}

#[test]
fn every_shape_of_a_task_comes_back_as_it_was() {
    everywhere(|subject| {
        let tasks = tasks_in_every_shape();
        let mut changes = vec![spec(1)];
        changes.extend(tasks.iter().cloned().map(new));
        subject.commit(&changes);
        let live: Vec<_> = tasks.iter().filter(|task| !task.state.is_ended()).cloned().collect();
        assert_eq!(subject.store.load().unwrap().tasks, live);
        for task in &tasks {
            assert_eq!(subject.history.task(&Scope::All, task.id).unwrap().as_ref(), Some(task));
        }
        let newest_first: Vec<Task> = tasks.iter().rev().cloned().collect();
        assert_eq!(subject.history.tasks(&Scope::All, &Filter::default(), ALL).unwrap(), newest_first);
    });
}

#[test]
fn loading_shares_equal_terms() {
    everywhere(|subject| {
        let ids = ids(2);
        subject.commit(&[spec(1), new(task(ids[0])), new(task(ids[1]))]);
        let tasks = subject.store.load().unwrap().tasks;
        if subject.kind != "memory" {
            assert!(Arc::ptr_eq(&tasks[0].terms, &tasks[1].terms));
        }
    });
}

#[test]
fn every_other_row_comes_back_as_it_was() {
    everywhere(|subject| {
        let id = ids(1)[0];
        let nodes = [4, 2].map(|id| NodeRow { id: NodeId(id), hostname: "gpu-box".into(), drained: id == 4 });
        let tokens = [token("abc", None), token("def", Some(Timestamp(5)))];
        let config = Config {
            queue_max: 5,
            batch_max: 6,
            overtake_max: Millis(7),
            price: PriceMicros(8),
            time_limit_default: Some(Millis(9)),
            queues: queues(),
        };
        let actors = [Actor::Scheduler, Actor::Node(NodeId(3)), Actor::Local, event(id, 0).actor];
        let mut changes = vec![spec(1), new(task(id)), Change::Config(Config::default())];
        changes.extend(nodes.iter().cloned().map(Change::Node));
        changes.extend(tokens.iter().cloned().map(Change::Token));
        changes.push(Change::Config(config.clone()));
        changes.push(Change::Attempt(attempt(id, 1)));
        changes.push(Change::Usage(segment(id, "default")));
        for (number, actor) in (0..).zip(actors.iter().cloned()) {
            changes.push(Change::Audit(Audit {
                at: NOW,
                actor: actor.clone(),
                action: "drained",
                object: "x".into(),
            }));
            changes.push(Change::Event(fastgpu_core::change::Event { actor, ..event(id, number) }));
        }
        subject.commit(&changes);
        let saved = subject.store.load().unwrap();
        assert_eq!(saved.nodes, [nodes[1].clone(), nodes[0].clone()]);
        assert_eq!(saved.tokens, tokens);
        assert_eq!(saved.config, Some(config));
        assert_eq!(saved.last_task, Some(id));
        let all = Scope::All;
        assert_eq!(subject.history.attempts(&all, id).unwrap(), [attempt(id, 1)]);
        assert_eq!(subject.history.usage(&all, id).unwrap(), [segment(id, "default")]);
        let events = subject.history.events(&all, id, 1, 2).unwrap();
        assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(events[1].actor, actors[2]);
    });
}

#[test]
fn runs_that_ended_well_are_there_to_learn_from_oldest_first() {
    everywhere(|subject| {
        let ids = ids(7);
        let named = |at: usize, name: &str| named(ended(ids[at], at as i64), name);
        let ran = |at: usize, number: u32, from: i64, to: i64| {
            let mut row = attempt(ids[at], number);
            row.started_at = Some(Timestamp(NOW.0 + from));
            row.ended.as_mut().unwrap().at = Timestamp(NOW.0 + to);
            Change::Attempt(row)
        };
        let failed = |task: Task| {
            let outcome = Outcome::Failed(FailureClass::UserError);
            Task { state: TaskState::Ended(End { outcome, at: NOW, exit: None }), ..task }
        };
        let never_ran = Change::Attempt(Attempt { started_at: None, ..attempt(ids[5], 1) });
        subject.commit(&[
            spec(1),
            // Ended last, although it was submitted first.
            new(support::named(ended(ids[0], 100), "last")),
            ran(0, 1, 0, 5),
            new(named(1, "twice")),
            ran(1, 1, 0, 10),
            ran(1, 2, 50, 70),
            new(failed(named(2, "failed"))),
            ran(2, 1, 0, 10),
            new(Task { work: Work::Reservation(hash(1)), ..named(3, "reserved") }),
            ran(3, 1, 0, 10),
            new(task(ids[4])),
            ran(4, 1, 0, 10),
            new(named(5, "never ran")),
            never_ran,
            new(named(6, "no attempts")),
        ]);
        let runs = subject.store.load().unwrap().runs;
        let names: Vec<_> = runs.iter().map(|run| (run.name.as_deref().unwrap(), run.ran.0)).collect();
        assert_eq!(names, [("twice", 30), ("last", 5)]);
        assert_eq!((&*runs[0].project, &*runs[0].owner, runs[0].milli), ("default", "ada", 500));
    });
}

#[test]
fn of_many_runs_the_latest_are_loaded() {
    everywhere(|subject| {
        let ids = ids(RUNS_MAX + 3);
        let mut changes = vec![spec(1)];
        for (at, &id) in ids.iter().enumerate() {
            changes.push(new(ended(id, at as i64)));
            let mut row = attempt(id, 1);
            row.ended.as_mut().unwrap().at = Timestamp(NOW.0 + at as i64);
            changes.push(Change::Attempt(row));
        }
        subject.commit(&changes);
        let runs = subject.store.load().unwrap().runs;
        assert_eq!(runs.len(), RUNS_MAX);
        assert_eq!((runs[0].ran.0, runs[RUNS_MAX - 1].ran.0), (3, RUNS_MAX as u64 + 2));
    });
}

#[test]
fn rows_from_before_there_were_queues_are_read_as_of_the_default_queue() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
    let term = store.begin_term().unwrap();
    let old = task(ids(1)[0]);
    store.commit(term, &[spec(1), new(old.clone())]).unwrap();
    let read = store.history().task(&Scope::All, old.id).unwrap().unwrap();
    assert_eq!((&*read.terms.queue, read.terms.expected, read.attained), ("default", None, 0));
    // What such a task says in its row is what it said before: nothing of queues.
    let file = rusqlite::Connection::open(folder.path().join("fastgpu.db")).unwrap();
    let body: String = file.query_row("SELECT body FROM tasks", [], |row| row.get(0)).unwrap();
    for key in ["queue\"", "expected", "attained", "labels"] {
        assert!(!body.contains(key), "{key} is in {body}");
    }
    store.commit(term, &[Change::Config(Config::default())]).unwrap();
    let config: String = file.query_row("SELECT body FROM config", [], |row| row.get(0)).unwrap();
    assert!(!config.contains("queues"), "{config}");
}

/// A queue for each word a policy can say.
fn queues() -> BTreeMap<Name, QueuePolicy> {
    let mut queues = BTreeMap::new();
    for (number, &placement) in Placement::ALL.iter().enumerate() {
        let (order, preempt) = (Order::ALL[number % 3], Preempt::ALL[number % 3]);
        let policy = QueuePolicy { priority: -3, order, placement, preempt, wait_max: Millis(11) };
        queues.insert(placement.code().into(), policy);
    }
    queues
}

fn token(id: &str, revoked_at: Option<Timestamp>) -> Token {
    Token {
        id: id.into(),
        hash: [3; 32],
        owner: "ada".into(),
        project: "default".into(),
        role: Role::Member,
        created_at: NOW,
        expires_at: Some(Timestamp(NOW.0 + 10)),
        revoked_at,
    }
}

#[test]
fn an_empty_store_says_so() {
    everywhere(|subject| {
        let saved = subject.store.load().unwrap();
        assert!(saved.tasks.is_empty() && saved.nodes.is_empty() && saved.tokens.is_empty());
        assert_eq!((saved.config, saved.last_task), (None, None));
        assert_eq!(subject.store.spec(hash(1)).unwrap(), None);
        assert_eq!(subject.store.key("default", "k").unwrap(), None);
        assert_eq!(subject.history.task(&Scope::All, ids(1)[0]).unwrap(), None);
        assert!(subject.history.count(&Scope::All).unwrap().iter().all(|(_, tasks)| *tasks == 0));
        assert_eq!(subject.store.prune(subject.term, keep_all()).unwrap(), 0);
    });
}

#[test]
fn an_update_replaces_the_task_and_an_attempt_replaces_itself() {
    everywhere(|subject| {
        let shapes = tasks_in_every_shape();
        let id = shapes[0].id;
        subject.commit(&[spec(1), spec(2), new(shapes[0].clone())]);
        // From every shape to every other, the ended ones included: also the moves that the core never makes.
        for shape in shapes.iter().chain(shapes.iter().rev()) {
            let next =
                Task { id, owner: shape.state.code().into(), work: Work::Program(hash(2)), ..shape.clone() };
            subject.commit(&[update(next.clone())]);
            assert_eq!(subject.history.task(&Scope::All, id).unwrap(), Some(next.clone()));
            let counts = subject.history.count(&Scope::All).unwrap();
            let counted: Vec<_> = counts.iter().filter(|(_, tasks)| *tasks > 0).collect();
            assert_eq!(counted, [&(next.state.code().to_owned(), 1)]);
        }
        let open = fastgpu_core::change::Attempt { ended: None, started_at: None, ..attempt(id, 1) };
        subject.commit(&[Change::Attempt(open)]);
        subject.commit(&[Change::Attempt(attempt(id, 1))]);
        assert_eq!(subject.history.attempts(&Scope::All, id).unwrap(), [attempt(id, 1)]);
    });
}

#[test]
fn a_batch_with_one_bad_row_leaves_nothing_behind() {
    everywhere(|subject| {
        let ids = ids(3);
        subject.commit(&[spec(1), new(task(ids[0])), Change::Event(event(ids[0], 0))]);
        subject.commit(&[
            Change::Usage(segment(ids[0], "default")),
            Change::Key(key("default", "k", vec![], 0)),
        ]);
        let unknown_spec = Task { work: Work::Program(hash(9)), ..task(ids[2]) };
        for bad in [
            new(task(ids[0])),
            update(task(ids[2])),
            Change::Event(event(ids[0], 0)),
            Change::Usage(segment(ids[0], "default")),
            Change::Key(key("default", "k", vec![ids[1]], 1)),
            new(unknown_spec),
        ] {
            let batch = [
                spec(2),
                new(task(ids[1])),
                Change::Event(event(ids[1], 0)),
                update(ended(ids[0], 5)),
                bad.clone(),
            ];
            let refused = subject.store.commit(subject.term, &batch);
            assert!(matches!(refused, Err(StoreError::Unknown { .. })), "{bad:?}");
        }
        assert_eq!(subject.store.load().unwrap().tasks, [task(ids[0])]);
        assert_eq!(subject.store.load().unwrap().last_task, Some(ids[0]));
        assert_eq!(subject.store.spec(hash(2)).unwrap(), None);
        assert_eq!(subject.history.task(&Scope::All, ids[1]).unwrap(), None);
        assert!(subject.history.events(&Scope::All, ids[1], 0, 9).unwrap().is_empty());
        assert_eq!(subject.store.key("default", "k").unwrap().unwrap().tasks, []);
        // And the store goes on.
        subject.commit(&[new(task(ids[1])), update(ended(ids[0], 5))]);
    });
}

#[test]
fn an_older_term_commits_no_more() {
    everywhere(|subject| {
        let id = ids(1)[0];
        let newer = subject.store.begin_term().unwrap();
        assert!(newer > subject.term);
        let refused = subject.store.commit(subject.term, &[spec(1), new(task(id))]);
        assert!(matches!(refused, Err(StoreError::Fenced { newer: term }) if term == newer));
        let refused = subject.store.commit(subject.term, &[spec(1)]);
        assert!(matches!(refused, Err(StoreError::Fenced { .. })));
        assert!(matches!(subject.store.prune(subject.term, keep_all()), Err(StoreError::Fenced { .. })));
        assert_eq!(subject.store.load().unwrap().last_task, None);
        assert_eq!(subject.store.spec(hash(1)).unwrap(), None);
        subject.store.commit(newer, &[spec(1), new(task(id))]).unwrap();
    });
}

#[test]
fn a_specification_is_stored_once_whoever_brings_it() {
    everywhere(|subject| {
        let ids = ids(2);
        subject.commit(&[new(task(ids[0])), spec(1), spec(1)]);
        let other = Change::Spec { hash: hash(1), spec: Arc::new(Spec::default()) };
        subject.commit(&[other, new(task(ids[1]))]);
        let Change::Spec { spec: first, .. } = spec(1) else { unreachable!() };
        assert_eq!(subject.store.spec(hash(1)).unwrap(), Some(first.clone()));
        assert_eq!(subject.history.spec(hash(1)).unwrap(), Some(first));
        assert_eq!(subject.history.spec(hash(2)).unwrap(), None);
    });
}

#[test]
fn a_key_is_found_in_its_project_only() {
    everywhere(|subject| {
        let ids = ids(2);
        let (ours, theirs) = (key("a", "k", ids.clone(), 1), key("b", "k", vec![], 2));
        subject.commit(&[Change::Key(ours.clone()), Change::Key(theirs.clone())]);
        assert_eq!(subject.store.key("a", "k").unwrap(), Some(ours));
        assert_eq!(subject.store.key("b", "k").unwrap(), Some(theirs));
        assert_eq!(subject.store.key("c", "k").unwrap(), None);
        assert_eq!(subject.store.key("a", "K").unwrap(), None);
    });
}

#[test]
fn pruning_takes_the_oldest_ends_and_what_belongs_to_them() {
    everywhere(|subject| {
        let ids = ids(5);
        let mut changes = vec![spec(1), spec(2)];
        // The first to end is not the first submitted, and has a specification of its own.
        for (place, end) in [(0, 30), (1, 10), (2, 20), (3, 40)] {
            let work = Work::Program(hash(if place == 1 { 2 } else { 1 }));
            changes.push(new(Task { work, ..ended(ids[place], end) }));
            changes.push(Change::Event(event(ids[place], 0)));
            changes.push(Change::Attempt(attempt(ids[place], 1)));
            changes.push(Change::Usage(segment(ids[place], "default")));
        }
        changes.push(new(task(ids[4])));
        subject.commit(&changes);
        let left = |subject: &Subject| listed(&*subject.history, &Scope::All, &Filter::default());
        let before = |at| Retention { ended_before: Timestamp(NOW.0 + at), ..keep_all() };

        assert_eq!(subject.store.prune(subject.term, before(20)).unwrap(), 1);
        assert_eq!(left(subject), [ids[4], ids[3], ids[2], ids[0]]);
        assert_eq!(subject.store.spec(hash(2)).unwrap(), None);
        assert!(subject.store.spec(hash(1)).unwrap().is_some());
        // One more than may stay, and only one at a time.
        let few = Retention { tasks_max: 1, at_most: 1, ..keep_all() };
        assert_eq!(subject.store.prune(subject.term, few).unwrap(), 1);
        assert_eq!(left(subject), [ids[4], ids[3], ids[0]]);
        assert_eq!(subject.store.prune(subject.term, before(1_000)).unwrap(), 2);
        assert_eq!(left(subject), [ids[4]]);
        // The living one still needs it.
        assert!(subject.store.spec(hash(1)).unwrap().is_some());
        assert_eq!(subject.store.load().unwrap().tasks, [task(ids[4])]);
        assert_eq!(subject.store.load().unwrap().last_task, Some(ids[4]));
        let total: u64 = subject.history.count(&Scope::All).unwrap().iter().map(|(_, tasks)| tasks).sum();
        assert_eq!(total, 1);
        // Nothing of them is left to get in the way of a row with the same number.
        subject.commit(&[
            new(ended(ids[1], 1)),
            Change::Event(event(ids[1], 0)),
            Change::Usage(segment(ids[1], "p")),
        ]);
        assert!(subject.history.attempts(&Scope::All, ids[1]).unwrap().is_empty());
    });
}

#[test]
fn the_last_id_is_remembered_when_its_task_is_forgotten() {
    everywhere(|subject| {
        let ids = ids(2);
        subject.commit(&[spec(1), new(ended(ids[1], 1))]);
        subject.commit(&[spec(1), new(ended(ids[0], 1))]);
        let forget = Retention { tasks_max: 0, ..keep_all() };
        assert_eq!(subject.store.prune(subject.term, forget).unwrap(), 2);
        assert_eq!(subject.store.load().unwrap().last_task, Some(ids[1]));
    });
}

#[test]
fn pruning_keeps_the_keys_of_the_living_and_the_tokens_that_open() {
    everywhere(|subject| {
        let ids = ids(2);
        subject.commit(&[
            spec(1),
            new(task(ids[0])),
            new(ended(ids[1], 1)),
            Change::Key(key("p", "living", vec![ids[1], ids[0]], 1)),
            Change::Key(key("p", "ended", vec![ids[1]], 1)),
            Change::Key(key("p", "young", vec![ids[1]], 50)),
            Change::Token(token("revoked", Some(Timestamp(1)))),
            Change::Token(token("open", None)),
        ]);
        let keep =
            Retention { keys_before: Timestamp(NOW.0 + 2), ended_before: Timestamp(NOW.0), ..keep_all() };
        subject.store.prune(subject.term, keep).unwrap();
        let found = |subject: &mut Subject, name| subject.store.key("p", name).unwrap().is_some();
        assert!(found(subject, "living") && !found(subject, "ended") && found(subject, "young"));
        assert_eq!(subject.store.load().unwrap().tokens, [token("open", None)]);
        // It goes some time after its last task.
        subject.commit(&[update(ended(ids[0], 1))]);
        let much_later = Timestamp(NOW.0 + 3 * 24 * 60 * 60 * 1_000);
        subject.store.prune(subject.term, Retention { keys_before: much_later, ..keep }).unwrap();
        assert!(!found(subject, "living") && !found(subject, "young"));
    });
}

#[test]
fn readers_read_while_the_writer_writes() {
    everywhere(|subject| {
        let ids = ids(200);
        subject.commit(&[spec(1)]);
        let Subject { store, history, term, .. } = subject;
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < ids.len() {
                        let found = history.tasks(&Scope::All, &Filter::default(), ALL).unwrap();
                        // Whole batches only, and never fewer than before.
                        assert!(found.len().is_multiple_of(4) && found.len() >= seen);
                        seen = found.len();
                    }
                });
            }
            for batch in ids.chunks(4) {
                let changes: Vec<_> = batch.iter().map(|id| new(task(*id))).collect();
                store.commit(*term, &changes).unwrap();
            }
        });
    });
}

#[test]
fn the_clock_goes_on_from_the_last_batch() {
    everywhere(|subject| {
        assert_eq!(subject.store.load().unwrap().clock, None);
        let moment = |at, boot: &str| Moment { at: Timestamp(at), since_boot: Millis(7), boot: boot.into() };
        subject.commit(&[Change::Clock(moment(10, "one"))]);
        subject.commit(&[Change::Clock(moment(9, "two"))]);
        assert_eq!(subject.store.load().unwrap().clock, Some(moment(9, "two")));
    });
}
