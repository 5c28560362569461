//! Running tasks that somebody may be allowed to stop, by node: where preemption looks first.

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::Class;
use crate::ids::{NodeId, TaskId};
use crate::part::{Effects, Figures, Part, Rules};
use crate::policy::Preempt;
use crate::task::{Task, TaskState, Work};
use crate::units::Timestamp;

/// Tasks that may be stopped, by the nodes they are on.
pub type Preemptible = BTreeMap<NodeId, BTreeSet<TaskId>>;

/// Who may be stopped where.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Stops {
    on: Preemptible,
}

impl Stops {
    pub(in crate::state) const fn preemptible(&self) -> &Preemptible {
        &self.on
    }

    fn forget(&mut self, task: &Task) {
        for node in task.state.hold().into_iter().flat_map(|hold| hold.grant.nodes()) {
            if let Some(tasks) = self.on.get_mut(&node) {
                tasks.remove(&task.id);
                if tasks.is_empty() {
                    self.on.remove(&node);
                }
            }
        }
    }
}

fn may_be_stopped(rules: &Rules, task: &Task) -> bool {
    let is_program = matches!(task.work, Work::Program(_));
    let runs = matches!(task.state, TaskState::Running { .. });
    is_program
        && runs
        && match task.terms.ask.class {
            Class::Guaranteed => false,
            Class::Standard => rules.of(task).preempt == Preempt::Any,
            Class::Spot => true,
        }
}

impl Part for Stops {
    fn moved(
        &mut self,
        rules: &Rules,
        _: &Figures,
        _: Timestamp,
        old: Option<&Task>,
        new: Option<&Task>,
    ) -> Effects {
        // Whoever was not here is not missed: the rules may have been others when it came.
        old.into_iter().for_each(|task| self.forget(task));
        if let Some(task) = new.filter(|task| may_be_stopped(rules, task)) {
            for node in task.state.hold().into_iter().flat_map(|hold| hold.grant.nodes()) {
                self.on.entry(node).or_default().insert(task.id);
            }
        }
        Effects::Nothing
    }

    fn assert_sound(&self, rules: &Rules, tasks: &BTreeMap<TaskId, Task>) {
        let mut fresh = Self::default();
        for task in tasks.values() {
            let _ = fresh.moved(rules, &Figures::default(), Timestamp::default(), None, Some(task));
        }
        assert_eq!(self.on, fresh.on, "who may be stopped and the running tasks differ");
    }
}
