//! What follows the moves of tasks.
//!
//! A *part* of the state keeps something that depends on the tasks: what of the cluster is free, who waits, what
//! time has to do. The hub ([`crate::state`]) tells each part of every move, with the task before and after;
//! a part sees no other part. What a part needs of the rest comes as [`Rules`] and [`Figures`]; what it wants
//! done elsewhere it answers as [`Effects`], and the hub carries it out.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::ids::TaskId;
use crate::policy::QueuePolicy;
use crate::task::Task;
use crate::units::Timestamp;

/// Something that follows the moves of tasks.
pub trait Part {
    /// A task moved. `old` is what it was, `None` for one that just came; `new` is what it is, ended ones
    /// included, `None` for one that is let go without an end. Both together tell what stayed: a task that
    /// starts running keeps its grant.
    fn moved(
        &mut self,
        rules: &Rules,
        figures: &Figures,
        now: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects;

    /// Asserts that the part is what the live `tasks` make it.
    ///
    /// # Panics
    /// When it is not, with the values.
    fn assert_sound(&self, rules: &Rules, tasks: &BTreeMap<TaskId, Task>);
}

/// What a part wants done that is not its own to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Effects {
    /// Nothing.
    Nothing,
    /// These waiting tasks stand somewhere else in their queues now.
    StandAnew(Vec<TaskId>),
    /// The next round looks at every lane again.
    TouchLanes,
    /// Enough came to look anew at what placement keeps room for.
    LookAgain,
}

/// The configuration, resolved by queue.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    config: Config,
}

impl Rules {
    /// The rules that `config` makes.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config }
    }

    /// The whole configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The rules of a queue; those that nobody set if it was taken out of the configuration.
    #[must_use]
    pub fn of_queue(&self, name: &str) -> QueuePolicy {
        self.config.queue(name).unwrap_or_default()
    }

    /// The rules of a task's queue.
    #[must_use]
    pub fn of(&self, task: &Task) -> QueuePolicy {
        self.of_queue(&task.terms.queue)
    }
}

/// The few numbers that one part needs of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Devices of all nodes, whatever their condition.
    pub devices: u64,
}

/// A part's members of a move: the entries of `old` and of `new`, where each has one.
pub(crate) fn entries<T>(
    old: Option<&Task>,
    new: Option<&Task>,
    entry: impl Fn(&Task) -> Option<T>,
) -> (Option<T>, Option<T>) {
    (old.and_then(&entry), new.and_then(&entry))
}
