//! Counters of the loop, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the commit-time buckets, in microseconds.
pub const COMMIT_BUCKETS_US: [u64; 10] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// What the loop has done so far, and what it holds now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches taken from the inbox.
    pub batches: u64,
    /// Commands in them.
    pub commands: u64,
    /// Durable transactions.
    pub commits: u64,
    /// Rows in them.
    pub rows: u64,
    /// Time spent in them, in microseconds.
    pub commit_us: u64,
    /// Transactions by duration, one count per bucket of COMMIT_BUCKETS_US and one beyond.
    pub commit_buckets: [u64; COMMIT_BUCKETS_US.len() + 1],
    /// Scheduling rounds.
    pub rounds: u64,
    /// Time spent in them, in microseconds.
    pub round_us: u64,
    /// Tasks placed.
    pub placed: u64,
    /// Tasks that wait for a place now.
    pub queued: u64,
    /// Tasks alive now.
    pub live: u64,
    /// Whether the disk is full at present.
    pub storage_full: bool,
}

/// The counters behind [`Stats`]; written by the loop alone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) commit_us: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_BUCKETS_US.len() + 1],
    pub(crate) rounds: AtomicU64,
    pub(crate) round_us: AtomicU64,
    pub(crate) placed: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) live: AtomicU64,
    pub(crate) storage_full: AtomicU64,
}

impl Counters {
    pub(crate) fn committed(&self, rows: usize, took: std::time::Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_BUCKETS_US.partition_point(|&bound| bound < us);
        add(&self.commits, 1);
        add(&self.rows, rows as u64);
        add(&self.commit_us, us);
        add(&self.commit_buckets[bucket], 1);
    }

    pub(crate) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            batches: get(&self.batches),
            commands: get(&self.commands),
            commits: get(&self.commits),
            rows: get(&self.rows),
            commit_us: get(&self.commit_us),
            commit_buckets: std::array::from_fn(|bucket| get(&self.commit_buckets[bucket])),
            rounds: get(&self.rounds),
            round_us: get(&self.round_us),
            placed: get(&self.placed),
            queued: get(&self.queued),
            live: get(&self.live),
            storage_full: get(&self.storage_full) != 0,
        }
    }
}

/// Counts something; only the loop writes, so no ordering is needed.
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
