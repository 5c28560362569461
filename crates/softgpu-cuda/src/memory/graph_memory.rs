//! Memory of graphs: an address is promised when the node is made, memory comes with the first launch.
//!
//! It is taken in the steps of a pool, and kept until the program asks for it back.

use fastgpu_softgpu::ledger::layout::Class;

use super::{GRANULE, Kind, space};
use super::{Home, MemoryPart};
use crate::abi::{Code, Done};
use crate::process::Process;

/// What graphs of one device hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GraphMemory {
    /// In bytes, and the most it ever was.
    pub(crate) used: [u64; 2],
    /// In bytes, and the most it ever was.
    pub(crate) reserved: [u64; 2],
}

/// Graphs take memory in steps of this.
pub(crate) const STEP: u64 = 16 * GRANULE;

impl MemoryPart {
    /// Promises an address for a graph's allocation.
    pub(crate) fn reserve_graph_memory(&mut self, bytes: u64) -> Done<u64> {
        let length = bytes.max(1).checked_next_multiple_of(GRANULE).ok_or(Code::OUT_OF_MEMORY)?;
        let base = self.memory.space.take(length, GRANULE, 0)?;
        self.memory.promised.insert(base, length);
        Ok(base)
    }

    /// Whether an address was promised to a graph.
    pub(crate) fn is_graph_memory(&self, address: u64) -> bool {
        self.memory.promised.contains_key(&address)
    }

    /// Gives a promised address memory, if it has none from an earlier launch.
    pub(crate) fn commit_graph_memory(
        &mut self,
        process: &Process,
        home: Home,
        address: u64,
        bytes: u64,
    ) -> Done {
        let ordinal = home.ordinal;
        let length = *self.memory.promised.get(&address).ok_or(Code::INVALID_VALUE)?;
        if self.memory.at(address).is_none() {
            let place = ordinal.cast_unsigned() as usize;
            let held = self.graph_memory.get(place).copied().unwrap_or_default();
            let needed = (held.used[0] + length).next_multiple_of(STEP);
            if needed > held.reserved[0] {
                process.charge(ordinal, Class::Pool, needed - held.reserved[0])?;
                let held = &mut self.graph_memory[place];
                held.reserved = [needed, held.reserved[1].max(needed)];
            }
            space::commit(address, length)?;
            let held = &mut self.graph_memory[place];
            held.used[0] += length;
            held.used[1] = held.used[1].max(held.used[0]);
            self.note(address, bytes, length, home, Kind::Graph);
        }
        Ok(())
    }
}
