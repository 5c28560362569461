//! Completion times on Microsoft's Philly trace: each virtual cluster (VC) has machines of its own with eight GPUs,
//! sized so that a stated part of them is asked for on average.
//!
//! A task of up to eight GPUs needs one machine; a larger one may span machines. A preemption costs the preempted
//! task 7, 30 or 60 seconds more running, by its size.

mod page;

use std::collections::BTreeMap;
use std::sync::Arc;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::command::Refused;
use fastgpu_core::ids::Name;
use fastgpu_core::policy::DEFAULT_QUEUE;
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, PriceMicros};
pub use page::report;
use serde::Serialize;

use crate::cluster::{Gpu, Machines, models};
use crate::engine::{Engine, World};
use crate::input::{Input, InputError, shown};
use crate::job::{Job, seconds};
use crate::openb::DecisionUs;
use crate::policy::Policy;
use crate::server::Stopwatch;
use crate::task::Task;
use crate::units::{percentile, rounded};

/// Machines of each VC as its operators had them (Helios artifact).
const MACHINES: [(&str, usize); 11] = [
    ("6214e9", 64),
    ("7f04ca", 32),
    ("11cb48", 16),
    ("b436b2", 64),
    ("ee9e8c", 64),
    ("e13805", 16),
    ("6c71a0", 32),
    ("2869ce", 16),
    ("ed69ec", 8),
    ("103959", 8),
    ("0e4a51", 32),
];
/// GPUs of one machine.
const PER_MACHINE: u16 = 8;
/// The longest time in the trace is half a year; a hundred years are a mistake.
const SECONDS_MAX: u64 = 100 * 365 * 86_400;
const GPUS_MAX: u16 = 4_096;

/// The tasks of each virtual cluster, by time of submission.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    by_vc: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    submit_s: u64,
    duration_s: u64,
    gpus: u16,
}

/// How to run it.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Which VCs, in this order; all that have known machines if empty.
    pub vcs: &'a [String],
    /// How much of the machines is asked for on average; `None` for the machines there were.
    pub load: Option<f64>,
    /// Whether users say how long their tasks run, and say it right.
    pub durations_known: bool,
    /// A watch for decisions.
    pub stopwatch: Option<Stopwatch>,
    /// Check that the state is sound after this many moments; 0 for never.
    pub check_every: u32,
}

/// What became of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// As it was written.
    pub policy: String,
    /// Over all VCs.
    #[serde(flatten)]
    pub all: Figures,
    /// How long decisions took, in microseconds.
    pub decision_us: DecisionUs,
    /// All waits, by rising length, for a picture.
    #[serde(skip)]
    pub waits_s: Vec<f64>,
    /// Each VC for itself.
    pub vcs: BTreeMap<String, VcAnswer>,
}

/// One VC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VcAnswer {
    /// Its machines.
    pub nodes: usize,
    /// What came out.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What a set of tasks came to. Times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Tasks.
    pub tasks: usize,
    /// From submit to end, on average.
    pub completion_s_mean: f64,
    /// Spent waiting, on average.
    pub queue_s_mean: f64,
    /// Spent waiting, by rank.
    pub wait_s: Waits,
    /// From submit to end, of the hundredth that took longest.
    pub completion_s_p99: f64,
    /// Times that a task made room for others.
    pub preemptions: u64,
    /// More running because of them.
    pub lost_work_s: f64,
    /// The same times GPUs.
    pub lost_gpu_s: f64,
    /// From the first submit to the last end.
    pub makespan_s: f64,
}

/// Waits by rank, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Waits {
    /// Half of the tasks waited less.
    pub p50: f64,
    /// All but one of ten.
    pub p90: f64,
    /// All but one of a hundred.
    pub p99: f64,
    /// All but one of a thousand.
    pub p999: f64,
}

impl Trace {
    /// Reads `submit_s,duration_s,num_gpus,vc`.
    ///
    /// # Errors
    /// The first value that makes no sense, with its place.
    pub fn read(input: &Input) -> Result<Self, InputError> {
        let mut trace = Self::default();
        let mut table = input.table()?;
        let [submit, duration, gpus, vc] =
            ["submit_s", "duration_s", "num_gpus", "vc"].map(|name| table.column(name));
        let (submit, duration, gpus, vc) = (submit?, duration?, gpus?, vc?);
        table.each(|row| {
            let entry = Entry {
                submit_s: row.number(&submit, 0, SECONDS_MAX)?,
                duration_s: row.number(&duration, 0, SECONDS_MAX)?,
                gpus: row.number(&gpus, 1, GPUS_MAX)?,
            };
            if row.text(&vc).is_empty() {
                return Err(row.wrong(&vc, "a task belongs to a virtual cluster"));
            }
            trace.by_vc.entry(row.text(&vc).to_owned()).or_default().push(entry);
            Ok(())
        })?;
        for entries in trace.by_vc.values_mut() {
            entries.sort_by_key(|entry| entry.submit_s);
        }
        Ok(trace)
    }

    /// The VCs to run.
    ///
    /// # Errors
    /// When one is not in the trace, with those that are.
    pub fn vcs(&self, options: &Options<'_>) -> Result<Vec<String>, String> {
        let known = |vc: &str| self.by_vc.contains_key(vc);
        if let Some(unknown) = options.vcs.iter().find(|vc| !known(vc)) {
            let there: Vec<&str> = self.by_vc.keys().map(String::as_str).collect();
            return Err(format!(
                "there is no VC `{}` in the trace; there are {}",
                shown(unknown),
                there.join(", ")
            ));
        }
        if !options.vcs.is_empty() {
            return Ok(options.vcs.to_vec());
        }
        let mut all: Vec<String> = self.by_vc.keys().cloned().collect();
        if options.load.is_none() {
            all.retain(|vc| MACHINES.iter().any(|(name, _)| name == vc));
        }
        Ok(all)
    }

    /// How many tasks these VCs have.
    #[must_use]
    pub fn tasks_in(&self, vcs: &[String]) -> usize {
        vcs.iter().filter_map(|vc| self.by_vc.get(vc)).map(Vec::len).sum()
    }

    /// How many machines a VC gets.
    #[must_use]
    pub fn machines(&self, vc: &str, load: Option<f64>) -> usize {
        let entries = self.by_vc.get(vc).map(Vec::as_slice).unwrap_or_default();
        let Some(load) = load else {
            return MACHINES.iter().find(|(name, _)| *name == vc).map_or(1, |&(_, machines)| machines);
        };
        let largest = entries.iter().map(|entry| entry.gpus).max().unwrap_or(1).div_ceil(PER_MACHINE);
        let first = entries.iter().map(|entry| entry.submit_s).min().unwrap_or(0);
        let last = entries.iter().map(|entry| entry.submit_s).max().unwrap_or(0);
        let asked: f64 = entries.iter().map(|entry| float(entry.duration_s) * f64::from(entry.gpus)).sum();
        let machines = asked / float((last - first).max(1)) / f64::from(PER_MACHINE) / load;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of machines")]
        let sized = machines.round_ties_even() as usize;
        sized.max(usize::from(largest))
    }

    /// Runs a policy over the VCs.
    ///
    /// # Errors
    /// When the policy makes no valid configuration.
    pub fn run(
        &self,
        vcs: &[String],
        policy: &Policy,
        options: &Options<'_>,
        mut progress: impl FnMut(usize),
    ) -> Result<Answer, Refused> {
        let gpu = models::parse("P100").expect("a known model");
        let gpu = Gpu { price: PriceMicros(0), ..gpu };
        let mut answers = BTreeMap::new();
        let (mut all, mut decisions) = (Vec::new(), Vec::new());
        let mut makespan = 0.0f64;
        let mut done = 0;
        for vc in vcs {
            let nodes = self.machines(vc, options.load);
            let machines = Machines::alike(nodes, usize::from(PER_MACHINE), &gpu);
            let tasks = self.tasks(vc, options.durations_known);
            let world = World {
                machines: &machines,
                tasks: &tasks,
                policy,
                faults: None,
                mix: None,
                stopwatch: options.stopwatch,
                check_every: options.check_every,
            };
            let story = Engine::new(world)?.run(|over| progress(done + over));
            done += tasks.len();
            progress(done);
            let jobs: Vec<(Job, u16)> =
                story.jobs.into_iter().zip(&tasks).map(|(job, task)| (job, task.gpus())).collect();
            let end = seconds(story.end.since(crate::START));
            makespan = makespan.max(end);
            answers.insert(vc.clone(), VcAnswer { nodes, figures: Figures::of(&jobs, end) });
            all.extend(jobs);
            decisions.extend(story.decisions_ns);
        }
        Ok(Answer {
            policy: policy.name.clone(),
            all: Figures::of(&all, makespan),
            decision_us: DecisionUs::of(&decisions),
            waits_s: sorted_waits(&all),
            vcs: answers,
        })
    }

    fn tasks(&self, vc: &str, durations_known: bool) -> Vec<Task> {
        let mut shapes: BTreeMap<u16, Arc<Ask>> = BTreeMap::new();
        let (project, owner): (Name, Name) = ("philly".into(), vc.into());
        let queue: Name = DEFAULT_QUEUE.into();
        let entries = self.by_vc.get(vc).map(Vec::as_slice).unwrap_or_default();
        let task = |entry: &Entry| {
            let duration = Millis::from_secs(entry.duration_s);
            Task {
                submit: Millis::from_secs(entry.submit_s),
                duration,
                ask: shapes.entry(entry.gpus).or_insert_with(|| Arc::new(ask(entry.gpus))).clone(),
                project: project.clone(),
                owner: owner.clone(),
                queue: queue.clone(),
                name: None,
                priority: 0,
                expected: durations_known.then_some(duration),
                retries: 0,
                exit_code: 0,
            }
        };
        entries.iter().map(task).collect()
    }
}

fn ask(gpus: u16) -> Ask {
    let spread = if gpus > PER_MACHINE { Spread::AnyNodes } else { Spread::OneNode };
    Ask {
        devices: DeviceCount::exactly(gpus),
        share: Share::Milli(GpuMilli::FULL),
        constraints: Constraints { spread, ..Constraints::default() },
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(0),
        host_memory: MemoryMib(0),
    }
}

impl Figures {
    fn of(jobs: &[(Job, u16)], makespan_s: f64) -> Self {
        let over: Vec<&(Job, u16)> = jobs.iter().filter(|(job, _)| job.ended_at().is_some()).collect();
        let mut completions: Vec<f64> =
            over.iter().filter_map(|(job, _)| job.completion()).map(seconds).collect();
        let waits = sorted_waits(jobs);
        completions.sort_by(f64::total_cmp);
        let mean =
            |values: &[f64]| rounded(values.iter().sum::<f64>() / float(values.len().max(1) as u64), 1);
        let at = |values: &[f64], per_mille| rounded(percentile(values, per_mille).unwrap_or(0.0), 1);
        let lost = over.iter().map(|(job, gpus)| (seconds(job.lost), f64::from(*gpus)));
        Self {
            tasks: over.len(),
            completion_s_mean: mean(&completions),
            queue_s_mean: mean(&waits),
            wait_s: Waits {
                p50: at(&waits, 500),
                p90: at(&waits, 900),
                p99: at(&waits, 990),
                p999: at(&waits, 999),
            },
            completion_s_p99: at(&completions, 990),
            preemptions: over.iter().map(|(job, _)| u64::from(job.preemptions)).sum(),
            lost_work_s: rounded(lost.clone().map(|(lost, _)| lost).sum(), 1),
            lost_gpu_s: rounded(lost.map(|(lost, gpus)| lost * gpus).sum(), 1),
            makespan_s: rounded(makespan_s, 1),
        }
    }
}

/// Waits of tasks that ended, by rising length, in seconds.
fn sorted_waits(jobs: &[(Job, u16)]) -> Vec<f64> {
    let over = jobs.iter().filter(|(job, _)| job.ended_at().is_some());
    let mut waits: Vec<f64> = over.map(|(job, _)| seconds(job.waited)).collect();
    waits.sort_by(f64::total_cmp);
    waits
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a trace are far below 2^52")]
fn float(amount: u64) -> f64 {
    amount as f64
}
