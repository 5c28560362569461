//! Deletes old history, a small transaction at a time.

use std::collections::BTreeMap;

use fastgpu_core::ids::{Name, Term};
use fastgpu_failpoints::hit;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{engine, read, write};
use crate::contract::{Retention, StoreError};
use crate::rows::{id_column, task_ids_from_json};

/// Tasks in one transaction: some milliseconds of work, so that a commit never waits long for it.
const CHUNK_TASKS: usize = 128;
/// Free pages given back to the file system after each transaction.
const VACUUM_PAGES: usize = 512;
/// A key whose tasks still live is looked at again this much later.
const KEY_REVIEW_MS: i64 = 24 * 60 * 60 * 1_000;

pub(super) fn prune(connection: &Connection, term: Term, keep: Retention) -> Result<usize, StoreError> {
    let mut gone = 0;
    while gone < keep.at_most {
        let chunk = CHUNK_TASKS.min(keep.at_most - gone);
        let deleted = in_transaction(connection, term, |transaction| tasks(transaction, keep, chunk))?;
        if deleted == 0 {
            break;
        }
        gone += deleted;
    }
    in_transaction(connection, term, |transaction| {
        keys(transaction, keep)?;
        tokens(transaction, keep)
    })?;
    give_back(connection).map_err(engine)?;
    Ok(gone)
}

fn in_transaction<T>(
    connection: &Connection,
    term: Term,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction =
        Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(engine)?;
    write::fence(&transaction, term, None)?;
    let done = work(&transaction)?;
    hit("store.prune.rows");
    transaction.commit().map_err(engine)?;
    Ok(done)
}

/// One ended task, as far as it must be known to be forgotten.
struct Ended {
    id: i64,
    project: Name,
    state: String,
    spec: [u8; 32],
}

/// Deletes the tasks that ended first, if they are too old or too many.
fn tasks(connection: &Connection, keep: Retention, at_most: usize) -> Result<usize, StoreError> {
    let ended: i64 = connection
        .query_row("SELECT coalesce(sum(tasks), 0) FROM ended", [], |row| row.get(0))
        .map_err(engine)?;
    let too_many = u64::try_from(ended).unwrap_or(0).saturating_sub(keep.tasks_max);
    let oldest = "SELECT id, project, state, spec, ended_at FROM tasks INDEXED BY tasks_ended \
         WHERE ended_at IS NOT NULL ORDER BY ended_at, id LIMIT ?1";
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut place = 0_u64;
    let found = read::all(connection, oldest, [limit], |row| {
        place += 1;
        let columns = || {
            let ended_at: i64 = row.get(4)?;
            let project: String = row.get(1)?;
            let task =
                Ended { id: row.get(0)?, project: project.into(), state: row.get(2)?, spec: row.get(3)? };
            Ok((ended_at < keep.ended_before.0 || place <= too_many).then_some(task))
        };
        columns().map_err(|wrong: rusqlite::Error| read::corrupt(&"an ended task", &wrong))
    })?;
    let gone: Vec<Ended> = found.into_iter().flatten().collect();
    forget(connection, &gone).map_err(engine)?;
    Ok(gone.len())
}

fn forget(connection: &Connection, gone: &[Ended]) -> rusqlite::Result<()> {
    let mut specs: BTreeMap<[u8; 32], i64> = BTreeMap::new();
    let mut ended: BTreeMap<(&Name, &str), i64> = BTreeMap::new();
    for task in gone {
        for delete in [
            "DELETE FROM events WHERE task = ?1",
            "DELETE FROM attempts WHERE task = ?1",
            "DELETE FROM usage WHERE task = ?1",
            "DELETE FROM tasks WHERE id = ?1",
        ] {
            connection.prepare_cached(delete)?.execute([task.id])?;
        }
        *specs.entry(task.spec).or_default() += 1;
        *ended.entry((&task.project, &task.state)).or_default() += 1;
    }
    for (hash, tasks) in specs {
        connection
            .prepare_cached("UPDATE specs SET tasks = tasks - ?2 WHERE hash = ?1")?
            .execute(params![hash, tasks])?;
        connection.prepare_cached("DELETE FROM specs WHERE hash = ?1 AND tasks <= 0")?.execute([hash])?;
    }
    for ((project, state), tasks) in ended {
        connection
            .prepare_cached("UPDATE ended SET tasks = tasks - ?3 WHERE project = ?1 AND state = ?2")?
            .execute(params![project, state, tasks])?;
    }
    Ok(())
}

/// Deletes old keys, but none whose task still lives: repeating that request must not make it twice.
fn keys(connection: &Connection, keep: Retention) -> Result<(), StoreError> {
    let old = "SELECT project, key, tasks FROM keys WHERE review_at < ?1 ORDER BY review_at LIMIT ?2";
    let limit = i64::try_from(keep.at_most).unwrap_or(i64::MAX);
    let found = read::all(connection, old, params![keep.keys_before.0, limit], |row| {
        let columns = || Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        columns().map_err(|wrong: rusqlite::Error| read::corrupt(&"a key", &wrong))
    })?;
    for (project, key, tasks) in found {
        let tasks = task_ids_from_json(&tasks).map_err(|wrong| read::corrupt(&"a key", &wrong))?;
        let mut lives = false;
        for task in tasks {
            lives |= connection
                .prepare_cached("SELECT 1 FROM tasks WHERE id = ?1 AND ended_at IS NULL")
                .and_then(|mut live| live.query_row([id_column(task)], |_| Ok(())).optional())
                .map_err(engine)?
                .is_some();
        }
        let review_at = keep.keys_before.0.saturating_add(KEY_REVIEW_MS);
        let done = if lives {
            connection
                .prepare_cached("UPDATE keys SET review_at = ?3 WHERE project = ?1 AND key = ?2")
                .and_then(|mut later| later.execute(params![project, key, review_at]))
        } else {
            connection
                .prepare_cached("DELETE FROM keys WHERE project = ?1 AND key = ?2")
                .and_then(|mut delete| delete.execute(params![project, key]))
        };
        done.map_err(engine)?;
    }
    Ok(())
}

/// Deletes tokens that opened nothing for as long as history is kept.
fn tokens(connection: &Connection, keep: Retention) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM tokens WHERE min(ifnull(expires_at, ?2), ifnull(revoked_at, ?2)) < ?1")
        .and_then(|mut delete| delete.execute(params![keep.ended_before.0, i64::MAX]))
        .map(drop)
        .map_err(engine)
}

/// Gives free pages back to the file system, a bounded number at a time.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut pages = vacuum.query([])?;
    // Each step frees one page.
    while pages.next()?.is_some() {}
    Ok(())
}
