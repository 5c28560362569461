//! Handles: what C holds of our objects. A stale or foreign one is recognised, never followed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use crate::abi::{Code, Done};

/// A name for an object of one kind. Zero names nothing.
#[repr(transparent)]
pub(crate) struct Handle<T>(usize, PhantomData<fn() -> T>);

impl<T> Handle<T> {
    /// The handle with this value; it need not name anything.
    pub(crate) const fn of(value: usize) -> Self {
        Self(value, PhantomData)
    }

    /// The handle that names nothing.
    pub(crate) const NULL: Self = Self::of(0);

    /// Its value, as C sees it.
    pub(crate) const fn value(self) -> usize {
        self.0
    }

    /// True if it names nothing.
    pub(crate) const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Handle<T> {}

impl<T> Hash for Handle<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The kinds of objects that have handles. A floor may keep a handle of a kind whose objects a higher floor has.
pub(crate) mod names {
    #[derive(Debug)]
    pub(crate) enum Context {}
    #[derive(Debug)]
    pub(crate) enum Stream {}
    #[derive(Debug)]
    pub(crate) enum Event {}
    #[derive(Debug)]
    pub(crate) enum Module {}
    #[derive(Debug)]
    pub(crate) enum Library {}
    #[derive(Debug)]
    pub(crate) enum Function {}
    #[derive(Debug)]
    pub(crate) enum Graph {}
    #[derive(Debug)]
    pub(crate) enum Node {}
    #[derive(Debug)]
    pub(crate) enum GraphExec {}
    #[derive(Debug)]
    pub(crate) enum Capture {}
    #[derive(Debug)]
    pub(crate) enum UserObject {}
    #[derive(Debug)]
    pub(crate) enum Pool {}
    #[derive(Debug)]
    pub(crate) enum Array {}
    #[derive(Debug)]
    pub(crate) enum Physical {}
    #[derive(Debug)]
    pub(crate) enum Notification {}
    #[derive(Debug)]
    pub(crate) enum Mipmap {}
    #[derive(Debug)]
    pub(crate) enum Texture {}
    #[derive(Debug)]
    pub(crate) enum Green {}
    #[derive(Debug)]
    pub(crate) enum Resources {}
}

pub(crate) type ContextHandle = Handle<names::Context>;
pub(crate) type StreamHandle = Handle<names::Stream>;
pub(crate) type EventHandle = Handle<names::Event>;
pub(crate) type ModuleHandle = Handle<names::Module>;
pub(crate) type LibraryHandle = Handle<names::Library>;
pub(crate) type FunctionHandle = Handle<names::Function>;
pub(crate) type GraphHandle = Handle<names::Graph>;
pub(crate) type NodeHandle = Handle<names::Node>;
pub(crate) type GraphExecHandle = Handle<names::GraphExec>;
pub(crate) type CaptureHandle = Handle<names::Capture>;
pub(crate) type UserObjectHandle = Handle<names::UserObject>;
pub(crate) type PoolHandle = Handle<names::Pool>;
pub(crate) type ArrayHandle = Handle<names::Array>;
pub(crate) type PhysicalHandle = Handle<names::Physical>;
pub(crate) type NotificationHandle = Handle<names::Notification>;
pub(crate) type MipmapHandle = Handle<names::Mipmap>;
pub(crate) type TextureHandle = Handle<names::Texture>;
pub(crate) type GreenHandle = Handle<names::Green>;
pub(crate) type ResourcesHandle = Handle<names::Resources>;

/// Where the parts of a handle's value are: it looks like an address of another part of memory than any
/// object, so that a mix-up is seen.
const INDEX_SHIFT: u32 = 4;
const GENERATION_SHIFT: u32 = 28;
const GENERATION_MASK: usize = 0xfff;
const KIND_SHIFT: u32 = 40;
const INDEX_MASK: usize = 0xff_ffff;

/// Objects of one kind, found by handle in one step.
#[derive(Debug)]
pub(crate) struct Slab<N, T> {
    kind: usize,
    entries: Vec<(usize, Option<T>)>,
    free: Vec<usize>,
    name: PhantomData<fn() -> N>,
}

impl<N, T> Slab<N, T> {
    /// An empty one. Each kind of object has its own number below 128.
    pub(crate) const fn new(kind: usize) -> Self {
        Self { kind, entries: Vec::new(), free: Vec::new(), name: PhantomData }
    }

    /// Puts an object in and names it.
    pub(crate) fn insert(&mut self, object: T) -> Handle<N> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, None));
            self.entries.len() - 1
        });
        let entry = &mut self.entries[index];
        entry.1 = Some(object);
        Handle::of(self.kind << KIND_SHIFT | entry.0 << GENERATION_SHIFT | index << INDEX_SHIFT)
    }

    fn index(&self, handle: Handle<N>) -> Option<usize> {
        let value = handle.0;
        let index = value >> INDEX_SHIFT & INDEX_MASK;
        let generation = value >> GENERATION_SHIFT & GENERATION_MASK;
        let right = value >> KIND_SHIFT == self.kind && value & 0xf == 0;
        (right && self.entries.get(index).is_some_and(|entry| entry.0 == generation)).then_some(index)
    }

    /// The object, if the handle names one.
    pub(crate) fn find(&self, handle: Handle<N>) -> Option<&T> {
        self.entries[self.index(handle)?].1.as_ref()
    }

    /// The object, or the driver's code for a handle that names none.
    pub(crate) fn get(&self, handle: Handle<N>) -> Done<&T> {
        self.find(handle).ok_or(Code::INVALID_HANDLE)
    }

    /// The object to change, or the driver's code for a handle that names none.
    pub(crate) fn get_mut(&mut self, handle: Handle<N>) -> Done<&mut T> {
        let index = self.index(handle).ok_or(Code::INVALID_HANDLE)?;
        self.entries[index].1.as_mut().ok_or(Code::INVALID_HANDLE)
    }

    /// Takes the object out; the handle names nothing from now on.
    pub(crate) fn remove(&mut self, handle: Handle<N>) -> Done<T> {
        let index = self.index(handle).ok_or(Code::INVALID_HANDLE)?;
        let entry = &mut self.entries[index];
        let object = entry.1.take().ok_or(Code::INVALID_HANDLE)?;
        entry.0 = (entry.0 + 1) & GENERATION_MASK;
        self.free.push(index);
        Ok(object)
    }

    /// Takes the object out for a moment; its handle stays.
    pub(crate) fn lift(&mut self, handle: Handle<N>) -> Option<T> {
        let index = self.index(handle)?;
        self.entries[index].1.take()
    }

    /// Puts a lifted object back.
    pub(crate) fn put_back(&mut self, handle: Handle<N>, object: T) {
        if let Some(index) = self.index(handle) {
            self.entries[index].1 = Some(object);
        }
    }

    /// All objects with their handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Handle<N>, &T)> {
        let kind = self.kind;
        self.entries.iter().enumerate().filter_map(move |(index, (generation, object))| {
            let value = kind << KIND_SHIFT | generation << GENERATION_SHIFT | index << INDEX_SHIFT;
            Some((Handle::of(value), object.as_ref()?))
        })
    }

    /// The handles of all objects that are wanted.
    pub(crate) fn handles(&self, wanted: impl Fn(&T) -> bool) -> Vec<Handle<N>> {
        self.iter().filter(|(_, object)| wanted(object)).map(|(handle, _)| handle).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_object_until_it_is_removed_and_never_another_one() {
        let mut slab: Slab<names::Context, &str> = Slab::new(3);
        let first = slab.insert("first");
        assert_eq!(slab.get(first), Ok(&"first"));
        assert_eq!(slab.remove(first), Ok("first"));
        let second = slab.insert("second");
        assert_ne!(first, second);
        assert_eq!(slab.get(first), Err(Code::INVALID_HANDLE));
        for strange in [0, 1, 2, second.value() + 1, second.value() ^ 1 << KIND_SHIFT, usize::MAX] {
            assert_eq!(slab.get(Handle::of(strange)), Err(Code::INVALID_HANDLE), "{strange:#x}");
        }
    }
}
