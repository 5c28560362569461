//! One run per seed, through the same state and plan as in a server.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused, Reply, Submit};
use fastgpu_core::ids::{Name, SpecHash, TaskId};
use fastgpu_core::policy::Preempt;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::Changes;
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};
use serde::Serialize;

use super::read::exactly;
use super::{Experiment, FULL, OpenbTask, arrivals};
use crate::cluster::Machines;
use crate::fragmentation::{Kinds, Mix};
use crate::policy::Policy;
use crate::python_random::PythonRandom;
use crate::server::{Server, Stopwatch};
use crate::units::{percentile, rounded};

/// When asked % is one of these, allocated % is reported.
const MARKS: [u64; 4] = [100, 110, 120, 130];
/// One task a second.
const EVERY: Millis = Millis::from_secs(1);
/// The share of all tasks that the mix of the waste measure covers.
const MIX_PERCENT: u64 = 95;
/// In debug builds everything is checked after this many tasks.
const CHECK_EVERY: usize = 1_000;

/// What became of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// As it was written.
    pub policy: String,
    /// One run each.
    pub seeds: Vec<SeedAnswer>,
    /// The average over the seeds.
    pub mean: Figures,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedAnswer {
    /// Of the order of tasks and of nodes.
    pub seed: u64,
    /// What came out.
    #[serde(flatten)]
    pub figures: Figures,
    /// How long the decisions took.
    pub decision_us: DecisionUs,
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Allocated GPU in percent of all, by what was asked for in percent of all.
    pub allocation: BTreeMap<String, f64>,
    /// GPU in percent of all that the mix of tasks could not use, at the end.
    pub unusable: f64,
    /// GPUs not allocated at the end.
    pub idle_gpus: f64,
    /// Tasks.
    pub tasks: f64,
    /// Tasks that found no place.
    pub lost: f64,
}

/// How long decisions took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DecisionUs {
    /// Half of them took at most this long.
    pub p50: f64,
    /// All but one of a hundred took at most this long.
    pub p99: f64,
}

impl DecisionUs {
    /// From times in nanoseconds.
    #[must_use]
    pub fn of(decisions_ns: &[u32]) -> Self {
        let mut sorted = decisions_ns.to_vec();
        sorted.sort_unstable();
        let at = |per_mille| rounded(f64::from(percentile(&sorted, per_mille).unwrap_or(0)) / 1e3, 1);
        Self { p50: at(500), p99: at(990) }
    }
}

/// Runs a policy once per seed. `order`, if given, replaces the order of tasks that a seed makes.
///
/// # Errors
/// When the core refuses something, which a sound input never makes it do.
pub fn run(
    experiment: &Experiment,
    policy: &Policy,
    seeds: &[u64],
    percent: u64,
    order: Option<&[OpenbTask]>,
    stopwatch: Option<Stopwatch>,
    mut progress: impl FnMut(usize),
) -> Result<Answer, Refused> {
    let mut answers = Vec::with_capacity(seeds.len());
    for (done, &seed) in seeds.iter().enumerate() {
        let mut random = PythonRandom::new(seed);
        let shuffled = arrivals(&experiment.tasks, experiment.capacity_milli(), percent, &mut random);
        let mut machines = experiment.machines.0.clone();
        random.shuffle(&mut machines);
        let in_order: Vec<&OpenbTask> = match order {
            Some(order) => order.iter().collect(),
            None => shuffled.iter().map(|&at| &experiment.tasks[at]).collect(),
        };
        answers.push(run_seed(experiment, &Machines(machines), &in_order, policy, seed, stopwatch)?);
        progress(done + 1);
    }
    let mean = mean(&answers);
    Ok(Answer { policy: policy.name.clone(), seeds: answers, mean })
}

fn run_seed(
    experiment: &Experiment,
    machines: &Machines,
    tasks: &[&OpenbTask],
    policy: &Policy,
    seed: u64,
    stopwatch: Option<Stopwatch>,
) -> Result<SeedAnswer, Refused> {
    let capacity = experiment.capacity_milli();
    let mut now = Timestamp(crate::START.0);
    let mut config = policy.config([]);
    for queue in config.queues.values_mut() {
        // Nobody leaves, not even by force.
        queue.preempt = Preempt::Never;
    }
    let mut server = Server::new(config, machines, now, stopwatch)?;
    let form = Form::default();
    let mut buckets: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let (mut asked, mut used, mut lost) = (0, 0, 0u32);
    for (number, task) in (1..).zip(tasks) {
        now = now.plus(EVERY);
        asked += task.milli();
        if offer(&mut server, form.submit(task), now)? {
            used += task.milli();
        } else {
            lost += 1;
        }
        buckets.entry(whole_percent(asked, capacity)).or_default().push(percent_of(used, capacity));
        if cfg!(debug_assertions) && number % CHECK_EVERY == 0 {
            server.state().assert_sound();
        }
    }
    let at = |mark: u64| {
        let near = |mark: u64| buckets.get(&mark).map(Vec::as_slice).unwrap_or_default();
        let values = match near(mark) {
            [] => [near(mark.saturating_sub(1)), near(mark + 1)].concat(),
            own => own.to_vec(),
        };
        (!values.is_empty()).then(|| (mark.to_string(), rounded(average(&values), 4)))
    };
    Ok(SeedAnswer {
        seed,
        figures: Figures {
            allocation: MARKS.into_iter().filter_map(at).collect(),
            unusable: rounded(100.0 * unusable_milli(experiment, machines, &server) / float(capacity), 4),
            idle_gpus: float(capacity - used) / float(FULL),
            tasks: float(tasks.len() as u64),
            lost: f64::from(lost),
        },
        decision_us: DecisionUs::of(server.decisions_ns()),
    })
}

/// Submits a task, plans once, and cancels the task if it was not placed. Says whether it was.
fn offer(server: &mut Server, submit: Submit, now: Timestamp) -> Result<bool, Refused> {
    let changes = &mut Changes::default();
    let command = Command::Submit { tasks: vec![submit], actor: Actor::Local };
    let Reply::Submitted(ids) = server.apply(command, now, changes)? else {
        unreachable!("a submit is answered with ids")
    };
    server.rounds(now, changes);
    let placed = |id: TaskId| server.state().task(id).is_some_and(|task| task.state.hold().is_some());
    let is_placed = ids.iter().all(|&id| placed(id));
    if !is_placed {
        for task in ids {
            server.apply(Command::Cancel { task, grace: None, actor: Actor::Local }, now, changes)?;
        }
    }
    Ok(is_placed)
}

fn unusable_milli(experiment: &Experiment, machines: &Machines, server: &Server) -> f64 {
    let kinds = Kinds::of(machines);
    let asks: Vec<Ask> = experiment.tasks.iter().map(ask).collect();
    // The published mix knows processor, GPUs, share and types, not host memory.
    let key = |ask: &Ask| {
        let types: Vec<String> = ask.constraints.models.iter().map(|name| name.to_string()).collect();
        (ask.cpu, ask.share, ask.devices, types.join("|"))
    };
    let mix = Mix::of(asks.iter(), key, MIX_PERCENT, usize::MAX, &kinds);
    server.state().cluster().nodes().zip(&kinds.of_machine).map(|(node, kinds)| mix.waste(node, kinds)).sum()
}

/// What all tasks of the experiment have in common.
struct Form {
    name: Name,
    spec: Arc<Spec>,
}

impl Default for Form {
    fn default() -> Self {
        let spec = Spec { command: vec!["true".to_owned()], ..Spec::default() };
        Self { name: "default".into(), spec: Arc::new(spec) }
    }
}

impl Form {
    fn submit(&self, task: &OpenbTask) -> Submit {
        let terms = Terms {
            limits: Limits { stop_grace: Millis(0), ..Limits::default() },
            wait_for_capacity: true,
            ..Terms::new(ask(task))
        };
        Submit {
            project: self.name.clone(),
            owner: self.name.clone(),
            terms,
            spec: self.spec.clone(),
            spec_hash: SpecHash([0; 32]),
            held: false,
        }
    }
}

fn ask(task: &OpenbTask) -> Ask {
    let models = task.types.split('|').filter(|name| !name.is_empty());
    Ask {
        devices: DeviceCount::exactly(task.gpus),
        share: Share::Milli(GpuMilli::new(task.gpu_milli).expect("read as at most 1000")),
        constraints: Constraints {
            models: models.map(|name| exactly(name).into()).collect(),
            spread: Spread::OneNode,
            ..Constraints::default()
        },
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(task.cpu_milli),
        host_memory: MemoryMib(task.memory_mib),
    }
}

fn mean(answers: &[SeedAnswer]) -> Figures {
    let over = |of: &dyn Fn(&Figures) -> f64| {
        average(&answers.iter().map(|answer| of(&answer.figures)).collect::<Vec<_>>())
    };
    let at = |mark: u64| {
        let mark = mark.to_string();
        let values: Vec<f64> =
            answers.iter().filter_map(|answer| answer.figures.allocation.get(&mark).copied()).collect();
        (!values.is_empty()).then(|| (mark, rounded(average(&values), 4)))
    };
    Figures {
        allocation: MARKS.into_iter().filter_map(at).collect(),
        unusable: rounded(over(&|figures| figures.unusable), 4),
        idle_gpus: rounded(over(&|figures| figures.idle_gpus), 3),
        tasks: rounded(over(&|figures| figures.tasks), 1),
        lost: rounded(over(&|figures| figures.lost), 1),
    }
}

fn average(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().sum::<f64>() / float(values.len() as u64)
}

/// As the published experiment rounds: to the nearest whole number, ties to the even one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "percent of a cluster are few")]
fn whole_percent(part: u64, whole: u64) -> u64 {
    (100.0 * float(part) / float(whole)).round_ties_even() as u64
}

fn percent_of(part: u64, whole: u64) -> f64 {
    rounded(100.0 * float(part) / float(whole), 2)
}

#[expect(clippy::cast_precision_loss, reason = "amounts of an experiment are far below 2^52")]
fn float(amount: u64) -> f64 {
    amount as f64
}
