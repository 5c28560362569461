//! Pools that other processes may open: a pool by a file descriptor, its allocations by data that say where they are.
//!
//! The memory of such a pool is a file, and one object of the ledger that grows with it. It lives while any process has
//! the pool open; whoever made it pays, and after it those who are left. An importer sees the allocations it has
//! imported and nothing else, and cannot make any.

use crate::memory::Home;
use std::os::fd::{AsRawFd, IntoRawFd};

use fastgpu_softgpu::ledger::layout::{Class, ObjectKind};

use super::MemoryPart;
use super::pools::{Pool, STEP};
use super::{GRANULE, Kind, space};
use crate::abi::{Code, Done};
use crate::handle::{ContextHandle, PoolHandle};
use crate::process::Process;
use crate::sys::{duplicate, inode, memory_file};

/// What the data begin with, so that foreign ones are recognised.
const MARK: u64 = 0x706f_6f6c_6770_7501;

/// What the 64 bytes say by which an allocation is shown to others.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PointerData {
    mark: u64,
    device: u64,
    object: u64,
    /// Where in the pool it begins, and how long it is.
    offset: u64,
    bytes: u64,
    spare: [u64; 3],
}

const _: () = assert!(size_of::<PointerData>() == 64);

impl Pool {
    /// Puts the pool's memory, of which there is none yet, where others can have it.
    pub(crate) fn make_shareable(&mut self) -> Done {
        self.file = Some(memory_file(0)?);
        Ok(())
    }

    /// What the statistics of an imported pool say: the memory behind what was imported.
    pub(super) fn count_imported(&mut self) {
        let mut steps = std::collections::BTreeSet::new();
        for (start, bytes) in &self.taken {
            steps.extend(start / STEP..(start + bytes).div_ceil(STEP));
        }
        let reserved = steps.len() as u64 * STEP;
        self.reserved = [reserved, self.reserved[1].max(reserved)];
    }
}

impl MemoryPart {
    /// Charges whoever pays for a pool with what it grows by.
    pub(super) fn charge_pool(&mut self, process: &Process, handle: PoolHandle, bytes: u64) -> Done {
        let pool = self.pools.get(handle)?;
        let Some((device, object)) = pool.shared else {
            return process.charge(pool.ordinal, Class::Pool, bytes);
        };
        let grown = || process.ledger.device(device).grow_object(object, process.me.pid, bytes);
        let done = match grown() {
            Err(refused) if Code(refused.code) == Code::OUT_OF_MEMORY && process.ledger.reap() > 0 => grown(),
            result => result,
        };
        done.map_err(|refused| Code(refused.code))
    }

    /// The device index and object of a pool that others may open; made when it is first asked for.
    fn share_pool(&mut self, process: &Process, handle: PoolHandle) -> Done<(usize, u64)> {
        let pool = self.pools.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        let Some(file) = pool.file.as_ref().filter(|_| !pool.imported && !pool.ended) else {
            return Err(Code::INVALID_VALUE);
        };
        if let Some(shared) = pool.shared {
            return Ok(shared);
        }
        let device = process.index_of(pool.ordinal)?;
        let inode = inode(file)?;
        let mut locked = process.ledger.device(device);
        let object = locked.share(process.me.slot, Class::Pool, pool.reserved[0]);
        let object = object.ok_or(Code::OUT_OF_MEMORY)?;
        locked.name_object(object, ObjectKind::Pool, inode);
        drop(locked);
        pool.shared = Some((device, object));
        self.count_held(process, device, object);
        Ok((device, object))
    }

    /// A file descriptor through which another process can open a pool.
    pub(crate) fn export_pool(&mut self, process: &Process, handle: PoolHandle) -> Done<i32> {
        self.share_pool(process, handle)?;
        let file = self.pools.get(handle)?.file.as_ref().ok_or(Code::INVALID_VALUE)?;
        Ok(file.try_clone().map_err(|_| Code::OPERATING_SYSTEM)?.into_raw_fd())
    }

    /// The pool behind a file descriptor that some process exported.
    pub(crate) fn import_pool(&mut self, process: &Process, descriptor: i32) -> Done<PoolHandle> {
        let file = duplicate(descriptor)?;
        let inode = inode(&file)?;
        let found = (0..process.ledger.device_count()).find_map(|device| {
            let locked = process.ledger.device(device);
            Some((device, locked.object_named(ObjectKind::Pool, inode)?, locked.facts.capacity_bytes()))
        });
        let (device, object, capacity) = found.ok_or(Code::INVALID_VALUE)?;
        let ordinal = process.ordinal_of(device).ok_or(Code::INVALID_DEVICE)?;
        let most = capacity.next_multiple_of(STEP);
        let stretch = (self.memory.space.take(most, GRANULE, 0)?, most);
        if self.hold(process, device, object).is_none() {
            self.memory.space.give(stretch.0, stretch.1);
            return Err(Code::INVALID_VALUE);
        }
        let mut pool = Pool::new(ordinal, false, 0, 0);
        pool.stretch = Some(stretch);
        pool.file = Some(file);
        pool.shared = Some((device, object));
        pool.imported = true;
        Ok(self.pools.insert(pool))
    }

    /// Says where an allocation is, for those who have its pool open.
    pub(crate) fn export_pool_pointer(&mut self, process: &Process, address: u64) -> Done<PointerData> {
        let allocation = self.memory.at(address).ok_or(Code::INVALID_VALUE)?;
        let bytes = allocation.bytes;
        let Kind::Pool { pool } = allocation.kind else { return Err(Code::INVALID_VALUE) };
        let (device, object) = self.share_pool(process, pool)?;
        let (base, _) = self.pools.get(pool)?.stretch.ok_or(Code::INVALID_VALUE)?;
        Ok(PointerData {
            mark: MARK,
            device: device as u64,
            object,
            offset: address - base,
            bytes,
            spare: [0; 3],
        })
    }

    /// Opens an allocation of an imported pool. Opened twice, it has the same address and is closed at once.
    pub(crate) fn import_pool_pointer(
        &mut self,
        process: &Process,
        handle: PoolHandle,
        context: ContextHandle,
        data: PointerData,
    ) -> Done<u64> {
        let pool = self.pools.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        let (Some((device, object)), Some((base, most)), true, false) =
            (pool.shared, pool.stretch, pool.imported, pool.ended)
        else {
            return Err(Code::INVALID_VALUE);
        };
        let end = data.offset.checked_add(data.bytes).ok_or(Code::INVALID_VALUE)?;
        let reserved = process.ledger.device(device).object_bytes(object).unwrap_or(0).min(most);
        let ours = data.mark == MARK && (data.device, data.object) == (device as u64, object);
        if !ours || data.bytes == 0 || end > reserved {
            return Err(Code::INVALID_VALUE);
        }
        let address = base + data.offset;
        if pool.taken.contains_key(&data.offset) {
            return if self.memory.at(address).is_some() { Ok(address) } else { Err(Code::INVALID_VALUE) };
        }
        let file = pool.file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let from = data.offset / GRANULE * GRANULE;
        space::commit_part(base + from, end.next_multiple_of(GRANULE) - from, file, from)?;
        pool.taken.insert(data.offset, data.bytes);
        pool.used[0] += data.bytes;
        pool.used[1] = pool.used[1].max(pool.used[0]);
        pool.count_imported();
        let home = Home { context, ordinal: pool.ordinal };
        self.note(address, data.bytes, data.bytes, home, Kind::Pool { pool: handle });
        Ok(address)
    }
}
