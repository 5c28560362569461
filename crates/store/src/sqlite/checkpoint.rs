//! Keeps the log short: copies its pages into the file before it grows long.
//!
//! The engine's own habit, a checkpoint inside the commit that passes a thousand pages, is switched off.

use fastgpu_failpoints::hit;
use rusqlite::Connection;

/// When the loop is idle, a log longer than this is copied.
const IDLE_PAGES: i64 = 256;
/// Under load, a commit that leaves the log longer than this copies it: 16 MiB of 4 KiB pages.
const BUSY_PAGES: i64 = 4_096;

#[derive(Debug, Default)]
pub(super) struct Checkpointer {
    /// A length at which the last copy was held up by a reader; not tried again before it has grown.
    stuck_at: i64,
}

impl Checkpointer {
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        self.run(connection, BUSY_PAGES);
    }

    pub(super) fn idle(&mut self, connection: &Connection) {
        self.run(connection, IDLE_PAGES);
    }

    /// A checkpoint that fails loses nothing: the log is as durable as the file, and the next one tries again.
    fn run(&mut self, connection: &Connection, limit: i64) {
        let Ok((pages, done)) = checkpoint(connection, "NOOP") else { return };
        if pages - done <= limit || pages < self.stuck_at {
            return;
        }
        hit("store.checkpoint.before");
        if let Ok((pages, done)) = checkpoint(connection, "PASSIVE") {
            self.stuck_at = if done < pages { pages + IDLE_PAGES } else { 0 };
        }
        hit("store.checkpoint.after");
    }
}

/// Pages in the log, and how many of them are in the file.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

/// What the log holds, in bytes of whole pages.
pub(super) fn log_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let (pages, _) = checkpoint(connection, "NOOP")?;
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(u64::try_from(pages.saturating_mul(page_bytes)).unwrap_or(0))
}
