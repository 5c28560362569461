//! Changes into rows, within one transaction.

use std::collections::BTreeMap;

use fastgpu_core::change::{Attempt, Audit, Change, Event, IdempotencyKey, Moment, NodeRow, Segment};
use fastgpu_core::ids::{Name, SpecHash, TaskId, Term};
use fastgpu_core::spec::Spec;
use fastgpu_core::task::Task;
use fastgpu_core::token::Token;
use fastgpu_failpoints::hit;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::engine;
use crate::contract::StoreError;
use crate::rows::config::config_to_json;
use crate::rows::exit::attempt_to_json;
use crate::rows::task::{TaskColumns, body_of, ended_at};
use crate::rows::{actor_to_json, id_column, spec_to_json, task_ids_to_json};

/// Writes all changes, if `term` is the newest.
pub(super) fn rows(connection: &Connection, term: Term, changes: &[Change]) -> Result<(), StoreError> {
    fence(connection, term, newest_task(changes))?;
    let mut writer = Writer::new(connection);
    for (number, change) in changes.iter().enumerate() {
        writer.change(change)?;
        if number == changes.len() / 2 {
            hit("store.commit.rows");
        }
    }
    writer.finish()
}

/// Refuses every term but the newest; within the transaction, so that nobody can begin one in between.
pub(super) fn fence(connection: &Connection, term: Term, newest: Option<TaskId>) -> Result<(), StoreError> {
    let stored: i64 = match newest {
        Some(task) => connection
            .prepare_cached("UPDATE meta SET last_task = max(last_task, ?1) RETURNING term")
            .and_then(|mut statement| statement.query_row([id_column(task)], |row| row.get(0))),
        None => connection
            .prepare_cached("SELECT term FROM meta")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0))),
    }
    .map_err(engine)?;
    let newer = Term(stored.cast_unsigned());
    if newer == term { Ok(()) } else { Err(StoreError::Fenced { newer }) }
}

fn newest_task(changes: &[Change]) -> Option<TaskId> {
    let new = changes.iter().filter_map(|change| match change {
        Change::Task { task, new: true } => Some(task.id),
        _ => None,
    });
    new.max()
}

/// The statements of a batch, each looked up once.
#[derive(Debug, Clone, Copy)]
enum Sql {
    InsertTask,
    UpdateLive,
    EndLive,
    UpdateAny,
    OldTask,
    AddSpec,
    CountSpec,
    CountEnded,
    Event,
    Attempt,
    Usage,
    Node,
    Token,
    Config,
    Audit,
    Key,
    Clock,
}

const STATEMENTS: usize = Sql::Clock as usize + 1;

impl Sql {
    const fn text(self) -> &'static str {
        match self {
            Self::InsertTask => {
                "INSERT INTO tasks (id, project, owner, name, priority, state, submitted_at, ended_at, spec, \
                 body, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
            }
            // The usual updates touch no index but those of life and end: everything else must be as it was.
            Self::UpdateLive => {
                "UPDATE tasks SET priority = ?1, state = ?2, body = ?3, checksum = ?4 WHERE id = ?5 \
                 AND ended_at IS NULL AND project = ?6 AND owner = ?7 AND name IS ?8 AND spec = ?9 \
                 AND submitted_at = ?10"
            }
            Self::EndLive => {
                "UPDATE tasks SET priority = ?1, state = ?2, body = ?3, checksum = ?4, ended_at = ?11 \
                 WHERE id = ?5 AND ended_at IS NULL AND project = ?6 AND owner = ?7 AND name IS ?8 \
                 AND spec = ?9 AND submitted_at = ?10"
            }
            Self::UpdateAny => {
                "UPDATE tasks SET project = ?2, owner = ?3, name = ?4, priority = ?5, state = ?6, \
                 submitted_at = ?7, ended_at = ?8, spec = ?9, body = ?10, checksum = ?11 WHERE id = ?1"
            }
            Self::OldTask => "SELECT project, state, ended_at, spec FROM tasks WHERE id = ?1",
            Self::AddSpec => {
                "INSERT INTO specs (hash, tasks, body) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (hash) DO UPDATE SET tasks = tasks + excluded.tasks WHERE excluded.tasks <> 0"
            }
            Self::CountSpec => "UPDATE specs SET tasks = tasks + ?2 WHERE hash = ?1",
            Self::CountEnded => {
                "INSERT INTO ended (project, state, tasks) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (project, state) DO UPDATE SET tasks = tasks + excluded.tasks"
            }
            Self::Event => {
                "INSERT INTO events (task, number, at, attempt, state, cause, detail, actor) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            }
            Self::Attempt => {
                "INSERT OR REPLACE INTO attempts (task, attempt, placed_at, started_at, ended_at, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            }
            Self::Usage => {
                "INSERT INTO usage (task, attempt, version, from_at, to_at, project, owner, charged_milli, \
                 memory_mib, gpu_milli_ms, price_micros, cost_micros) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
            }
            Self::Node => "INSERT OR REPLACE INTO nodes (id, hostname, drained) VALUES (?1, ?2, ?3)",
            Self::Token => {
                "INSERT OR REPLACE INTO tokens (id, hash, project, owner, role, created_at, expires_at, \
                 revoked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            }
            Self::Config => "INSERT OR REPLACE INTO config (id, body) VALUES (1, ?1)",
            Self::Audit => "INSERT INTO audit (at, actor, action, object) VALUES (?1, ?2, ?3, ?4)",
            Self::Key => {
                "INSERT INTO keys (project, key, digest, tasks, at, review_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)"
            }
            Self::Clock => "UPDATE meta SET clock_at = ?1, since_boot_ms = ?2, boot = ?3",
        }
    }
}

/// What a batch does to one specification.
#[derive(Default)]
struct SpecUse<'b> {
    body: Option<&'b Spec>,
    tasks: i64,
}

struct Writer<'c, 'b> {
    connection: &'c Connection,
    ready: [Option<CachedStatement<'c>>; STATEMENTS],
    specs: BTreeMap<SpecHash, SpecUse<'b>>,
    ended: BTreeMap<(Name, String), i64>,
}

impl<'c, 'b> Writer<'c, 'b> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            ready: std::array::from_fn(|_| None),
            specs: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    fn statement(&mut self, sql: Sql) -> Result<&mut CachedStatement<'c>, StoreError> {
        let slot = &mut self.ready[sql as usize];
        match slot {
            Some(statement) => Ok(statement),
            None => Ok(slot.insert(self.connection.prepare_cached(sql.text()).map_err(engine)?)),
        }
    }

    /// Executes a statement and says how many rows it changed.
    fn execute(&mut self, sql: Sql, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        self.statement(sql)?.execute(values).map_err(engine)
    }

    fn change(&mut self, change: &'b Change) -> Result<(), StoreError> {
        match change {
            Change::Task { task, new: true } => self.new_task(task),
            Change::Task { task, new: false } => self.task(task),
            Change::Spec { hash, spec } => {
                self.specs.entry(*hash).or_default().body = Some(spec);
                Ok(())
            }
            Change::Event(event) => self.event(event),
            Change::Attempt(attempt) => self.attempt(attempt),
            Change::Usage(segment) => self.usage(segment),
            Change::Node(node) => self.node(node),
            Change::Token(token) => self.token(token),
            Change::Config(config) => self.execute(Sql::Config, [config_to_json(config)]).map(drop),
            Change::Audit(audit) => self.audit(audit),
            Change::Key(key) => self.key(key),
            Change::Clock(moment) => self.clock(moment),
        }
    }

    fn new_task(&mut self, task: &Task) -> Result<(), StoreError> {
        let (hash, body) = (task.work.spec(), body_of(task));
        let row = TaskColumns::of(task, &hash, &body);
        self.specs.entry(hash).or_default().tasks += 1;
        if row.ended_at.is_some() {
            self.count_ended(task.project.clone(), row.state, 1);
        }
        self.write_whole(Sql::InsertTask, &row).map(drop)
    }

    fn task(&mut self, task: &Task) -> Result<(), StoreError> {
        let (hash, body) = (task.work.spec(), body_of(task));
        let row = TaskColumns::of(task, &hash, &body);
        let TaskColumns { id, project, owner, name, priority, state, submitted_at, ended_at, spec, body } =
            row;
        let sum = row.checksum();
        let written = match ended_at {
            None => self.execute(
                Sql::UpdateLive,
                params![priority, state, body, sum, id, project, owner, name, spec, submitted_at],
            )?,
            Some(at) => self.execute(
                Sql::EndLive,
                params![priority, state, body, sum, id, project, owner, name, spec, submitted_at, at],
            )?,
        };
        match written {
            0 => self.task_with_all_columns(task, &hash, &row),
            _ if ended_at.is_some() => {
                self.count_ended(task.project.clone(), state, 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The rare update: of a task that had ended, or of a column that hardly ever changes.
    fn task_with_all_columns(
        &mut self,
        task: &Task,
        hash: &SpecHash,
        row: &TaskColumns<'_>,
    ) -> Result<(), StoreError> {
        let old = self
            .statement(Sql::OldTask)?
            .query_row([row.id], |old| {
                let spec: [u8; 32] = old.get(3)?;
                Ok((old.get::<_, String>(0)?, old.get::<_, String>(1)?, old.get::<_, Option<i64>>(2)?, spec))
            })
            .optional()
            .map_err(engine)?;
        let Some((project, state, was_ended, old_hash)) = old else {
            return Err(StoreError::Unknown { detail: format!("there is no {} to update", task.id) });
        };
        if was_ended.is_some() {
            self.count_ended(project.into(), &state, -1);
        }
        if ended_at(&task.state).is_some() {
            self.count_ended(task.project.clone(), row.state, 1);
        }
        if old_hash != hash.0 {
            self.specs.entry(SpecHash(old_hash)).or_default().tasks -= 1;
            self.specs.entry(*hash).or_default().tasks += 1;
        }
        self.write_whole(Sql::UpdateAny, row).map(drop)
    }

    fn write_whole(&mut self, sql: Sql, row: &TaskColumns<'_>) -> Result<usize, StoreError> {
        let TaskColumns { id, project, owner, name, priority, state, submitted_at, ended_at, spec, body } =
            *row;
        let sum = row.checksum();
        self.execute(
            sql,
            params![id, project, owner, name, priority, state, submitted_at, ended_at, spec, body, sum],
        )
    }

    fn count_ended(&mut self, project: Name, state: &str, tasks: i64) {
        *self.ended.entry((project, state.to_owned())).or_default() += tasks;
    }

    fn event(&mut self, event: &Event) -> Result<(), StoreError> {
        let Event { task, number, at, attempt, state, cause, detail, actor } = event;
        let actor = actor_to_json(actor);
        let values = params![id_column(*task), number, at.0, attempt, state, cause.code(), detail, actor];
        self.execute(Sql::Event, values).map(drop)
    }

    fn attempt(&mut self, row: &Attempt) -> Result<(), StoreError> {
        let Attempt { task, attempt, parts: _, placed_at, started_at, ended } = row;
        let started_at = started_at.map(|at| at.0);
        let ended_at = ended.as_ref().map(|end| end.at.0);
        let body = attempt_to_json(row);
        let values = params![id_column(*task), attempt, placed_at.0, started_at, ended_at, body];
        self.execute(Sql::Attempt, values).map(drop)
    }

    fn usage(&mut self, segment: &Segment) -> Result<(), StoreError> {
        let values = params![
            id_column(segment.task),
            segment.attempt,
            segment.version,
            segment.from.0,
            segment.to.0,
            segment.project,
            segment.owner,
            segment.charged_milli,
            segment.memory_mib,
            segment.gpu_milli_ms,
            segment.price.0,
            segment.cost_micros,
        ];
        self.execute(Sql::Usage, values).map(drop)
    }

    fn node(&mut self, node: &NodeRow) -> Result<(), StoreError> {
        self.execute(Sql::Node, params![node.id.0, node.hostname, node.drained]).map(drop)
    }

    fn token(&mut self, token: &Token) -> Result<(), StoreError> {
        let Token { id, hash, owner, project, role, created_at, expires_at, revoked_at } = token;
        let (expires_at, revoked_at) = (expires_at.map(|at| at.0), revoked_at.map(|at| at.0));
        let values = params![id, hash, project, owner, role.code(), created_at.0, expires_at, revoked_at];
        self.execute(Sql::Token, values).map(drop)
    }

    fn audit(&mut self, audit: &Audit) -> Result<(), StoreError> {
        let Audit { at, actor, action, object } = audit;
        self.execute(Sql::Audit, params![at.0, actor_to_json(actor), action, object]).map(drop)
    }

    fn key(&mut self, row: &IdempotencyKey) -> Result<(), StoreError> {
        let IdempotencyKey { project, key, digest, tasks, at } = row;
        let values = params![project, key, digest, task_ids_to_json(tasks), at.0];
        self.execute(Sql::Key, values).map(drop)
    }

    fn clock(&mut self, moment: &Moment) -> Result<(), StoreError> {
        let Moment { at, since_boot, boot } = moment;
        self.execute(Sql::Clock, params![at.0, since_boot.0.cast_signed(), boot]).map(drop)
    }

    /// What is written once per batch, however many rows it came from.
    fn finish(mut self) -> Result<(), StoreError> {
        for (hash, spec) in std::mem::take(&mut self.specs) {
            let known = match spec.body {
                Some(body) => {
                    self.execute(Sql::AddSpec, params![hash.0, spec.tasks, spec_to_json(body)])?;
                    true
                }
                None => spec.tasks == 0 || self.execute(Sql::CountSpec, params![hash.0, spec.tasks])? > 0,
            };
            if !known {
                let detail = "a task refers to a specification that was never stored".to_owned();
                return Err(StoreError::Unknown { detail });
            }
        }
        for ((project, state), tasks) in std::mem::take(&mut self.ended) {
            self.execute(Sql::CountEnded, params![project, state, tasks])?;
        }
        Ok(())
    }
}
