//! Host memory that the device may touch: allocated here, or made known.

use super::{Allocation, GRANULE, Kind, space};
use super::{Home, MemoryPart};
use crate::abi::{Code, Done};

/// The unit of host memory.
const PAGE: u64 = 4096;

impl MemoryPart {
    /// Allocates host memory. It lies in our space, so that it is told from the program's own.
    pub(crate) fn allocate_host(&mut self, home: Home, bytes: u64, flags: u32) -> Done<u64> {
        let mapped = bytes.checked_next_multiple_of(GRANULE).filter(|mapped| *mapped > 0);
        let mapped = mapped.ok_or(Code::INVALID_VALUE)?;
        let base = self.memory.space.take(mapped, GRANULE, 0)?;
        if let Err(code) = space::commit(base, bytes.next_multiple_of(PAGE)) {
            self.memory.space.give(base, mapped);
            return Err(code);
        }
        self.note(base, bytes, mapped, home, Kind::Host { flags });
        Ok(base)
    }

    /// Frees host memory. The caller has waited for the device.
    pub(crate) fn free_host(&mut self, base: u64) -> Done {
        let Some(Allocation { kind, mapped, .. }) = self.memory.at(base) else {
            return Err(Code::INVALID_VALUE);
        };
        let mapped = *mapped;
        match kind {
            Kind::Host { .. } => {
                self.memory.remove(base);
                self.unmap(base, mapped);
                Ok(())
            }
            Kind::Registered { .. } => {
                self.memory.remove(base);
                Ok(())
            }
            _ => Err(Code::INVALID_VALUE),
        }
    }

    /// Makes host memory of the program known.
    pub(crate) fn register(&mut self, home: Home, base: u64, bytes: u64, flags: u32) -> Done {
        if base == 0 || bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let end = base.checked_add(bytes).ok_or(Code::INVALID_VALUE)?;
        let taken = self.memory.knows(base) || self.memory.knows(end - 1);
        if taken || self.memory.within(base, bytes).next().is_some() {
            return Err(Code::HOST_MEMORY_ALREADY_REGISTERED);
        }
        self.note(base, bytes, bytes, home, Kind::Registered { flags });
        Ok(())
    }
}
