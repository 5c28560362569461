//! What the floor of engines keeps of this process, above its memory.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::{Context, Event, Primary, Stream};
use crate::abi::{Code, Done};
use crate::handle::{ContextHandle, Slab, StreamHandle, names};
use crate::memory::{Home, MemoryPart};

/// Contexts, streams and events.
#[derive(Debug)]
pub(crate) struct EnginePart {
    below: MemoryPart,
    pub(crate) contexts: Slab<names::Context, Context>,
    pub(crate) streams: Slab<names::Stream, Stream>,
    pub(crate) events: Slab<names::Event, Event>,
    /// One for each ordinal.
    pub(crate) primaries: Vec<Primary>,
    /// Streams that have something in their queue.
    pub(crate) active: Vec<StreamHandle>,
    /// Effects that somebody is at.
    pub(crate) running: usize,
    /// The error of a context that failed: no other can be made after that.
    pub(crate) poisoned: Option<Code>,
    /// Contexts that have just failed.
    pub(crate) failed: Vec<(ContextHandle, Code)>,
    /// How often the ledger's fault bell had rung when faults were looked for last.
    pub(crate) faults_heard: u32,
    /// The contexts of effects on memory that somebody is at.
    pub(crate) moving: Vec<ContextHandle>,
    /// How often this process holds each event of the ledger, by place.
    pub(crate) held_events: BTreeMap<u32, u32>,
}

impl EnginePart {
    pub(crate) fn new(devices: usize) -> Self {
        Self {
            below: MemoryPart::new(devices),
            contexts: Slab::new(0x51),
            streams: Slab::new(0x52),
            events: Slab::new(0x53),
            primaries: (0..devices).map(|_| Primary::default()).collect(),
            active: Vec::new(),
            running: 0,
            poisoned: None,
            failed: Vec::new(),
            faults_heard: 0,
            moving: Vec::new(),
            held_events: BTreeMap::new(),
        }
    }

    /// A context as the owner of memory.
    pub(crate) fn home(&self, context: ContextHandle) -> Done<Home> {
        Ok(Home { context, ordinal: self.contexts.get(context)?.ordinal })
    }
}

impl Deref for EnginePart {
    type Target = MemoryPart;

    fn deref(&self) -> &MemoryPart {
        &self.below
    }
}

impl DerefMut for EnginePart {
    fn deref_mut(&mut self) -> &mut MemoryPart {
        &mut self.below
    }
}
