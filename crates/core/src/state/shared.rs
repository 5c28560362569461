//! Equal parts of tasks, kept in memory once: a hundred thousand tasks share a few terms, asks and names.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ask::Ask;
use crate::ids::Name;
use crate::task::Task;
use crate::terms::Terms;

/// Every part that some task has, once.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    terms: BTreeSet<Arc<Terms>>,
    asks: BTreeSet<Arc<Ask>>,
    names: BTreeSet<Name>,
}

impl Shared {
    /// Makes `task` use the copies that others use.
    pub(super) fn share(&mut self, task: &mut Task) {
        for name in [&mut task.project, &mut task.owner] {
            share(&mut self.names, name);
        }
        if !self.terms.contains(&task.terms) {
            let terms = Arc::make_mut(&mut task.terms);
            share(&mut self.asks, &mut terms.ask);
            share(&mut self.names, &mut terms.queue);
        }
        share(&mut self.terms, &mut task.terms);
    }
}

/// Replaces `part` by the copy in `table`, or makes it the copy.
fn share<T: Ord + ?Sized>(table: &mut BTreeSet<Arc<T>>, part: &mut Arc<T>) {
    if let Some(known) = table.get(part) {
        *part = known.clone();
    } else {
        forget_unused(table);
        table.insert(part.clone());
    }
}

/// Sweeps a table each time it doubles, so that parts nobody uses do not stay for ever.
fn forget_unused<T: Ord + ?Sized>(table: &mut BTreeSet<Arc<T>>) {
    const SWEEP_FROM: usize = 1_024;
    if table.len() >= SWEEP_FROM && table.len().is_power_of_two() {
        table.retain(|part| Arc::strong_count(part) > 1);
    }
}
