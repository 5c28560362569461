//! A task of a simulation: what its user submits, and what only the simulation knows.

use std::sync::Arc;

use fastgpu_core::ask::{Ask, Share};
use fastgpu_core::command::Submit;
use fastgpu_core::ids::{Name, SpecHash};
use fastgpu_core::retry::RetryPolicy;
use fastgpu_core::spec::Spec;
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::Millis;

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// When it is submitted, from the start of the simulation on.
    pub submit: Millis,
    /// How long its program runs if nobody disturbs it.
    pub duration: Millis,
    /// What it asks for.
    pub ask: Arc<Ask>,
    /// Its project.
    pub project: Name,
    /// Its owner.
    pub owner: Name,
    /// Its queue.
    pub queue: Name,
    /// Its name.
    pub name: Option<Name>,
    /// Its priority.
    pub priority: i32,
    /// What its user says about its duration.
    pub expected: Option<Millis>,
    /// How often a failure of its own is tried again.
    pub retries: u16,
    /// Its program's exit code.
    pub exit_code: u8,
}

impl Task {
    /// What it holds while it runs, in thousandths of a device; a cap alone counts as whole devices.
    #[must_use]
    pub fn milli(&self) -> u64 {
        let each = match self.ask.share {
            Share::Milli(milli) | Share::Both(milli, _) => u64::from(milli.get()),
            Share::Cap(_) => 1_000,
        };
        u64::from(self.ask.devices.max) * each
    }

    /// How many devices it holds while it runs.
    #[must_use]
    pub fn gpus(&self) -> u16 {
        self.ask.devices.max
    }
}

/// What all tasks of a simulation have in common, and how a task's number travels through the core.
#[derive(Debug)]
pub(crate) struct Form {
    spec: Arc<Spec>,
}

impl Default for Form {
    fn default() -> Self {
        let spec = Spec { command: vec!["simulated".to_owned()], ..Spec::default() };
        Self { spec: Arc::new(spec) }
    }
}

impl Form {
    /// The command's part for one task.
    pub(crate) fn submit(&self, number: u32, task: &Task, wait_for_capacity: bool) -> Submit {
        let terms = Terms {
            name: task.name.clone(),
            queue: task.queue.clone(),
            priority: task.priority,
            limits: Limits { stop_grace: Millis(0), ..Limits::default() },
            expected: task.expected,
            retry: RetryPolicy { max: task.retries, backoff: None },
            wait_for_capacity,
            ..Terms::new(task.ask.clone())
        };
        Submit {
            project: task.project.clone(),
            owner: task.owner.clone(),
            terms,
            spec: self.spec.clone(),
            spec_hash: hash_of(number),
            held: false,
        }
    }
}

/// The core hands the hash of a program from submit to launch and never looks inside: here it is the number of the
/// task.
fn hash_of(number: u32) -> SpecHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    SpecHash(hash)
}

/// The task's number.
pub(crate) fn number_of(hash: SpecHash) -> usize {
    let [a, b, c, d, ..] = hash.0;
    u32::from_be_bytes([a, b, c, d]) as usize
}
