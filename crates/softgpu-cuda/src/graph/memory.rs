//! What launches hold of the memory of graphs, and giving back what none of them does.

use fastgpu_softgpu::ledger::layout::Class;

use super::GraphPart;
use crate::abi::{Code, Done};
use crate::memory::graph_memory::STEP;
use crate::memory::{Kind, space};
use crate::process::Process;

impl GraphPart {
    /// Frees what a launch allocated, outside of any graph.
    pub(crate) fn free_graph_memory(&mut self, address: u64) -> Done {
        let live = self.execs.handles(|exec| exec.live.contains(&address));
        if live.is_empty() {
            return Err(Code::INVALID_VALUE);
        }
        for exec in live {
            self.execs.get_mut(exec)?.live.retain(|one| *one != address);
        }
        Ok(())
    }

    /// Gives back what no launch holds. The caller has waited for the device.
    pub(crate) fn trim_graph_memory(&mut self, process: &Process, ordinal: i32) {
        let idle: Vec<(u64, u64)> = self
            .memory
            .iter()
            .filter(|one| one.kind == Kind::Graph && one.ordinal == ordinal)
            .filter(|one| !self.execs.iter().any(|(_, exec)| exec.live.contains(&one.base)))
            .map(|one| (one.base, one.mapped))
            .collect();
        let place = ordinal.cast_unsigned() as usize;
        for (base, length) in idle {
            space::decommit(base, length);
            self.memory.remove(base);
            self.graph_memory[place].used[0] -= length;
        }
        let held = &mut self.graph_memory[place];
        let keep = held.used[0].next_multiple_of(STEP);
        let given = held.reserved[0].saturating_sub(keep);
        held.reserved[0] -= given;
        process.release(ordinal, Class::Pool, given);
    }
}
