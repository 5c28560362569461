//! What commands and plans changed, collected until it is made durable.

use std::collections::BTreeMap;

use crate::change::{Actor, Audit, Change};
use crate::ids::{NodeId, TaskId};
use crate::node::Order;
use crate::state::State;
use crate::task::Task;
use crate::units::Timestamp;

/// What commands and plans changed, until [`Changes::finish`].
#[derive(Debug, Default)]
pub struct Changes {
    pub(super) rows: Vec<Change>,
    /// Tasks to write; `true` if no row of them exists yet.
    pub(super) touched: BTreeMap<TaskId, bool>,
    /// Tasks that left the state because they are over.
    pub(super) ended: BTreeMap<TaskId, Task>,
    pub(super) orders: Vec<(NodeId, Order)>,
    pub(super) tokens_changed: bool,
}

/// The outcome of a batch: what to make durable, and what to tell whom afterwards.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows for one transaction.
    pub rows: Vec<Change>,
    /// Orders to send once the rows are durable.
    pub orders: Vec<(NodeId, Order)>,
    /// Tasks that moved, for those who wait for news of them.
    pub moved: Vec<TaskId>,
    /// Whether the set of tokens is another.
    pub tokens_changed: bool,
}

impl Changes {
    /// Whether nothing is to be written or said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.touched.is_empty() && self.orders.is_empty()
    }

    /// What to write and whom to tell. Each task is written once, as it is now.
    #[must_use]
    pub fn finish(mut self, state: &State) -> Outcome {
        let moved = self.touched.keys().copied().collect();
        let mut rows = Vec::with_capacity(self.rows.len() + self.touched.len());
        for (id, new) in self.touched {
            let task = self.ended.remove(&id).or_else(|| state.task(id).cloned());
            let task = task.expect("a touched task is alive or has just ended");
            rows.push(Change::Task { task, new });
        }
        rows.append(&mut self.rows);
        Outcome { rows, orders: self.orders, moved, tokens_changed: self.tokens_changed }
    }

    pub(super) fn audit(&mut self, at: Timestamp, actor: Actor, action: &'static str, object: String) {
        self.rows.push(Change::Audit(Audit { at, actor, action, object }));
    }
}
