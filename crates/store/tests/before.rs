//! What earlier versions wrote is read by this one: a database and a recording, kept as they were made.

use fastgpu_core::command::Command;
use fastgpu_core::terms::Terms;
use fastgpu_core::units::Millis;
use fastgpu_store::journal::{Entry, read};
use fastgpu_store::{Filter, History, OpenOptions, Page, Scope, SqliteStore};
use rusqlite::Connection;

const DATABASE: &str = include_str!("before/database.sql");
const RECORDING: &str = include_str!("before/recording");

#[test]
fn a_database_of_before_gives_the_tasks_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    Connection::open(folder.path().join("fastgpu.db")).unwrap().execute_batch(DATABASE).unwrap();
    let store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
    let page = Page { before: None, limit: 10 };
    let mut tasks = store.history().tasks(&Scope::All, &Filter::default(), page).unwrap();
    tasks.reverse();
    let [train, held, _, changed, wide, reservation] = &tasks[..] else { panic!("{tasks:?}") };
    is_train(&train.terms);
    assert_eq!((train.priority, train.time_limit), (7, Some(Millis::from_secs(7_200))));
    assert_eq!((held.priority, held.terms.priority, held.time_limit), (3, 3, None));
    // What was asked was not kept: what was in force counts as asked.
    assert_eq!((changed.priority, changed.terms.priority), (9, 9));
    assert_eq!((wide.terms.ask.devices.min, wide.terms.wait_for_capacity), (4, false));
    assert_eq!(reservation.time_limit, Some(Millis::from_secs(3_600)));
}

#[test]
fn a_recording_of_before_gives_the_submits_as_they_were() {
    let mut submits = Vec::new();
    for entry in read(RECORDING.as_bytes()) {
        let Entry::Batch(batch) = entry.unwrap() else { continue };
        for command in batch.commands {
            if let Command::Submit { tasks, .. } = command {
                submits.extend(tasks);
            }
        }
    }
    let [train, held, _, changed, wide, reservation] = &submits[..] else { panic!("{submits:?}") };
    is_train(&train.terms);
    assert_eq!((held.terms.priority, held.held), (3, true));
    assert_eq!((changed.terms.name.as_deref(), changed.terms.priority), (Some("changed"), 0));
    assert!(wide.terms.wait_for_capacity && !train.terms.wait_for_capacity);
    assert!(reservation.spec.command.is_empty() && !train.spec.command.is_empty());
}

/// The one that asked for something in every way.
fn is_train(terms: &Terms) {
    assert_eq!((terms.name.as_deref(), &*terms.queue, terms.priority), (Some("train"), "default", 7));
    assert_eq!((terms.ask.cpu.0, terms.ask.host_memory.0), (1_000, 64));
    let limits = terms.limits;
    assert_eq!((limits.run, limits.queue), (Some(Millis(7_200_000)), Some(Millis(10_800_000))));
    assert_eq!((limits.stop_grace, terms.expected), (Millis(5_000), Some(Millis(3_600_000))));
    assert_eq!((terms.retry.max, terms.retry.backoff), (2, Some(Millis(1_000))));
}
