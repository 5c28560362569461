//! Rows back into the words of the core. A row that cannot be read is named.

use std::fmt::Display;
use std::sync::Arc;

use fastgpu_core::cause::Cause;
use fastgpu_core::change::{Attempt, Event, IdempotencyKey, Moment, NodeRow, Segment};
use fastgpu_core::config::Config;
use fastgpu_core::ids::{NodeId, SpecHash, TaskId};
use fastgpu_core::predict::Run;
use fastgpu_core::spec::Spec;
use fastgpu_core::task::{Task, TaskState};
use fastgpu_core::token::Token;
use fastgpu_core::units::{Millis, PriceMicros, Timestamp};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::engine;
use crate::contract::{RUNS_LOOKED_AT_MAX, RUNS_MAX, Saved, StoreError};
use crate::rows::config::config_from_json;
use crate::rows::exit::attempt_from_json;
use crate::rows::task::TaskColumns;
use crate::rows::{
    Shared, actor_from_json, id_from_column, role_from_word, spec_from_json, task_ids_from_json,
};
use crate::runs::run_of;

/// What [`task`] expects, in this order.
pub(super) const TASK_COLUMNS: &str =
    "id, project, owner, name, priority, state, submitted_at, ended_at, spec, body, checksum";
/// What [`event`] expects, in this order.
pub(super) const EVENT_COLUMNS: &str = "task, number, at, attempt, state, cause, detail, actor";
/// What [`attempt`] expects, in this order.
pub(super) const ATTEMPT_COLUMNS: &str = "task, attempt, placed_at, started_at, ended_at, body";
/// What [`segment`] expects, in this order.
pub(super) const USAGE_COLUMNS: &str = "task, attempt, version, from_at, to_at, project, owner, \
     charged_milli, memory_mib, gpu_milli_ms, price_micros, cost_micros";

pub(super) fn load(connection: &Connection) -> Result<Saved, StoreError> {
    let mut shared = Shared::default();
    // Through the index of the living: there may be millions of others.
    let live = format!("SELECT {TASK_COLUMNS} FROM tasks INDEXED BY tasks_live WHERE ended_at IS NULL");
    let mut tasks = all(connection, &live, [], |row| task(row, &mut shared))?;
    tasks.sort_unstable_by_key(|task| task.id);
    let nodes = all(connection, "SELECT id, hostname, drained FROM nodes ORDER BY id", [], node)?;
    let tokens = "SELECT id, hash, project, owner, role, created_at, expires_at, revoked_at FROM tokens";
    let tokens = all(connection, tokens, [], |row| token(row, &mut shared))?;
    let config = one(connection, "SELECT body FROM config", [], config)?;
    let last_task = one(connection, "SELECT last_task FROM meta WHERE last_task >= 0", [], |row| {
        id_from_column(column(row, 0, &"meta")?).map_err(|wrong| corrupt(&"meta", &wrong))
    })?;
    let runs = runs(connection)?;
    let clock = "SELECT clock_at, since_boot_ms, boot FROM meta WHERE clock_at IS NOT NULL";
    let clock = one(connection, clock, [], |row| moment(row, &mut shared))?;
    Ok(Saved { tasks, nodes, tokens, config, last_task, runs, clock })
}

/// The latest runs that ended well, oldest first: through the index of ends, and never far back in it.
fn runs(connection: &Connection) -> Result<Vec<Run>, StoreError> {
    let newest = format!(
        "SELECT {TASK_COLUMNS}, (SELECT sum(attempts.ended_at - attempts.started_at) FROM attempts \
         WHERE attempts.task = newest.id) FROM (SELECT {TASK_COLUMNS} FROM tasks INDEXED BY tasks_ended \
         WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT {RUNS_LOOKED_AT_MAX}) AS newest \
         WHERE state = 'succeeded' LIMIT {RUNS_MAX}"
    );
    let mut shared = Shared::default();
    let found = all(connection, &newest, [], |row| {
        let ran = column::<Option<i64>>(row, 11, &"a task")?.and_then(|ran| u64::try_from(ran).ok());
        match (task(row, &mut shared), ran) {
            (Ok(task), Some(ran)) => Ok(run_of(&task, Millis(ran))),
            // A damaged row of what is over keeps nobody from starting.
            (Ok(_) | Err(StoreError::Corrupt { .. }), _) => Ok(None),
            (Err(other), _) => Err(other),
        }
    })?;
    Ok(found.into_iter().flatten().rev().collect())
}

pub(super) fn spec(connection: &Connection, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError> {
    one(connection, "SELECT body FROM specs WHERE hash = ?1", [hash.0], |row| {
        let text = text(row, 0, &"a specification")?;
        spec_from_json(text).map(Arc::new).map_err(|wrong| corrupt(&"a specification", &wrong))
    })
}

pub(super) fn key(
    connection: &Connection,
    project: &str,
    key: &str,
) -> Result<Option<IdempotencyKey>, StoreError> {
    let sql = "SELECT digest, tasks, at FROM keys WHERE project = ?1 AND key = ?2";
    one(connection, sql, [project, key], |row| {
        let what = format!("key `{key}` of project `{project}`");
        Ok(IdempotencyKey {
            project: project.into(),
            key: key.into(),
            digest: column(row, 0, &what)?,
            tasks: task_ids_from_json(text(row, 1, &what)?).map_err(|wrong| corrupt(&what, &wrong))?,
            at: Timestamp(column(row, 2, &what)?),
        })
    })
}

/// Every row of a query.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(engine)?;
    let mut rows = statement.query(values).map_err(engine)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(engine)? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The only row of a query, if there is one.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(engine)?;
    statement.query_row(values, |row| Ok(read(row))).optional().map_err(engine)?.transpose()
}

pub(super) fn task(row: &Row<'_>, shared: &mut Shared) -> Result<Task, StoreError> {
    let raw: i64 = column(row, 0, &"a task")?;
    let what = id_from_column(raw).map_err(|wrong| corrupt(&"a task", &wrong))?;
    let columns = TaskColumns {
        id: raw,
        project: text(row, 1, &what)?,
        owner: text(row, 2, &what)?,
        name: optional_text(row, 3, &what)?,
        priority: column(row, 4, &what)?,
        state: text(row, 5, &what)?,
        submitted_at: column(row, 6, &what)?,
        ended_at: column(row, 7, &what)?,
        spec: row.get_ref(8).map_err(engine)?.as_blob().map_err(|wrong| corrupt(&what, &wrong))?,
        body: text(row, 9, &what)?,
    };
    columns.into_core(column(row, 10, &what)?, shared).map_err(|wrong| corrupt(&what, &wrong))
}

pub(super) fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    let task = task_id(row, "an event")?;
    let what = format!("an event of {task}");
    let state = text(row, 4, &what)?;
    let cause = text(row, 5, &what)?;
    let unknown = |word: &str| corrupt(&what, &format!("`{word}` is no word of ours"));
    Ok(Event {
        task,
        number: column(row, 1, &what)?,
        at: Timestamp(column(row, 2, &what)?),
        attempt: column(row, 3, &what)?,
        state: TaskState::code_of(state).ok_or_else(|| unknown(state))?,
        cause: Cause::from_code(cause).ok_or_else(|| unknown(cause))?,
        detail: column(row, 6, &what)?,
        actor: actor_from_json(text(row, 7, &what)?).map_err(|wrong| corrupt(&what, &wrong))?,
    })
}

pub(super) fn attempt(row: &Row<'_>) -> Result<Attempt, StoreError> {
    let task = task_id(row, "an attempt")?;
    let what = format!("an attempt of {task}");
    let ended_at = column::<Option<i64>>(row, 4, &what)?.map(Timestamp);
    let (parts, ended) =
        attempt_from_json(text(row, 5, &what)?, ended_at).map_err(|wrong| corrupt(&what, &wrong))?;
    Ok(Attempt {
        task,
        attempt: column(row, 1, &what)?,
        parts,
        placed_at: Timestamp(column(row, 2, &what)?),
        started_at: column::<Option<i64>>(row, 3, &what)?.map(Timestamp),
        ended,
    })
}

pub(super) fn segment(row: &Row<'_>) -> Result<Segment, StoreError> {
    let task = task_id(row, "a segment of use")?;
    let what = format!("a segment of use of {task}");
    Ok(Segment {
        task,
        attempt: column(row, 1, &what)?,
        version: column(row, 2, &what)?,
        from: Timestamp(column(row, 3, &what)?),
        to: Timestamp(column(row, 4, &what)?),
        project: text(row, 5, &what)?.into(),
        owner: text(row, 6, &what)?.into(),
        charged_milli: column(row, 7, &what)?,
        memory_mib: column(row, 8, &what)?,
        gpu_milli_ms: column(row, 9, &what)?,
        price: PriceMicros(column(row, 10, &what)?),
        cost_micros: column(row, 11, &what)?,
    })
}

fn node(row: &Row<'_>) -> Result<NodeRow, StoreError> {
    let id = NodeId(column(row, 0, &"a node")?);
    Ok(NodeRow { id, hostname: text(row, 1, &id)?.into(), drained: column(row, 2, &id)? })
}

fn token(row: &Row<'_>, shared: &mut Shared) -> Result<Token, StoreError> {
    let id = text(row, 0, &"a token")?;
    let what = format!("token `{id}`");
    Ok(Token {
        id: id.into(),
        hash: column(row, 1, &what)?,
        project: shared.name(text(row, 2, &what)?),
        owner: shared.name(text(row, 3, &what)?),
        role: role_from_word(text(row, 4, &what)?).map_err(|wrong| corrupt(&what, &wrong))?,
        created_at: Timestamp(column(row, 5, &what)?),
        expires_at: column::<Option<i64>>(row, 6, &what)?.map(Timestamp),
        revoked_at: column::<Option<i64>>(row, 7, &what)?.map(Timestamp),
    })
}

fn moment(row: &Row<'_>, shared: &mut Shared) -> Result<Moment, StoreError> {
    let what = "the clock";
    Ok(Moment {
        at: Timestamp(column(row, 0, &what)?),
        since_boot: Millis(column::<i64>(row, 1, &what)?.cast_unsigned()),
        boot: shared.name(text(row, 2, &what)?),
    })
}

fn config(row: &Row<'_>) -> Result<Config, StoreError> {
    let what = "the configuration";
    config_from_json(text(row, 0, &what)?).map_err(|wrong| corrupt(&what, &wrong))
}

fn task_id(row: &Row<'_>, what: &str) -> Result<TaskId, StoreError> {
    id_from_column(column(row, 0, &what)?).map_err(|wrong| corrupt(&what, &wrong))
}

fn column<T: FromSql>(row: &Row<'_>, index: usize, what: &dyn Display) -> Result<T, StoreError> {
    row.get(index).map_err(|wrong| corrupt(what, &wrong))
}

fn text<'r>(row: &'r Row<'_>, index: usize, what: &dyn Display) -> Result<&'r str, StoreError> {
    optional_text(row, index, what)?.ok_or_else(|| corrupt(what, &format!("column {index} is empty")))
}

fn optional_text<'r>(
    row: &'r Row<'_>,
    index: usize,
    what: &dyn Display,
) -> Result<Option<&'r str>, StoreError> {
    row.get_ref(index)
        .map_err(engine)?
        .as_str_or_null()
        .map_err(|wrong| corrupt(what, &format!("column {index}: {wrong}")))
}

pub(super) fn corrupt(what: &dyn Display, wrong: &dyn Display) -> StoreError {
    StoreError::Corrupt { detail: format!("{what}: {wrong}") }
}
