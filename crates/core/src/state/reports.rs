//! What nodes report, and what follows. A report may come late, twice or out of order: its fence decides.

use std::collections::BTreeMap;

use crate::cause::Cause;
use crate::change::{Actor, Attempt, Change, NodeRow};
use crate::ids::{Fence, NodeId, TaskId};
use crate::node::{Exit, HeldAttempt, Order, Report};
use crate::state::State;
use crate::state::life::Ended;
use crate::state::turn::Turn;
use crate::task::{Rejected, TaskEvent, TaskState, Work};
use crate::units::{Millis, Timestamp};

/// An attempt nobody wants any more gets this long from SIGTERM to SIGKILL.
const STRAY_GRACE: Millis = Millis::from_secs(10);

impl Turn<'_> {
    /// Takes in what a node says.
    pub(super) fn report(&mut self, node: NodeId, report: Report) {
        match report {
            Report::Hello { inventory, attempts } => {
                self.remember_node(node, &inventory.hostname);
                self.state.cluster.set_inventory(node, inventory);
                self.reconcile(node, attempts);
            }
            Report::Inventory(inventory) => self.state.cluster.set_inventory(node, inventory),
            Report::Started { task, fence, at } => self.started(node, task, fence, at.min(self.now)),
            Report::Exited { task, fence, exit } => self.exited(node, task, fence, exit),
            Report::Regranted { .. } => {}
            Report::Suspended { task, fence } => {
                self.hear(task, TaskEvent::Suspended(fence), Cause::Suspended);
            }
            Report::Resumed { task, fence } => self.hear(task, TaskEvent::Resumed(fence), Cause::Resumed),
            Report::Lost => {
                self.state.cluster.set_absent(node);
                let mut turn = self.by(Actor::Scheduler);
                for (task, fence) in turn.state.placed_on(node) {
                    turn.finish(task, fence, Ended::NodeLost);
                }
            }
        }
    }

    /// Moves a task as a node says that it moved. What is old or known moves nothing.
    fn hear(&mut self, id: TaskId, event: TaskEvent, cause: Cause) {
        match self.advance(id, event, cause, None) {
            Ok(()) | Err(Rejected::Stale | Rejected::Already) => {}
            Err(Rejected::Illegal) => unreachable!("{id}: a report is stale or known, never illegal"),
        }
    }

    fn remember_node(&mut self, id: NodeId, hostname: &crate::ids::Name) {
        let known = self.state.cluster.node(id);
        if known.is_none_or(|node| node.hostname != *hostname) {
            let drained = known.is_some_and(|node| node.drained);
            self.changes.rows.push(Change::Node(NodeRow { id, hostname: hostname.clone(), drained }));
        }
    }

    fn started(&mut self, node: NodeId, id: TaskId, fence: Fence, at: Timestamp) {
        let event = TaskEvent::Started { fence, at };
        if self.advance(id, event, Cause::Started, None).is_ok() {
            let task = &self.state.tasks[&id];
            let hold = task.state.hold().expect("a started task is placed");
            self.changes.rows.push(Change::Attempt(Attempt {
                task: id,
                attempt: fence.attempt,
                parts: hold.grant.parts.clone(),
                placed_at: hold.placed_at,
                started_at: Some(at),
                ended: None,
            }));
        } else if !self.state.is_current(node, id, fence) {
            self.order(node, Order::Stop { task: id, fence, grace: STRAY_GRACE });
        }
    }

    /// Every end is acknowledged, wanted or not: the node keeps it until then.
    fn exited(&mut self, node: NodeId, id: TaskId, fence: Fence, exit: Exit) {
        if self.state.is_current(node, id, fence) {
            self.finish(id, fence, Ended::Exit(exit));
        }
        self.order(node, Order::Forget { task: id, attempt: fence.attempt });
    }

    /// Compares what the node holds with what it should hold, and makes them agree.
    fn reconcile(&mut self, node: NodeId, attempts: Vec<HeldAttempt>) {
        let mut held: BTreeMap<(TaskId, u32), HeldAttempt> =
            attempts.into_iter().map(|held| ((held.task, held.fence.attempt), held)).collect();
        for (id, fence) in self.state.placed_on(node) {
            match held.remove(&(id, fence.attempt)) {
                Some(attempt) => self.adopt_attempt(node, attempt),
                None => self.missing(node, id, fence),
            }
        }
        for ((task, attempt), stray) in held {
            let order = match stray.exit {
                Some(_) => Order::Forget { task, attempt },
                None => Order::Stop { task, fence: stray.fence, grace: STRAY_GRACE },
            };
            self.order(node, order);
        }
    }

    /// The node holds an attempt that it should hold.
    fn adopt_attempt(&mut self, node: NodeId, attempt: HeldAttempt) {
        if let Some(at) = attempt.started {
            self.started(node, attempt.task, attempt.fence, at.min(self.now));
        }
        if let Some(exit) = attempt.exit {
            self.exited(node, attempt.task, attempt.fence, exit);
        } else if let Some(task) = self.state.tasks.get(&attempt.task)
            && let TaskState::Stopping { hold, .. } = &task.state
        {
            // The order to stop may have been lost.
            let (fence, grace) = (hold.grant.fence, task.terms.limits.stop_grace);
            self.order(node, Order::Stop { task: attempt.task, fence, grace });
        }
    }

    /// The node does not hold an attempt that it should hold.
    fn missing(&mut self, node: NodeId, id: TaskId, fence: Fence) {
        match &self.state.tasks[&id].state {
            // The order never arrived. Sent again it cannot run twice: the node knows the attempts it saw.
            TaskState::Starting { .. } => self.order_launch(id),
            // Launch and stop may both be under way still, so the end is not ours to declare: a node told to
            // stop an attempt it never saw refuses it from then on, and reports it ended.
            TaskState::Stopping { .. } => {
                let grace = self.state.tasks[&id].terms.limits.stop_grace;
                self.order(node, Order::Stop { task: id, fence, grace });
            }
            _ => {
                self.finish(id, fence, Ended::NodeLost);
            }
        }
    }
}

impl State {
    /// Programs that should be running on `node`.
    fn placed_on(&self, node: NodeId) -> Vec<(TaskId, Fence)> {
        let Some(node) = self.cluster.node(node) else { return Vec::new() };
        node.held()
            .filter_map(|(id, _)| {
                let task = self.tasks.get(&id)?;
                let hold = task.state.hold()?;
                let runs_here = matches!(task.work, Work::Program(_)) && hold.grant.first_node() == node.id;
                runs_here.then_some((id, hold.grant.fence))
            })
            .collect()
    }

    fn is_current(&self, node: NodeId, id: TaskId, fence: Fence) -> bool {
        let hold = self.tasks.get(&id).and_then(|task| task.state.hold());
        hold.is_some_and(|hold| hold.grant.fence.attempt == fence.attempt && hold.grant.first_node() == node)
    }
}
