//! What is kept for tasks that cannot start yet.

use std::collections::BTreeMap;

use crate::decision::Keep;
use crate::ids::TaskId;
use crate::part::{Effects, Figures, Part, Rules};
use crate::task::Task;
use crate::units::Timestamp;

/// What the last round keeps, less what nobody waits for any more.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Keeps {
    keeps: Vec<Keep>,
}

impl Keeps {
    pub(in crate::state) fn all(&self) -> &[Keep] {
        &self.keeps
    }

    pub(in crate::state) fn replace(&mut self, keeps: &[Keep]) {
        self.keeps.clear();
        self.keeps.extend_from_slice(keeps);
    }
}

impl Part for Keeps {
    /// Lets go of what is kept for a task that no longer waits: others may have it, and a round must look.
    fn moved(
        &mut self,
        _: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let Some(id) = old.or(new).map(|task| task.id) else { return Effects::Nothing };
        if new.is_some_and(Task::is_ready) || self.keeps.iter().all(|keep| keep.task != id) {
            return Effects::Nothing;
        }
        self.keeps.retain(|keep| keep.task != id);
        Effects::TouchLanes
    }

    fn assert_sound(&self, _: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        for keep in &self.keeps {
            let waits = tasks.get(&keep.task).is_some_and(Task::is_ready);
            assert!(waits, "devices are kept for {}, which does not wait", keep.task);
        }
    }
}
