//! Teams of devices that memory is to be written to at once: who is in them, for as long as any process has them open.
//!
//! What each process binds to a team is its own affair; here is what several must agree on. Everything lies in the
//! registry and changes under its lock.

use super::layout::{PROCESSES_MAX, Registry, TEAMS_MAX, Team};
use super::{Ledger, RegistryGuard};

impl Team {
    fn holder(slot: u32) -> (usize, u64) {
        (slot as usize / 64, 1 << (slot % 64))
    }

    fn hold(&mut self, slot: u32) {
        let (word, bit) = Self::holder(slot);
        self.holders[word] |= bit;
    }

    fn let_go(&mut self, slot: u32) {
        let (word, bit) = Self::holder(slot);
        self.holders[word] &= !bit;
        if self.holders == [0; PROCESSES_MAX / 64] {
            self.id = 0;
        }
    }

    /// Whether all devices that are to come have come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.id != 0 && self.added.count_ones() >= self.wanted
    }
}

impl Ledger {
    /// Makes a team of so many devices, known by a file; its place, or `None` if there is room for no more.
    #[must_use]
    pub fn make_team(
        &self,
        slot: u32,
        inode: u64,
        bytes: u64,
        handle_types: u32,
        wanted: u32,
    ) -> Option<u32> {
        let mut registry = self.registry();
        let place = registry.teams.iter().position(|team| team.id == 0)?;
        registry.team_serial += 1;
        let id = registry.team_serial;
        let holders = [0; PROCESSES_MAX / 64];
        let mut team = Team { id, inode, bytes, added: 0, wanted, handle_types, holders };
        team.hold(slot);
        registry.teams[place] = team;
        u32::try_from(place).ok()
    }

    /// The team that is known by a file, held by `slot` too from now on.
    #[must_use]
    pub fn hold_team(&self, slot: u32, inode: u64) -> Option<(u32, Team)> {
        let mut registry = self.registry();
        let named = |team: &Team| team.id != 0 && team.inode == inode;
        let place = registry.teams.iter().position(named)?;
        registry.teams[place].hold(slot);
        Some((u32::try_from(place).ok()?, registry.teams[place]))
    }

    /// A team as it is now.
    #[must_use]
    pub fn team(&self, place: u32) -> Team {
        self.registry().teams[place as usize]
    }

    /// Adds a device to a team for as long as it lives; false if it is in it already, or there is no room for it.
    #[must_use]
    pub fn join_team(&self, place: u32, device: usize) -> bool {
        let mut registry = self.registry();
        let team = &mut registry.teams[place as usize];
        let bit = 1 << device;
        let may = team.id != 0 && team.added & bit == 0 && team.added.count_ones() < team.wanted;
        if may {
            team.added |= bit;
        }
        may
    }

    /// `slot` lets go of a team.
    pub fn let_go_of_team(&self, place: u32, slot: u32) {
        self.registry().teams[place as usize].let_go(slot);
    }

    /// How many teams are held by somebody.
    #[must_use]
    pub fn teams_held(&self) -> usize {
        self.registry().teams.iter().filter(|team| team.id != 0).count()
    }

    /// A process is dead: it holds no team.
    pub(super) fn forget_teams_of(registry: &mut RegistryGuard, slot: u32) {
        let registry: &mut Registry = registry;
        let teams: &mut [Team; TEAMS_MAX] = &mut registry.teams;
        teams.iter_mut().filter(|team| team.id != 0).for_each(|team| team.let_go(slot));
    }
}
