//! What kinds of tasks come, and what placement keeps room for because of it.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::ids::TaskId;
use crate::mix::Mix;
use crate::outlook::Outlook;
use crate::part::{Effects, Figures, Part, Rules};
use crate::task::Task;
use crate::units::Timestamp;

/// The mix of what came, and the outlook taken of it.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Arrivals {
    mix: Mix,
    outlook: Outlook,
}

impl Arrivals {
    pub(in crate::state) const fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// Takes another look at what is free for those who come.
    pub(in crate::state) fn look(&mut self, cluster: &Cluster) {
        self.outlook.look(&self.mix, cluster);
    }
}

impl Part for Arrivals {
    fn moved(
        &mut self,
        _: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let (None, Some(task)) = (old, new) else { return Effects::Nothing };
        self.mix.observe(&task.terms.ask);
        if self.outlook.is_due(&self.mix) { Effects::LookAgain } else { Effects::Nothing }
    }

    /// What came does not follow from what is alive.
    fn assert_sound(&self, _: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        assert!(self.mix.arrivals() >= tasks.len() as u64, "a live task never came");
    }
}
