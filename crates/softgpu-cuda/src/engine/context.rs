//! A context, and a device's primary one.

use std::collections::HashMap;
use std::thread::ThreadId;

use fastgpu_softgpu::schedule::ContextSlot;

use super::Dep;
use crate::abi::Code;
use crate::dump_settings::Settings;
use crate::handle::{ContextHandle, GreenHandle, StreamHandle};

/// How many limits a context has.
pub(crate) const LIMITS: usize = 10;

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
    pub(crate) legacy: StreamHandle,
    /// The threads' own streams.
    pub(crate) per_thread: HashMap<ThreadId, StreamHandle>,
    /// All streams.
    pub(crate) streams: Vec<StreamHandle>,
    pub(crate) limits: [usize; LIMITS],
    pub(crate) cache_config: u32,
    pub(crate) shared_config: u32,
    /// Every call gets it once it is there.
    pub(crate) error: Option<Code>,
    /// Contexts whose memory this one may use.
    pub(crate) peers: Vec<ContextHandle>,
    /// What it was charged, in bytes: for itself, and for code.
    pub(crate) own_bytes: u64,
    pub(crate) code_bytes: u64,
    /// Most streams it ever had, which take memory in steps.
    pub(crate) streams_most: usize,
    /// Settings of core dumps of its own.
    pub(crate) dumps: Option<Settings>,
    /// The primary context that it is a part of; null for all but green contexts.
    pub(crate) parent: ContextHandle,
    /// The green context that it is the view of; null for all others.
    pub(crate) green: GreenHandle,
    /// A stream of ours, in which events are recorded that stand for the whole context.
    pub(crate) marks: Option<StreamHandle>,
    /// What every stream that is yet to be made waits for first.
    pub(crate) gate: Vec<Dep>,
    /// What a runtime keeps with it, by the runtime's own keys.
    pub(crate) keepsakes: HashMap<usize, Keepsake>,
}

/// Called with the context, the key and the value when the context ends.
pub(crate) type Leave = extern "C" fn(ContextHandle, usize, usize);

/// A value that a runtime keeps with a context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepsake {
    pub(crate) value: usize,
    pub(crate) leave: Option<Leave>,
}

/// A device's primary context.
#[derive(Debug, Default)]
pub(crate) struct Primary {
    pub(crate) context: Option<ContextHandle>,
    /// The handle it had, and has again when it comes back.
    pub(crate) handle: Option<ContextHandle>,
    pub(crate) retained: u32,
    pub(crate) flags: u32,
}
