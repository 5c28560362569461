//! A stream: its queue, and how far it has come.

use std::collections::VecDeque;

use super::item::{Item, Op, Place};
use super::{ITEMS_MAX, LAUNCHES_MAX};
use crate::handle::{CaptureHandle, ContextHandle};

/// How a stream stands to stream 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// It is stream 0.
    Legacy,
    /// A thread's own, or made by the program; waits for stream 0 and is waited for.
    Blocking,
    /// Made by the program; has nothing to do with stream 0.
    NonBlocking,
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) context: ContextHandle,
    pub(crate) kind: StreamKind,
    pub(crate) priority: i32,
    /// Made by the program, so it may destroy it.
    pub(crate) owned: bool,
    /// The program destroyed it: it goes when what is in it is done.
    pub(crate) ended: bool,
    pub(crate) id: u64,
    pub(crate) queue: VecDeque<Item>,
    /// Number of the first item in the queue; everything before is complete.
    pub(crate) base: u64,
    /// Number of the first item that has no place.
    pub(crate) placed: u64,
    /// Number of the first item whose effect is not known to be done.
    pub(crate) effected: u64,
    /// When the last complete item was complete, in device time.
    pub(crate) last_ns: u64,
    /// Launches in the queue.
    pub(crate) launches: usize,
    /// The recording this stream takes part in.
    pub(crate) capture: Option<CaptureHandle>,
}

impl Stream {
    pub(crate) fn new(context: ContextHandle, kind: StreamKind, priority: i32, owned: bool, id: u64) -> Self {
        Self {
            context,
            kind,
            priority,
            owned,
            ended: false,
            id,
            queue: VecDeque::new(),
            base: 0,
            placed: 0,
            effected: 0,
            last_ns: 0,
            launches: 0,
            capture: None,
        }
    }

    /// The number that the next item gets.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.queue.len() as u64
    }

    /// Whether the next item, a launch or not, must wait for room.
    pub(crate) fn is_full(&self, launch: bool) -> bool {
        (launch && self.launches >= LAUNCHES_MAX) || self.queue.len() >= ITEMS_MAX
    }

    /// An item that is still in the queue.
    pub(crate) fn item(&self, number: u64) -> Option<&Item> {
        self.queue.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// An item that is still in the queue, to change.
    pub(crate) fn item_mut(&mut self, number: u64) -> Option<&mut Item> {
        self.queue.get_mut(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// Where the last placed item is, if it is still in the queue.
    pub(crate) fn last_place(&self) -> Option<Place> {
        self.item(self.placed.checked_sub(1)?).map(|item| item.place)
    }

    /// Drops everything: the context has failed or ends. Nobody else waits for it any longer.
    pub(crate) fn abandon(&mut self) {
        for item in &self.queue {
            if let Op::Signal(signal) = &item.op {
                signal.reach();
            }
        }
        self.base = self.end();
        self.placed = self.base;
        self.effected = self.base;
        self.launches = 0;
        self.queue.clear();
    }
}
