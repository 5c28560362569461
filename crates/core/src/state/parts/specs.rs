//! How much room the programs of all live tasks take.

use std::collections::BTreeMap;

use crate::ids::TaskId;
use crate::part::{Effects, Figures, Part, Rules, entries};
use crate::task::Task;
use crate::units::Timestamp;

/// The sum of the live tasks' specifications.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Specs {
    bytes: u64,
}

impl Specs {
    pub(in crate::state) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn entry(task: &Task) -> Option<u64> {
    (!task.state.is_ended()).then(|| u64::from(task.spec_bytes))
}

impl Part for Specs {
    fn moved(
        &mut self,
        _: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let (old, new) = entries(old, new, entry);
        self.bytes = self.bytes - old.unwrap_or(0) + new.unwrap_or(0);
        Effects::Nothing
    }

    fn assert_sound(&self, _: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        assert_eq!(self.bytes, tasks.values().filter_map(entry).sum::<u64>());
    }
}
