//! Device memory that `cuMemAlloc` and its kin hand out, and managed memory.

use std::collections::BTreeMap;

use fastgpu_softgpu::ledger::layout::Class;

use super::{ALIGNMENT, Allocation, GRANULE, Kind, SMALL_MAX, space};
use super::{Home, MemoryPart};
use crate::abi::{Code, Done};
use crate::handle::ContextHandle;
use crate::process::Process;

/// Granules that small allocations share.
#[derive(Debug)]
pub(crate) struct Granule {
    context: ContextHandle,
    /// Offset and length of what is taken.
    taken: BTreeMap<u64, u64>,
}

impl Granule {
    /// Finds room for `bytes`.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let mut at = 0;
        for (start, length) in &self.taken {
            if start - at >= bytes {
                break;
            }
            at = start + length;
        }
        (at + bytes <= GRANULE).then(|| {
            self.taken.insert(at, bytes);
            at
        })
    }
}

impl MemoryPart {
    /// Allocates device memory in a context.
    pub(crate) fn allocate(&mut self, process: &Process, home: Home, bytes: u64) -> Done<u64> {
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let (base, mapped, kind) = if bytes <= SMALL_MAX {
            let length = bytes.next_multiple_of(ALIGNMENT);
            let (granule, offset) = self.small(process, home, length)?;
            (granule + offset, length, Kind::Small { granule })
        } else {
            let mapped = bytes.checked_next_multiple_of(GRANULE).ok_or(Code::OUT_OF_MEMORY)?;
            (self.granules(process, home.ordinal, Class::Memory, mapped)?, mapped, Kind::Large)
        };
        self.note(base, bytes, mapped, home, kind);
        Ok(base)
    }

    /// Writes an allocation down.
    pub(crate) fn note(&mut self, base: u64, bytes: u64, mapped: u64, home: Home, kind: Kind) {
        let Home { context, ordinal } = home;
        let id = self.new_id();
        let allocation =
            Allocation { base, bytes, mapped, context, ordinal, kind, id, shared: None, sync_memops: false };
        self.memory.insert(allocation);
    }

    fn small(&mut self, process: &Process, home: Home, length: u64) -> Done<(u64, u64)> {
        let Home { context, ordinal } = home;
        let mut ours = self.memory.granules.iter_mut().filter(|(_, granule)| granule.context == context);
        if let Some((base, offset)) = ours.find_map(|(base, granule)| Some((*base, granule.take(length)?))) {
            return Ok((base, offset));
        }
        let base = self.granules(process, ordinal, Class::Memory, GRANULE)?;
        let taken = BTreeMap::from([(0, length)]);
        self.memory.granules.insert(base, Granule { context, taken });
        Ok((base, 0))
    }

    /// Charges and maps whole granules.
    pub(crate) fn granules(
        &mut self,
        process: &Process,
        ordinal: i32,
        class: Class,
        bytes: u64,
    ) -> Done<u64> {
        process.charge(ordinal, class, bytes)?;
        let mapped = self.memory.space.take(bytes, GRANULE, 0).and_then(|base| {
            space::commit(base, bytes).inspect_err(|_| self.memory.space.give(base, bytes)).map(|()| base)
        });
        mapped.inspect_err(|_| process.release(ordinal, class, bytes))
    }

    /// Unmaps whole granules; the charge is the caller's.
    pub(crate) fn unmap(&mut self, base: u64, bytes: u64) {
        space::decommit(base, bytes);
        self.memory.space.give(base, bytes);
    }

    /// Managed memory: charged to a device only while it is there.
    pub(crate) fn allocate_managed(&mut self, process: &Process, home: Home, bytes: u64) -> Done<u64> {
        let mapped = bytes
            .checked_next_multiple_of(GRANULE)
            .filter(|mapped| *mapped > 0)
            .ok_or(Code::INVALID_VALUE)?;
        let base = self.memory.space.take(mapped, GRANULE, 0)?;
        if let Err(code) = space::commit(base, mapped) {
            self.memory.space.give(base, mapped);
            return Err(code);
        }
        self.note(base, bytes, mapped, home, Kind::Managed { on: None });
        process.words().managed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(base)
    }

    /// Moves managed memory that a device is about to touch there, if there is room; else it stays.
    pub(crate) fn bring_managed(&mut self, process: &Process, address: u64, ordinal: Option<i32>) {
        let Some(allocation) = self.memory.around(address) else { return };
        let (base, mapped) = (allocation.base, allocation.mapped);
        let Kind::Managed { on } = allocation.kind else { return };
        if on == ordinal {
            return;
        }
        let next = ordinal.filter(|ordinal| process.charge(*ordinal, Class::Managed, mapped).is_ok());
        if next.is_none() && ordinal.is_some() {
            return;
        }
        if let Some(on) = on {
            process.release(on, Class::Managed, mapped);
        }
        if let Some(allocation) = self.memory.at_mut(base) {
            allocation.kind = Kind::Managed { on: next };
        }
    }

    /// Frees what `allocate` and `allocate_managed` made. The caller has waited for the device.
    pub(crate) fn free(&mut self, process: &Process, base: u64) -> Done {
        let Some(allocation) = self.memory.at(base) else { return Err(Code::INVALID_VALUE) };
        let (mapped, ordinal, shared) = (allocation.mapped, allocation.ordinal, allocation.shared);
        match allocation.kind.clone() {
            Kind::Small { granule } => {
                self.memory.remove(base);
                self.give_small(process, granule, base - granule, ordinal);
            }
            Kind::Large => {
                self.memory.remove(base);
                self.unmap(base, mapped);
                match shared {
                    Some(object) => self.let_go(process, process.index_of(ordinal)?, object),
                    None => process.release(ordinal, Class::Memory, mapped),
                }
            }
            Kind::Managed { on } => {
                self.memory.remove(base);
                self.unmap(base, mapped);
                process.words().managed.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                if let Some(on) = on {
                    process.release(on, Class::Managed, mapped);
                }
            }
            Kind::Pool { .. } => self.free_to_pool(process, base)?,
            Kind::Array
            | Kind::Graph
            | Kind::Mapping { .. }
            | Kind::Imported { .. }
            | Kind::Host { .. }
            | Kind::Registered { .. } => {
                return Err(Code::INVALID_VALUE);
            }
        }
        Ok(())
    }

    fn give_small(&mut self, process: &Process, base: u64, offset: u64, ordinal: i32) {
        let Some(granule) = self.memory.granules.get_mut(&base) else { return };
        granule.taken.remove(&offset);
        if granule.taken.is_empty() {
            self.memory.granules.remove(&base);
            self.unmap(base, GRANULE);
            match self.memory.exported_granules.remove(&base) {
                Some((device, object)) => self.let_go(process, device, object),
                None => process.release(ordinal, Class::Memory, GRANULE),
            }
        }
    }
}
