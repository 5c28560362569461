//! The crash points of this crate, by name, so that a recovery test can visit each.

/// Every name that is passed to `fastgpu_failpoints::hit` in this crate.
pub const CRASH_POINTS: &[&str] = &[
    "agent.launch.before_send",
    "agent.launch.after_send",
    "agent.report.before_pass",
    "keeper.launch.before_folder",
    "keeper.launch.after_folder",
    "keeper.launch.after_meta",
    "keeper.launch.before_fork",
    "keeper.launch.after_fork",
    "keeper.start.before_report",
    "keeper.exit.before_report",
    "keeper.exit.after_report",
    "keeper.forget.before_move",
    "keeper.forget.after_move",
    "keeper.adopt.before_scan",
    "keeper.adopt.after_scan",
    "guardian.before_fork",
    "guardian.after_fork",
    "guardian.after_exec",
    "guardian.exit.before_record",
    "guardian.exit.after_record",
    "guardian.exit.after_report",
];
