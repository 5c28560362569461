//! How long a task will run, learned from those that ran before it.
//!
//! Samples are kept for four keys, from narrow to wide: the same project, owner, name and shape; then without
//! the shape; then without the name; then the owner alone. The narrowest key with enough samples answers, with
//! quantiles. What a user states is believed, unless it is far less than anything the same key has seen: who
//! states too little would go before all others.

use std::collections::BTreeMap;

use crate::gittins::History;
use crate::ids::Name;
use crate::task::Task;
use crate::units::Millis;

/// Samples kept per key: enough for a 90th percentile, few enough to follow a change.
const SAMPLES_MAX: usize = 32;
/// With fewer samples than this a wider key is asked.
const SAMPLES_MIN: usize = 3;
/// Keys of one generation; two generations are kept, and the older one goes when the newer is full.
const KEYS_MAX: usize = 8_192;
/// A stated duration may be below the least that the key has seen by this factor.
const TRUST_FACTOR: u64 = 4;

/// What is known of run times.
#[derive(Debug, Clone, Default)]
pub struct Predictor {
    young: BTreeMap<Key, Samples>,
    old: BTreeMap<Key, Samples>,
    /// What is assumed of tasks nothing is known of.
    prior: History,
}

/// One run that ended well, to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The task's project.
    pub project: Name,
    /// The task's owner.
    pub owner: Name,
    /// The task's name.
    pub name: Option<Name>,
    /// Devices times share, in thousandths: a rough shape.
    pub milli: u64,
    /// How long its program ran in all.
    pub ran: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    project: Name,
    owner: Name,
    name: Option<Name>,
    milli: Option<u64>,
}

/// The latest run times of one key, as a ring, and what they say of the age of a task.
#[derive(Debug, Clone, Default)]
struct Samples {
    ran_ms: Vec<u64>,
    next: usize,
    history: History,
}

impl Samples {
    /// Returns whether the index of ages may be another now.
    fn add(&mut self, ran: Millis) -> bool {
        if self.ran_ms.len() < SAMPLES_MAX {
            self.ran_ms.push(ran.0);
        } else {
            self.ran_ms[self.next] = ran.0;
            self.next = (self.next + 1) % SAMPLES_MAX;
        }
        self.history.add(ran.0 / 1_000)
    }

    fn sorted(&self) -> Vec<u64> {
        let mut sorted = self.ran_ms.clone();
        sorted.sort_unstable();
        sorted
    }
}

impl Predictor {
    /// Learns from a run that ended by itself and well. Returns whether [`Self::urgency`] may differ now for
    /// tasks of the same project and owner.
    pub fn learn(&mut self, run: &Run) -> bool {
        let mut changed = false;
        for key in keys(&run.project, &run.owner, run.name.as_ref(), run.milli).into_iter().flatten() {
            let mut samples = self.young.remove(&key).or_else(|| self.old.remove(&key)).unwrap_or_default();
            changed |= samples.add(run.ran);
            if self.young.len() >= KEYS_MAX {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(key, samples);
        }
        changed
    }

    /// The logarithm ([`crate::gittins::log2`]) of the seconds of service expected per end, for a task that has
    /// run for `age`: the narrowest history that has enough samples says, or none but the prior.
    #[must_use]
    pub fn urgency(&self, task: &Task, age: Millis) -> u32 {
        let age_s = age.0 / 1_000;
        self.known(task).map_or_else(|| self.prior.index(age_s), |samples| samples.history.index(age_s))
    }

    /// How long the task will run in all: as stated, within reason; else as predicted; else as limited.
    #[must_use]
    pub fn duration(&self, task: &Task) -> Option<Millis> {
        // A reservation ends when its time is over, to the millisecond.
        if matches!(task.work, crate::task::Work::Reservation(_)) {
            return task.time_limit;
        }
        let sorted = self.samples(task);
        let believed = match (task.terms.expected, &sorted) {
            (Some(stated), Some(sorted)) => Some(believed(stated, sorted)),
            (Some(stated), None) => Some(stated),
            (None, Some(sorted)) => Some(Millis(quantile(sorted, 50))),
            (None, None) => None,
        };
        // Nothing runs past its limit.
        match (believed, task.time_limit) {
            (Some(believed), Some(limit)) => Some(believed.min(limit)),
            (believed, limit) => believed.or(limit),
        }
    }

    fn samples(&self, task: &Task) -> Option<Vec<u64>> {
        self.known(task).map(Samples::sorted)
    }

    /// The narrowest samples that are enough.
    fn known(&self, task: &Task) -> Option<&Samples> {
        keys(&task.project, &task.owner, task.terms.name.as_ref(), task.terms.ask.milli())
            .into_iter()
            .flatten()
            .filter_map(|key| self.young.get(&key).or_else(|| self.old.get(&key)))
            .find(|samples| samples.ran_ms.len() >= SAMPLES_MIN)
    }
}

/// From narrow to wide.
fn keys(project: &Name, owner: &Name, name: Option<&Name>, milli: u64) -> [Option<Key>; 4] {
    let key = |name: Option<&Name>, milli| Key {
        project: project.clone(),
        owner: owner.clone(),
        name: name.cloned(),
        milli,
    };
    [
        name.map(|name| key(Some(name), Some(milli))),
        name.map(|name| key(Some(name), None)),
        Some(key(None, Some(milli))),
        Some(key(None, None)),
    ]
}

/// The smallest sample that at least `percent` of all do not exceed.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// Who states too little would go first; who states too much only waits, and a long task among short ones is
/// nothing rare.
fn believed(stated: Millis, sorted: &[u64]) -> Millis {
    Millis(stated.0.max(sorted[0] / TRUST_FACTOR))
}
