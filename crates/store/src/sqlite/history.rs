//! The readers' side: a few read-only connections, handed out one call at a time.
//!
//! A read sees one committed state of the file and never waits for the writer. More readers than connections
//! wait for each other, which also bounds how long the log is held up.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use fastgpu_core::change::{Attempt, Event, Segment};
use fastgpu_core::ids::{Name, SpecHash, TaskId};
use fastgpu_core::spec::Spec;
use fastgpu_core::task::Task;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params, params_from_iter};

use super::read::{self, ATTEMPT_COLUMNS, EVENT_COLUMNS, TASK_COLUMNS, USAGE_COLUMNS};
use super::{checkpoint, engine};
use crate::contract::{Filter, History, Page, Scope, StoreError};
use crate::listing::{Listing, in_order_of_life};
use crate::rows::{Shared, id_column};

/// Reads that run at once; each is short, and there are not many processors to run them on.
const CONNECTIONS_MAX: usize = 4;
/// Longer than any read takes; whoever asked has gone by then.
const LOAN_WAIT_MAX: Duration = Duration::from_secs(30);
/// Readers wait only while the file is being opened or recovered.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// Pages one reader keeps in memory; the page cache of the system has the rest.
const CACHE_KIB: i64 = 2 * 1_024;
/// Listings differ by their filters; this many stay prepared per connection.
const STATEMENTS_MAX: usize = 32;

/// Committed history in SQLite. Cheap to clone.
#[derive(Clone)]
pub struct SqliteHistory {
    pool: Arc<Pool>,
}

struct Pool {
    file: PathBuf,
    state: Mutex<PoolState>,
    returned: Condvar,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<Connection>,
    lent: usize,
}

impl fmt::Debug for SqliteHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteHistory").field("file", &self.pool.file).finish_non_exhaustive()
    }
}

/// A connection on loan; it goes back when this is dropped, also by a panic.
struct Loan<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lent -= 1;
        state.idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}

impl SqliteHistory {
    pub(super) fn new(file: &Path) -> Self {
        let pool = Pool { file: file.to_owned(), state: Mutex::default(), returned: Condvar::new() };
        Self { pool: Arc::new(pool) }
    }

    /// Lends a connection to `read`, a new one if none is idle and there may be another.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pool = &*self.pool;
        let state = pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        let all_lent = |state: &mut PoolState| state.lent >= CONNECTIONS_MAX;
        let waited = pool.returned.wait_timeout_while(state, LOAN_WAIT_MAX, all_lent);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(StoreError::Unknown { detail: "all readers are busy".to_owned() });
        }
        state.lent += 1;
        let connection = state.idle.pop();
        drop(state);
        let mut loan = Loan { pool, connection };
        if loan.connection.is_none() {
            loan.connection = Some(connect(&pool.file).map_err(engine)?);
        }
        read(loan.connection.as_ref().expect("set just above"))
    }

    /// How long the log is, in bytes of its pages; for metrics.
    ///
    /// # Errors
    /// As for every read.
    pub fn log_bytes(&self) -> Result<u64, StoreError> {
        self.with(|connection| checkpoint::log_bytes(connection).map_err(engine))
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// The project a scope is limited to; NULL in SQL when it is not.
fn project_of(scope: &Scope) -> Option<&Name> {
    match scope {
        Scope::All => None,
        Scope::Project(project) => Some(project),
    }
}

/// Rows of `table` that belong to one task within a scope; `columns` are all the table's own.
fn of_task(table: &str, columns: &str, order: &str) -> String {
    format!(
        "SELECT {columns} FROM {table} WHERE task = ?1 AND EXISTS \
         (SELECT 1 FROM tasks WHERE tasks.id = ?1 AND (?2 IS NULL OR tasks.project = ?2)) {order}"
    )
}

impl History for SqliteHistory {
    fn task(&self, scope: &Scope, id: TaskId) -> Result<Option<Task>, StoreError> {
        let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?1 AND (?2 IS NULL OR project = ?2)");
        self.with(|connection| {
            read::one(connection, &sql, params![id_column(id), project_of(scope)], |row| {
                read::task(row, &mut Shared::default())
            })
        })
    }

    fn tasks(&self, scope: &Scope, filter: &Filter, page: Page) -> Result<Vec<Task>, StoreError> {
        let Some(listing) = Listing::of(filter, page) else { return Ok(Vec::new()) };
        let (sql, values) = listing_sql(project_of(scope), &listing);
        let mut shared = Shared::default();
        self.with(|connection| {
            read::all(connection, &sql, params_from_iter(values), |row| read::task(row, &mut shared))
        })
    }

    fn spec(&self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError> {
        self.with(|connection| read::spec(connection, hash))
    }

    fn events(&self, scope: &Scope, id: TaskId, from: u32, limit: usize) -> Result<Vec<Event>, StoreError> {
        let sql = of_task("events", EVENT_COLUMNS, "AND number >= ?3 ORDER BY number LIMIT ?4");
        let values = params![id_column(id), project_of(scope), from, sql_limit(limit)];
        self.with(|connection| read::all(connection, &sql, values, read::event))
    }

    fn attempts(&self, scope: &Scope, id: TaskId) -> Result<Vec<Attempt>, StoreError> {
        let sql = of_task("attempts", ATTEMPT_COLUMNS, "ORDER BY attempt");
        let values = params![id_column(id), project_of(scope)];
        self.with(|connection| read::all(connection, &sql, values, read::attempt))
    }

    fn usage(&self, scope: &Scope, id: TaskId) -> Result<Vec<Segment>, StoreError> {
        let sql = of_task("usage", USAGE_COLUMNS, "ORDER BY attempt, version, from_at");
        let values = params![id_column(id), project_of(scope)];
        self.with(|connection| read::all(connection, &sql, values, read::segment))
    }

    fn count(&self, scope: &Scope) -> Result<Vec<(String, u64)>, StoreError> {
        // One statement, so that a task that ends meanwhile is counted once.
        const COUNT: &str = "SELECT state, count(*) FROM tasks INDEXED BY tasks_live \
             WHERE ended_at IS NULL AND (?1 IS NULL OR project = ?1) GROUP BY state \
             UNION ALL SELECT state, sum(tasks) FROM ended WHERE ?1 IS NULL OR project = ?1 GROUP BY state";
        let counted = self.with(|connection| {
            read::all(connection, COUNT, params![project_of(scope)], |row| {
                let count: i64 = row.get(1).map_err(engine)?;
                Ok((row.get::<_, String>(0).map_err(engine)?, u64::try_from(count).unwrap_or(0)))
            })
        })?;
        Ok(in_order_of_life(counted))
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The query of a listing. The index is named, because a wrong guess of the planner would read the whole
/// table: entries of each index are in the order of ids, so a listing stops when its page is full.
fn listing_sql(project: Option<&Name>, listing: &Listing<'_>) -> (String, Vec<Value>) {
    let text = |name: &str| Value::Text(name.to_owned());
    let index = match (listing.name, project) {
        (Some(_), _) => " INDEXED BY tasks_by_name",
        (None, Some(_)) if listing.live => " INDEXED BY tasks_live",
        (None, Some(_)) => " INDEXED BY tasks_by_project",
        (None, None) => " NOT INDEXED",
    };
    let mut sql = format!("SELECT {TASK_COLUMNS} FROM tasks{index} WHERE id BETWEEN ? AND ?");
    let mut values = vec![Value::Integer(id_column(listing.first)), Value::Integer(id_column(listing.last))];
    let mut and = |condition: &str, value: Option<Value>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.extend(value);
    };
    if let Some(project) = project {
        and("project = ?", Some(text(project)));
    }
    if let Some(name) = listing.name {
        and("name = ?", Some(text(name)));
    }
    if let Some(owner) = listing.owner {
        and("owner = ?", Some(text(owner)));
    }
    if let Some(queue) = listing.queue {
        // Not worth a column: a queue is asked for among the living, who are few.
        and("coalesce(json_extract(body, '$.queue'), 'default') = ?", Some(text(queue)));
    }
    if let Some(since) = listing.since {
        and("submitted_at >= ?", Some(Value::Integer(since.0)));
    }
    if listing.live {
        and("ended_at IS NULL", None);
    }
    if listing.live && project.is_none() && listing.name.is_none() {
        // The living of all projects are few among the dead: their ids first, the rows of one page then.
        and("id IN (SELECT id FROM tasks INDEXED BY tasks_live WHERE ended_at IS NULL)", None);
    }
    if !listing.states.is_empty() {
        let marks = vec!["?"; listing.states.len()].join(", ");
        and(&format!("state IN ({marks})"), None);
        values.extend(listing.states.iter().map(|state| text(state)));
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push(Value::Integer(sql_limit(listing.limit)));
    (sql, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_listing_reads_the_whole_table_or_sorts_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = super::super::SqliteStore::open(folder.path(), Default::default()).unwrap();
        let project = Name::from("vision");
        let name = Name::from("train");
        let mut plans = String::new();
        for (live, name, project) in [
            (false, None, Some(&project)),
            (true, None, Some(&project)),
            (true, None, None),
            (false, Some(&name), Some(&project)),
            (false, Some(&name), None),
        ] {
            let filter = Filter { live, name: name.cloned(), ..Filter::default() };
            let listing = Listing::of(&filter, Page { before: None, limit: 10 }).unwrap();
            let (sql, values) = listing_sql(project, &listing);
            let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
            for step in steps {
                plans.push_str(&step.unwrap());
                plans.push('\n');
            }
        }
        assert!(!plans.contains("SCAN tasks\n"), "{plans}");
        if plans.contains("TEMP B-TREE") {
            // Names are few; a listing by name in all projects may sort them.
            assert_eq!(plans.matches("TEMP B-TREE").count(), 1, "{plans}");
        }
    }
}
