//! Accepting tasks: what can never run is refused at once, with the numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ask::Ask;
use crate::capacity::too_big;
use crate::cause::Cause;
use crate::change::{Actor, Change};
use crate::cluster::{Cluster, Node};
use crate::command::{Refused, Submit};
use crate::config::SPEC_BYTES_MAX;
use crate::ids::{Name, TaskId};
use crate::node::HIDES_OUR_DATA;
use crate::retry::Strikes;
use crate::state::State;
use crate::state::turn::Turn;
use crate::task::{QueueCause, Standing, Task, TaskState, Work};

impl Turn<'_> {
    /// Accepts all of these tasks, or none.
    pub(super) fn submit(&mut self, tasks: Vec<Submit>) -> Result<Vec<TaskId>, Refused> {
        self.state.may_submit(&tasks, &self.actor)?;
        Ok(tasks.into_iter().map(|task| self.accept(task)).collect())
    }

    fn accept(&mut self, submit: Submit) -> TaskId {
        let (state, now) = (&mut *self.state, self.now);
        let id = state.ids.next(now);
        let spec_bytes = spec_bytes(&submit);
        let (terms, spec, hash) = (submit.terms, submit.spec, submit.spec_hash);
        let mut task = Task {
            id,
            project: submit.project,
            owner: submit.owner,
            priority: terms.priority,
            time_limit: terms.limits.run.or(state.rules.config().time_limit_default),
            terms: Arc::new(terms),
            work: if spec.command.is_empty() { Work::Reservation(hash) } else { Work::Program(hash) },
            spec_bytes,
            attained: 0,
            standing: Standing::default(),
            strikes: Strikes::default(),
            broken_nodes: Vec::new(),
            last_fault: None,
            submitted_at: now,
            first_started_at: None,
            attempt: 0,
            revision: 0,
            next_event: 0,
            cost_carry: 0,
            state: match submit.held {
                true => TaskState::Queued { cause: QueueCause::Held, since: now },
                false => TaskState::submitted(now),
            },
        };
        state.shared.share(&mut task);
        task.standing = state.learned.standing(&state.rules, &task, now);
        self.changes.touched.insert(id, true);
        self.changes.rows.push(Change::Spec { hash, spec });
        self.note(&mut task, Cause::Submitted, None);
        let effects = self.state.follow(now, None, Some(&task));
        self.state.tasks.insert(id, task);
        self.state.carry_out(effects, now);
        id
    }
}

impl State {
    fn may_submit(&mut self, tasks: &[Submit], actor: &Actor) -> Result<(), Refused> {
        let config = self.rules.config();
        let max = config.batch_max;
        if tasks.len() > max {
            return Err(Refused::BatchTooLarge { given: tasks.len(), max });
        }
        if self.tasks.len() + tasks.len() > config.queue_max {
            return Err(Refused::QueueFull { max: config.queue_max });
        }
        let spec_bytes: u64 = tasks.iter().map(|task| u64::from(spec_bytes(task))).sum();
        if self.specs.bytes() + spec_bytes > SPEC_BYTES_MAX {
            return Err(Refused::SpecsFull { bytes_max: SPEC_BYTES_MAX });
        }
        self.may_run_here(actor)?;
        if let Some(unknown) = tasks.iter().find(|task| config.queue(&task.terms.queue).is_none()) {
            let known = config.queue_names().map(Name::from).collect();
            return Err(Refused::NoSuchQueue { asked: unknown.terms.queue.clone(), known });
        }
        for task in tasks.iter().filter(|task| !task.terms.wait_for_capacity) {
            if !self.fitting.knows(&task.terms.ask, &self.cluster) {
                if let Some(too_big) = too_big(&self.cluster, &task.terms.ask) {
                    return Err(Refused::NoSuchCapacity(too_big));
                }
                self.fitting.learn(&task.terms.ask);
            }
        }
        Ok(())
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
