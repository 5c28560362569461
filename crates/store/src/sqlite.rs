//! The store in one SQLite file.
//!
//! - [`open`] decides whether a folder may be used, and brings its file up to date.
//! - [`write`] turns changes into rows, one transaction per commit; [`prune`] deletes old ones.
//! - [`read`] turns rows back; [`history`] asks for them on behalf of readers.
//! - [`checkpoint`] keeps the log short; [`reserve`] keeps room for a full disk; [`backup`] copies it all.
//!
//! **Invariant**: one writer connection, held by the one process that holds the lock on the folder.
//! `synchronous=FULL` in WAL mode: when a commit returns, the log is on the disk, and only then do readers
//! see it.

mod backup;
mod checkpoint;
mod folder;
mod history;
mod open;
mod prune;
mod read;
mod refusal;
mod reserve;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastgpu_core::change::{Change, IdempotencyKey};
use fastgpu_core::ids::{SpecHash, Term};
use fastgpu_core::spec::Spec;
use fastgpu_failpoints::hit;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use backup::{BackupError, Existing, RestoreError, backup, restore};
pub use folder::user_of;
pub use history::SqliteHistory;
pub use open::{Check, OpenOptions};
pub use refusal::OpenError;

use crate::contract::{Retention, Saved, Store, StoreError};

/// The database within a data folder.
pub const FILE_NAME: &str = "fastgpu.db";

/// The writer's side of the store.
#[derive(Debug)]
pub struct SqliteStore {
    /// First: the connection that closes last tidies the log away, and only the writer's can.
    history: SqliteHistory,
    connection: Connection,
    checkpointer: checkpoint::Checkpointer,
    reserve: reserve::Reserve,
    data_dir: PathBuf,
    /// Last, so that it goes when everything else is closed.
    _lock: folder::Lock,
}

impl SqliteStore {
    /// Opens the store of a data folder, alone: makes the folder and the file where there is none, and
    /// brings an older file up to date. Also takes the reserve, if there is room for it: ask
    /// [`Store::restore_reserve`] whether there was.
    ///
    /// # Errors
    /// [`OpenError`] when the folder is in use, of a newer version, not ours, damaged or not writable.
    pub fn open(data_dir: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let open::Opened { connection, lock } = open::open(data_dir, options)?;
        let reserve = reserve::Reserve::of(data_dir);
        let history = SqliteHistory::new(&data_dir.join(FILE_NAME));
        let mut store = Self {
            connection,
            checkpointer: checkpoint::Checkpointer::default(),
            reserve,
            history,
            data_dir: data_dir.to_owned(),
            _lock: lock,
        };
        store.restore_reserve();
        Ok(store)
    }

    /// The readers' side; cheap to clone, and it outlives nothing but the file.
    #[must_use]
    pub fn history(&self) -> SqliteHistory {
        self.history.clone()
    }

    /// The folder it was opened in.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(engine)
    }
}

impl Store for SqliteStore {
    fn begin_term(&mut self) -> Result<Term, StoreError> {
        let transaction = self.begin()?;
        let term: i64 = transaction
            .query_row("UPDATE meta SET term = term + 1 RETURNING term", [], |row| row.get(0))
            .map_err(engine)?;
        transaction.commit().map_err(engine)?;
        u64::try_from(term)
            .map(Term)
            .map_err(|_| StoreError::Corrupt { detail: format!("the term is {term}") })
    }

    fn load(&mut self) -> Result<Saved, StoreError> {
        read::load(&self.connection)
    }

    fn commit(&mut self, term: Term, changes: &[Change]) -> Result<(), StoreError> {
        hit("store.commit.before_begin");
        let transaction = self.begin()?;
        write::rows(&transaction, term, changes)?;
        hit("store.commit.before_commit");
        transaction.commit().map_err(engine)?;
        hit("store.commit.after_commit");
        self.checkpointer.after_commit(&self.connection);
        Ok(())
    }

    fn spec(&mut self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError> {
        read::spec(&self.connection, hash)
    }

    fn key(&mut self, project: &str, key: &str) -> Result<Option<IdempotencyKey>, StoreError> {
        read::key(&self.connection, project, key)
    }

    fn prune(&mut self, term: Term, keep: Retention) -> Result<usize, StoreError> {
        let gone = prune::prune(&self.connection, term, keep)?;
        self.checkpointer.after_commit(&self.connection);
        Ok(gone)
    }

    fn idle(&mut self) {
        self.checkpointer.idle(&self.connection);
    }

    fn release_reserve(&mut self) {
        self.reserve.release();
        hit("store.reserve.released");
        self.checkpointer.now(&self.connection);
    }

    fn restore_reserve(&mut self) -> bool {
        self.reserve.restore()
    }
}

/// What an error of the engine means to whoever asked.
///
/// Only "the disk is full" says that nothing was written: the log is written before it is committed. Every
/// other failure of a commit may have come after it.
fn engine(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => StoreError::Full,
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => StoreError::Corrupt { detail: error.to_string() },
        _ => StoreError::Unknown { detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use fastgpu_core::change::{Actor, Audit};
    use fastgpu_core::units::Timestamp;

    use super::*;
    use crate::contract::{History, Scope};

    fn audits(count: i64) -> Vec<Change> {
        let audit = |at| Audit {
            at: Timestamp(at),
            actor: Actor::Local,
            action: "node_drained",
            object: "x".repeat(500),
        };
        (0..count).map(|at| Change::Audit(audit(at))).collect()
    }

    fn audited(store: &SqliteStore) -> i64 {
        store.connection.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_full_disk_rolls_back_and_later_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
        let term = store.begin_term().unwrap();
        store.commit(term, &audits(1)).unwrap();
        let limit = |store: &SqliteStore, pages: i64| {
            store.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&store, 1);
        assert!(matches!(store.commit(term, &audits(1_000)), Err(StoreError::Full)));
        assert!(store.connection.is_autocommit());
        assert_eq!(audited(&store), 1);
        // Readers go on meanwhile.
        store.history().count(&Scope::All).unwrap();
        store.release_reserve();
        limit(&store, i64::from(u32::MAX) - 1);
        store.commit(term, &audits(1_000)).unwrap();
        assert!(store.restore_reserve());
        assert_eq!(audited(&store), 1_001);
    }

    #[test]
    fn a_damaged_row_is_named_and_nothing_panics() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
        for (damage, named) in [
            (
                "INSERT INTO tasks VALUES (7, 'p', 'o', NULL, 0, 'queued', 0, NULL, x'00', '{}', 0)",
                "t-0000000000007",
            ),
            ("INSERT INTO tasks VALUES (-1, 'p', 'o', NULL, 0, 'queued', 0, NULL, x'00', '{}', 0)", "a task"),
            (
                "INSERT INTO tasks VALUES (8, 5, x'ff', NULL, 'x', 'queued', 0, NULL, 9, '{}', 'z')",
                "t-0000000000008",
            ),
            ("INSERT INTO nodes VALUES (4000000000000, 'n', 0)", "a node"),
            ("INSERT INTO tokens VALUES ('abc', x'00', 'p', 'o', 'admin', 0, NULL, NULL)", "token `abc`"),
            (
                "INSERT INTO tokens VALUES ('abc', zeroblob(32), 'p', 'o', 'king', 0, NULL, NULL)",
                "`king` is no role",
            ),
            ("INSERT INTO config VALUES (1, '{\"queue_max\":')", "the configuration"),
        ] {
            store.connection.execute_batch(damage).unwrap();
            let Err(StoreError::Corrupt { detail }) = store.load() else { panic!("{damage}") };
            assert!(detail.contains(named), "{detail}");
            store
                .connection
                .execute_batch("DELETE FROM tasks; DELETE FROM nodes; DELETE FROM tokens; DELETE FROM config")
                .unwrap();
        }
        store.load().unwrap();
    }

    #[test]
    fn a_later_version_may_have_added_fields() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
        let term = store.begin_term().unwrap();
        store.commit(term, &[Change::Config(fastgpu_core::config::Config::default())]).unwrap();
        let added = "UPDATE config SET body = json_set(body, '$.invented', json('{\"a\":[1]}'))";
        store.connection.execute_batch(added).unwrap();
        assert_eq!(store.load().unwrap().config, Some(fastgpu_core::config::Config::default()));
    }

    #[test]
    fn a_fresh_file_is_set_up_for_durability_and_shrinking() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), OpenOptions::default()).unwrap();
        let pragma = |name: &str| {
            store
                .connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        use rusqlite::types::Value::{Integer, Text};
        assert_eq!(pragma("journal_mode"), Text("wal".to_owned()));
        assert_eq!(pragma("synchronous"), Integer(2));
        assert_eq!(pragma("auto_vacuum"), Integer(2));
        assert_eq!(pragma("mmap_size"), Integer(0));
    }
}
