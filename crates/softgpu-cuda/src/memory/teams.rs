//! Multicast objects: teams of devices, and the memory that is bound to them.
//!
//! Such an object is physical memory that has none of its own. What is bound to it stays until it is unbound or the
//! object ends. It can be mapped; no kernel here writes to all of a team at once, so the mapping cannot be touched.

use std::sync::atomic::Ordering::Relaxed;

use super::MemoryPart;
use super::physical::{Bound, Physical, Team};
use super::{GRANULE, Kind};
use crate::abi::{Code, Done};
use crate::handle::PhysicalHandle;
use crate::process::Process;
use crate::sys::{inode, memory_file};

impl Process {
    /// Whether a device can be in a team: it has links through a switch, and somebody at the other end.
    pub(crate) fn can_multicast(&self, ordinal: i32) -> Done<bool> {
        let index = self.index_of(ordinal)?;
        let model = self.model(ordinal)?;
        let group = self.ledger.facts(index).link_group;
        let mut others = (0..self.ledger.device_count()).filter(|other| *other != index);
        let linked = others.any(|other| self.ledger.facts(other).link_group == group);
        Ok(model.compute_capability.0 >= 9 && model.nvlinks > 0 && linked)
    }

    /// Whether any device of this process can be in a team.
    pub(crate) fn any_can_multicast(&self) -> bool {
        let mut ordinals = 0..i32::try_from(self.device_count()).unwrap_or(0);
        ordinals.any(|ordinal| self.can_multicast(ordinal).unwrap_or(false))
    }
}

impl MemoryPart {
    /// Makes a team of so many devices.
    pub(crate) fn create_team(
        &mut self,
        process: &Process,
        wanted: u32,
        bytes: u64,
        handle_types: u32,
    ) -> Done<PhysicalHandle> {
        let file = memory_file(bytes)?;
        let place = process.ledger.make_team(process.me.slot, inode(&file)?, bytes, handle_types, wanted);
        let place = place.ok_or(Code::OUT_OF_MEMORY)?;
        process.words().shared.fetch_add(1, Relaxed);
        let team = Some(Team { place, bound: Vec::new() });
        Ok(self.physicals.insert(Physical { team, ..Physical::new(None, bytes, file, handle_types) }))
    }

    /// The team behind a file, if it is one.
    pub(super) fn import_team(
        &mut self,
        process: &Process,
        file: std::os::fd::OwnedFd,
    ) -> Done<PhysicalHandle> {
        let found = process.ledger.hold_team(process.me.slot, inode(&file)?);
        let (place, found) = found.ok_or(Code::INVALID_VALUE)?;
        process.words().shared.fetch_add(1, Relaxed);
        let team = Some(Team { place, bound: Vec::new() });
        Ok(self
            .physicals
            .insert(Physical { team, ..Physical::new(None, found.bytes, file, found.handle_types) }))
    }

    fn team(&mut self, handle: PhysicalHandle) -> Done<&mut Team> {
        let found = self.physicals.get_mut(handle).map_err(|_| Code::INVALID_VALUE)?;
        found.team.as_mut().ok_or(Code::INVALID_VALUE)
    }

    /// A team's place in the ledger.
    pub(crate) fn team_place(&mut self, handle: PhysicalHandle) -> Done<u32> {
        Ok(self.team(handle)?.place)
    }

    /// Adds a device to a team.
    pub(crate) fn join_team(&mut self, process: &Process, handle: PhysicalHandle, ordinal: i32) -> Done {
        let place = self.team(handle)?.place;
        if !process.can_multicast(ordinal)? {
            return Err(Code::NOT_SUPPORTED);
        }
        let index = process.index_of(ordinal)?;
        if process.ledger.join_team(place, index) { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }

    /// Binds a part of physical memory. The caller has waited until the team is complete.
    pub(crate) fn bind(
        &mut self,
        process: &Process,
        handle: PhysicalHandle,
        offset: u64,
        physical: PhysicalHandle,
        from: u64,
        bytes: u64,
    ) -> Done {
        let place = self.team(handle)?.place;
        let even = [offset, from, bytes].iter().all(|one| one.is_multiple_of(GRANULE)) && bytes > 0;
        let whole = self.physicals.get(handle)?.bytes;
        let memory = self.physicals.get(physical).map_err(|_| Code::INVALID_VALUE)?;
        let ordinal = memory.ordinal.filter(|_| memory.team.is_none()).ok_or(Code::INVALID_VALUE)?;
        let fits = |at: u64, whole: u64| at.checked_add(bytes).is_some_and(|end| end <= whole);
        let shown = process.ledger.team(place).handle_types != 0;
        if !even || !fits(offset, whole) || !fits(from, memory.bytes) || (shown && memory.handle_types == 0) {
            return Err(Code::INVALID_VALUE);
        }
        let index = process.index_of(ordinal)?;
        if process.ledger.team(place).added & 1 << index == 0 {
            return Err(Code::INVALID_DEVICE);
        }
        let bound = &self.team(handle)?.bound;
        let taken = |one: &Bound| {
            one.ordinal == ordinal && one.offset < offset + bytes && offset < one.offset + one.bytes
        };
        if bound.iter().any(taken) {
            return Err(Code::INVALID_VALUE);
        }
        self.physicals.get_mut(physical)?.mappings += 1;
        self.team(handle)?.bound.push(Bound { ordinal, offset, bytes, physical });
        Ok(())
    }

    /// The physical memory that is mapped at an address, and how far into it that is.
    pub(crate) fn mapped_at(&self, address: u64) -> Done<(PhysicalHandle, u64)> {
        let found = self.memory.around(address).ok_or(Code::INVALID_VALUE)?;
        let Kind::Mapping { physical, multicast: false, .. } = found.kind else {
            return Err(Code::INVALID_VALUE);
        };
        Ok((physical, address - found.base))
    }

    /// Takes back what was bound just so.
    pub(crate) fn unbind(
        &mut self,
        process: &Process,
        handle: PhysicalHandle,
        ordinal: i32,
        offset: u64,
        bytes: u64,
    ) -> Done {
        let bound = &mut self.team(handle)?.bound;
        let same = |one: &Bound| (one.ordinal, one.offset, one.bytes) == (ordinal, offset, bytes);
        let place = bound.iter().position(same).ok_or(Code::INVALID_VALUE)?;
        let one = bound.swap_remove(place);
        self.drop_physical(process, one.physical, true)
    }

    /// A team's object has ended in this process.
    pub(super) fn end_team(&mut self, process: &Process, team: Team) -> Done {
        process.words().shared.fetch_sub(1, Relaxed);
        process.ledger.let_go_of_team(team.place, process.me.slot);
        team.bound.into_iter().try_for_each(|one| self.drop_physical(process, one.physical, true))
    }
}
