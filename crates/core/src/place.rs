//! Where a task fits, and which of the places that fit is taken.
//!
//! Everybody asks one engine: tasks that start, tasks that devices are kept for, tasks that run until those are
//! needed, preemption, forecast and explanation. A [`Ground`] is the cluster in the flat form that it computes
//! with; a [`View`] is the ground with some nodes imagined otherwise, and [`View::find`] finds the place. What
//! starts in an ordinary round is found by the same search with scores that are kept from round to round
//! ([`places`]).
//!
//! What an ask allows at all, whatever is free, is in [`fit`]. Who is looked for, and when, is in
//! [`crate::plan`].

mod find;
pub mod fit;
mod mirror;
mod places;
mod score;
mod shape;
mod soonest;
mod tree;
mod view;
mod worth;

pub(crate) use find::Among;
pub use find::Wanted;
pub(crate) use mirror::{Hidden, Spot};
pub(crate) use places::Places;
pub(crate) use shape::Shape;
pub use view::{Ground, View};
