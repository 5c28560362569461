//! What is loaded to learn from: runs of tasks that are over and ended well.

use fastgpu_core::predict::Run;
use fastgpu_core::task::{Outcome, Task, TaskState, Work};
use fastgpu_core::units::Millis;

/// What a task that ran for `ran` in all, over its attempts, has to teach; `None` if that is nothing.
pub(crate) fn run_of(task: &Task, ran: Millis) -> Option<Run> {
    let ended_well = matches!(&task.state, TaskState::Ended(end) if end.outcome == Outcome::Succeeded);
    (ended_well && matches!(task.work, Work::Program(_))).then(|| Run {
        project: task.project.clone(),
        owner: task.owner.clone(),
        name: task.terms.name.clone(),
        milli: task.terms.ask.milli(),
        ran,
    })
}
