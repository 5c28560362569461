//! One trace, one cluster, several policies side by side: what users would wait, what the cluster would do, cost and
//! draw.

mod answer;
pub mod page;

use std::collections::BTreeMap;

use fastgpu_core::ask::Ask;
use fastgpu_core::command::Refused;
use fastgpu_core::ids::Name;
use fastgpu_core::task::Outcome;

pub use answer::{
    Answer, ClusterAnswer, Cost, Energy, Fairness, FinishTimes, GpuHours, PolicyAnswer, SeriesAnswer, Spans,
    Tasks,
};

use crate::START;
use crate::cluster::Machines;
use crate::engine::{Engine, Story, World};
use crate::faults::Faults;
use crate::fragmentation::{Kinds, Mix};
use crate::job::{Fate, Job, seconds};
use crate::meter::DEVICE_HOUR;
use crate::openb::DecisionUs;
use crate::policy::Policy;
use crate::server::Stopwatch;
use crate::task::Task;
use crate::units::{percentile, rounded};

/// The mix by which waste is measured covers this much of the tasks.
const MIX_PERCENT: u64 = 95;
/// With more shapes than this the measure would cost more than the plan.
const MIX_SHAPES_MAX: usize = 32;
/// A task whose finish-time ratio is above this was treated unfairly.
const UNFAIR_FROM: f64 = 1.05;

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct Scenario<'a> {
    /// The machines.
    pub machines: &'a Machines,
    /// The tasks, by time of submission.
    pub tasks: &'a [Task],
    /// The policies to compare.
    pub policies: &'a [Policy],
    /// What goes wrong.
    pub faults: Option<&'a Faults>,
    /// Price of a kilowatt-hour.
    pub electricity: f64,
    /// A watch for decisions.
    pub stopwatch: Option<Stopwatch>,
    /// Whether the answer tells what happened over time.
    pub with_series: bool,
    /// Check that the state is sound after this many moments; 0 for never.
    pub check_every: u32,
}

/// What came out of a policy, for the numbers and for the pictures.
#[derive(Debug)]
pub struct Outcomes {
    /// The numbers.
    pub answer: Answer,
    /// For each policy what pictures need.
    pub pictures: Vec<Pictures>,
}

/// What pictures of one policy need.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// The policy.
    pub policy: String,
    /// Seconds from the start, and what [`crate::meter::Meter::series`] has there.
    pub series: Vec<(f64, [f64; crate::meter::SIGNALS])>,
    /// All waits, by rising length, in seconds.
    pub waits_s: Vec<f64>,
    /// A row per GPU or group of them, and how much of it was held over time.
    pub gpus: Vec<(String, Vec<f64>)>,
    /// The last moment, in seconds from the start.
    pub end_s: f64,
    /// Every run on every GPU, where they are few enough to be drawn.
    pub runs: Option<Vec<RunPicture>>,
    /// Owners, those with the most tasks first.
    pub owners: Vec<String>,
}

/// A task on a GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPicture {
    /// The place of the GPU among all.
    pub gpu: usize,
    /// Seconds from the start.
    pub from_s: f64,
    /// Seconds from the start.
    pub to_s: f64,
    /// The part of the GPU.
    pub share: f64,
    /// The place of its owner in [`Pictures::owners`].
    pub owner: usize,
    /// Its name.
    pub label: String,
}

/// Simulates each policy.
///
/// # Errors
/// When a policy makes no valid configuration.
pub fn run(scenario: &Scenario<'_>, mut progress: impl FnMut(&str, usize)) -> Result<Outcomes, Refused> {
    let kinds = Kinds::of(scenario.machines);
    let asks = scenario.tasks.iter().map(|task| &*task.ask);
    let mix = Mix::of(asks, Ask::clone, MIX_PERCENT, MIX_SHAPES_MAX, &kinds);
    let owners = owners(scenario.tasks);
    let mut answers = Vec::new();
    let mut pictures = Vec::new();
    for policy in scenario.policies {
        let world = World {
            machines: scenario.machines,
            tasks: scenario.tasks,
            policy,
            faults: scenario.faults,
            mix: Some(&mix),
            stopwatch: scenario.stopwatch,
            check_every: scenario.check_every,
        };
        let mut story = Engine::new(world)?.run(|over| progress(&policy.name, over));
        progress(&policy.name, scenario.tasks.len());
        let answer = tell(scenario, policy, &story);
        pictures.push(Pictures {
            policy: policy.name.clone(),
            series: story.meter.series.averages(),
            waits_s: waits(&story.jobs),
            gpus: story.meter.rows.finish(story.end),
            end_s: seconds(story.end.since(START)),
            runs: runs(&story, scenario.tasks, &owners),
            owners: owners.iter().map(ToString::to_string).collect(),
        });
        answers.push(answer);
    }
    let cluster = ClusterAnswer { nodes: scenario.machines.0.len(), gpus: scenario.machines.gpus() };
    let answer = Answer { cluster, tasks: scenario.tasks.len(), policies: answers };
    Ok(Outcomes { answer, pictures })
}

fn tell(scenario: &Scenario<'_>, policy: &Policy, story: &Story) -> PolicyAnswer {
    let (jobs, meter) = (&story.jobs, &story.meter);
    let makespan = seconds(story.end.since(START));
    let started: Vec<f64> = waits(jobs);
    let mut completions: Vec<f64> = jobs.iter().filter_map(Job::completion).map(seconds).collect();
    completions.sort_by(f64::total_cmp);
    let hours = |milli_ms: i128| rounded(float(milli_ms) / float(DEVICE_HOUR), 3);
    let (held, available) = (meter.used_milli_ms(), meter.up_milli_ms());
    let lost =
        jobs.iter().zip(scenario.tasks).map(|(job, task)| seconds(job.lost) * float(task.milli().into()));
    let kwh = float(meter.energy_uj()) / 3.6e12;
    let series = meter.series.averages();
    PolicyAnswer {
        policy: policy.name.clone(),
        tasks: Tasks::of(jobs),
        refusals: story.refusals.clone(),
        makespan_s: rounded(makespan, 3),
        utilization_percent: rounded(100.0 * float(held) / float(available.max(1)), 3),
        wait_s: Spans::of(&started),
        completion_s: Spans::of(&completions),
        preemptions: jobs.iter().map(|job| u64::from(job.preemptions)).sum(),
        machine_failures: jobs.iter().map(|job| u64::from(job.failures)).sum(),
        fairness: fairness(jobs, scenario.tasks),
        fragmentation_percent: fragmentation(&series),
        gpu_hours: GpuHours {
            available: hours(available),
            held: hours(held),
            charged: hours(meter.charged_milli_ms),
            lost: rounded(lost.sum::<f64>() / 3.6e6, 3),
        },
        energy: Energy { kwh: rounded(kwh, 3), idle_kwh: rounded(float(idle_energy_uj(story)) / 3.6e12, 3) },
        cost: Cost {
            gpus: money(meter.cost_micros()),
            held: money(meter.used_cost_micros()),
            electricity: rounded(kwh * scenario.electricity, 2),
        },
        decision_us: scenario.stopwatch.map(|_| DecisionUs::of(&story.decisions_ns)),
        series: scenario.with_series.then(|| SeriesAnswer::of(&series)),
    }
}

/// What GPUs drew while nobody held them.
fn idle_energy_uj(story: &Story) -> i128 {
    let meter = &story.meter;
    let each = meter.totals.iter().zip(&meter.kinds.all).map(|(total, kind)| {
        (total.up_milli_ms - total.used_milli_ms) * i128::from(kind.power.idle_mw) / 1_000
    });
    each.sum()
}

/// All owners, those with the most tasks first.
fn owners(tasks: &[Task]) -> Vec<Name> {
    let mut counts: BTreeMap<&Name, usize> = BTreeMap::new();
    for task in tasks {
        *counts.entry(&task.owner).or_default() += 1;
    }
    let mut owners: Vec<(&Name, usize)> = counts.into_iter().collect();
    owners.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    owners.into_iter().map(|(owner, _)| owner.clone()).collect()
}

fn runs(story: &Story, tasks: &[Task], owners: &[Name]) -> Option<Vec<RunPicture>> {
    let places: BTreeMap<&Name, usize> =
        owners.iter().enumerate().map(|(place, owner)| (owner, place)).collect();
    let run = |held: &crate::meter::Held| {
        let task = &tasks[held.task];
        RunPicture {
            gpu: held.gpu,
            from_s: seconds(held.from.since(START)),
            to_s: seconds(held.to.since(START)),
            share: f64::from(held.milli) / 1e3,
            owner: places[&task.owner],
            label: task.name.as_ref().map_or_else(|| format!("task {}", held.task + 1), ToString::to_string),
        }
    };
    Some(story.meter.rows.held()?.iter().map(run).collect())
}

/// All waits of tasks that were accepted, by rising length, in seconds.
fn waits(jobs: &[Job]) -> Vec<f64> {
    let accepted = jobs.iter().filter(|job| !matches!(job.fate, Fate::Coming | Fate::Refused));
    let mut waits: Vec<f64> = accepted.map(|job| seconds(job.waited)).collect();
    waits.sort_by(f64::total_cmp);
    waits
}

/// Free GPUs that the mix could not use, in percent of all that were there, over time.
fn fragmentation(series: &[(f64, [f64; crate::meter::SIGNALS])]) -> f64 {
    let up: f64 = series.iter().map(|(_, [_, up, ..])| up).sum();
    let wasted: f64 = series.iter().map(|(_, [.., wasted, _])| wasted).sum();
    rounded(100.0 * wasted / up.max(1e-9), 3)
}

fn fairness(jobs: &[Job], tasks: &[Task]) -> Fairness {
    let mut ratios: Vec<f64> = jobs.iter().filter_map(Job::finish_time_ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let count = float(i128::try_from(ratios.len().max(1)).unwrap_or(1));
    let unfair = ratios.iter().filter(|&&ratio| ratio > UNFAIR_FROM).count();
    let finish_time_ratio = FinishTimes {
        mean: rounded(ratios.iter().sum::<f64>() / count, 4),
        p99: rounded(percentile(&ratios, 990).unwrap_or(0.0), 4),
        worst: rounded(ratios.last().copied().unwrap_or(0.0), 4),
        unfair_percent: rounded(100.0 * float(i128::try_from(unfair).unwrap_or(0)) / count, 3),
    };
    Fairness { jain_owners: jain(jobs, tasks), finish_time_ratio }
}

/// Jain's index over owners of their speed: the part of their time in the system in which their tasks ran. 1 when all
/// are served alike, 1/n when one of n is served alone.
fn jain(jobs: &[Job], tasks: &[Task]) -> f64 {
    let mut owners: BTreeMap<&Name, (f64, f64)> = BTreeMap::new();
    for (job, task) in jobs.iter().zip(tasks) {
        if let Some(completion) = job.completion() {
            let (ran, there) = owners.entry(&task.owner).or_default();
            *ran += seconds(job.ran);
            *there += seconds(completion);
        }
    }
    let speeds: Vec<f64> =
        owners.values().filter(|(_, there)| *there > 0.0).map(|(ran, there)| ran / there).collect();
    let (sum, squares) =
        speeds.iter().fold((0.0, 0.0), |(sum, squares), speed| (sum + speed, squares + speed * speed));
    let count = float(i128::try_from(speeds.len()).unwrap_or(0));
    if squares > 0.0 { rounded(sum * sum / (count * squares), 4) } else { 1.0 }
}

fn money(micros: i128) -> f64 {
    rounded(float(micros) / 1e6, 2)
}

#[expect(clippy::cast_precision_loss, reason = "a report needs a dozen digits, not forty")]
fn float(amount: i128) -> f64 {
    amount as f64
}

impl Tasks {
    fn of(jobs: &[Job]) -> Self {
        let mut tasks = Self { submitted: jobs.len() as u64, ..Self::default() };
        for job in jobs {
            let counter = match job.fate {
                Fate::Refused => &mut tasks.refused,
                Fate::Parked => &mut tasks.parked,
                Fate::Coming | Fate::Alive => &mut tasks.unfinished,
                Fate::Ended { outcome: Outcome::Succeeded, .. } => &mut tasks.succeeded,
                Fate::Ended { .. } => &mut tasks.failed,
            };
            *counter += 1;
        }
        tasks
    }
}
