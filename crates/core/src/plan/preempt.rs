//! Whom to stop so that somebody who goes first can start.
//!
//! For the first tasks of the queue that do not fit, a round looks for the place that is cheapest to clear. First
//! by *moves*: tasks that are stopped and fit elsewhere at once. Then by *preemption* of tasks that rank behind.
//! Neither ever cascades: who was just placed is shielded, who was just preempted preempts nobody, and what is
//! cleared is kept for the one it is cleared for.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::ask::{Ask, Class};
use crate::cluster::Node;
use crate::decision::{Keep, KeepCause, Preempt};
use crate::gittins::{History, LEVEL, OCTAVE};
use crate::ids::{NodeId, TaskId};
use crate::place::fit::allows_node;
use crate::place::{Among, Shape, Spot, View};
use crate::plan::keep::{devices_of, hidden};
use crate::plan::wanted;
use crate::policy::{Order, Preempt as Policy, SHIELD_OF_PROMOTED};
use crate::state::State;
use crate::task::{QueueCause, Standing, Task, TaskState, Work};
use crate::units::{Millis, Timestamp};

/// Waiting tasks that a round looks at, in the order of the queue.
const HEADS_MAX: usize = 16;
/// Nodes that a round looks at for each of them.
const NODES_MAX: usize = 512;
/// Tasks that places are being cleared for at once.
const ROOMS_MAX: usize = 64;
/// After its start a task is left alone for this long, and for [`SHIELD_COSTS`] times what its restart costs.
const SHIELD: Millis = Millis::from_secs(60);
/// So no more than a twentieth of the time of any task is lost to restarts.
const SHIELD_COSTS: u64 = 20;
/// After its start a task is not moved for this long.
const MOVE_SHIELD: Millis = Millis::from_secs(300);
/// After it was preempted a task preempts nobody for this long.
const BAR: Millis = Millis::from_secs(60);
/// Rounds for the sake of time alone are at least this far apart.
const TICK: Millis = Millis::from_secs(10);

/// What stopping and restarting a task costs it, by its devices: 7 s for one, 30 s for up to eight, 60 s beyond
/// (the model of the Philly replays, after Tiresias, NSDI'19).
#[must_use]
pub fn restart_cost(devices: u16) -> Millis {
    Millis::from_secs(match devices {
        0..=1 => 7,
        2..=8 => 30,
        _ => 60,
    })
}

/// How far behind a task must rank to be preempted, in 64ths of a doubling: the finer, the better an order knows
/// what it orders.
const fn gap(order: Order) -> u64 {
    const OCTAVES: u64 = OCTAVE as u64;
    match order {
        Order::Shortest => OCTAVES / 2,
        Order::Predicted => 2 * OCTAVES,
        Order::Fifo | Order::LeastAttained => 2 * LEVEL,
    }
}

/// What a round found out.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) preempts: Vec<Preempt>,
    pub(super) keeps: Vec<Keep>,
    /// When another look may find more.
    pub(super) wake_at: Option<Timestamp>,
}

/// Looks for room for the first tasks of the queue that `settled` does not take care of. `view` is the cluster
/// after the round's starts, with everything that is kept out of sight.
pub(super) fn find(
    state: &State,
    now: Timestamp,
    view: View<'_>,
    keeps: usize,
    settled: impl Fn(TaskId) -> bool,
) -> Rooms {
    let mut search = Search { state, now, view, chosen: BTreeSet::new(), rooms: Rooms::default() };
    if state.preemptible().is_empty() {
        return search.rooms;
    }
    let first = state.queue().heads_after(&settled).take(HEADS_MAX);
    for rank in first {
        if keeps + search.rooms.keeps.len() >= ROOMS_MAX {
            break;
        }
        if let Some(task) = state.task(rank.task()) {
            search.make_room(task);
        }
    }
    if let Some(at) = search.rooms.wake_at {
        search.rooms.wake_at = Some(at.max(now.plus(TICK)));
    }
    search.rooms
}

/// How room is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// By stopping tasks that fit elsewhere at once.
    Move,
    /// By stopping tasks that rank behind.
    Preempt,
}

/// For whom room is made, and how.
#[derive(Debug)]
struct Cause<'a> {
    task: &'a Task,
    shape: Shape,
    how: How,
}

/// Some devices of one node, and whom to stop for them.
#[derive(Debug, Clone)]
struct Clearing {
    /// Smaller is cheaper.
    cost: (u64, Reverse<u64>),
    node: NodeId,
    victims: Vec<TaskId>,
}

/// What one node could give to a gang that spans nodes.
#[derive(Debug)]
struct Offer {
    /// Devices, and the clearing for them, by rising number of devices; the first costs nothing.
    ways: Vec<(usize, Clearing)>,
    /// Which of the ways is taken.
    taken: usize,
}

struct Search<'a> {
    state: &'a State,
    now: Timestamp,
    view: View<'a>,
    /// Tasks that are to be stopped already.
    chosen: BTreeSet<TaskId>,
    rooms: Rooms,
}

impl<'a> Search<'a> {
    fn make_room(&mut self, task: &'a Task) {
        let policy = self.state.policy_of(task).preempt;
        if let TaskState::Queued { cause: QueueCause::Preempted, since } = &task.state
            && since.plus(BAR) > self.now
        {
            return self.look_again(since.plus(BAR));
        }
        let ways: &[How] = match policy {
            Policy::Never => &[],
            Policy::Spot => &[How::Preempt],
            Policy::Any => &[How::Move, How::Preempt],
        };
        for &how in ways {
            let cause = Cause { task, shape: self.view.shape(&task.terms.ask), how };
            if let Some(clearings) = self.clearings(&cause)
                && self.take(&cause, &clearings)
            {
                return;
            }
        }
    }

    /// The cheapest nodes to clear for all devices of the task.
    fn clearings(&mut self, cause: &Cause<'_>) -> Option<Vec<Clearing>> {
        let spans = cause.shape.spans();
        let nodes = self.nodes(&cause.task.terms.ask, spans);
        if spans {
            return self.clearings_across(&nodes, cause);
        }
        let all = nodes.into_iter().filter_map(|node| self.clear(node, cause));
        all.min_by_key(|found| (found.cost, found.node)).map(|found| vec![found])
    }

    /// The same for a gang that may span nodes: what is free anywhere, and one after another the clearing that
    /// costs the least for each device that it adds.
    fn clearings_across(&mut self, nodes: &[&Node], cause: &Cause<'_>) -> Option<Vec<Clearing>> {
        let mut offers: Vec<Offer> = nodes.iter().map(|node| self.offer(node, cause)).collect();
        let mut missing = cause.shape.min.saturating_sub(offers.iter().map(|offer| offer.devices()).sum());
        while missing > 0 {
            let steps = offers.iter().enumerate().flat_map(|(at, offer)| offer.steps(at, missing));
            let step = steps.min_by_key(|step| step.cost)?;
            missing = missing.saturating_sub(step.adds);
            offers[step.offer].taken = step.way;
        }
        let taken = offers.into_iter().filter(|offer| offer.devices() > 0);
        Some(taken.map(|mut offer| offer.ways.swap_remove(offer.taken).1).collect())
    }

    fn offer(&mut self, node: &Node, cause: &Cause<'_>) -> Offer {
        let nothing = Clearing { cost: (0, Reverse(0)), node: node.id, victims: Vec::new() };
        let Some(spot) = self.view.spot_of(node.id).cloned() else {
            return Offer { ways: vec![(0, nothing)], taken: 0 };
        };
        let free = self.count(&spot, cause).unwrap_or(0);
        let mut ways = vec![(free, nothing)];
        let candidates = self.candidates(node, cause);
        for count in free + 1..=node.devices.len().min(cause.shape.min) {
            let Some(clearing) = self.fewest(node, &spot, &candidates, count, cause) else { break };
            ways.push((count, clearing));
        }
        Offer { ways, taken: 0 }
    }

    /// Nodes worth looking at: where somebody could be stopped, and for a gang also where devices are free.
    fn nodes(&self, ask: &Ask, spans: bool) -> Vec<&'a Node> {
        let cluster = self.state.cluster();
        let able = |node: &&'a Node| node.takes_tasks() && allows_node(ask, node) && ask.cpu <= node.cpu;
        if spans {
            return cluster.nodes().filter(able).take(NODES_MAX).collect();
        }
        let busy = self.state.preemptible().keys().filter_map(|&id| cluster.node(id));
        busy.filter(able).take(NODES_MAX).collect()
    }

    /// Whom to stop on `node` so that it serves the task.
    fn clear(&mut self, node: &Node, cause: &Cause<'_>) -> Option<Clearing> {
        let spot = self.view.spot_of(node.id)?.clone();
        let candidates = if self.serves(&spot, cause.shape.min, cause) {
            Vec::new()
        } else {
            self.candidates(node, cause)
        };
        self.fewest(node, &spot, &candidates, cause.shape.min, cause)
    }

    /// The first of the candidates who must go so that `count` devices of the node serve the task.
    fn fewest(
        &self,
        node: &Node,
        spot: &Spot,
        candidates: &[Victim],
        count: usize,
        cause: &Cause<'_>,
    ) -> Option<Clearing> {
        let mut spot = spot.clone();
        let mut picked = Vec::new();
        let mut rest = candidates.iter();
        while !self.serves(&spot, count, cause) {
            let victim = rest.next()?;
            spot.put_back(node, node.part_of(victim.id)?);
            picked.push(victim);
        }
        // Who was picked early may not be needed after all.
        for at in (0..picked.len()).rev() {
            let mut without = spot.clone();
            without.take(node.part_of(picked[at].id)?);
            if self.serves(&without, count, cause) {
                spot = without;
                picked.remove(at);
            }
        }
        let milli: u64 = picked.iter().map(|victim| victim.milli).sum();
        let best_key = picked.iter().map(|victim| victim.standing.2).min().unwrap_or(0);
        let victims = picked.into_iter().map(|victim| victim.id).collect();
        Some(Clearing { cost: (milli, Reverse(best_key)), node: node.id, victims })
    }

    fn serves(&self, spot: &Spot, count: usize, cause: &Cause<'_>) -> bool {
        self.count(spot, cause).is_some_and(|found| found >= count)
    }

    fn count(&self, spot: &Spot, cause: &Cause<'_>) -> Option<usize> {
        cause.shape.count_on(spot, self.view.cluster())
    }

    /// Who may be stopped on the node, whoever is to go first first.
    fn candidates(&mut self, node: &Node, cause: &Cause<'_>) -> Vec<Victim> {
        let state = self.state;
        let Some(running) = state.preemptible().get(&node.id) else { return Vec::new() };
        let mut candidates = Vec::new();
        for &id in running {
            let Some(victim) = state.task(id).filter(|_| !self.chosen.contains(&id)) else { continue };
            match self.may_stop(victim, cause.task, cause.how) {
                Ok(()) => candidates.push(self.victim(victim)),
                Err(Some(at)) => self.look_again(at),
                Err(None) => {}
            }
        }
        match cause.how {
            How::Move => candidates.sort_by_key(|victim| (victim.milli, victim.id)),
            How::Preempt => {
                candidates.sort_by_key(|victim| (Reverse(victim.standing), victim.milli, victim.id));
            }
        }
        candidates
    }

    fn victim(&self, task: &Task) -> Victim {
        let key = self.state.order_key(task, self.now);
        Victim {
            id: task.id,
            standing: (Reverse(task.standing.priority), task.terms.ask.class, key),
            milli: task.held_milli(),
        }
    }

    /// Whether `victim` may be stopped for `task`; if not yet, when that should be looked at again.
    fn may_stop(&self, victim: &Task, task: &Task, how: How) -> Result<(), Option<Timestamp>> {
        let TaskState::Running { hold, since } = &victim.state else { return Err(None) };
        if !matches!(victim.work, Work::Program(_)) || victim.terms.ask.class == Class::Guaranteed {
            return Err(None);
        }
        let cost = restart_cost(victim.terms.ask.devices.max);
        // Whoever ends before it could be restarted is waited for.
        if self.state.expected_end(victim.id, self.now) <= self.now.plus(cost) {
            return Err(None);
        }
        let not_before = |at: Timestamp| if at <= self.now { Ok(()) } else { Err(Some(at)) };
        if how == How::Move {
            let is_small = hold.grant.parts.len() == 1;
            let same = victim.terms.queue == task.terms.queue && is_small;
            return if same { not_before(since.plus(MOVE_SHIELD)) } else { Err(None) };
        }
        let shield = SHIELD.max(Millis(SHIELD_COSTS * cost.0));
        let shield = if victim.standing.ordinary { shield } else { shield.max(SHIELD_OF_PROMOTED) };
        not_before(since.plus(shield))?;
        if victim.terms.ask.class == Class::Spot && task.terms.ask.class < Class::Spot {
            return Ok(());
        }
        let policy = self.state.policy_of(task);
        if policy.preempt != Policy::Any || victim.terms.queue != task.terms.queue {
            return Err(None);
        }
        self.ranks_behind(victim, task, policy.order, cost)
    }

    /// Whether `victim`, of the same queue, ranks far enough behind `task`.
    fn ranks_behind(
        &self,
        victim: &Task,
        task: &Task,
        order: Order,
        cost: Millis,
    ) -> Result<(), Option<Timestamp>> {
        let rank = |standing: Standing, class: Class| (Reverse(standing.priority), class);
        let (its, ours) =
            (rank(victim.standing, victim.terms.ask.class), rank(task.standing, task.terms.ask.class));
        match its.cmp(&ours) {
            std::cmp::Ordering::Less => return Err(None),
            std::cmp::Ordering::Greater => return Ok(()),
            std::cmp::Ordering::Equal if !task.standing.ordinary => return Ok(()),
            std::cmp::Ordering::Equal => {}
        }
        if order == Order::Fifo {
            return Err(None);
        }
        let ran = victim.ran(self.now);
        if order == Order::Shortest {
            let saved = self.state.remaining(victim, self.now).zip(self.state.remaining(task, self.now));
            if saved.is_none_or(|(its, ours)| its.0 < ours.0.saturating_add(cost.0)) {
                return Err(None);
            }
        }
        let (its, ours) = (self.state.order_key(victim, self.now), task.standing.key);
        if its >= ours.saturating_add(gap(order)) {
            return Ok(());
        }
        // Ranks by age fall behind with time alone.
        let steady = History::steady_for(ran.0 / 1_000);
        Err((order != Order::Shortest).then(|| self.now.plus(Millis::from_secs(steady))))
    }

    /// Takes up a way to make room: notes whom to stop, and keeps the place.
    fn take(&mut self, cause: &Cause<'_>, clearings: &[Clearing]) -> bool {
        let task = cause.task;
        let mut victims: BTreeSet<TaskId> =
            clearings.iter().flat_map(|clearing| clearing.victims.iter().copied()).collect();
        let mut nodes: BTreeSet<NodeId> = clearings.iter().map(|clearing| clearing.node).collect();
        if cause.shape.spans() {
            let holds = victims.iter().filter_map(|&victim| self.state.task(victim)?.state.hold());
            nodes.extend(holds.flat_map(|hold| hold.grant.nodes()));
            self.spare(&mut victims, &nodes, &cause.shape);
        }
        if victims.is_empty() {
            return false;
        }
        let mut after = self.without(&victims);
        let wanted = wanted(self.state, task);
        let Some(parts) = after.search(wanted, &cause.shape, Among::Nodes(&nodes)) else { return false };
        after.take(&parts);
        if cause.how == How::Move && !self.all_fit_elsewhere(&mut after.clone(), &victims) {
            return false;
        }
        // What is cleared is out of sight of the next task; so is whoever is being stopped.
        self.view = after;
        let keep = Keep {
            task: task.id,
            devices: devices_of(&parts),
            nodes: parts.iter().map(|part| part.node).collect(),
            free_at: self.now.plus(self.longest_grace(&victims)),
            cause: KeepCause::Preempting,
        };
        self.view.hide(&hidden([&keep]));
        self.rooms.keeps.push(keep);
        self.rooms.preempts.extend(victims.iter().map(|&victim| Preempt { task: victim, for_task: task.id }));
        self.chosen.extend(victims);
        true
    }

    /// The view once these are gone.
    fn without(&self, victims: &BTreeSet<TaskId>) -> View<'a> {
        let mut after = self.view.clone();
        let holds = victims.iter().filter_map(|&victim| self.state.task(victim)?.state.hold());
        holds.for_each(|hold| after.put_back(&hold.grant.parts));
        after
    }

    /// Leaves out who is not needed: somebody else who goes may leave devices on several nodes. The largest are
    /// tried first.
    fn spare(&self, victims: &mut BTreeSet<TaskId>, nodes: &BTreeSet<NodeId>, shape: &Shape) {
        let mut after = self.without(victims);
        let mut tried: Vec<&Task> = victims.iter().filter_map(|&id| self.state.task(id)).collect();
        tried.sort_by_key(|task| (Reverse(task.held_milli()), task.id));
        for hold in tried.iter().map(|task| (task.id, task.state.hold())) {
            let (id, Some(hold)) = hold else { continue };
            after.take(&hold.grant.parts);
            if after.has_place(shape, Among::Nodes(nodes)) {
                victims.remove(&id);
            } else {
                after.put_back(&hold.grant.parts);
            }
        }
    }

    /// Whether all who are stopped would find another place at once.
    fn all_fit_elsewhere(&self, view: &mut View<'_>, victims: &BTreeSet<TaskId>) -> bool {
        let mut moved: Vec<&Task> = victims.iter().filter_map(|&id| self.state.task(id)).collect();
        moved.sort_by_key(|task| (Reverse(task.held_milli()), task.id));
        moved.into_iter().all(|task| {
            let place = view.find(wanted(self.state, task), None);
            place.inspect(|parts| view.take(parts)).is_some()
        })
    }

    fn longest_grace(&self, victims: &BTreeSet<TaskId>) -> Millis {
        let graces =
            victims.iter().filter_map(|&id| self.state.task(id)).map(|task| task.terms.limits.stop_grace);
        graces.max().unwrap_or_default()
    }

    fn look_again(&mut self, at: Timestamp) {
        self.rooms.wake_at = self.rooms.wake_at.into_iter().chain([at]).min();
    }
}

/// Somebody who may be stopped.
#[derive(Debug, Clone, Copy)]
struct Victim {
    id: TaskId,
    /// Greater goes first: lower priority, worse class, later in the order.
    standing: (Reverse<i64>, Class, u64),
    milli: u64,
}

/// One more clearing of an offer.
struct Step {
    /// Less is better: what it costs for each of the missing devices that it adds, in thousandths of a thousandth of
    /// a device; then how many of them it adds, since a gang is best on few nodes; then whom it stops.
    cost: (u64, Reverse<usize>, Reverse<u64>, NodeId),
    offer: usize,
    way: usize,
    adds: usize,
}

impl Offer {
    fn devices(&self) -> usize {
        self.ways[self.taken].0
    }

    /// What could be taken beyond what is, if so many devices are missing still.
    fn steps(&self, offer: usize, missing: usize) -> impl Iterator<Item = Step> + '_ {
        let (has, now) = &self.ways[self.taken];
        self.ways.iter().enumerate().skip(self.taken + 1).map(move |(way, (devices, clearing))| {
            let adds = devices - has;
            let more = clearing.cost.0.saturating_sub(now.cost.0);
            let useful = adds.min(missing);
            let for_each = (more * 1_000).checked_div(useful as u64).unwrap_or(u64::MAX);
            let cost = (for_each, Reverse(useful), clearing.cost.1, clearing.node);
            Step { cost, offer, way, adds }
        })
    }
}
