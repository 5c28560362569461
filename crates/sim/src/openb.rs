//! The packing experiment of the FGD paper on Alibaba's "openb" cluster: tasks come one by one, none leaves, and one
//! that finds no place at once is lost. What counts is how much of all GPUs is allocated when 100, 110, 120 and
//! 130 % of them have been asked for.
//!
//! The order of tasks follows the published rule with Python's random numbers, so that a run here and a run of a
//! program in Python with the same seed see the same tasks and can be compared pair by pair.

mod page;
mod read;
mod run;

pub use page::report;
pub use read::{Experiment, read_order};
pub use run::{Answer, DecisionUs, Figures, SeedAnswer, run};

use crate::python_random::PythonRandom;

/// Thousandths of a GPU.
const FULL: u64 = 1_000;

/// One task of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenbTask {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Host memory in MiB.
    pub memory_mib: u64,
    /// How many GPUs.
    pub gpus: u16,
    /// Thousandths of each.
    pub gpu_milli: u32,
    /// The types it accepts, `|` between them; empty for any.
    pub types: String,
}

impl OpenbTask {
    fn milli(&self) -> u64 {
        u64::from(self.gpus) * u64::from(self.gpu_milli)
    }
}

/// Tasks in their order of arrival, as places in `tasks`: the list shuffled once, then topped up with draws from it,
/// or thinned, until `percent` of `capacity_milli` is asked for.
#[must_use]
pub fn arrivals(
    tasks: &[OpenbTask],
    capacity_milli: u64,
    percent: u64,
    random: &mut PythonRandom,
) -> Vec<usize> {
    let limit = capacity_milli * percent / 100;
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    random.shuffle(&mut order);
    let mut total: u64 = tasks.iter().map(OpenbTask::milli).sum();
    if total > limit {
        while total > limit {
            let gone = order.remove(random.place(order.len()));
            total -= tasks[gone].milli();
        }
        return order;
    }
    // A list that asks for no GPU at all would be drawn from for ever.
    while total > 0 {
        let next = random.place(tasks.len());
        // The rule counts one GPU of the task here, and all of them below.
        if total + u64::from(tasks[next].gpu_milli) > limit {
            break;
        }
        total += tasks[next].milli();
        order.push(next);
    }
    order
}
