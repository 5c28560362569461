//! Stream-ordered memory: pools that reserve device memory and hand out parts of it.
//!
//! What a pool has reserved is charged, used or not. What is freed in a stream can be had again at once in
//! the same stream, elsewhere when the stream has come to it. Synchronizing gives back what is reserved above
//! the threshold. What pools do for other processes is in [`shared_pools`](super::shared_pools).

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use fastgpu_softgpu::ledger::layout::Class;

use super::{ALIGNMENT, GRANULE, Kind, space};
use super::{Home, MemoryPart};
use crate::abi::{Code, Done};
use crate::handle::{ContextHandle, Handle, PoolHandle, StreamHandle};
use crate::process::Process;
use crate::sys::lengthen;

/// Pools reserve in steps of this.
pub(crate) const STEP: u64 = 16 * GRANULE;

/// A pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) ordinal: i32,
    /// On the host: nothing is charged.
    pub(crate) on_host: bool,
    /// The addresses it may use, of which the first `reserved` bytes have memory: base and length.
    pub(super) stretch: Option<(u64, u64)>,
    /// Offset and length of what is taken.
    pub(super) taken: BTreeMap<u64, u64>,
    /// Freed in a stream that has not come to it yet.
    pending: Vec<Pending>,
    /// As asked for, in bytes; and the most it ever was.
    pub(crate) used: [u64; 2],
    /// In bytes, and the most it ever was.
    pub(crate) reserved: [u64; 2],
    pub(crate) threshold: u64,
    /// 0: no limit.
    pub(crate) max_bytes: u64,
    /// Ways to reuse memory that can be switched; all are on.
    pub(crate) reuse: [i32; 3],
    pub(crate) handle_types: u32,
    /// Destroyed; it ends with its last allocation.
    pub(crate) ended: bool,
    /// Devices that may use it, beside its own.
    pub(crate) access: Vec<(i32, i32, u32)>,
    /// Where its memory is, if other processes may have it. Such a pool keeps what it has reserved.
    pub(super) file: Option<OwnedFd>,
    /// Device index and object, once it was exported or imported.
    pub(super) shared: Option<(usize, u64)>,
    /// It is another process's.
    pub(crate) imported: bool,
}

/// The pools of a device.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DevicePools {
    /// The one that `cuMemAllocAsync` uses, if the program chose one.
    pub(crate) current: Option<PoolHandle>,
    /// The one that the device came with.
    pub(crate) first: Option<PoolHandle>,
}

#[derive(Debug)]
struct Pending {
    id: u64,
    stream: StreamHandle,
    address: u64,
    /// Where it ended, once it was given back to what follows in the same stream: what comes before still uses it.
    again: Option<u64>,
}

impl Pool {
    pub(crate) fn new(ordinal: i32, on_host: bool, max_bytes: u64, handle_types: u32) -> Self {
        Self {
            ordinal,
            on_host,
            stretch: None,
            taken: BTreeMap::new(),
            pending: Vec::new(),
            used: [0; 2],
            reserved: [0; 2],
            threshold: 0,
            max_bytes,
            reuse: [1; 3],
            handle_types,
            ended: false,
            access: Vec::new(),
            file: None,
            shared: None,
            imported: false,
        }
    }

    /// Finds room in what is reserved.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let (base, _) = self.stretch?;
        let mut at = 0;
        for (start, length) in &self.taken {
            if start - at >= bytes {
                break;
            }
            at = start + length;
        }
        (at + bytes <= self.reserved[0]).then(|| {
            self.taken.insert(at, bytes);
            base + at
        })
    }

    /// Gives a range back; says where it ended.
    fn give(&mut self, address: u64) -> u64 {
        let offset = self.stretch.map_or(0, |(base, _)| address - base);
        let length = self.taken.remove(&offset).unwrap_or(0);
        if self.imported {
            self.count_imported();
        }
        offset + length
    }

    /// Where the last allocation ends.
    fn end(&self) -> u64 {
        self.taken.last_key_value().map_or(0, |(start, length)| start + length)
    }

    /// Where the last range ends that anything uses or may come to use.
    fn end_of_use(&self) -> u64 {
        self.pending.iter().filter_map(|one| one.again).fold(self.end(), u64::max)
    }

    /// What was freed in a stream can be had again there at once.
    fn reuse_in(&mut self, stream: StreamHandle) {
        for place in 0..self.pending.len() {
            let one = &self.pending[place];
            if one.stream == stream && one.again.is_none() {
                let end = self.give(one.address);
                self.pending[place].again = Some(end);
            }
        }
    }

    /// What was freed can be had again by all: its stream has come to that.
    fn reclaim(&mut self, freed: &[u64]) {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|one| freed.contains(&one.id));
        self.pending = later;
        for one in now.into_iter().filter(|one| one.again.is_none()) {
            self.give(one.address);
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.taken.is_empty()
    }
}

impl MemoryPart {
    /// The pool that a device came with.
    pub(crate) fn default_pool(&mut self, ordinal: i32) -> Done<PoolHandle> {
        let place = usize::try_from(ordinal).unwrap_or(usize::MAX);
        let pools = self.device_pools.get_mut(place).ok_or(Code::INVALID_DEVICE)?;
        let new = || self.pools.insert(Pool::new(ordinal, false, 0, 0));
        Ok(*pools.first.get_or_insert_with(new))
    }

    /// The pool that a device uses at present.
    pub(crate) fn current_pool(&mut self, ordinal: i32) -> Done<PoolHandle> {
        let place = usize::try_from(ordinal).unwrap_or(usize::MAX);
        let pools = self.device_pools.get(place).ok_or(Code::INVALID_DEVICE)?;
        match pools.current.filter(|pool| self.pools.find(*pool).is_some_and(|pool| !pool.ended)) {
            Some(pool) => Ok(pool),
            None => self.default_pool(ordinal),
        }
    }

    /// Allocates from a pool, in the order of a stream.
    pub(crate) fn allocate_from_pool(
        &mut self,
        process: &Process,
        handle: PoolHandle,
        home: Home,
        stream: StreamHandle,
        bytes: u64,
    ) -> Done<u64> {
        let length = bytes.max(1).checked_next_multiple_of(ALIGNMENT).ok_or(Code::OUT_OF_MEMORY)?;
        let pool = self.pools.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        if pool.ended || pool.imported {
            return Err(Code::INVALID_VALUE);
        }
        pool.reuse_in(stream);
        let ordinal = pool.ordinal;
        let address = match pool.take(length) {
            Some(address) => address,
            None => {
                self.grow(process, handle, length)?;
                self.pools.get_mut(handle)?.take(length).ok_or(Code::OUT_OF_MEMORY)?
            }
        };
        let pool = self.pools.get_mut(handle)?;
        pool.used[0] += bytes;
        pool.used[1] = pool.used[1].max(pool.used[0]);
        self.note(address, bytes.max(1), length, Home { ordinal, ..home }, Kind::Pool { pool: handle });
        Ok(address)
    }

    /// Reserves more, behind what is reserved, until `length` fits.
    fn grow(&mut self, process: &Process, handle: PoolHandle, length: u64) -> Done {
        let pool = self.pools.get(handle)?;
        let (ordinal, on_host, now) = (pool.ordinal, pool.on_host, pool.reserved[0]);
        let end = pool.end().checked_add(length).and_then(|end| end.checked_next_multiple_of(STEP));
        let end = end.ok_or(Code::OUT_OF_MEMORY)?;
        if pool.max_bytes > 0 && end > pool.max_bytes.next_multiple_of(STEP) {
            return Err(Code::OUT_OF_MEMORY);
        }
        let (base, most) = match pool.stretch {
            Some(stretch) => stretch,
            None => {
                let most = process.facts(ordinal)?.capacity_bytes().next_multiple_of(STEP);
                let stretch = (self.memory.space.take(most, GRANULE, 0)?, most);
                self.pools.get_mut(handle)?.stretch = Some(stretch);
                stretch
            }
        };
        if end > most {
            return Err(Code::OUT_OF_MEMORY);
        }
        let more = end - now;
        // Mapped first, which costs nothing, so that nobody is charged for what cannot be had.
        match &self.pools.get(handle)?.file {
            None => space::commit(base + now, more)?,
            Some(file) => {
                lengthen(file, end)?;
                space::commit_part(base + now, more, file.as_raw_fd(), now)?;
            }
        }
        if !on_host {
            let charged = self.charge_pool(process, handle, more).or_else(|code| {
                // What other pools hold and nobody uses is given back before anybody is refused.
                self.trim_all(process, Some((0, handle)));
                if code == Code::OUT_OF_MEMORY { self.charge_pool(process, handle, more) } else { Err(code) }
            });
            charged.inspect_err(|_| space::decommit(base + now, more))?;
        }
        let pool = self.pools.get_mut(handle)?;
        pool.reserved = [end, pool.reserved[1].max(end)];
        Ok(())
    }

    /// Frees pool memory in the order of a stream: what the caller then puts into the stream is its id.
    pub(crate) fn free_in_stream(&mut self, address: u64, stream: StreamHandle) -> Done<u64> {
        let Some(Kind::Pool { pool }) = self.memory.at(address).map(|allocation| allocation.kind.clone())
        else {
            return Err(Code::INVALID_VALUE);
        };
        let allocation = self.memory.remove(address).ok_or(Code::INVALID_VALUE)?;
        let pool = self.pools.get_mut(pool)?;
        pool.used[0] = pool.used[0].saturating_sub(allocation.bytes);
        pool.pending.push(Pending { id: allocation.id, stream, address, again: None });
        Ok(allocation.id)
    }

    /// Frees pool memory at once. The caller has waited for the device.
    pub(crate) fn free_to_pool(&mut self, process: &Process, address: u64) -> Done {
        let id = self.free_in_stream(address, Handle::NULL)?;
        self.freed.push(id);
        self.settle(process, true);
        Ok(())
    }

    /// Gives ranges back to their pools whose end was reached; `trim` when somebody synchronized.
    pub(crate) fn settle(&mut self, process: &Process, trim: bool) {
        let freed = std::mem::take(&mut self.freed);
        let handles = self.pools.handles(|_| true);
        for handle in &handles {
            if let Ok(pool) = self.pools.get_mut(*handle) {
                pool.reclaim(&freed);
            }
        }
        if trim {
            self.trim_all(process, None);
        }
    }

    /// Trims every pool to its threshold, or all but one to so many bytes; forgets pools that have ended.
    fn trim_all(&mut self, process: &Process, keep: Option<(u64, PoolHandle)>) {
        for handle in self.pools.handles(|_| true) {
            let Some(pool) = self.pools.find(handle) else { continue };
            let (ended, threshold) = (pool.ended, pool.threshold);
            let to = match keep {
                Some((_, spared)) if spared == handle => continue,
                Some((bytes, _)) => bytes,
                None => threshold,
            };
            self.trim(process, handle, if ended { 0 } else { to });
            if ended && self.pools.find(handle).is_some_and(Pool::is_idle) {
                self.end_pool(process, handle);
            }
        }
    }

    fn end_pool(&mut self, process: &Process, handle: PoolHandle) {
        let Ok(pool) = self.pools.remove(handle) else { return };
        if let Some((base, bytes)) = pool.stretch {
            self.unmap(base, bytes);
        }
        match pool.shared {
            Some((device, object)) => self.let_go(process, device, object),
            None if !pool.on_host => process.release(pool.ordinal, Class::Pool, pool.reserved[0]),
            None => {}
        }
    }

    /// Gives back what a pool has reserved behind its last allocation, down to `keep` bytes.
    pub(crate) fn trim(&mut self, process: &Process, handle: PoolHandle, keep: u64) {
        let Ok(pool) = self.pools.get_mut(handle) else { return };
        if pool.file.is_some() {
            return;
        }
        let (ordinal, on_host, now) = (pool.ordinal, pool.on_host, pool.reserved[0]);
        let needed = pool.end_of_use().max(keep.min(now)).next_multiple_of(STEP).min(now);
        let Some((base, _)) = pool.stretch.filter(|_| needed < now) else { return };
        pool.reserved[0] = needed;
        space::decommit(base + needed, now - needed);
        if !on_host {
            process.release(ordinal, Class::Pool, now - needed);
        }
    }

    /// Whether a range lies in what a pool has reserved: what is freed there in the order of a stream is memory all the
    /// same.
    pub(crate) fn is_in_pool(&self, address: u64, bytes: u64) -> bool {
        self.pools.iter().any(|(_, pool)| {
            pool.stretch.is_some_and(|(base, most)| {
                let reserved = if pool.imported { most } else { pool.reserved[0] };
                let offset = address.checked_sub(base);
                offset.and_then(|offset| offset.checked_add(bytes)).is_some_and(|end| end <= reserved)
            })
        })
    }

    /// Frees everything that was allocated in a context and not freed.
    pub(crate) fn free_all_of(&mut self, process: &Process, context: ContextHandle) {
        let left: Vec<u64> = self
            .memory
            .iter()
            .filter(|allocation| allocation.context == context)
            .filter(|allocation| !matches!(allocation.kind, Kind::Mapping { .. } | Kind::Array | Kind::Graph))
            .map(|allocation| allocation.base)
            .collect();
        for base in left {
            let freed = self.free(process, base).or_else(|_| self.free_host(base));
            // What is neither was opened from another process.
            let _ = freed.or_else(|_| self.close_imported(process, base, true));
        }
    }
}
