//! Accepting tasks: what can never run is refused at once, with the numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ask::{Ask, Spread};
use crate::change::{Actor, Change};
use crate::cluster::{Cluster, DeviceSlot, Node};
use crate::command::{Refused, Submit, TooBig};
use crate::config::SPEC_BYTES_MAX;
use crate::ids::{Name, TaskId};
use crate::node::HIDES_OUR_DATA;
use crate::plan::fit::{Free, View, allows_model, could_serve, has_labels, is_named};
use crate::retry::Strikes;
use crate::state::{Changes, State};
use crate::task::{QueueCause, Standing, Task, TaskState, Work};
use crate::units::{CpuMilli, MemoryMib, Timestamp};

impl State {
    pub(super) fn submit(
        &mut self,
        tasks: Vec<Submit>,
        actor: &Actor,
        now: Timestamp,
        out: &mut Changes,
    ) -> Result<Vec<TaskId>, Refused> {
        let max = self.config.batch_max;
        if tasks.len() > max {
            return Err(Refused::BatchTooLarge { given: tasks.len(), max });
        }
        if self.tasks.len() + tasks.len() > self.config.queue_max {
            return Err(Refused::QueueFull { max: self.config.queue_max });
        }
        let spec_bytes: u64 = tasks.iter().map(|task| u64::from(spec_bytes(task))).sum();
        if self.spec_bytes + spec_bytes > SPEC_BYTES_MAX {
            return Err(Refused::SpecsFull { bytes_max: SPEC_BYTES_MAX });
        }
        self.may_run_here(actor)?;
        if let Some(unknown) = tasks.iter().find(|task| self.config.queue(&task.queue).is_none()) {
            let known = self.config.queue_names().map(Name::from).collect();
            return Err(Refused::NoSuchQueue { asked: unknown.queue.clone(), known });
        }
        for task in tasks.iter().filter(|task| !task.wait_for_capacity) {
            if !self.fitting.knows(&task.ask, &self.cluster) {
                self.could_ever_fit(&task.ask).map_err(Refused::NoSuchCapacity)?;
                self.fitting.learn(&task.ask);
            }
        }
        Ok(tasks.into_iter().map(|task| self.accept(task, actor, now, out)).collect())
    }

    /// Where no node can hide this server's data from tasks, a task could read the tokens of everybody: then
    /// only the owner of the first token may run any.
    fn may_run_here(&self, actor: &Actor) -> Result<(), Refused> {
        let Actor::Token { owner, .. } = actor else { return Ok(()) };
        let first = self.tokens.values().min_by_key(|token| (token.created_at, &token.id));
        if first.is_none_or(|first| first.owner == *owner) {
            return Ok(());
        }
        let abilities =
            |node: &Node| node.abilities.iter().find(|ability| ability.name == HIDES_OUR_DATA).cloned();
        let mut exposed = None;
        for node in self.cluster.nodes() {
            match abilities(node) {
                Some(ability) if !ability.works => exposed = Some(ability.detail),
                _ => return Ok(()),
            }
        }
        exposed.map_or(Ok(()), |why| Err(Refused::Exposed { why }))
    }

    fn accept(&mut self, submit: Submit, actor: &Actor, now: Timestamp, out: &mut Changes) -> TaskId {
        let id = self.ids.next(now);
        let spec_bytes = spec_bytes(&submit);
        self.spec_bytes += u64::from(spec_bytes);
        let (spec, hash) = (submit.spec, submit.spec_hash);
        let work = if spec.command.is_empty() { Work::Reservation(hash) } else { Work::Program(hash) };
        let mut limits = submit.limits;
        limits.run = limits.run.or(self.config.time_limit_default);
        let state = match submit.held {
            true => TaskState::Queued { cause: QueueCause::Held, since: now },
            false => TaskState::submitted(now),
        };
        let mut task = Task {
            id,
            project: submit.project,
            owner: submit.owner,
            name: submit.name,
            queue: submit.queue,
            ask: Arc::new(submit.ask),
            priority: submit.priority,
            work,
            spec_bytes,
            limits,
            expected: submit.expected,
            attained: 0,
            standing: Standing::default(),
            retry: submit.retry,
            strikes: Strikes::default(),
            broken_nodes: Vec::new(),
            last_fault: None,
            submitted_at: now,
            first_started_at: None,
            attempt: 0,
            revision: 0,
            next_event: 0,
            cost_carry: 0,
            state,
        };
        self.share_parts_of(&mut task);
        self.mix.observe(&task.ask);
        self.outlook.look(&self.mix, &self.cluster);
        self.stand(&mut task, now);
        self.enter(&task, false);
        self.tasks.insert(id, task);
        out.touched.insert(id, true);
        out.rows.push(Change::Spec { hash, spec });
        self.note(id, "submitted", None, actor.clone(), now, out);
        id
    }

    /// Tasks of one shape, project and owner share them in memory.
    pub(super) fn share_parts_of(&mut self, task: &mut Task) {
        if let Some(known) = self.asks.get(&task.ask) {
            task.ask = known.clone();
        } else {
            forget_unused(&mut self.asks, |ask| Arc::strong_count(ask) == 1);
            self.asks.insert(task.ask.clone());
        }
        for name in [&mut task.project, &mut task.owner, &mut task.queue] {
            if let Some(known) = self.names.get(name) {
                *name = known.clone();
            } else {
                forget_unused::<Name>(&mut self.names, |name| Arc::strong_count(name) == 1);
                self.names.insert(name.clone());
            }
        }
    }

    /// Whether the cluster, if it were empty, could hold this ask. A cluster that is still looking for its
    /// devices gets the benefit of the doubt.
    fn could_ever_fit(&self, ask: &Ask) -> Result<(), TooBig> {
        let nodes: Vec<&Node> = self.cluster.nodes().collect();
        if nodes.is_empty() || nodes.iter().any(|node| !node.probed) {
            return Ok(());
        }
        let mut empty = View::new(&self.cluster);
        for node in &nodes {
            empty.edit(node, |free| *free = Free::all_of(node));
        }
        if empty.place_ignoring_presence(ask) { Ok(()) } else { Err(too_big(ask, &nodes)) }
    }
}

/// Asks that the cluster could hold if it were empty, so that thousands of tasks of one shape are looked at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Fitting {
    /// The [`Cluster::offers`] they were looked at with.
    offers: u64,
    asks: BTreeSet<Ask>,
}

impl Fitting {
    /// More shapes than this are not remembered.
    const ASKS_MAX: usize = 4_096;

    fn knows(&mut self, ask: &Ask, cluster: &Cluster) -> bool {
        if self.offers != cluster.offers() {
            self.offers = cluster.offers();
            self.asks.clear();
        }
        self.asks.contains(ask)
    }

    fn learn(&mut self, ask: &Ask) {
        if self.asks.len() >= Self::ASKS_MAX {
            self.asks.clear();
        }
        self.asks.insert(ask.clone());
    }
}

fn spec_bytes(submit: &Submit) -> u32 {
    u32::try_from(submit.spec.bytes()).unwrap_or(u32::MAX)
}

/// Tables of shared parts are swept when they double, so that old shapes do not stay for ever.
fn forget_unused<T: Ord>(table: &mut std::collections::BTreeSet<T>, unused: impl Fn(&T) -> bool) {
    const SWEEP_FROM: usize = 1_024;
    if table.len() >= SWEEP_FROM && table.len().is_power_of_two() {
        table.retain(|entry| !unused(entry));
    }
}

/// Names the first part of the ask that nothing here can meet.
fn too_big(ask: &Ask, nodes: &[&Node]) -> TooBig {
    let allowed: Vec<&&Node> = nodes.iter().filter(|node| is_named(ask, node)).collect();
    if allowed.is_empty() {
        return TooBig::Node { asked: ask.constraints.nodes.clone() };
    }
    let allowed: Vec<&&Node> = allowed.into_iter().filter(|node| has_labels(ask, node)).collect();
    if allowed.is_empty() {
        return TooBig::Labels { asked: ask.constraints.labels.clone() };
    }
    let largest_cpu = allowed.iter().map(|node| node.cpu).max().unwrap_or_default();
    if ask.cpu > largest_cpu {
        return TooBig::Cpu { asked: ask.cpu, largest: CpuMilli(largest_cpu.0) };
    }
    let largest_memory = allowed.iter().map(|node| node.host_memory).max().unwrap_or_default();
    if ask.host_memory > largest_memory {
        return TooBig::HostMemory { asked: ask.host_memory, largest: largest_memory };
    }
    if ask.devices.min == 0 {
        return TooBig::Together;
    }
    let devices: Vec<&DeviceSlot> = allowed.iter().flat_map(|node| &node.devices).collect();
    if devices.is_empty() {
        return TooBig::NoDevices;
    }
    if devices.iter().all(|slot| !allows_model(ask, &slot.info.model)) {
        let mut known: Vec<Name> = devices.iter().map(|slot| slot.info.model.clone()).collect();
        known.sort();
        known.dedup();
        return TooBig::Model { asked: ask.constraints.models.clone(), known };
    }
    let largest = devices.iter().map(|slot| slot.info.memory).max().unwrap_or_default();
    let asked = asked_memory(ask);
    if asked > largest {
        return TooBig::DeviceMemory { asked, largest };
    }
    let serves = |slot: &&DeviceSlot| could_serve(ask, slot);
    let per_node = allowed.iter().map(|node| node.devices.iter().filter(serves).count());
    let one_node = ask.constraints.spread == Spread::OneNode;
    let largest = if one_node { per_node.max().unwrap_or(0) } else { per_node.sum() };
    if usize::from(ask.devices.min) > largest {
        let largest = u16::try_from(largest).unwrap_or(u16::MAX);
        return TooBig::Devices { asked: ask.devices.min, largest, one_node };
    }
    TooBig::Together
}

fn asked_memory(ask: &Ask) -> MemoryMib {
    use crate::ask::Share;
    let cap = match ask.share {
        Share::Milli(_) => MemoryMib::ZERO,
        Share::Cap(cap) | Share::Both(_, cap) => cap,
    };
    cap.max(ask.constraints.device_memory_min)
}
