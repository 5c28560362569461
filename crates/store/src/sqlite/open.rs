//! Whether a data folder may be used, and bringing its file up to date.
//!
//! Migrations are numbered SQL files, each applied in one transaction together with its number: a process
//! killed at any moment leaves the file at one number or the next. They only go forward.

use std::path::Path;
use std::time::Duration;

use fastgpu_failpoints::hit;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::refusal::{OpenError, classify};
use super::{FILE_NAME, folder, reserve};

/// All migrations; the version of a file is how many of them it has seen.
const MIGRATIONS: &[&str] =
    &[include_str!("../../migrations/0001_first.sql"), include_str!("../../migrations/0002_clock.sql")];
/// The version this program writes.
const VERSION: i64 = MIGRATIONS.len() as i64;
/// `FGPU`: tells our files from those of other programs.
const APPLICATION_ID: i64 = 0x4647_5055;
/// Readers never block the writer; only a copy of the file or another checkpoint can, for a moment.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// Pages the writer keeps in memory; the rest is in the page cache of the system anyway.
const CACHE_KIB: i64 = 8 * 1_024;
/// Statements kept prepared; there are about thirty.
const STATEMENTS_MAX: usize = 64;
/// A log that once grew is cut back to this when it starts over. What stays is room that a full disk
/// cannot take away.
const LOG_KEPT_BYTES: i64 = 32 * 1_024 * 1_024;
/// The largest file that is checked after an unclean stop: about 0.1 s of the second a start may take.
const CHECKED_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// How to open a store.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Whether the structure of the file is checked first.
    pub check: Check,
}

/// Whether the structure of the file is checked before it is used. Rows of tasks carry a checksum that is
/// checked whenever one is read, in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Check {
    /// After an unclean stop, if the file is small enough for a quick start.
    #[default]
    Auto,
    /// However long it takes.
    Always,
    /// Not at all.
    Never,
}

/// A folder that is ours, with the writer's connection.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) lock: folder::Lock,
}

pub(super) fn open(data_dir: &Path, options: OpenOptions) -> Result<Opened, OpenError> {
    let lock = folder::lock(data_dir)?;
    let file = data_dir.join(FILE_NAME);
    let connection = match open_file(data_dir, &file, options) {
        // After a crash on a full disk, even the start needs a little room.
        Err(OpenError::Full { .. }) => {
            reserve::Reserve::of(data_dir).release();
            open_file(data_dir, &file, options)?
        }
        other => other?,
    };
    Ok(Opened { connection, lock })
}

fn open_file(data_dir: &Path, file: &Path, options: OpenOptions) -> Result<Connection, OpenError> {
    create(data_dir, file)?;
    let unclean = has_log(file);
    let failed = |source| classify(file, source);
    let mut connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    connection.busy_timeout(BUSY_WAIT_MAX).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Before anything is written: a file that is not ours must stay as it is.
    let version = version_of(&connection, file)?;
    configure(&connection).map_err(failed)?;
    if version > 0 && must_check(file, options.check, unclean) {
        quick_check(&connection, file)?;
    }
    migrate(&mut connection, version, MIGRATIONS).map_err(failed)?;
    Ok(connection)
}

/// Makes the empty file ourselves: private, and with its name durable before anything is in it.
fn create(data_dir: &Path, file: &Path) -> Result<(), OpenError> {
    if file.exists() {
        return Ok(());
    }
    folder::private()
        .open(file)
        .and_then(|created| created.sync_all())
        .and_then(|()| folder::sync_folder(data_dir))
        .map_err(|source| OpenError::NotWritable { folder: data_dir.to_owned(), source })
}

/// A clean stop leaves no log behind.
fn has_log(file: &Path) -> bool {
    let log = file.with_extension("db-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn must_check(file: &Path, check: Check, unclean: bool) -> bool {
    match check {
        Check::Always => true,
        Check::Never => false,
        Check::Auto => unclean && std::fs::metadata(file).is_ok_and(|file| file.len() <= CHECKED_BYTES_MAX),
    }
}

/// The version of a file that is ours or empty.
pub(super) fn version_of(connection: &Connection, file: &Path) -> Result<i64, OpenError> {
    let failed = |source| classify(file, source);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = pragma("user_version").map_err(failed)?;
    let application = pragma("application_id").map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID && (tables > 0 || version != 0) {
        return Err(OpenError::NotOurs { file: file.to_owned() });
    }
    if version > VERSION {
        return Err(OpenError::Newer { file: file.to_owned(), found: version, known: VERSION });
    }
    Ok(version)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Has an effect on an empty file only, and only before anything else touches it.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A read error in a mapped file would be a signal instead of an error.
    connection.pragma_update(None, "mmap_size", 0)?;
    // Nothing of ours may depend on room in another folder.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
    // See `checkpoint`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", false)
}

/// Checks the structure of a file; much quicker than the full check, which also compares indexes.
fn quick_check(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    checked(connection, file, "PRAGMA quick_check(1)")
}

pub(super) fn full_check(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    checked(connection, file, "PRAGMA integrity_check(1)")
}

fn checked(connection: &Connection, file: &Path, pragma: &str) -> Result<(), OpenError> {
    let verdict: String =
        connection.query_row(pragma, [], |row| row.get(0)).map_err(|source| classify(file, source))?;
    if verdict == "ok" { Ok(()) } else { Err(OpenError::Damaged { file: file.to_owned(), detail: verdict }) }
}

fn migrate(connection: &mut Connection, version: i64, migrations: &[&str]) -> rusqlite::Result<()> {
    let seen = usize::try_from(version).unwrap_or(0);
    for (number, migration) in (1_i64..).zip(migrations).skip(seen) {
        hit("store.migration.before");
        let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        hit("store.migration.middle");
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
        hit("store.migration.after");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_the_repaired_log_reset() {
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }

    #[test]
    fn a_migration_is_applied_whole_or_not_at_all() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = ["CREATE TABLE first (a);", "CREATE TABLE second (a); CREATE TABLE first (a);"];
        assert!(migrate(&mut connection, 0, &broken).is_err());
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
        migrate(&mut connection, version, &["", "CREATE TABLE second (a);"]).unwrap();
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 2);
    }
}
