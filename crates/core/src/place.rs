//! Where a task fits, and which of the places that fit is taken.

pub mod fit;
mod mirror;
mod places;
mod score;
mod shape;
mod tree;
mod worth;

pub(crate) use mirror::Hidden;
pub(crate) use places::{Places, Wanted};
