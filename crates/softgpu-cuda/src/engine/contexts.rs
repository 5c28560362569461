//! Contexts: making and ending them, and which one a thread is in.

use crate::engine::item::Item;
use std::collections::HashMap;

use fastgpu_softgpu::ledger::layout::Class;
use fastgpu_softgpu::models::Architecture;

use super::EnginePart;
use super::LIMITS;
use crate::abi::{Code, Done};
use crate::engine::{Context, Dep, Op, Stream, StreamKind};
use crate::handle::{ContextHandle, GreenHandle, Handle, StreamHandle};
use crate::process::Process;
use crate::threads::{current, per_thread_wanted};

const MIB: u64 = 1 << 20;
/// What a context costs beside that, which the driver shows as nobody's.
pub(crate) const DRIVER_BYTES: u64 = 5_832_704;
/// Streams take memory in steps: this much for so many.
const STREAMS_BYTES: u64 = 2 * MIB;
const STREAMS_STEP: usize = 4;
/// Stream handles that name a thread's default streams.
pub(crate) const STREAM_LEGACY: usize = 1;
/// As above, the thread's own.
pub(crate) const STREAM_PER_THREAD: usize = 2;
/// What limits are at first: stack, printf buffer, heap, depth, launches, fetch granularity, L2, and so on.
const LIMITS_DEFAULT: [usize; LIMITS] = [1_024, 0x84_0000, 8 << 20, 2, 2_048, 64, 0, 232_448, 0, 0];

/// What a context costs on a device, in bytes, measured where it could be.
fn context_bytes(architecture: Architecture) -> u64 {
    match architecture {
        Architecture::Pascal | Architecture::Volta | Architecture::Turing => 308 * MIB,
        Architecture::Ampere => 420 * MIB,
        Architecture::Ada => 366 * MIB,
        Architecture::Hopper => 518 * MIB,
        Architecture::Blackwell => 560 * MIB,
    }
}

impl EnginePart {
    /// The current context, alive: the primary one if it is a green one, since all but streams belong to that.
    pub(crate) fn current(&self) -> Done<ContextHandle> {
        self.current_view().map(|view| self.root(view))
    }

    /// The current context, alive; a green one is itself.
    pub(crate) fn current_view(&self) -> Done<ContextHandle> {
        let handle = current();
        if handle.is_null() {
            return Err(Code::INVALID_CONTEXT);
        }
        match self.contexts.find(handle) {
            None => Err(Code::CONTEXT_IS_DESTROYED),
            Some(context) => context.error.map_or(Ok(handle), Err),
        }
    }

    /// Makes a context on a device.
    pub(crate) fn create_context(
        &mut self,
        process: &Process,
        ordinal: i32,
        flags: u32,
        again: Option<ContextHandle>,
    ) -> Done<ContextHandle> {
        if let Some(code) = self.poisoned {
            return Err(code);
        }
        let model = process.model(ordinal)?;
        let own_bytes = context_bytes(model.architecture).min(model.memory_total_bytes() / 16);
        process.charge(ordinal, Class::Context, own_bytes)?;
        process.charge(ordinal, Class::Driver, DRIVER_BYTES).inspect_err(|_| {
            process.release(ordinal, Class::Context, own_bytes);
        })?;
        let opened = process.device(ordinal)?.open_context(process.me.slot);
        let Some((slot, serial)) = opened else {
            process.release(ordinal, Class::Context, own_bytes);
            process.release(ordinal, Class::Driver, DRIVER_BYTES);
            return Err(Code::OUT_OF_MEMORY);
        };
        let id = self.new_id();
        let mut limits = LIMITS_DEFAULT;
        limits[6] = model.memory.l2_kib as usize * 192;
        let context = Context {
            ordinal,
            slot,
            serial,
            flags,
            primary: false,
            id,
            legacy: Handle::NULL,
            per_thread: HashMap::new(),
            streams: Vec::new(),
            limits,
            cache_config: 0,
            shared_config: 0,
            error: None,
            peers: Vec::new(),
            own_bytes,
            code_bytes: 0,
            streams_most: 0,
            keepsakes: HashMap::new(),
            dumps: None,
            parent: Handle::NULL,
            green: Handle::NULL,
            marks: None,
            gate: Vec::new(),
        };
        // A primary context has the same handle each time.
        let context = match again {
            None => self.contexts.insert(context),
            Some(handle) => {
                self.contexts.put_back(handle, context);
                handle
            }
        };
        let legacy = self.add_stream(context, StreamKind::Legacy, 0, false)?;
        self.contexts.get_mut(context)?.legacy = legacy;
        Ok(context)
    }

    /// Adds a stream that the program asked for to a context, with the memory it takes.
    pub(crate) fn make_stream(
        &mut self,
        process: &Process,
        context: ContextHandle,
        kind: StreamKind,
        priority: i32,
    ) -> Done<StreamHandle> {
        let found = self.contexts.get(context)?;
        // Less stream 0, which counts for the one that comes, and those that nobody asked for.
        let owned = found.streams.len() - found.per_thread.len() - usize::from(found.marks.is_some());
        let (ordinal, most) = (found.ordinal, found.streams_most);
        let steps = owned.div_ceil(STREAMS_STEP).saturating_sub(most.div_ceil(STREAMS_STEP)) as u64;
        process.charge(ordinal, Class::Context, steps * STREAMS_BYTES)?;
        let found = self.contexts.get_mut(context)?;
        found.streams_most = most.max(owned);
        found.own_bytes += steps * STREAMS_BYTES;
        let stream = self.add_stream(context, kind, priority, true)?;
        self.hold_at_gate(process, context, stream)?;
        Ok(stream)
    }

    /// Adds a stream to a context.
    pub(crate) fn add_stream(
        &mut self,
        context: ContextHandle,
        kind: StreamKind,
        priority: i32,
        owned: bool,
    ) -> Done<StreamHandle> {
        let id = match (kind, owned) {
            (StreamKind::Legacy, _) => 7,
            (_, false) => 15,
            _ => self.new_id(),
        };
        let stream = self.streams.insert(Stream::new(context, kind, priority, owned, id));
        self.contexts.get_mut(context)?.streams.push(stream);
        Ok(stream)
    }

    /// Ends a stream in which nothing is left.
    pub(crate) fn forget_stream(&mut self, handle: StreamHandle) {
        let Ok(stream) = self.streams.remove(handle) else { return };
        if let Ok(context) = self.contexts.get_mut(stream.context) {
            context.streams.retain(|one| *one != handle);
        }
    }

    /// The stream that a handle names in this thread: 0, 1 and 2 are default streams of the current context.
    pub(crate) fn stream(&mut self, handle: StreamHandle) -> Done<StreamHandle> {
        let own = match handle.value() {
            0 => per_thread_wanted(),
            STREAM_LEGACY => false,
            STREAM_PER_THREAD => true,
            _ => {
                let stream = self.streams.find(handle).filter(|stream| !stream.ended);
                let stream = stream.ok_or(Code::INVALID_HANDLE)?;
                let context = self.contexts.find(stream.context).ok_or(Code::CONTEXT_IS_DESTROYED)?;
                return context.error.map_or(Ok(handle), Err);
            }
        };
        let current = self.current_view()?;
        let context = self.contexts.get(current)?;
        if !own {
            return Ok(context.legacy);
        }
        let thread = std::thread::current().id();
        if let Some(stream) = context.per_thread.get(&thread) {
            return Ok(*stream);
        }
        let stream = self.add_stream(current, StreamKind::Blocking, 0, false)?;
        self.contexts.get_mut(current)?.per_thread.insert(thread, stream);
        Ok(stream)
    }

    /// The primary context of a device; made if it is not there.
    pub(crate) fn primary(&mut self, process: &Process, ordinal: i32) -> Done<ContextHandle> {
        process.index_of(ordinal)?;
        let place = ordinal.cast_unsigned() as usize;
        let primary = &self.primaries[place];
        if let Some(context) = primary.context {
            let error = self.contexts.find(context).and_then(|context| context.error);
            return error.map_or(Ok(context), Err);
        }
        let flags = primary.flags;
        let context = self.create_context(process, ordinal, flags, primary.handle)?;
        self.primaries[place].handle = Some(context);
        self.contexts.get_mut(context)?.primary = true;
        self.primaries[place].context = Some(context);
        Ok(context)
    }

    /// The context that memory, modules and events belong to: the primary one of a green one, else itself.
    pub(crate) fn root(&self, context: ContextHandle) -> ContextHandle {
        let parent = self.contexts.find(context).map(|context| context.parent);
        parent.filter(|parent| !parent.is_null()).unwrap_or(context)
    }

    /// A context with everything that fails when it does.
    pub(crate) fn family(&self, context: ContextHandle) -> Vec<ContextHandle> {
        let root = self.root(context);
        let mut family = self.contexts.handles(|one| one.parent == root);
        family.push(root);
        family
    }

    /// A context and the green ones in it.
    pub(crate) fn with_greens(&self, context: ContextHandle) -> Vec<ContextHandle> {
        let inside = |(handle, one): &(_, &Context)| *handle == context || one.parent == context;
        self.contexts.iter().filter(inside).map(|(handle, _)| handle).collect()
    }

    /// The green contexts in a primary one.
    pub(crate) fn greens_of(&self, context: ContextHandle) -> Vec<GreenHandle> {
        self.contexts.iter().filter(|(_, one)| one.parent == context).map(|(_, one)| one.green).collect()
    }

    /// Lets a stream wait for what all streams of its context wait for.
    pub(crate) fn hold_at_gate(
        &mut self,
        process: &Process,
        context: ContextHandle,
        stream: StreamHandle,
    ) -> Done {
        let gate = self.contexts.get(context)?.gate.clone();
        let open: Vec<Dep> = gate.into_iter().filter(|dep| !self.is_done(*dep)).collect();
        if open.is_empty() {
            return Ok(());
        }
        self.enqueue(process, stream, Item::new(Op::Marker, open, false)).map(drop)
    }

    /// The stream of ours in a context.
    pub(crate) fn marks(&mut self, context: ContextHandle) -> Done<StreamHandle> {
        if let Some(stream) = self.contexts.get(context)?.marks {
            return Ok(stream);
        }
        let stream = self.add_stream(context, StreamKind::NonBlocking, 0, false)?;
        self.contexts.get_mut(context)?.marks = Some(stream);
        Ok(stream)
    }
}
