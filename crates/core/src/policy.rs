//! How a queue orders its tasks, where it places them, and whom it may preempt for them.
//!
//! A policy is configuration: it can be changed while the server runs, and the simulator runs the same one.

use crate::units::Millis;

/// A task that waited for too long is left alone for this long after its start.
pub const SHIELD_OF_PROMOTED: Millis = Millis::from_secs(4 * 3_600);

/// The name of the queue of tasks that name none. It always exists.
pub const DEFAULT_QUEUE: &str = "default";

/// The rules of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePolicy {
    /// Added to the priority of each of its tasks.
    pub priority: i32,
    /// Who goes first among tasks of equal priority and class.
    pub order: Order,
    /// Which of the places that fit is taken.
    pub placement: Placement,
    /// Who may be stopped to make room.
    pub preempt: Preempt,
    /// A task that has waited this long goes before all others of its priority and class, in the order of
    /// submission, and is not preempted for them: the bound that keeps any order from starving anybody.
    pub wait_max: Millis,
}

impl Default for QueuePolicy {
    fn default() -> Self {
        Self {
            priority: 0,
            order: Order::Fifo,
            placement: Placement::Fragmentation,
            preempt: Preempt::Spot,
            wait_max: WAIT_MAX_DEFAULT,
        }
    }
}

/// A week: a shorter bound costs the mean more than it gives the last (measured in docs/scheduling.md).
pub const WAIT_MAX_DEFAULT: Millis = Millis::from_secs(7 * 86_400);

/// Who goes first among tasks of equal priority and class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// First come, first served.
    #[default]
    Fifo,
    /// Whoever has had the least GPU time; for durations nobody knows.
    LeastAttained,
    /// Whoever is expected to end soonest for the GPU time it still takes, judged by its age and by how long
    /// others like it ran ([`crate::gittins`]); nobody has to state anything.
    Predicted,
    /// Whoever ends soonest once it runs: as stated, else as history predicts.
    Shortest,
}

/// Which of the places that fit is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placement {
    /// The one that costs the mix of tasks seen lately the least room.
    #[default]
    Fragmentation,
    /// The fullest device, then the fullest node.
    BestFit,
    /// Devices in use before idle ones, nodes in use before empty ones.
    Packing,
    /// The emptiest node, the emptiest device: the least neighbours.
    Spreading,
    /// Any, by a seeded hash: the baseline of comparisons.
    Random,
}

/// Who may be stopped to make room for a task of the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preempt {
    /// Nobody.
    Never,
    /// Tasks of class spot, for those of a better class.
    #[default]
    Spot,
    /// Also tasks of the same queue that the order puts last, when that saves more than it costs.
    Any,
}

macro_rules! words {
    ($kind:ident: $($variant:ident = $word:literal),+) => {
        impl $kind {
            /// Every choice.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable word for it, as the configuration says it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The choice with this word.
            #[must_use]
            pub fn from_code(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.code() == word)
            }
        }
    };
}

words!(Order: Fifo = "fifo", LeastAttained = "least_attained", Predicted = "predicted", Shortest = "shortest");
words!(Placement: Fragmentation = "fragmentation", BestFit = "best_fit", Packing = "packing",
    Spreading = "spreading", Random = "random");
words!(Preempt: Never = "never", Spot = "spot", Any = "any");
