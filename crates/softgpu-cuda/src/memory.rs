//! Addresses: which are in use, what for, and who is charged.
//!
//! Device memory is host memory at addresses that only this library hands out. It becomes real, page by page,
//! when somebody writes to it; 80 GiB cost nothing until then.

use std::collections::BTreeMap;

use crate::abi::{Code, Done};
use crate::handle::{ContextHandle, PhysicalHandle, PoolHandle};

pub(crate) mod arrays;
pub(crate) mod device;
pub(crate) mod graph_memory;
pub(crate) mod host;
pub(crate) mod ipc;
mod part;
pub(crate) mod physical;
pub(crate) mod pools;
pub(crate) mod shared_pools;
pub(crate) mod space;
pub(crate) mod teams;
pub(crate) mod textures;

pub(crate) use part::MemoryPart;
use space::Space;

/// The unit of device memory.
pub(crate) const GRANULE: u64 = 2 << 20;
/// Up to here allocations share a granule.
pub(crate) const SMALL_MAX: u64 = 1 << 20;
/// Small allocations begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 512;

/// What an address range is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A part of a granule that begins at this address.
    Small { granule: u64 },
    /// Granules of its own.
    Large,
    /// Pages that move between host and device; `on` is the device that is charged.
    Managed { on: Option<i32> },
    /// From a pool.
    Pool { pool: PoolHandle },
    /// Physical memory mapped at a reserved address; nobody can touch that of a multicast object.
    Mapping { physical: PhysicalHandle, access: u32, multicast: bool },
    /// Another process's memory: device index in the ledger, object, how often it was opened.
    Imported { device: usize, object: u64, opened: u32 },
    /// Host memory of ours, with the flags it was asked for.
    Host { flags: u32 },
    /// Host memory of the program, made known.
    Registered { flags: u32 },
    /// An array's memory.
    Array,
    /// An allocation of a graph.
    Graph,
}

/// Whose memory it is, and on which device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home {
    pub(crate) context: ContextHandle,
    pub(crate) ordinal: i32,
}

/// By when memory must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Now: the work begins.
    Now,
    /// When a graph is launched, which may allocate it.
    AtLaunch,
}

/// An address range in use.
#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    pub(crate) base: u64,
    /// As asked for.
    pub(crate) bytes: u64,
    /// As mapped and charged.
    pub(crate) mapped: u64,
    pub(crate) context: ContextHandle,
    pub(crate) ordinal: i32,
    pub(crate) kind: Kind,
    /// A number that no other allocation of the process has.
    pub(crate) id: u64,
    /// Its name in the ledger once it was exported.
    pub(crate) shared: Option<u64>,
    pub(crate) sync_memops: bool,
}

impl Allocation {
    /// Whether it is memory of a device rather than of the host.
    pub(crate) fn on_device(&self) -> bool {
        !matches!(self.kind, Kind::Host { .. } | Kind::Registered { .. })
    }

    /// The first address behind it.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.bytes
    }
}

/// All address ranges of the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) space: Space,
    ranges: BTreeMap<u64, Allocation>,
    /// Granules that small allocations share: base, context, and what is taken of it.
    pub(crate) granules: BTreeMap<u64, device::Granule>,
    /// How often this process holds each object of the ledger, by device index and object.
    pub(crate) held: BTreeMap<(usize, u64), u32>,
    /// Granules that other processes may hold too: device index and object.
    pub(crate) exported_granules: BTreeMap<u64, (usize, u64)>,
    /// Addresses promised to allocations of graphs, and how long they are.
    pub(crate) promised: BTreeMap<u64, u64>,
    /// Reserved address ranges of the virtual memory calls.
    pub(crate) reservations: BTreeMap<u64, u64>,
}

impl Memory {
    /// Notes a range.
    pub(crate) fn insert(&mut self, allocation: Allocation) {
        self.ranges.insert(allocation.base, allocation);
    }

    /// Forgets a range that begins here.
    pub(crate) fn remove(&mut self, base: u64) -> Option<Allocation> {
        self.ranges.remove(&base)
    }

    /// The range that begins here.
    pub(crate) fn at(&self, base: u64) -> Option<&Allocation> {
        self.ranges.get(&base)
    }

    /// The range that begins here, to change.
    pub(crate) fn at_mut(&mut self, base: u64) -> Option<&mut Allocation> {
        self.ranges.get_mut(&base)
    }

    /// The range that an address is in.
    pub(crate) fn around(&self, address: u64) -> Option<&Allocation> {
        let (_, allocation) = self.ranges.range(..=address).next_back()?;
        (address < allocation.end()).then_some(allocation)
    }

    /// All ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Allocation> {
        self.ranges.values()
    }

    /// The ranges that begin inside a stretch.
    pub(crate) fn within(&self, base: u64, bytes: u64) -> impl Iterator<Item = &Allocation> {
        self.ranges.range(base..base.saturating_add(bytes)).map(|(_, allocation)| allocation)
    }

    /// Whether the device may touch all of this: allocations, or mappings side by side.
    pub(crate) fn check(&self, address: u64, bytes: u64) -> Done {
        let end = address.checked_add(bytes).ok_or(Code::INVALID_VALUE)?;
        let mut at = address;
        while at < end {
            let allocation = self.around(at).ok_or(Code::INVALID_VALUE)?;
            if matches!(
                allocation.kind,
                Kind::Mapping { access: 0, .. } | Kind::Mapping { multicast: true, .. }
            ) {
                return Err(Code::INVALID_VALUE);
            }
            at = allocation.end();
        }
        Ok(())
    }

    /// As [`check`](Self::check), but what graphs are promised will do where it is due later.
    pub(crate) fn check_due(&self, due: Due, address: u64, bytes: u64) -> Done {
        let fits = due == Due::AtLaunch
            && self
                .promise_around(address)
                .is_some_and(|end| address.checked_add(bytes).is_some_and(|at| at <= end));
        if fits { Ok(()) } else { self.check(address, bytes) }
    }

    /// The end of the range promised to a graph that an address is in.
    fn promise_around(&self, address: u64) -> Option<u64> {
        let (base, length) = self.promised.range(..=address).next_back()?;
        Some(base + length).filter(|end| address < *end)
    }

    /// Whether an address was promised to a graph and no launch has given it memory.
    pub(crate) fn is_promise(&self, address: u64) -> bool {
        self.promise_around(address).is_some() && !self.knows(address)
    }

    /// Whether an address is among this library's and nothing is there nor promised.
    pub(crate) fn is_void(&self, address: u64) -> bool {
        self.space.contains(address) && !self.knows(address) && self.promise_around(address).is_none()
    }

    /// Whether a range is among this library's addresses and not all of it is there: freed, or only promised.
    pub(crate) fn is_missing(&self, address: u64, bytes: u64) -> bool {
        self.space.contains(address) && self.check(address, bytes).is_err()
    }

    /// Whether a range is memory of ours at all, of device or host.
    pub(crate) fn knows(&self, address: u64) -> bool {
        self.around(address).is_some()
    }
}
