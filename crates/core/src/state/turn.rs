//! One turn: a command, a report or a plan that is taken up, at one time, on somebody's behalf.
//!
//! [`Turn::advance`] is the one place that moves a task. The other files of this folder are turns as well, by
//! what they do: accept, end, hear a node, follow the clock.

use crate::cause::Cause;
use crate::change::{Actor, Change, Event};
use crate::ids::{NodeId, TaskId};
use crate::node::Order;
use crate::part::{Effects, Part};
use crate::state::{Changes, State};
use crate::task::{Rejected, Task, TaskEvent, TaskState};
use crate::units::Timestamp;

/// The state at one moment, with what changes in it and on whose behalf.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) state: &'a mut State,
    pub(super) now: Timestamp,
    pub(super) actor: Actor,
    pub(super) changes: &'a mut Changes,
}

impl Turn<'_> {
    /// The same turn on somebody else's behalf.
    pub(super) const fn by(&mut self, actor: Actor) -> Turn<'_> {
        Turn { state: self.state, now: self.now, actor, changes: self.changes }
    }

    /// Moves a task by one event, and everything that follows it. The only caller of [`TaskState::apply`].
    pub(super) fn advance(
        &mut self,
        id: TaskId,
        event: TaskEvent,
        cause: Cause,
        detail: Option<String>,
    ) -> Result<(), Rejected> {
        self.advance_with(id, event, (cause, detail), |_| {})
    }

    /// [`Self::advance`], and what else of the task is another because of it.
    pub(super) fn advance_with(
        &mut self,
        id: TaskId,
        event: TaskEvent,
        story: (Cause, Option<String>),
        amend: impl FnOnce(&mut Task),
    ) -> Result<(), Rejected> {
        let task = self.state.tasks.get(&id).ok_or(Rejected::Stale)?;
        let next = task.state.apply(event, self.now)?;
        let now = self.now;
        self.change(id, story, |state, task| {
            amend(task);
            if let TaskState::Running { since, .. } = &next {
                task.first_started_at.get_or_insert(*since);
            }
            if let Some(hold) = next.hold() {
                task.attempt = hold.grant.fence.attempt;
            }
            task.state = next;
            if task.is_ready() {
                task.standing.ordinary = true;
                task.standing = state.learned.standing(&state.rules, task, now);
            }
        });
        Ok(())
    }

    /// Changes a live task in a way that is told: as an event, and by writing the task.
    pub(super) fn change(
        &mut self,
        id: TaskId,
        (cause, detail): (Cause, Option<String>),
        change: impl FnOnce(&State, &mut Task),
    ) {
        let Some(old) = self.state.tasks.remove(&id) else { return };
        let mut new = old.clone();
        change(self.state, &mut new);
        self.note(&mut new, cause, detail);
        let effects = self.state.follow(self.now, Some(&old), Some(&new));
        if new.state.is_ended() {
            self.changes.ended.insert(id, new);
        } else {
            self.state.tasks.insert(id, new);
        }
        self.state.carry_out(effects, self.now);
    }

    /// Writes an event of a task, and the task with it.
    pub(super) fn note(&mut self, task: &mut Task, cause: Cause, detail: Option<String>) {
        task.revision += 1;
        let number = task.next_event;
        task.next_event += 1;
        self.changes.touched.entry(task.id).or_insert(false);
        self.changes.rows.push(Change::Event(Event {
            task: task.id,
            number,
            at: self.now,
            attempt: task.attempt,
            state: task.state.code(),
            cause,
            detail,
            actor: self.actor.clone(),
        }));
    }

    /// Sends an order once what changed is durable.
    pub(super) fn order(&mut self, node: NodeId, order: Order) {
        self.changes.orders.push((node, order));
    }
}

impl State {
    /// Everything that follows the moves of tasks. A new part is one more name here.
    pub(super) fn parts(&self) -> [&dyn Part; 9] {
        let Self { cluster, queue, timers, stops, learned, keeps, promotions, arrivals, specs, .. } = self;
        [cluster, queue, timers, stops, learned, keeps, promotions, arrivals, specs]
    }

    /// Tells every part of a move.
    pub(super) fn follow(&mut self, now: Timestamp, old: Option<&Task>, new: Option<&Task>) -> Vec<Effects> {
        let figures = self.figures();
        let Self {
            rules, cluster, queue, timers, stops, learned, keeps, promotions, arrivals, specs, ..
        } = self;
        let parts: [&mut dyn Part; 9] =
            [cluster, queue, timers, stops, learned, keeps, promotions, arrivals, specs];
        let effects = parts.into_iter().map(|part| part.moved(rules, &figures, now, old, new));
        effects.filter(|effects| *effects != Effects::Nothing).collect()
    }

    /// Does what parts want done that is not their own.
    pub(super) fn carry_out(&mut self, effects: impl IntoIterator<Item = Effects>, now: Timestamp) {
        for effect in effects {
            match effect {
                Effects::Nothing => {}
                Effects::StandAnew(tasks) => tasks.into_iter().for_each(|id| self.stand_anew(id, now)),
                Effects::TouchLanes => self.queue.touch_all(),
                Effects::LookAgain => self.arrivals.look(&self.cluster),
            }
        }
    }

    /// Changes where a waiting task stands: nothing that anybody is told.
    pub(super) fn restand(&mut self, id: TaskId, now: Timestamp, change: impl FnOnce(&Self, &mut Task)) {
        let Some(old) = self.tasks.remove(&id) else { return };
        let mut new = old.clone();
        change(self, &mut new);
        let effects = self.follow(now, Some(&old), Some(&new));
        self.tasks.insert(id, new);
        self.carry_out(effects, now);
    }

    /// Puts a waiting task where its order wants it now. Most keep their place.
    fn stand_anew(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.tasks.get(&id) else { return };
        if self.learned.order_key(&self.rules, task, now) != task.standing.key {
            self.restand(id, now, |state, task| {
                task.standing = state.learned.standing(&state.rules, task, now);
            });
        }
    }
}
