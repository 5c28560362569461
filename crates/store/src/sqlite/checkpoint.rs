//! Keeps the log short: copies its pages into the file before it grows long.
//!
//! The engine's own habit, a checkpoint inside the commit that passes a thousand pages, is switched off. The
//! writer does it itself, because only between its own commits can the log be copied to its end and begin
//! anew; a second thread would chase the writer, and the log would grow. What it costs (measured with
//! `commit_rate`, submits in batches of 64, one fast disk): with the limit at 1,024, 2,048 and 4,096 pages,
//! 51,000, 52,000 and 58,000 submits/s, and the longest commit 8, 9 and 10 ms, of ends 3, 6 and 16 ms.
//! Chosen is the middle: the reserve must pay for a whole log.

use fastgpu_failpoints::hit;
use rusqlite::Connection;

/// When the loop is idle, a log longer than this is copied.
const IDLE_PAGES: i64 = 256;
/// Under load, a commit that leaves the log longer than this copies it: 8 MiB of 4 KiB pages.
const BUSY_PAGES: i64 = 2_048;

#[derive(Debug, Default)]
pub(super) struct Checkpointer {
    /// Where a reader held up the last copy: not tried again before the log is this long.
    next_try: i64,
}

impl Checkpointer {
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        self.run(connection, BUSY_PAGES);
    }

    pub(super) fn idle(&mut self, connection: &Connection) {
        self.run(connection, IDLE_PAGES);
    }

    /// Copies what there is, however little.
    pub(super) fn now(&mut self, connection: &Connection) {
        self.next_try = 0;
        self.run(connection, 0);
    }

    /// A checkpoint that fails loses nothing: the log is as durable as the file, and the next one tries again.
    fn run(&mut self, connection: &Connection, limit: i64) {
        let Ok((pages, done)) = checkpoint(connection, "NOOP") else { return };
        if pages - done <= limit || pages < self.next_try {
            return;
        }
        hit("store.checkpoint.before");
        if let Ok((pages, done)) = checkpoint(connection, "PASSIVE") {
            self.next_try = if done < pages { pages + IDLE_PAGES } else { 0 };
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
