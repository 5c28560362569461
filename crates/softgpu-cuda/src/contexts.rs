//! Contexts: making and ending them, and which one a thread is in.

use std::cell::RefCell;
use std::collections::HashMap;

use fastgpu_softgpu::ledger::layout::Class;
use fastgpu_softgpu::models::Architecture;

use crate::abi::{Code, Done};
use crate::call::per_thread_wanted;
use crate::engine::{Stream, StreamKind};
use crate::handle::Handle;
use crate::process::Process;
use crate::state::{Context, LIMITS, State};

const MIB: u64 = 1 << 20;
/// What a context costs beside that, which the driver shows as nobody's.
const DRIVER_BYTES: u64 = 5_832_704;
/// Streams take memory in steps: this much for so many.
const STREAMS_BYTES: u64 = 2 * MIB;
const STREAMS_STEP: usize = 4;
/// Stream handles that name a thread's default streams.
pub(crate) const STREAM_LEGACY: usize = 1;
/// As above, the thread's own.
pub(crate) const STREAM_PER_THREAD: usize = 2;
/// What limits are at first: stack, printf buffer, heap, depth, launches, fetch granularity, L2, and so on.
const LIMITS_DEFAULT: [usize; LIMITS] = [1_024, 0x84_0000, 8 << 20, 2, 2_048, 64, 0, 232_448, 0, 0];

thread_local! {
    /// The contexts this thread has pushed; the last one is current.
    static STACK: RefCell<Vec<Handle<Context>>> = const { RefCell::new(Vec::new()) };
}

/// The current context's handle, dead or alive; null if there is none.
pub(crate) fn current() -> Handle<Context> {
    STACK.with_borrow(|stack| stack.last().copied()).unwrap_or(Handle::NULL)
}

/// Makes another context the current one; null takes the current one away.
pub(crate) fn set_current(context: Handle<Context>) {
    STACK.with_borrow_mut(|stack| {
        if context.is_null() {
            stack.clear();
            return;
        }
        stack.pop();
        stack.push(context);
    });
}

/// Makes a context current above the one that is.
pub(crate) fn push(context: Handle<Context>) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

/// Takes the current context away; the one below is current again.
pub(crate) fn pop() -> Done<Handle<Context>> {
    STACK.with_borrow_mut(Vec::pop).ok_or(Code::INVALID_CONTEXT)
}

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

impl Process {
    /// Waits for what a context still does, and lets a runtime part with what it keeps there.
    pub(crate) fn finish_context(&self, context: Handle<Context>) {
        // One that failed has nothing to wait for.
        let _ = self.wait_context(context);
        self.wait_until_still(context);
        let kept = self.state().contexts.get_mut(context).map(|found| std::mem::take(&mut found.keepsakes));
        for (key, keepsake) in kept.unwrap_or_default() {
            if let Some(leave) = keepsake.leave {
                leave(context, key, keepsake.value);
            }
        }
    }
}

impl State {
    /// The current context, alive: the primary one if it is a green one, since all but streams belong to that.
    pub(crate) fn current(&self) -> Done<Handle<Context>> {
        self.current_view().map(|view| self.root(view))
    }

    /// The current context, alive; a green one is itself.
    pub(crate) fn current_view(&self) -> Done<Handle<Context>> {
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
        again: Option<Handle<Context>>,
    ) -> Done<Handle<Context>> {
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
        context: Handle<Context>,
        kind: StreamKind,
        priority: i32,
    ) -> Done<Handle<Stream>> {
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
        context: Handle<Context>,
        kind: StreamKind,
        priority: i32,
        owned: bool,
    ) -> Done<Handle<Stream>> {
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
    pub(crate) fn forget_stream(&mut self, handle: Handle<Stream>) {
        let Ok(stream) = self.streams.remove(handle) else { return };
        if let Ok(context) = self.contexts.get_mut(stream.context) {
            context.streams.retain(|one| *one != handle);
        }
    }

    /// Takes everything from a stream that ends with its context: what it had to do, and its part in a recording.
    pub(crate) fn empty_stream(&mut self, handle: Handle<Stream>) {
        let Ok(stream) = self.streams.get_mut(handle) else { return };
        stream.abandon();
        if let Some(capture) = stream.capture.take() {
            self.lose_stream(capture, handle);
        }
    }

    /// The stream that a handle names in this thread: 0, 1 and 2 are default streams of the current context.
    pub(crate) fn stream(&mut self, handle: Handle<Stream>) -> Done<Handle<Stream>> {
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

    /// Ends a context with everything in it. The caller has waited for it, or it has failed.
    pub(crate) fn destroy_context(&mut self, process: &Process, handle: Handle<Context>) -> Done {
        let code_bytes = self.contexts.get(handle)?.code_bytes;
        for green in self.greens_of(handle) {
            let ordinal = self.contexts.get(handle)?.ordinal;
            self.end_green(process, green)?;
            // Nobody can let go of the primary context on its behalf any more.
            let primary = &mut self.primaries[ordinal.cast_unsigned() as usize];
            primary.retained = primary.retained.saturating_sub(1);
        }
        self.free_all_of(process, handle);
        for mipmap in self.mipmaps.handles(|mipmap| mipmap.context == handle) {
            self.destroy_mipmap(process, mipmap)?;
        }
        for texture in self.textures.handles(|texture| texture.context == handle) {
            self.textures.remove(texture)?;
        }
        for array in self.arrays.handles(|array| array.context == handle && array.bytes > 0) {
            self.destroy_array(process, array)?;
        }
        for module in self.modules.handles(|module| module.context == handle) {
            self.unload_module(module)?;
        }
        for library in self.libraries.handles(|library| library.modules.contains_key(&handle)) {
            self.libraries.get_mut(library)?.modules.remove(&handle);
        }
        for event in self.events.handles(|event| event.context == handle) {
            self.remove_event(process, event)?;
        }
        let context = match self.contexts.get(handle)?.primary {
            true => self.contexts.lift(handle).ok_or(Code::INVALID_CONTEXT)?,
            false => self.contexts.remove(handle)?,
        };
        for stream in context.streams {
            self.empty_stream(stream);
            let _ = self.streams.remove(stream);
        }
        self.settle(process, true);
        process.device(context.ordinal)?.schedule.close(context.slot);
        process.release(context.ordinal, Class::Module, code_bytes);
        process.release(context.ordinal, Class::Context, context.own_bytes);
        process.release(context.ordinal, Class::Driver, DRIVER_BYTES);
        Ok(())
    }

    /// The primary context of a device; made if it is not there.
    pub(crate) fn primary(&mut self, process: &Process, ordinal: i32) -> Done<Handle<Context>> {
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

    /// Ends a primary context, whoever retains it.
    pub(crate) fn end_primary(&mut self, process: &Process, ordinal: i32) -> Done {
        process.index_of(ordinal)?;
        let primary = &mut self.primaries[ordinal.cast_unsigned() as usize];
        let Some(context) = primary.context.take() else { return Ok(()) };
        self.destroy_context(process, context)
    }
}
