//! How a task moves, and what follows from each move: events, attempts, charges, timers, the queue.

use crate::ask::Grant;
use crate::change::{Actor, Attempt, AttemptEnd, Change, Event};
use crate::ids::{Fence, NodeId, TaskId};
use crate::meter;
use crate::node::{Exit, ExitKind, Launch, Order};
use crate::retry::{self, Budget, FailureClass, Verdict};
use crate::state::order::is_ready;
use crate::state::{Changes, State};
use crate::task::{End, Next, Outcome, QueueCause, Rejected, StopCause, Task, TaskEvent, TaskState, Work};
use crate::units::{Millis, Timestamp};

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

impl State {
    /// Moves a task by one event, and everything that hangs on it. The only caller of
    /// [`TaskState::apply`].
    #[expect(
        clippy::too_many_arguments,
        reason = "one move carries its whole story: cause, detail, actor, time"
    )]
    pub(super) fn advance(
        &mut self,
        id: TaskId,
        event: TaskEvent,
        cause: &'static str,
        detail: Option<String>,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<(), Rejected> {
        let task = self.tasks.get(&id).ok_or(Rejected::Stale)?;
        let next = task.state.apply(event, now)?;
        let mut task = self.tasks.remove(&id).expect("looked up above");
        // A task that merely goes on with its grant frees nothing, and no round has to look.
        let keeps_grant =
            task.state.hold().zip(next.hold()).is_some_and(|(old, new)| old.grant.parts == new.grant.parts);
        self.leave(&task, keeps_grant);
        if let TaskState::Running { since, .. } = &next {
            task.first_started_at.get_or_insert(*since);
        }
        if let Some(hold) = next.hold() {
            task.attempt = hold.grant.fence.attempt;
        }
        task.state = next;
        if is_ready(&task) {
            task.standing.ordinary = true;
            self.stand(&mut task, now);
        }
        self.enter(&task, keeps_grant);
        self.tasks.insert(id, task);
        self.forget_keep_of(id);
        self.note(id, cause, detail, actor, now, out);
        if self.tasks[&id].state.is_ended() {
            let task = self.tasks.remove(&id).expect("inserted above");
            self.spec_bytes -= u64::from(task.spec_bytes);
            out.ended.insert(id, task);
        }
        Ok(())
    }

    /// Writes an event of a task, and the task with it.
    pub(super) fn note(
        &mut self,
        id: TaskId,
        cause: &'static str,
        detail: Option<String>,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.revision += 1;
        let number = task.next_event;
        task.next_event += 1;
        let (attempt, state) = (task.attempt, task.state.code());
        out.touched.entry(id).or_insert(false);
        out.rows.push(Change::Event(Event {
            task: id,
            number,
            at: now,
            attempt,
            state,
            cause,
            detail,
            actor,
        }));
    }

    /// Takes a task out of everything that depends on its state.
    pub(super) fn leave(&mut self, task: &Task, keeps_grant: bool) {
        if let Some(at) = self.timer_of(task) {
            self.timers.remove(&(at, task.id));
        }
        for node in self.preemptible_on(task) {
            if let Some(tasks) = self.preemptible.get_mut(&node) {
                tasks.remove(&task.id);
                if tasks.is_empty() {
                    self.preemptible.remove(&node);
                }
            }
        }
        match (&task.state, task.state.hold()) {
            (TaskState::Queued { cause, .. }, _) if cause.is_ready() => {
                self.queue.remove(task);
                if self.is_predicted(task) {
                    self.predicted.remove(&(task.project.clone(), task.owner.clone(), task.id));
                }
            }
            (_, Some(hold)) if !keeps_grant => self.cluster.give_back(task.id, &hold.grant),
            _ => {}
        }
    }

    /// Puts a task into everything that depends on its state.
    pub(super) fn enter(&mut self, task: &Task, keeps_grant: bool) {
        if let Some(at) = self.timer_of(task) {
            self.timers.insert((at, task.id));
        }
        for node in self.preemptible_on(task) {
            self.preemptible.entry(node).or_default().insert(task.id);
        }
        match (&task.state, task.state.hold()) {
            (TaskState::Queued { cause, .. }, _) if cause.is_ready() => {
                // By age nobody gains from a look at once; a shorter task does.
                self.queue.insert(task, self.policy_of(task).order == crate::policy::Order::Shortest);
                if self.is_predicted(task) {
                    self.predicted.insert((task.project.clone(), task.owner.clone(), task.id));
                }
            }
            (_, Some(hold)) if !keeps_grant => self.cluster.take(task.id, &hold.grant),
            _ => {}
        }
    }

    /// When something happens to the task by itself.
    pub(super) fn timer_of(&self, task: &Task) -> Option<Timestamp> {
        match &task.state {
            TaskState::Queued { cause, .. } => {
                let patience = task.limits.queue.filter(|_| task.attempt == 0);
                let gives_up = patience.map(|limit| task.submitted_at.plus(limit));
                let again = match cause {
                    QueueCause::Retrying { not_before, .. } => Some(*not_before),
                    _ => None,
                };
                gives_up.into_iter().chain(again).chain(self.promotion_of(task)).min()
            }
            TaskState::Running { since, .. } => match (task.work, task.limits.run) {
                // A program's limit runs on its node's clock; a reservation has no node to do it.
                (Work::Reservation(_), Some(run)) => Some(since.plus(run)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn reprioritize(&mut self, id: TaskId, priority: i32, now: Timestamp) {
        self.replace(id, |state, task| {
            task.priority = priority;
            state.stand(task, now);
        });
    }

    /// Everything that time alone brings about, up to `now`.
    pub(super) fn tick(&mut self, now: Timestamp, out: &mut Changes) {
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            let task = &self.tasks[&id];
            assert_eq!(self.timer_of(task), Some(at), "the timer of {id} is not its own");
            match &task.state {
                TaskState::Queued { cause: QueueCause::Retrying { not_before, .. }, .. }
                    if *not_before <= now =>
                {
                    let _ = self.advance(id, TaskEvent::Readied, "ready", None, Actor::Scheduler, now, out);
                }
                TaskState::Queued { .. } if self.promotion_of(task) == Some(at) => self.promote(id, now),
                TaskState::Queued { .. } => {
                    let detail = task.limits.queue.map(|limit| format!("it waited longer than {limit}"));
                    let event = TaskEvent::QueueTimedOut;
                    let _ = self.advance(id, event, "queue_timeout", detail, Actor::Scheduler, now, out);
                }
                TaskState::Running { hold, .. } => {
                    let fence = hold.grant.fence;
                    let over = Ended::Reservation(Outcome::Succeeded);
                    self.finish(id, fence, over, Actor::Scheduler, now, out);
                }
                other => unreachable!("{id} is {} and has a timer", other.code()),
            }
        }
    }

    /// Lets go of what is kept for a task that no longer waits: others may have it, and a round must look.
    fn forget_keep_of(&mut self, id: TaskId) {
        let waits = matches!(&self.tasks[&id].state, TaskState::Queued { cause, .. } if cause.is_ready());
        if !waits && self.keeps.iter().any(|keep| keep.task == id) {
            self.keeps.retain(|keep| keep.task != id);
            self.queue.touch_all();
        }
    }

    /// Gives a queued task its grant and tells its node.
    pub(super) fn place(&mut self, id: TaskId, grant: Grant, now: Timestamp, out: &mut Changes) {
        let fence = grant.fence;
        let detail = Some(describe(&grant));
        let attempt = Attempt {
            task: id,
            attempt: fence.attempt,
            parts: grant.parts.clone(),
            placed_at: now,
            started_at: None,
            ended: None,
        };
        let placed = self.advance(id, TaskEvent::Placed(grant), "placed", detail, Actor::Scheduler, now, out);
        placed.expect("only ready tasks are placed");
        out.rows.push(Change::Attempt(attempt));
        match self.tasks[&id].work {
            Work::Program(_) => self.order_launch(id, out),
            Work::Reservation(_) => {
                let event = TaskEvent::Started { fence, at: now };
                let _ = self.advance(id, event, "started", None, Actor::Scheduler, now, out);
            }
        }
    }

    /// Tells the node of a starting task to launch it; again after a reconnect, which is harmless.
    pub(super) fn order_launch(&self, id: TaskId, out: &mut Changes) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (Some(hold), Work::Program(spec)) = (task.state.hold(), task.work) else { return };
        let part = hold.grant.parts.first().expect("a grant has at least one part").clone();
        let launch = Launch {
            task: id,
            fence: hold.grant.fence,
            part,
            spec,
            time_limit: task.limits.run,
            stop_grace: task.limits.stop_grace,
            project: task.project.clone(),
            name: task.name.clone(),
        };
        out.orders.push((launch.part.node, Order::Launch(launch)));
    }

    /// Ends a task on somebody's behalf, whatever it does; says whether that moved it.
    pub(super) fn ask_to_stop(
        &mut self,
        id: TaskId,
        why: StopCause,
        grace: Millis,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        let fence = task.state.hold().map(|hold| (hold.grant.first_node(), hold.grant.fence));
        if let (Work::Reservation(_), Some((_, fence))) = (task.work, fence) {
            let outcome = if why == StopCause::Release { Outcome::Succeeded } else { Outcome::Cancelled };
            return self.finish(id, fence, Ended::Reservation(outcome), actor, now, out);
        }
        let cause = match why {
            StopCause::Cancel => "cancel",
            StopCause::Release => "release",
            StopCause::Preempt => "preempt",
        };
        let moved = self.advance(id, TaskEvent::StopAsked(why), cause, None, actor, now, out).is_ok();
        // Said again even when it moved nothing: a second cancel may carry a shorter grace.
        if let Some((node, fence)) = fence {
            out.orders.push((node, Order::Stop { task: id, fence, grace }));
        }
        moved
    }

    /// Takes up the end of an attempt: charges it, decides what follows, frees what it held.
    pub(super) fn finish(
        &mut self,
        id: TaskId,
        fence: Fence,
        ended: Ended,
        actor: Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        let Some(hold) = task.state.hold().filter(|hold| hold.grant.fence.attempt == fence.attempt).cloned()
        else {
            return false;
        };
        let started_at = task.state.running_since();
        let ended = self.with_sickness(ended, &hold);
        let class = class_of(&ended);
        self.charge(id, now, out);
        self.remember_run(id, class.is_none() && !matches!(ended, Ended::Reservation(_)), now);
        let next = self.what_follows(id, &ended, class, hold.grant.first_node(), now);
        let (exit, cause) = match ended {
            Ended::Exit(exit) => (Some(exit), "exited"),
            Ended::NodeLost => (None, "node_lost"),
            Ended::Reservation(_) => (None, "over"),
        };
        let detail = story(exit.as_ref(), &next);
        out.rows.push(Change::Attempt(Attempt {
            task: id,
            attempt: hold.grant.fence.attempt,
            parts: hold.grant.parts,
            placed_at: hold.placed_at,
            started_at,
            ended: Some(AttemptEnd { at: now, exit, class }),
        }));
        let event = TaskEvent::Finished { fence: hold.grant.fence, next };
        self.advance(id, event, cause, detail, actor, now, out).is_ok()
    }

    fn what_follows(
        &mut self,
        id: TaskId,
        ended: &Ended,
        class: Option<FailureClass>,
        node: NodeId,
        now: Timestamp,
    ) -> Next {
        let exit = if let Ended::Exit(exit) = ended { Some(exit.clone()) } else { None };
        let end = |outcome| Next::End(End { outcome, at: now, exit: exit.clone() });
        let task = self.tasks.get_mut(&id).expect("the caller looked it up");
        let class = match (&task.state, ended) {
            (_, Ended::Reservation(outcome)) => return end(*outcome),
            (TaskState::Stopping { why: StopCause::Cancel | StopCause::Release, .. }, _) => {
                return end(Outcome::Cancelled);
            }
            (TaskState::Stopping { why: StopCause::Preempt, .. }, _) => {
                return Next::Queue(QueueCause::Preempted);
            }
            _ => class,
        };
        let Some(class) = class else { return end(Outcome::Succeeded) };
        if class == FailureClass::GpuSick {
            task.last_fault = exit.as_ref().and_then(|exit| exit.sick.clone());
        }
        if class.budget() == Budget::Infrastructure && !task.broken_nodes.contains(&node) {
            task.broken_nodes.push(node);
        }
        match retry::verdict(task.retry, task.strikes, task.broken_nodes.len(), class, id) {
            Verdict::Retry(wait) => {
                match class.budget() {
                    Budget::User => task.strikes.user += 1,
                    Budget::Infrastructure => task.strikes.infrastructure += 1,
                    Budget::Free | Budget::Never => {}
                }
                Next::Queue(QueueCause::Retrying { class, not_before: now.plus(wait) })
            }
            Verdict::Park => Next::Queue(QueueCause::Parked),
            Verdict::GiveUp if class == FailureClass::Timeout => end(Outcome::TimedOutRunning),
            Verdict::GiveUp => end(Outcome::Failed(class)),
        }
    }

    /// Charges a placed task for its use up to now.
    fn charge(&mut self, id: TaskId, now: Timestamp, out: &mut Changes) {
        let price = self.config.price;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(hold) = task.state.hold() else { return };
        let (segment, carry) = meter::segment(task, hold, &self.cluster, price, now);
        task.cost_carry = carry;
        out.rows.push(Change::Usage(segment));
    }
}

fn class_of(ended: &Ended) -> Option<FailureClass> {
    match ended {
        Ended::Exit(exit) => FailureClass::of_exit(exit),
        Ended::NodeLost => Some(FailureClass::NodeLost),
        Ended::Reservation(_) => None,
    }
}

/// `on node-0: gpu-0 [0.5, 40 GiB]`.
fn describe(grant: &Grant) -> String {
    let part = |part: &crate::ask::GrantPart| {
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
