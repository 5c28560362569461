//! The objects of one process, under one lock.

use std::collections::{BTreeMap, HashMap};
use std::thread::ThreadId;

use fastgpu_softgpu::schedule::ContextSlot;

use crate::abi::Code;
use crate::api::{Notification, Settings};
use crate::engine::{Dep, Stream};
use crate::graph::capture::Capture;
use crate::graph::objects::{Ending, Kept, UserObject};
use crate::graph::{Graph, GraphExec, Node};
use crate::green::{Green, Resources};
use crate::handle::{Handle, Slab};
use crate::memory::Memory;
use crate::memory::arrays::{Array, Mipmap};
use crate::memory::graph_memory::GraphMemory;
use crate::memory::physical::Physical;
use crate::memory::pools::Pool;
use crate::modules::{Function, Library, Module};
use crate::suspend::Suspended;
use crate::textures::Texture;

/// How many limits a context has.
pub(crate) const LIMITS: usize = 10;

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) contexts: Slab<Context>,
    pub(crate) streams: Slab<Stream>,
    pub(crate) events: Slab<Event>,
    pub(crate) modules: Slab<Module>,
    pub(crate) libraries: Slab<Library>,
    pub(crate) functions: Slab<Function>,
    pub(crate) graphs: Slab<Graph>,
    pub(crate) nodes: Slab<Node>,
    pub(crate) execs: Slab<GraphExec>,
    pub(crate) captures: Slab<Capture>,
    pub(crate) objects: Slab<UserObject>,
    pub(crate) pools: Slab<Pool>,
    pub(crate) arrays: Slab<Array>,
    pub(crate) physicals: Slab<Physical>,
    pub(crate) notifications: Slab<Notification>,
    pub(crate) mipmaps: Slab<Mipmap>,
    pub(crate) textures: Slab<Texture>,
    pub(crate) greens: Slab<Green>,
    pub(crate) resources: Slab<Resources>,
    pub(crate) memory: Memory,
    /// What graphs hold of each device, by ordinal.
    pub(crate) graph_memory: Vec<GraphMemory>,
    /// One for each ordinal.
    pub(crate) primaries: Vec<Primary>,
    /// Streams that have something in their queue.
    pub(crate) active: Vec<Handle<Stream>>,
    /// Effects that somebody is at.
    pub(crate) running: usize,
    /// The error of a context that failed: no other can be made after that.
    pub(crate) poisoned: Option<Code>,
    /// Contexts that have just failed.
    pub(crate) failed: Vec<(Handle<Context>, Code)>,
    /// How often the ledger's fault bell had rung when faults were looked for last.
    pub(crate) faults_heard: u32,
    /// The contexts of effects on memory that somebody is at.
    pub(crate) moving: Vec<Handle<Context>>,
    /// Stream-ordered memory whose end was reached.
    pub(crate) freed: Vec<u64>,
    /// How often this process holds each event of the ledger, by place.
    pub(crate) held_events: BTreeMap<u32, u32>,
    /// Ends of user objects that are due.
    pub(crate) endings: Vec<Ending>,
    /// What ended graphs keep alive until their launches are over.
    pub(crate) retired: Vec<(Vec<Dep>, Vec<Kept>)>,
    /// What was held when the process was suspended.
    pub(crate) suspended: Option<Suspended>,
    /// Settings of core dumps for all contexts, once anybody asked.
    dumps: Option<Settings>,
    next_id: u64,
}

impl State {
    pub(crate) fn new(devices: usize) -> Self {
        Self {
            contexts: Slab::new(0x51),
            streams: Slab::new(0x52),
            events: Slab::new(0x53),
            modules: Slab::new(0x54),
            libraries: Slab::new(0x55),
            functions: Slab::new(0x56),
            graphs: Slab::new(0x57),
            nodes: Slab::new(0x58),
            execs: Slab::new(0x59),
            captures: Slab::new(0x5a),
            objects: Slab::new(0x63),
            pools: Slab::new(0x5b),
            arrays: Slab::new(0x5c),
            physicals: Slab::new(0x5d),
            notifications: Slab::new(0x62),
            mipmaps: Slab::new(0x60),
            textures: Slab::new(0x61),
            greens: Slab::new(0x5e),
            resources: Slab::new(0x5f),
            memory: Memory::default(),
            graph_memory: vec![GraphMemory::default(); devices],
            primaries: (0..devices).map(|_| Primary::default()).collect(),
            active: Vec::new(),
            running: 0,
            moving: Vec::new(),
            poisoned: None,
            failed: Vec::new(),
            faults_heard: 0,
            freed: Vec::new(),
            held_events: BTreeMap::new(),
            endings: Vec::new(),
            retired: Vec::new(),
            suspended: None,
            dumps: None,
            // The driver's first few belong to itself.
            next_id: 20,
        }
    }

    /// The settings of core dumps for all contexts.
    pub(crate) fn dumps(&mut self) -> &mut Settings {
        self.dumps.get_or_insert_with(Settings::new)
    }

    /// A number that nothing else in this process has.
    pub(crate) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// A context.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) ordinal: i32,
    /// Its queue on the device.
    pub(crate) slot: ContextSlot,
    /// Which context of the device it is.
    pub(crate) serial: u64,
    pub(crate) flags: u32,
    pub(crate) primary: bool,
    pub(crate) id: u64,
    /// Stream 0.
    pub(crate) legacy: Handle<Stream>,
    /// The threads' own streams.
    pub(crate) per_thread: HashMap<ThreadId, Handle<Stream>>,
    /// All streams.
    pub(crate) streams: Vec<Handle<Stream>>,
    pub(crate) limits: [usize; LIMITS],
    pub(crate) cache_config: u32,
    pub(crate) shared_config: u32,
    /// Every call gets it once it is there.
    pub(crate) error: Option<Code>,
    /// Contexts whose memory this one may use.
    pub(crate) peers: Vec<Handle<Context>>,
    /// What it was charged, in bytes: for itself, and for code.
    pub(crate) own_bytes: u64,
    pub(crate) code_bytes: u64,
    /// Most streams it ever had, which take memory in steps.
    pub(crate) streams_most: usize,
    /// Settings of core dumps of its own.
    pub(crate) dumps: Option<Settings>,
    /// The primary context that it is a part of; null for all but green contexts.
    pub(crate) parent: Handle<Context>,
    /// The green context that it is the view of; null for all others.
    pub(crate) green: Handle<Green>,
    /// A stream of ours, in which events are recorded that stand for the whole context.
    pub(crate) marks: Option<Handle<Stream>>,
    /// What every stream that is yet to be made waits for first.
    pub(crate) gate: Vec<Dep>,
    /// What a runtime keeps with it, by the runtime's own keys.
    pub(crate) keepsakes: HashMap<usize, Keepsake>,
}

/// Called with the context, the key and the value when the context ends.
pub(crate) type Leave = extern "C" fn(Handle<Context>, usize, usize);

/// A value that a runtime keeps with a context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepsake {
    pub(crate) value: usize,
    pub(crate) leave: Option<Leave>,
}

/// A device's primary context.
#[derive(Debug, Default)]
pub(crate) struct Primary {
    pub(crate) context: Option<Handle<Context>>,
    /// The handle it had, and has again when it comes back.
    pub(crate) handle: Option<Handle<Context>>,
    pub(crate) retained: u32,
    pub(crate) flags: u32,
    /// The pool that `cuMemAllocAsync` uses, and the one the device came with.
    pub(crate) pool: Option<Handle<Pool>>,
    pub(crate) default_pool: Option<Handle<Pool>>,
}

/// An event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) context: Handle<Context>,
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
    pub(crate) captured: Option<(Handle<Capture>, Vec<Handle<Node>>)>,
}
