//! What nodes report, and what follows. A report may come late, twice or out of order: its fence decides.

use std::collections::BTreeMap;

use crate::change::{Actor, Attempt, Change, NodeRow};
use crate::ids::{Fence, NodeId, TaskId};
use crate::node::{Exit, HeldAttempt, Order, Report};
use crate::state::life::Ended;
use crate::state::{Changes, State};
use crate::task::{TaskEvent, TaskState, Work};
use crate::units::{Millis, Timestamp};

/// An attempt nobody wants any more gets this long from SIGTERM to SIGKILL.
const STRAY_GRACE: Millis = Millis::from_secs(10);

impl State {
    pub(super) fn report(&mut self, node: NodeId, report: Report, now: Timestamp, out: &mut Changes) {
        let actor = Actor::Node(node);
        match report {
            Report::Hello { inventory, attempts } => {
                self.remember_node(node, &inventory.hostname, out);
                self.cluster.set_inventory(node, inventory);
                self.reconcile(node, attempts, now, out);
            }
            Report::Inventory(inventory) => self.cluster.set_inventory(node, inventory),
            Report::Started { task, fence, at } => self.started(node, task, fence, at.min(now), now, out),
            Report::Exited { task, fence, exit } => self.exited(node, task, fence, exit, now, out),
            Report::Regranted { .. } => {}
            Report::Suspended { task, fence } => {
                let _ = self.advance(task, TaskEvent::Suspended(fence), "suspended", None, actor, now, out);
            }
            Report::Resumed { task, fence } => {
                let _ = self.advance(task, TaskEvent::Resumed(fence), "resumed", None, actor, now, out);
            }
            Report::Lost => {
                self.cluster.set_absent(node);
                for (task, fence) in self.placed_on(node) {
                    self.finish(task, fence, Ended::NodeLost, Actor::Scheduler, now, out);
                }
            }
        }
    }

    fn remember_node(&mut self, id: NodeId, hostname: &crate::ids::Name, out: &mut Changes) {
        let known = self.cluster.node(id);
        if known.is_none_or(|node| node.hostname != *hostname) {
            let drained = known.is_some_and(|node| node.drained);
            out.rows.push(Change::Node(NodeRow { id, hostname: hostname.clone(), drained }));
        }
    }

    fn started(
        &mut self,
        node: NodeId,
        id: TaskId,
        fence: Fence,
        at: Timestamp,
        now: Timestamp,
        out: &mut Changes,
    ) {
        let event = TaskEvent::Started { fence, at };
        if self.advance(id, event, "started", None, Actor::Node(node), now, out).is_ok() {
            let task = &self.tasks[&id];
            let hold = task.state.hold().expect("a started task is placed");
            out.rows.push(Change::Attempt(Attempt {
                task: id,
                attempt: fence.attempt,
                parts: hold.grant.parts.clone(),
                placed_at: hold.placed_at,
                started_at: Some(at),
                ended: None,
            }));
        } else if !self.is_current(node, id, fence) {
            out.orders.push((node, Order::Stop { task: id, fence, grace: STRAY_GRACE }));
        }
    }

    /// Every end is acknowledged, wanted or not: the node keeps it until then.
    fn exited(
        &mut self,
        node: NodeId,
        id: TaskId,
        fence: Fence,
        exit: Exit,
        now: Timestamp,
        out: &mut Changes,
    ) {
        if self.is_current(node, id, fence) {
            self.finish(id, fence, Ended::Exit(exit), Actor::Node(node), now, out);
        }
        out.orders.push((node, Order::Forget { task: id, attempt: fence.attempt }));
    }

    /// Compares what the node holds with what it should hold, and makes them agree.
    fn reconcile(&mut self, node: NodeId, attempts: Vec<HeldAttempt>, now: Timestamp, out: &mut Changes) {
        let mut held: BTreeMap<(TaskId, u32), HeldAttempt> =
            attempts.into_iter().map(|held| ((held.task, held.fence.attempt), held)).collect();
        for (id, fence) in self.placed_on(node) {
            match held.remove(&(id, fence.attempt)) {
                Some(attempt) => self.adopt_attempt(node, attempt, now, out),
                None => self.missing(node, id, fence, now, out),
            }
        }
        for ((task, attempt), stray) in held {
            out.orders.push((
                node,
                match stray.exit {
                    Some(_) => Order::Forget { task, attempt },
                    None => Order::Stop { task, fence: stray.fence, grace: STRAY_GRACE },
                },
            ));
        }
    }

    /// The node holds an attempt that it should hold.
    fn adopt_attempt(&mut self, node: NodeId, attempt: HeldAttempt, now: Timestamp, out: &mut Changes) {
        if let Some(at) = attempt.started {
            self.started(node, attempt.task, attempt.fence, at.min(now), now, out);
        }
        if let Some(exit) = attempt.exit {
            self.exited(node, attempt.task, attempt.fence, exit, now, out);
        } else if let Some(task) = self.tasks.get(&attempt.task)
            && let TaskState::Stopping { hold, .. } = &task.state
        {
            // The order to stop may have been lost.
            let (fence, grace) = (hold.grant.fence, task.terms.limits.stop_grace);
            out.orders.push((node, Order::Stop { task: attempt.task, fence, grace }));
        }
    }

    /// The node does not hold an attempt that it should hold.
    fn missing(&mut self, node: NodeId, id: TaskId, fence: Fence, now: Timestamp, out: &mut Changes) {
        match &self.tasks[&id].state {
            // The order never arrived. Sent again it cannot run twice: the node knows the attempts it saw.
            TaskState::Starting { .. } => self.order_launch(id, out),
            // Launch and stop may both be under way still, so the end is not ours to declare: a node told to
            // stop an attempt it never saw refuses it from then on, and reports it ended.
            TaskState::Stopping { .. } => {
                let grace = self.tasks[&id].terms.limits.stop_grace;
                out.orders.push((node, Order::Stop { task: id, fence, grace }));
            }
            _ => {
                self.finish(id, fence, Ended::NodeLost, Actor::Node(node), now, out);
            }
        }
    }

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
