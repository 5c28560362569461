//! Which crash points are visited, how often, and by which story. A point that is in the code and not here,
//! or here and not in the code, fails the test.

/// What must happen so that a point is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// Submits, batches, cancels, retries, tokens, reservations; short tasks that end in all ways.
    Ordinary,
    /// The first start in a fresh folder.
    FirstStart,
    /// Attempts run when their keeper is killed.
    Adoption,
    /// So much is written that the log is copied into the file.
    Bulk,
    /// Old history is deleted all the time.
    Prune,
    /// `fastgpu backup`, while the server runs.
    Backup,
    /// `fastgpu restore`.
    Restore,
    /// In [`crate::disk_full`]: it needs a small disk.
    DiskFull,
}

/// A point, its story, and at which passings the process ends.
pub(crate) struct Point {
    pub(crate) name: &'static str,
    pub(crate) story: Story,
    pub(crate) passings: [u32; 3],
}

const fn point(name: &'static str, story: Story, passings: [u32; 3]) -> Point {
    Point { name, story, passings }
}

use Story::{Adoption, Backup, Bulk, DiskFull, FirstStart, Ordinary, Prune, Restore};

/// The slow ones first, so that nobody waits for one of them at the end.
pub(crate) const POINTS: &[Point] = &[
    point("store.checkpoint.before", Bulk, [1, 1, 2]),
    point("store.checkpoint.after", Bulk, [1, 1, 2]),
    point("store.prune.rows", Prune, [1, 4, 9]),
    point("store.backup.before_rename", Backup, [1, 1, 1]),
    point("store.restore.before_rename", Restore, [1, 1, 1]),
    point("store.migration.before", FirstStart, [1, 1, 1]),
    point("store.migration.middle", FirstStart, [1, 1, 1]),
    point("store.migration.after", FirstStart, [1, 1, 1]),
    point("keeper.adopt.before_scan", Adoption, [1, 1, 1]),
    point("keeper.adopt.after_scan", Adoption, [1, 1, 1]),
    point("store.commit.before_begin", Ordinary, [2, 7, 15]),
    point("store.commit.rows", Ordinary, [2, 7, 15]),
    point("store.commit.before_commit", Ordinary, [2, 7, 15]),
    point("store.commit.after_commit", Ordinary, [2, 7, 15]),
    point("control.batch.taken", Ordinary, [1, 9, 23]),
    point("control.applied", Ordinary, [3, 11, 24]),
    point("control.planned", Ordinary, [3, 12, 25]),
    point("control.before_commit", Ordinary, [2, 10, 21]),
    point("control.after_commit", Ordinary, [2, 10, 21]),
    point("control.before_orders", Ordinary, [4, 11, 22]),
    point("control.after_orders", Ordinary, [4, 11, 22]),
    point("control.before_replies", Ordinary, [5, 12, 23]),
    point("control.after_replies", Ordinary, [5, 12, 23]),
    point("server.submit.received", Ordinary, [1, 4, 7]),
    point("server.submit.before_reply", Ordinary, [1, 3, 6]),
    point("server.batch.before_reply", Ordinary, [1, 2, 3]),
    point("server.cancel.before_reply", Ordinary, [1, 2, 3]),
    point("server.retry.before_reply", Ordinary, [1, 2, 3]),
    point("server.token.before_reply", Ordinary, [1, 2, 3]),
    point("server.article.before_reply", Ordinary, [1, 2, 3]),
    point("agent.launch.before_send", Ordinary, [1, 4, 8]),
    point("agent.launch.after_send", Ordinary, [1, 3, 6]),
    point("agent.report.before_pass", Ordinary, [1, 5, 11]),
    point("keeper.launch.before_folder", Ordinary, [1, 4, 8]),
    point("keeper.launch.after_folder", Ordinary, [1, 4, 8]),
    point("keeper.launch.after_meta", Ordinary, [1, 4, 8]),
    point("keeper.launch.before_hand_over", Ordinary, [1, 2, 4]),
    point("keeper.launch.after_hand_over", Ordinary, [1, 2, 4]),
    point("keeper.launch.before_fork", Ordinary, [1, 2, 3]),
    point("keeper.launch.after_fork", Ordinary, [1, 2, 3]),
    point("keeper.start.before_report", Ordinary, [1, 4, 8]),
    point("keeper.exit.before_report", Ordinary, [1, 4, 8]),
    point("keeper.exit.after_report", Ordinary, [1, 4, 8]),
    point("keeper.forget.before_move", Ordinary, [1, 4, 8]),
    point("keeper.forget.after_note", Ordinary, [1, 2, 4]),
    point("keeper.forget.after_move", Ordinary, [1, 4, 8]),
    point("guardian.before_fork", Ordinary, [1, 4, 8]),
    point("guardian.after_fork", Ordinary, [1, 4, 8]),
    point("guardian.after_exec", Ordinary, [1, 4, 8]),
    point("guardian.exit.before_record", Ordinary, [1, 4, 8]),
    point("guardian.exit.after_record", Ordinary, [1, 4, 8]),
    point("guardian.exit.after_report", Ordinary, [1, 4, 8]),
    point("guardian.next.before_wait", Ordinary, [1, 4, 8]),
    point("guardian.next.after_receive", Ordinary, [1, 2, 4]),
    point("store.reserve.released", DiskFull, [1, 1, 1]),
];

/// Every name that the code passes.
pub(crate) fn in_the_code() -> Vec<&'static str> {
    let parts = [
        fastgpu_control::CRASH_POINTS,
        fastgpu_store::CRASH_POINTS,
        fastgpu_node::CRASH_POINTS,
        fastgpu_server::CRASH_POINTS,
    ];
    parts.concat()
}

#[test]
fn every_crash_point_of_the_code_is_visited() {
    let mut in_the_code = in_the_code();
    let mut visited: Vec<_> = POINTS.iter().map(|point| point.name).collect();
    in_the_code.sort_unstable();
    visited.sort_unstable();
    assert_eq!(in_the_code, visited);
    assert!(visited.len() >= 40, "{} points", visited.len());
}
