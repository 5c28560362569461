//! Wrong ways to behave, chosen by `FASTGPU_FAULT` in builds with crash points: the recovery tests must be
//! shown to catch them. In any other build, nothing here does anything.

use std::time::Duration;

use fastgpu_failpoints::fault;
use fastgpu_store::Retention;

use crate::inbox::Answer;

/// Long enough for an answer to reach its caller before the process ends.
const PAUSE: Duration = Duration::from_millis(25);
/// Rare chores, in a hurry.
const CHORES_EVERY: Duration = Duration::from_millis(50);
/// Ended tasks that are kept when history is cut short.
const KEPT_TASKS: u64 = 4;

/// `ack_before_commit`: answers that nothing stands behind yet.
pub(crate) fn answer_early(answers: &mut Vec<Answer>) {
    if fault("ack_before_commit") && !answers.is_empty() {
        std::mem::take(answers).into_iter().for_each(Answer::send);
        std::thread::sleep(PAUSE);
    }
}

/// `prune_hard`: history is looked through all the time instead of `every` so often.
pub(crate) fn chores_every(every: Duration) -> Duration {
    if fault("prune_hard") { CHORES_EVERY } else { every }
}

/// `prune_hard`: hardly any history is kept.
pub(crate) fn retention(keep: Retention) -> Retention {
    if fault("prune_hard") { Retention { tasks_max: KEPT_TASKS, ..keep } } else { keep }
}
