//! Green contexts: parts of a device's multiprocessors, with streams of their own inside the primary context.
//!
//! Here such a context is a view of the primary one: it shares its queue on the device, its memory, modules and
//! events, and has its own streams. What a kernel takes does not depend on how many multiprocessors the view has.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use fastgpu_softgpu::ledger::layout::Class;
use fastgpu_softgpu::models::Model;

use crate::abi::{Code, Done};
use crate::engine::item::Item;
use crate::engine::{Context, Op, StreamKind};
use crate::graph::GraphPart;
use crate::handle::{ContextHandle, EventHandle, GreenHandle, Handle, ResourcesHandle, Slab, names};
use crate::process::Process;

/// What a resource of ours is recognised by.
const MARK: u32 = 0x6772_6e01;
/// The kind of resource that multiprocessors are.
pub(crate) const MULTIPROCESSORS: u32 = 1;
/// Split as if multiprocessors did not belong together.
pub(crate) const IGNORE_COSCHEDULING: u32 = 1;
/// More multiprocessors than any device has.
const COUNT_MAX: u32 = 1 << 16;
/// What is left of a split, as the number of a group.
const REMAINDER: u32 = u32::MAX;

/// `CUdevResource`: its kind, words of ours where the driver has its own, and what it says of multiprocessors.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resource {
    pub(crate) kind: u32,
    pub(crate) ordinal: i32,
    /// The split it comes from; 0: it is whole.
    split: u64,
    group: u32,
    mark: u32,
    own: [u32; 18],
    /// How many, the fewest of a part, and what a part is a multiple of.
    pub(crate) counts: [u32; 3],
    spare: [u32; 9],
}

const _: () = assert!(size_of::<Resource>() == 144);

impl Resource {
    /// No resource at all.
    pub(crate) const NONE: Self = Self {
        kind: 0,
        ordinal: 0,
        split: 0,
        group: 0,
        mark: 0,
        own: [0; 18],
        counts: [0; 3],
        spare: [0; 9],
    };

    /// So many multiprocessors of a device.
    fn whole(ordinal: i32, model: &Model, count: u32) -> Self {
        let (fewest, step) = model.multiprocessor_partition();
        Self { kind: MULTIPROCESSORS, ordinal, mark: MARK, counts: [count, fewest, step], ..Self::NONE }
    }

    /// Refuses what is not ours or of another kind.
    pub(crate) fn checked(self) -> Done<Self> {
        if self.kind != MULTIPROCESSORS {
            return Err(Code::INVALID_RESOURCE_TYPE);
        }
        let [count, fewest, step] = self.counts;
        let sound =
            self.mark == MARK && [count, fewest, step].iter().all(|one| *one <= COUNT_MAX) && fewest > 0;
        if sound { Ok(self) } else { Err(Code::INVALID_VALUE) }
    }

    /// The groups that a split into at most `wanted` of at least `count` makes, and what is left. `number` names it.
    pub(crate) fn split(self, number: u64, wanted: u32, count: u32, flags: u32) -> Done<(Vec<Self>, Self)> {
        let [whole, mut fewest, mut step] = self.counts;
        if count > whole || flags > 3 {
            return Err(Code::INVALID_VALUE);
        }
        if self.split != 0 {
            return Err(Code::INVALID_RESOURCE_CONFIGURATION);
        }
        if flags & IGNORE_COSCHEDULING != 0 {
            (fewest, step) = (fewest.min(2), step.min(2));
        }
        let each = count.max(fewest).next_multiple_of(step.max(1));
        let groups = (whole / each.max(1)).min(wanted);
        let part = |group, many| Self { split: number, group, counts: [many, fewest, step], ..self };
        let left = whole - groups * each;
        let remainder = if left == 0 { Self::NONE } else { part(REMAINDER, left) };
        Ok(((1..=groups).map(|group| part(group, each)).collect(), remainder))
    }
}

/// What a green context is made from.
#[derive(Debug)]
pub(crate) struct Resources {
    ordinal: i32,
    multiprocessors: Resource,
}

impl Resources {
    /// Brings parts of one split together.
    pub(crate) fn of(parts: &[Resource]) -> Done<Self> {
        let first = *parts.first().ok_or(Code::INVALID_VALUE)?;
        let mut count = 0;
        for (index, part) in parts.iter().enumerate() {
            part.checked()?;
            let again = parts[..index].iter().any(|other| other.group == part.group);
            if part.ordinal != first.ordinal || part.split != first.split || again {
                return Err(Code::INVALID_RESOURCE_CONFIGURATION);
            }
            count += part.counts[0];
        }
        // It can be split again from here on.
        let counts = [count, first.counts[1], first.counts[2]];
        let multiprocessors = Resource { split: 0, group: 0, counts, ..first };
        Ok(Self { ordinal: first.ordinal, multiprocessors })
    }
}

/// A green context.
#[derive(Debug)]
pub(crate) struct Green {
    pub(crate) ordinal: i32,
    /// What it looks like as a context.
    pub(crate) view: ContextHandle,
    pub(crate) multiprocessors: Resource,
}

/// What the floor of green contexts keeps of this process, above its graphs.
#[derive(Debug)]
pub(crate) struct GreenPart {
    below: GraphPart,
    pub(crate) greens: Slab<names::Green, Green>,
    pub(crate) resources: Slab<names::Resources, Resources>,
}

impl Deref for GreenPart {
    type Target = GraphPart;

    fn deref(&self) -> &GraphPart {
        &self.below
    }
}

impl DerefMut for GreenPart {
    fn deref_mut(&mut self) -> &mut GraphPart {
        &mut self.below
    }
}

impl GreenPart {
    pub(crate) fn new(devices: usize) -> Self {
        Self { below: GraphPart::new(devices), greens: Slab::new(0x5e), resources: Slab::new(0x5f) }
    }

    /// The multiprocessors of a device.
    pub(crate) fn multiprocessors_of_device(process: &Process, ordinal: i32) -> Done<Resource> {
        let model = process.model(ordinal)?;
        Ok(Resource::whole(ordinal, model, model.multiprocessors))
    }

    /// Makes a green context; the primary one is there as long as it is.
    pub(crate) fn create_green(
        &mut self,
        process: &Process,
        resources: ResourcesHandle,
        ordinal: i32,
    ) -> Done<GreenHandle> {
        let asked = self.resources.find(resources).ok_or(Code::INVALID_VALUE)?;
        if asked.ordinal != ordinal {
            return Err(Code::INVALID_VALUE);
        }
        let multiprocessors = asked.multiprocessors;
        let parent = self.primary(process, ordinal)?;
        self.primaries[ordinal.cast_unsigned() as usize].retained += 1;
        let green = self.greens.insert(Green { ordinal, view: Handle::NULL, multiprocessors });
        let id = self.new_id();
        let root = self.contexts.get(parent)?;
        let view = Context {
            ordinal,
            slot: root.slot,
            serial: root.serial,
            flags: root.flags,
            primary: false,
            id,
            legacy: Handle::NULL,
            per_thread: HashMap::new(),
            streams: Vec::new(),
            limits: root.limits,
            cache_config: root.cache_config,
            shared_config: root.shared_config,
            error: None,
            peers: Vec::new(),
            own_bytes: 0,
            code_bytes: 0,
            streams_most: 0,
            keepsakes: HashMap::new(),
            dumps: None,
            parent,
            green,
            marks: None,
            gate: Vec::new(),
        };
        let view = self.contexts.insert(view);
        let legacy = self.add_stream(view, StreamKind::Legacy, 0, false)?;
        self.contexts.get_mut(view)?.legacy = legacy;
        self.greens.get_mut(green)?.view = view;
        Ok(green)
    }

    /// Ends a green context. Streams that the program made and did not destroy are lost, as the driver says.
    pub(crate) fn end_green(&mut self, process: &Process, handle: GreenHandle) -> Done {
        let green = self.greens.remove(handle)?;
        let view = self.contexts.remove(green.view)?;
        for stream in view.streams {
            self.empty_stream(stream);
            if self.streams.find(stream).is_some_and(|stream| !stream.owned) {
                self.streams.remove(stream)?;
            }
        }
        process.release(green.ordinal, Class::Context, view.own_bytes);
        Ok(())
    }

    /// Records in an event what a context, with the green ones in it, has come to.
    pub(crate) fn record_all(
        &mut self,
        process: &Process,
        event: EventHandle,
        context: ContextHandle,
    ) -> Done {
        if self.events.get(event)?.context != self.root(context) {
            return Err(Code::INVALID_HANDLE);
        }
        self.refuse_captured_context(context)?;
        let deps = self.ends_of_context(context);
        let stream = self.marks(context)?;
        self.enqueue(process, stream, Item::new(Op::Marker, deps, false))?;
        self.record(process, event, stream)
    }

    /// Lets everything that is put into a context from now on, and into the green ones in it, wait for an event.
    pub(crate) fn wait_all(&mut self, process: &Process, event: EventHandle, context: ContextHandle) -> Done {
        self.events.get(event)?;
        self.refuse_captured_context(context)?;
        for view in self.with_greens(context) {
            let marks = self.marks(view)?;
            self.wait_event(process, marks, event)?;
            let gate = self.end_of(marks);
            let found = self.contexts.get_mut(view)?;
            found.gate = gate.into_iter().collect();
            for stream in found.streams.clone().into_iter().filter(|stream| *stream != marks) {
                self.hold_at_gate(process, view, stream)?;
            }
        }
        Ok(())
    }
}
