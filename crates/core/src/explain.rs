//! Why a task is where it is: with numbers, names and the next thing to try.

use crate::ids::TaskId;
use crate::state::State;
use crate::task::Task;
use crate::units::Timestamp;

/// The answer to `fastgpu why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// A stable word.
    pub code: &'static str,
    /// One sentence.
    pub headline: String,
    /// Its place among the waiting, and how many wait.
    pub position: Option<(usize, usize)>,
    /// Facts, one per line.
    pub lines: Vec<String>,
    /// When it starts at the latest, if everybody keeps to their time limits.
    pub earliest_at: Option<Timestamp>,
    /// What would start it now.
    pub suggestions: Vec<String>,
}

/// Explains a live task.
#[must_use]
pub fn explain(state: &State, id: TaskId, now: Timestamp) -> Option<Explanation> {
    let _ = now;
    state.task(id).map(describe)
}

/// Explains a task that does not wait.
#[must_use]
pub fn describe(task: &Task) -> Explanation {
    Explanation {
        code: task.state.code(),
        headline: task.state.code().to_owned(),
        position: None,
        lines: Vec::new(),
        earliest_at: None,
        suggestions: Vec::new(),
    }
}
