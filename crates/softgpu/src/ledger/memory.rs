//! Who holds how much of a device, to the byte.
//!
//! An account per process is the truth; the sum is kept beside it and recomputed after a death. Memory that
//! several processes hold is charged to one of them and passes on when that one goes.

use super::layout::{Account, Class, DeviceState, Facts, ObjectKind, SharedObject};
use crate::fault::{Health, code};

/// Why an allocation was refused: the driver's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// As in `CUresult`.
    pub code: u32,
}

impl Account {
    /// All of it, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// What the driver shows as the process's, in bytes.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.total() - self.bytes[Class::Driver as usize]
    }
}

impl Facts {
    /// What programs can have in all, in bytes.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.memory_total_bytes - self.memory_reserved_bytes
    }
}

impl DeviceState {
    /// What nobody holds, in bytes.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.facts.capacity_bytes().saturating_sub(self.memory_used_bytes)
    }

    /// Whether so much more may be held. `pid` is for faults that hit only one.
    fn admit(&mut self, pid: u32, class: Class, bytes: u64) -> Result<(), Refused> {
        if self.faults.health() == Health::Lost {
            return Err(Refused { code: code::UNKNOWN });
        }
        self.ordered_failure(pid, class)?;
        if bytes > self.free_bytes() {
            return Err(Refused { code: code::OUT_OF_MEMORY });
        }
        Ok(())
    }

    /// Charges a process, if there is room. `pid` is for faults that hit only one.
    pub fn charge(&mut self, slot: u32, pid: u32, class: Class, bytes: u64) -> Result<(), Refused> {
        self.admit(pid, class, bytes)?;
        self.accounts[slot as usize].bytes[class as usize] += bytes;
        self.memory_used_bytes += bytes;
        Ok(())
    }

    fn ordered_failure(&mut self, pid: u32, class: Class) -> Result<(), Refused> {
        let faults = &mut self.faults;
        let of_a_program = !matches!(class, Class::Context | Class::Module | Class::Driver);
        let meant = faults.allocation_pid == 0 || faults.allocation_pid == pid;
        if faults.allocation_armed == 0 || !of_a_program || !meant {
            return Ok(());
        }
        if faults.allocations_left > 0 {
            faults.allocations_left -= 1;
            return Ok(());
        }
        Err(Refused { code: faults.allocation_code })
    }

    /// Takes back what [`charge`](Self::charge) charged.
    pub fn release(&mut self, slot: u32, class: Class, bytes: u64) {
        let held = &mut self.accounts[slot as usize].bytes[class as usize];
        debug_assert!(*held >= bytes, "{class:?}: {bytes} returned of {held}");
        let returned = bytes.min(*held);
        *held -= returned;
        self.memory_used_bytes -= returned;
    }

    /// Turns bytes that `slot` holds as `class` into an allocation that others may hold too, and names it.
    pub fn share(&mut self, slot: u32, class: Class, bytes: u64) -> Option<u64> {
        let place = self.objects.iter().position(|object| object.id == 0)?;
        self.object_serial += 1;
        let id = self.object_serial;
        let object = &mut self.objects[place];
        object.bytes = bytes;
        object.charged = slot + 1;
        object.kind = ObjectKind::Allocation as u32;
        object.inode = 0;
        object.holders = [0; _];
        object.set_holder(slot, true);
        object.id = id;
        let account = &mut self.accounts[slot as usize].bytes;
        account[class as usize] -= bytes;
        account[Class::Shared as usize] += bytes;
        Some(id)
    }

    /// Takes back what [`share`](Self::share) did, if nobody else came to hold it.
    pub fn unshare(&mut self, id: u64, slot: u32, class: Class) {
        let Some(object) = self.objects.iter_mut().find(|object| object.id == id && id != 0) else { return };
        object.id = 0;
        let bytes = object.bytes;
        let account = &mut self.accounts[slot as usize].bytes;
        account[Class::Shared as usize] -= bytes;
        account[class as usize] += bytes;
    }

    /// Says what a shared allocation is and in which file.
    pub fn name_object(&mut self, id: u64, kind: ObjectKind, inode: u64) {
        if let Some(object) = self.objects.iter_mut().find(|object| object.id == id) {
            object.kind = kind as u32;
            object.inode = inode;
        }
    }

    /// The shared allocation of a kind that is in a file.
    #[must_use]
    pub fn object_named(&self, kind: ObjectKind, inode: u64) -> Option<u64> {
        let named = |object: &&SharedObject| object.kind == kind as u32 && object.inode == inode;
        let found = self.objects.iter().filter(|object| object.id != 0).find(named);
        found.map(|object| object.id)
    }

    /// Lets a shared allocation grow, if there is room; whoever pays for it pays for that too.
    pub fn grow_object(&mut self, id: u64, pid: u32, bytes: u64) -> Result<(), Refused> {
        self.admit(pid, Class::Shared, bytes)?;
        let object = self.objects.iter_mut().find(|object| object.id == id && id != 0);
        let payer = object.and_then(|object| {
            object.bytes += bytes;
            object.charged.checked_sub(1)
        });
        let payer = payer.ok_or(Refused { code: code::UNKNOWN })?;
        self.accounts[payer as usize].bytes[Class::Shared as usize] += bytes;
        self.memory_used_bytes += bytes;
        Ok(())
    }

    /// How large a shared allocation is, or `None` if it is gone.
    #[must_use]
    pub fn object_bytes(&self, id: u64) -> Option<u64> {
        self.objects.iter().find(|object| object.id == id && id != 0).map(|object| object.bytes)
    }

    /// Lets `slot` hold a shared allocation too; says how large it is, or `None` if it is gone.
    pub fn hold(&mut self, id: u64, slot: u32) -> Option<u64> {
        let object = self.objects.iter_mut().find(|object| object.id == id && id != 0)?;
        object.set_holder(slot, true);
        Some(object.bytes)
    }

    /// `slot` lets go of a shared allocation. True if it was the last holder and the memory is free.
    pub fn let_go(&mut self, id: u64, slot: u32) -> bool {
        let Some(place) = self.objects.iter().position(|object| object.id == id && id != 0) else {
            return false;
        };
        let gone = self.pass_on(place, slot);
        if gone {
            self.objects[place].id = 0;
        }
        gone
    }

    /// Takes `slot` from the holders of an object and the charge from it; true if nobody is left.
    fn pass_on(&mut self, place: usize, slot: u32) -> bool {
        let object = &mut self.objects[place];
        object.set_holder(slot, false);
        let heir = object.first_holder();
        let (bytes, pays) = (object.bytes, object.charged == slot + 1);
        if !pays {
            return heir.is_none();
        }
        object.charged = heir.map_or(0, |heir| heir + 1);
        self.accounts[slot as usize].bytes[Class::Shared as usize] -= bytes;
        match heir {
            Some(heir) => self.accounts[heir as usize].bytes[Class::Shared as usize] += bytes,
            None => self.memory_used_bytes -= bytes,
        }
        heir.is_none()
    }

    /// Returns everything a process held; names the shared allocations that ended with it. Doing it twice,
    /// or half and then wholly, gives the same.
    pub fn forget_process(&mut self, slot: u32) -> Vec<u64> {
        let mut ended = Vec::new();
        for place in 0..self.objects.len() {
            if self.objects[place].id != 0 && self.objects[place].is_holder(slot) {
                let id = self.objects[place].id;
                if self.pass_on(place, slot) {
                    self.objects[place].id = 0;
                    ended.push(id);
                }
            }
        }
        let held = self.accounts[slot as usize].total();
        self.accounts[slot as usize] = Account::default();
        self.memory_used_bytes -= held;
        self.schedule.close_all_of(slot);
        ended
    }

    /// Makes the sums agree with what they are sums of, after somebody died while writing.
    pub(super) fn mend(&mut self) {
        for account in &mut self.accounts {
            account.bytes[Class::Shared as usize] = 0;
        }
        for object in self.objects.iter_mut().filter(|object| object.id != 0) {
            match object.first_holder() {
                None => object.id = 0,
                Some(heir) => {
                    let pays = object.charged.checked_sub(1).filter(|slot| object.is_holder(*slot));
                    let pays = pays.unwrap_or(heir);
                    object.charged = pays + 1;
                    self.accounts[pays as usize].bytes[Class::Shared as usize] += object.bytes;
                }
            }
        }
        self.memory_used_bytes = self.accounts.iter().map(Account::total).sum();
        self.schedule.mend();
    }

    /// Whether the sums agree, for tests and the ledger tool.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let shared: u64 =
            self.objects.iter().filter(|object| object.id != 0).map(|object| object.bytes).sum();
        let class = Class::Shared as usize;
        let charged: u64 = self.accounts.iter().map(|account| account.bytes[class]).sum();
        let sum: u64 = self.accounts.iter().map(Account::total).sum();
        sum == self.memory_used_bytes && shared == charged && sum <= self.facts.capacity_bytes()
    }
}

impl SharedObject {
    /// Whether this process slot holds it.
    #[must_use]
    pub fn is_holder(&self, slot: u32) -> bool {
        self.holders[slot as usize / 64] & (1 << (slot % 64)) != 0
    }

    fn set_holder(&mut self, slot: u32, yes: bool) {
        let word = &mut self.holders[slot as usize / 64];
        let bit = 1 << (slot % 64);
        *word = if yes { *word | bit } else { *word & !bit };
    }

    fn first_holder(&self) -> Option<u32> {
        let (index, word) = (0u32..).zip(&self.holders).find(|(_, word)| **word != 0)?;
        Some(index * 64 + word.trailing_zeros())
    }
}
