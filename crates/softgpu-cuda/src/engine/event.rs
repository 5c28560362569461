//! An event.

use super::Dep;
use crate::handle::{CaptureHandle, ContextHandle, NodeHandle};

/// An event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) context: ContextHandle,
    pub(crate) timed: bool,
    /// Made for other processes too.
    pub(crate) interprocess: bool,
    /// Where it was recorded last.
    pub(crate) recorded: Option<Dep>,
    /// When that was reached, in device time.
    pub(crate) reached_ns: Option<u64>,
    /// Its place in the ledger, once other processes may hold it.
    pub(crate) shared: Option<u32>,
    /// The recording it is a part of, and the nodes it stands for.
    pub(crate) captured: Option<(CaptureHandle, Vec<NodeHandle>)>,
}

impl Event {
    /// One that was never recorded.
    pub(crate) fn new(context: ContextHandle, timed: bool, interprocess: bool) -> Self {
        Self { context, timed, interprocess, recorded: None, reached_ns: None, shared: None, captured: None }
    }
}
