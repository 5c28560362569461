//! Carries the streams of this process on.
//!
//! A stream is a queue of items. An item is *placed* when its time is decided: in the context's queue of
//! work on the device, or on a copy engine. Its *effect*, moving real bytes, happens as early as the order of
//! effects allows. It is *complete* when its time has come and its effect is done; then it leaves the queue.
//! Whoever calls into the library carries on what can be; a worker thread does it when nobody does.

mod context;
pub(crate) mod contexts;
mod event;
pub(crate) mod item;
pub(crate) mod jobs;
mod moves;
mod part;
mod pump;
pub(crate) mod shared_events;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod wait;

pub(crate) use context::{Context, Keepsake, LIMITS, Leave, Primary};
pub(crate) use event::Event;
pub(crate) use item::{Dep, Engine, Op};
pub(crate) use part::EnginePart;
pub(crate) use stream::{Stream, StreamKind};
pub(crate) use task::Task;

/// Launches that one stream holds before the next one blocks, as on a real device.
pub(crate) const LAUNCHES_MAX: usize = 1_022;
/// Items of any kind that one stream holds before the next one blocks.
pub(crate) const ITEMS_MAX: usize = 8 * LAUNCHES_MAX;
