//! Physical memory and where it is mapped: the virtual memory calls.
//!
//! Physical memory lives while a handle or a mapping names it, in this process or another one.

use crate::memory::Home;
use std::os::fd::{AsRawFd, OwnedFd};

use fastgpu_softgpu::ledger::layout::{Class, ObjectKind};

use super::MemoryPart;
use super::{GRANULE, Kind, space};
use crate::abi::{Code, Done};
use crate::handle::{Handle, PhysicalHandle};
use crate::process::Process;
use crate::sys::{duplicate, inode, memory_file};

/// Physical memory.
#[derive(Debug)]
pub(crate) struct Physical {
    /// The device it is on; `None`: on the host.
    pub(crate) ordinal: Option<i32>,
    pub(crate) bytes: u64,
    pub(super) file: OwnedFd,
    /// Handles that name it.
    pub(crate) handles: u32,
    /// Mappings of it.
    pub(crate) mappings: u32,
    /// How it may be exported.
    pub(crate) handle_types: u32,
    /// Device index and object, once it was exported or imported.
    pub(super) shared: Option<(usize, u64)>,
    /// It is a multicast object.
    pub(super) team: Option<Team>,
}

/// What a physical object is if it is a team.
#[derive(Debug)]
pub(super) struct Team {
    /// Its place in the ledger.
    pub(super) place: u32,
    pub(super) bound: Vec<Bound>,
}

/// Memory of one device at one place of the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) ordinal: i32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) physical: PhysicalHandle,
}

impl Physical {
    /// Memory that one handle of this process names.
    pub(super) fn new(ordinal: Option<i32>, bytes: u64, file: OwnedFd, handle_types: u32) -> Self {
        Self { ordinal, bytes, file, handles: 1, mappings: 0, handle_types, shared: None, team: None }
    }
}

impl MemoryPart {
    /// Creates physical memory.
    pub(crate) fn create_physical(
        &mut self,
        process: &Process,
        ordinal: Option<i32>,
        bytes: u64,
        handle_types: u32,
    ) -> Done<PhysicalHandle> {
        if bytes == 0 || !bytes.is_multiple_of(GRANULE) {
            return Err(Code::INVALID_VALUE);
        }
        if let Some(ordinal) = ordinal {
            process.charge(ordinal, Class::Physical, bytes)?;
        }
        let file = memory_file(bytes).inspect_err(|_| {
            if let Some(ordinal) = ordinal {
                process.release(ordinal, Class::Physical, bytes);
            }
        })?;
        Ok(self.physicals.insert(Physical::new(ordinal, bytes, file, handle_types)))
    }

    /// Lets go of a handle, or with `mapping` of a mapping.
    pub(crate) fn drop_physical(&mut self, process: &Process, handle: PhysicalHandle, mapping: bool) -> Done {
        let physical = self.physicals.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        let count = if mapping { &mut physical.mappings } else { &mut physical.handles };
        *count = count.checked_sub(1).ok_or(Code::INVALID_VALUE)?;
        if physical.handles + physical.mappings > 0 {
            return Ok(());
        }
        let physical = self.physicals.remove(handle)?;
        if let Some(team) = physical.team {
            return self.end_team(process, team);
        }
        match (physical.shared, physical.ordinal) {
            (Some((device, object)), _) => self.let_go(process, device, object),
            (None, Some(ordinal)) => process.release(ordinal, Class::Physical, physical.bytes),
            (None, None) => {}
        }
        Ok(())
    }

    /// Maps physical memory at a reserved address. It cannot be used until access is set.
    pub(crate) fn map_physical(&mut self, base: u64, handle: PhysicalHandle) -> Done {
        let physical = self.physicals.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        let (bytes, ordinal) = (physical.bytes, physical.ordinal.unwrap_or(0));
        let (_, reserved) = self.memory.reservations.range(..=base).next_back().ok_or(Code::NOT_SUPPORTED)?;
        let start = self.memory.reservations.range(..=base).next_back().map_or(0, |(start, _)| *start);
        if base.checked_add(bytes).is_none_or(|end| end > start + reserved) {
            return Err(Code::NOT_SUPPORTED);
        }
        if self.memory.knows(base) || self.memory.within(base, bytes).next().is_some() {
            return Err(Code::INVALID_VALUE);
        }
        space::commit_file(base, bytes, physical.file.as_raw_fd(), false)?;
        physical.mappings += 1;
        let kind = Kind::Mapping { physical: handle, access: 0, multicast: physical.team.is_some() };
        self.note(base, bytes, bytes, Home { context: Handle::NULL, ordinal }, kind);
        Ok(())
    }

    /// Unmaps whole mappings. The caller has waited for the device.
    pub(crate) fn unmap_physical(&mut self, process: &Process, base: u64, bytes: u64) -> Done {
        let end = base.checked_add(bytes).ok_or(Code::INVALID_VALUE)?;
        let inside: Vec<(u64, u64, PhysicalHandle)> = self
            .memory
            .within(base, bytes)
            .filter_map(|one| match one.kind {
                Kind::Mapping { physical, .. } => Some((one.base, one.bytes, physical)),
                _ => None,
            })
            .collect();
        let cut = inside.iter().any(|(at, length, _)| at + length > end);
        if cut || self.memory.around(base).is_some_and(|one| one.base < base) {
            return Err(Code::INVALID_VALUE);
        }
        for (at, length, physical) in inside {
            space::decommit(at, length);
            self.memory.remove(at);
            self.drop_physical(process, physical, true)?;
        }
        Ok(())
    }

    /// Sets how mappings may be used: 0 not at all, 1 read, 3 read and write.
    pub(crate) fn set_access(&mut self, base: u64, bytes: u64, flags: u32) -> Done {
        let end = base.checked_add(bytes).ok_or(Code::INVALID_VALUE)?;
        let mut at = base;
        let mut parts = Vec::new();
        while at < end {
            let one = self.memory.at(at).filter(|one| matches!(one.kind, Kind::Mapping { .. }));
            let one = one.filter(|one| one.end() <= end).ok_or(Code::INVALID_VALUE)?;
            let multicast = matches!(one.kind, Kind::Mapping { multicast: true, .. });
            parts.push((one.base, one.bytes, flags != 0 && !multicast));
            at = one.end();
        }
        for (at, length, usable) in parts {
            space::protect(at, length, usable)?;
            if let Some(Kind::Mapping { access, .. }) = self.memory.at_mut(at).map(|one| &mut one.kind) {
                *access = flags;
            }
        }
        Ok(())
    }

    /// A file descriptor through which another process can have the memory.
    pub(crate) fn export_physical(&mut self, process: &Process, handle: PhysicalHandle) -> Done<i32> {
        let physical = self.physicals.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        if physical.handle_types & 1 == 0 {
            return Err(Code::INVALID_VALUE);
        }
        if let (None, Some(ordinal)) = (physical.shared, physical.ordinal) {
            let device = process.index_of(ordinal)?;
            let mut locked = process.ledger.device(device);
            let object = locked.share(process.me.slot, Class::Physical, physical.bytes);
            let object = object.ok_or(Code::OUT_OF_MEMORY)?;
            locked.name_object(object, ObjectKind::Allocation, inode(&physical.file)?);
            drop(locked);
            physical.shared = Some((device, object));
            self.count_held(process, device, object);
        }
        let physical = self.physicals.get_mut(handle)?;
        let copy = physical.file.try_clone().map_err(|_| Code::OPERATING_SYSTEM)?;
        Ok(std::os::fd::IntoRawFd::into_raw_fd(copy))
    }

    /// Physical memory behind a file descriptor that some process exported.
    pub(crate) fn import_physical(&mut self, process: &Process, descriptor: i32) -> Done<PhysicalHandle> {
        let file = duplicate(descriptor)?;
        let inode = inode(&file)?;
        let known = self.physicals.handles(|one| self::inode(&one.file) == Ok(inode));
        if let Some(handle) = known.first() {
            self.physicals.get_mut(*handle)?.handles += 1;
            return Ok(*handle);
        }
        let found = (0..process.ledger.device_count()).find_map(|device| {
            let locked = process.ledger.device(device);
            Some((device, locked.object_named(ObjectKind::Allocation, inode)?))
        });
        let Some((device, object)) = found else { return self.import_team(process, file) };
        let bytes = self.hold(process, device, object).ok_or(Code::INVALID_VALUE)?;
        let ordinal = process.ordinal_of(device);
        let shared = Some((device, object));
        Ok(self.physicals.insert(Physical { shared, ..Physical::new(ordinal, bytes, file, 1) }))
    }
}
