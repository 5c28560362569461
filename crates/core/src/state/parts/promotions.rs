//! How many tasks may go before all others for having waited for too long.
//!
//! One promotion pushes the next out by the time its shield takes of the devices set aside for promotions: else,
//! where everybody waits for too long, the order would be gone.

use std::collections::BTreeMap;

use crate::ids::TaskId;
use crate::part::{Effects, Figures, Part, Rules};
use crate::policy::SHIELD_OF_PROMOTED;
use crate::task::Task;
use crate::units::{Millis, Timestamp};

/// One part in this many of all devices is set aside for promoted tasks.
const PROMOTED_PART: u64 = 8;

/// When the next task may be promoted.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::state) struct Promotions {
    from: Timestamp,
}

impl Promotions {
    /// Before this nobody else is put before the others.
    pub(in crate::state) const fn from(&self) -> Timestamp {
        self.from
    }
}

impl Part for Promotions {
    fn moved(
        &mut self,
        _: &Rules,
        figures: &Figures,
        now: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        let waits = |task: &&Task| task.is_ready();
        let (Some(old), Some(new)) = (old.filter(waits), new.filter(waits)) else { return Effects::Nothing };
        if old.standing.ordinary && !new.standing.ordinary {
            let set_aside = (1_000 * figures.devices / PROMOTED_PART).max(1);
            self.from = now.plus(Millis(new.held_milli().saturating_mul(SHIELD_OF_PROMOTED.0) / set_aside));
        }
        Effects::Nothing
    }

    /// When somebody was promoted last does not follow from what is alive.
    fn assert_sound(&self, _: &Rules, _: &BTreeMap<TaskId, Task>) {}
}
