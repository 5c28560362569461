//! The life of an attempt: placed, stopped, ended; what it is charged and what follows.

use crate::ask::{Grant, GrantPart};
use crate::cause::Cause;
use crate::change::{Attempt, AttemptEnd, Change};
use crate::ids::{Fence, NodeId, TaskId};
use crate::meter;
use crate::node::{Exit, ExitKind, Launch, Order};
use crate::predict::Run;
use crate::retry::{self, Budget, FailureClass, Strikes, Verdict};
use crate::state::turn::Turn;
use crate::task::{End, Hold, Next, Outcome, QueueCause, StopCause, TaskEvent, TaskState, Work};
use crate::units::Millis;

/// What ended an attempt.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    /// The node says so.
    Exit(Exit),
    /// The node is gone.
    NodeLost,
    /// A reservation's time is over, or it was given back.
    Reservation(Outcome),
}

impl Ended {
    fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Exit(exit) => FailureClass::of_exit(exit),
            Self::NodeLost => Some(FailureClass::NodeLost),
            Self::Reservation(_) => None,
        }
    }

    const fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exit(exit) => Some(exit),
            Self::NodeLost | Self::Reservation(_) => None,
        }
    }

    const fn cause(&self) -> Cause {
        match self {
            Self::Exit(_) => Cause::Exited,
            Self::NodeLost => Cause::NodeLost,
            Self::Reservation(_) => Cause::Over,
        }
    }
}

/// What the end of an attempt leaves with its task.
struct Aftermath {
    next: Next,
    strikes: Strikes,
    broken_node: Option<NodeId>,
    fault: Option<String>,
}

impl Turn<'_> {
    /// Gives a queued task its grant and tells its node.
    pub(super) fn place(&mut self, id: TaskId, grant: Grant) {
        let fence = grant.fence;
        let detail = Some(describe(&grant));
        let attempt = Attempt {
            task: id,
            attempt: fence.attempt,
            parts: grant.parts.clone(),
            placed_at: self.now,
            started_at: None,
            ended: None,
        };
        let placed = self.advance(id, TaskEvent::Placed(grant), Cause::Placed, detail);
        placed.expect("only ready tasks are placed");
        self.changes.rows.push(Change::Attempt(attempt));
        match self.state.tasks[&id].work {
            Work::Program(_) => self.order_launch(id),
            Work::Reservation(_) => {
                let event = TaskEvent::Started { fence, at: self.now };
                let started = self.advance(id, event, Cause::Started, None);
                started.expect("a reservation that was just placed begins");
            }
        }
    }

    /// Tells the node of a starting task to launch it; again after a reconnect, which is harmless.
    pub(super) fn order_launch(&mut self, id: TaskId) {
        let Some(task) = self.state.tasks.get(&id) else { return };
        let (Some(hold), Work::Program(spec)) = (task.state.hold(), task.work) else { return };
        let part = hold.grant.parts.first().expect("a grant has at least one part").clone();
        let launch = Launch {
            task: id,
            fence: hold.grant.fence,
            part,
            spec,
            time_limit: task.time_limit,
            stop_grace: task.terms.limits.stop_grace,
            project: task.project.clone(),
            name: task.terms.name.clone(),
        };
        self.order(launch.part.node, Order::Launch(launch));
    }

    /// Ends a task on somebody's behalf, whatever it does; says whether that moved it.
    pub(super) fn ask_to_stop(&mut self, id: TaskId, why: StopCause, grace: Millis) -> bool {
        let Some(task) = self.state.tasks.get(&id) else { return false };
        let fence = task.state.hold().map(|hold| (hold.grant.first_node(), hold.grant.fence));
        if let (Work::Reservation(_), Some((_, fence))) = (task.work, fence) {
            let outcome = if why == StopCause::Release { Outcome::Succeeded } else { Outcome::Cancelled };
            return self.finish(id, fence, Ended::Reservation(outcome));
        }
        let cause = match why {
            StopCause::Cancel => Cause::Cancel,
            StopCause::Release => Cause::Release,
            StopCause::Preempt => Cause::Preempt,
        };
        let moved = self.advance(id, TaskEvent::StopAsked(why), cause, None).is_ok();
        // Said again even when it moved nothing: a second cancel may carry a shorter grace.
        if let Some((node, fence)) = fence {
            self.order(node, Order::Stop { task: id, fence, grace });
        }
        moved
    }

    /// Takes up the end of an attempt: charges it, decides what follows, frees what it held.
    pub(super) fn finish(&mut self, id: TaskId, fence: Fence, ended: Ended) -> bool {
        let Some(task) = self.state.tasks.get(&id) else { return false };
        let is_current = |hold: &&Hold| hold.grant.fence.attempt == fence.attempt;
        let Some(hold) = task.state.hold().filter(is_current).cloned() else { return false };
        let started_at = task.state.running_since();
        let ended = self.state.with_sickness(ended, &hold);
        let class = ended.class();
        let cost_carry = self.charge(id, &hold);
        let attained = i64::try_from(self.state.tasks[&id].attained_at(self.now)).unwrap_or(i64::MAX);
        if class.is_none() && !matches!(ended, Ended::Reservation(_)) {
            self.learn(id);
        }
        let after = self.what_follows(id, &ended, class, hold.grant.first_node());
        let story = (ended.cause(), story(ended.exit(), &after.next));
        self.changes.rows.push(Change::Attempt(Attempt {
            task: id,
            attempt: hold.grant.fence.attempt,
            parts: hold.grant.parts,
            placed_at: hold.placed_at,
            started_at,
            ended: Some(AttemptEnd { at: self.now, exit: ended.exit().cloned(), class }),
        }));
        let event = TaskEvent::Finished { fence: hold.grant.fence, next: after.next };
        let moved = self.advance_with(id, event, story, |task| {
            task.attained = attained;
            task.cost_carry = cost_carry;
            task.strikes = after.strikes;
            task.broken_nodes.extend(after.broken_node);
            task.last_fault = after.fault.or_else(|| task.last_fault.take());
        });
        moved.expect("the attempt that ended is the one that is placed");
        true
    }

    /// Learns how long a task ran that ended well by itself.
    fn learn(&mut self, id: TaskId) {
        let task = &self.state.tasks[&id];
        if task.state.running_since().is_none() {
            return;
        }
        let run = Run {
            project: task.project.clone(),
            owner: task.owner.clone(),
            name: task.terms.name.clone(),
            milli: task.terms.ask.milli(),
            ran: task.ran(self.now),
        };
        let effects = self.state.learned.learn(&run);
        self.state.carry_out([effects], self.now);
    }

    fn what_follows(
        &self,
        id: TaskId,
        ended: &Ended,
        class: Option<FailureClass>,
        node: NodeId,
    ) -> Aftermath {
        let task = &self.state.tasks[&id];
        let strikes = task.strikes;
        let end = |outcome| Next::End(End { outcome, at: self.now, exit: ended.exit().cloned() });
        let only = |next| Aftermath { next, strikes, broken_node: None, fault: None };
        let class = match (&task.state, ended, class) {
            (_, Ended::Reservation(outcome), _) => return only(end(*outcome)),
            (TaskState::Stopping { why: StopCause::Cancel | StopCause::Release, .. }, ..) => {
                return only(end(Outcome::Cancelled));
            }
            (TaskState::Stopping { why: StopCause::Preempt, .. }, ..) => {
                return only(Next::Queue(QueueCause::Preempted));
            }
            (_, _, None) => return only(end(Outcome::Succeeded)),
            (_, _, Some(class)) => class,
        };
        let is_sick = class == FailureClass::GpuSick;
        let is_ours = class.budget() == Budget::Infrastructure;
        let mut after = Aftermath {
            fault: ended.exit().filter(|_| is_sick).and_then(|exit| exit.sick.clone()),
            broken_node: (is_ours && !task.broken_nodes.contains(&node)).then_some(node),
            ..only(end(Outcome::Failed(class)))
        };
        let broken = task.broken_nodes.len() + usize::from(after.broken_node.is_some());
        match retry::verdict(task.terms.retry, strikes, broken, class, id) {
            Verdict::Retry(wait) => {
                match class.budget() {
                    Budget::User => after.strikes.user += 1,
                    Budget::Infrastructure => after.strikes.infrastructure += 1,
                    Budget::Free | Budget::Never => {}
                }
                let not_before = self.now.plus(wait);
                after.next = Next::Queue(QueueCause::Retrying { class, not_before });
            }
            Verdict::Park => after.next = Next::Queue(QueueCause::Parked),
            Verdict::GiveUp if class == FailureClass::Timeout => after.next = end(Outcome::TimedOutRunning),
            Verdict::GiveUp => {}
        }
        after
    }

    /// Charges a placed task for its use up to now. Returns what is left to carry into the next charge.
    fn charge(&mut self, id: TaskId, hold: &Hold) -> i64 {
        let task = &self.state.tasks[&id];
        let price = self.state.rules.config().price;
        let (segment, carry) = meter::segment(task, hold, &self.state.cluster, price, self.now);
        self.changes.rows.push(Change::Usage(segment));
        carry
    }

    /// Starts what a round decided on this task's behalf, if it still can.
    pub(super) fn start(&mut self, id: TaskId, parts: &[GrantPart]) {
        let Some(task) = self.state.tasks.get(&id) else { return };
        if !task.is_ready() || !self.state.cluster.has_room(parts) {
            return;
        }
        let fence = Fence { attempt: task.attempt + 1, version: 1 };
        self.place(id, Grant { fence, parts: parts.to_vec() });
    }

    /// Stops a task that a round wants gone, if it still runs.
    pub(super) fn preempt(&mut self, id: TaskId) {
        let Some(task) = self.state.tasks.get(&id) else { return };
        if matches!(task.state, TaskState::Running { .. }) {
            self.ask_to_stop(id, StopCause::Preempt, task.terms.limits.stop_grace);
        }
    }
}

/// `on node-0: gpu-0 [0.5, 40 GiB]`.
fn describe(grant: &Grant) -> String {
    let part = |part: &GrantPart| {
        let slices: Vec<_> = part
            .slices
            .iter()
            .map(|slice| format!("{} [{}, {}]", slice.device, slice.milli, slice.memory))
            .collect();
        if slices.is_empty() {
            format!("{}, no GPU", part.node)
        } else {
            format!("{}: {}", part.node, slices.join(", "))
        }
    };
    format!("on {}", grant.parts.iter().map(part).collect::<Vec<_>>().join("; "))
}

/// `exit code 3; to be tried again (user_error)`.
fn story(exit: Option<&Exit>, next: &Next) -> Option<String> {
    let sick = exit.and_then(|exit| exit.sick.clone());
    let how = exit.map(|exit| match &exit.how {
        ExitKind::Code(code) => format!("exit code {code}"),
        ExitKind::Signal(signal) => format!("signal {signal}"),
        ExitKind::OutOfMemory => "out of host memory".to_owned(),
        ExitKind::TimeLimit => "time limit reached".to_owned(),
        ExitKind::BadSpec(why) | ExitKind::Infrastructure(why) => why.clone(),
    });
    let follows = match next {
        Next::End(_) => None,
        Next::Queue(QueueCause::Retrying { class, .. }) => {
            Some(format!("to be tried again ({})", class.code()))
        }
        Next::Queue(QueueCause::Parked) => Some("parked: it broke several healthy nodes".to_owned()),
        Next::Queue(_) => Some("back to the queue".to_owned()),
    };
    let parts: Vec<String> = how.into_iter().chain(sick).chain(follows).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
