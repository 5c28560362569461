//! The parts of the state that are nobody else's: each follows the moves of tasks, each in a file of its own.
//!
//! [`Cluster`](crate::cluster::Cluster) and [`Queue`](crate::queue::Queue) are parts as well.

pub(super) mod arrivals;
pub(super) mod keeps;
pub(super) mod learned;
pub(super) mod promotions;
pub(super) mod specs;
pub(super) mod stops;
pub(super) mod timers;
