//! The answer as JSON has it. Names and units are stable.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::meter::SIGNALS;
use crate::openb::DecisionUs;
use crate::units::{percentile, rounded};

/// Policies side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Where.
    pub cluster: ClusterAnswer,
    /// How many tasks the trace has.
    pub tasks: usize,
    /// What each policy came to.
    pub policies: Vec<PolicyAnswer>,
}

/// The size of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClusterAnswer {
    /// Machines.
    pub nodes: usize,
    /// GPUs.
    pub gpus: usize,
}

/// What one policy came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyAnswer {
    /// As it was written.
    pub policy: String,
    /// What became of the tasks.
    pub tasks: Tasks,
    /// Why tasks were refused, and how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refusals: BTreeMap<String, u64>,
    /// From the first submit to the last end.
    pub makespan_s: f64,
    /// GPU time held, of all there was.
    pub utilization_percent: f64,
    /// Waiting of a task, all its waits together.
    pub wait_s: Spans,
    /// From submit to end.
    pub completion_s: Spans,
    /// Times that a task made room for others.
    pub preemptions: u64,
    /// Times that a machine or a GPU failed a task.
    pub machine_failures: u64,
    /// How evenly users were served.
    pub fairness: Fairness,
    /// Free GPUs that the mix of tasks could not use, of all, over time.
    pub fragmentation_percent: f64,
    /// GPU time.
    pub gpu_hours: GpuHours,
    /// Energy of the GPUs.
    pub energy: Energy,
    /// In the currency of the description of machines.
    pub cost: Cost,
    /// How long decisions took; only where somebody had a watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_us: Option<DecisionUs>,
    /// What happened over time, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesAnswer>,
}

/// What became of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tasks {
    /// In the trace.
    pub submitted: u64,
    /// Did what they should.
    pub succeeded: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// No machine could ever hold them.
    pub refused: u64,
    /// Broke several machines and wait for a person.
    pub parked: u64,
    /// Would wait for ever.
    pub unfinished: u64,
}

/// Spans of time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spans {
    /// On average.
    pub mean: f64,
    /// Half are shorter.
    pub p50: f64,
    /// All but one of ten are shorter.
    pub p90: f64,
    /// All but one of a hundred.
    pub p99: f64,
    /// All but one of a thousand.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// GPU time in hours of a whole GPU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GpuHours {
    /// There was.
    pub available: f64,
    /// Held by tasks.
    pub held: f64,
    /// Charged to tasks: the larger of share and memory counts.
    pub charged: f64,
    /// Held for work that had to be done again.
    pub lost: f64,
}

/// Energy of the GPUs, without their machines.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Energy {
    /// In all.
    pub kwh: f64,
    /// Of that, by GPUs that nobody held.
    pub idle_kwh: f64,
}

/// Money.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Of all GPUs for the whole time.
    pub gpus: f64,
    /// Of the part that tasks held.
    pub held: f64,
    /// Of the energy.
    pub electricity: f64,
}

/// How evenly users were served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fairness {
    /// Jain's index of the owners' speeds; 1 is even.
    pub jain_owners: f64,
    /// How much longer tasks took than with a fair part of the cluster.
    pub finish_time_ratio: FinishTimes,
}

/// Finish-time ratios; above 1 a task would rather have had its fair part to itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FinishTimes {
    /// On average.
    pub mean: f64,
    /// All but one of a hundred are below.
    pub p99: f64,
    /// The highest.
    pub worst: f64,
    /// Tasks above 1.05.
    pub unfair_percent: f64,
}

/// Averages over equal steps of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesAnswer {
    /// The middle of each step, in seconds from the first submit.
    pub t_s: Vec<f64>,
    /// GPUs held.
    pub held_gpus: Vec<f64>,
    /// GPUs that are there.
    pub available_gpus: Vec<f64>,
    /// Tasks that wait.
    pub waiting_tasks: Vec<f64>,
    /// GPUs they wait for.
    pub waiting_gpus: Vec<f64>,
    /// Free GPUs that the mix could not use.
    pub wasted_gpus: Vec<f64>,
    /// Watts of all GPUs.
    pub power_w: Vec<f64>,
}

impl Spans {
    /// From spans by rising length.
    #[must_use]
    pub fn of(sorted: &[f64]) -> Self {
        let at = |per_mille| rounded(percentile(sorted, per_mille).unwrap_or(0.0), 3);
        #[expect(clippy::cast_precision_loss, reason = "counts of tasks are far below 2^52")]
        let mean = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
        Self {
            mean: rounded(mean, 3),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: rounded(sorted.last().copied().unwrap_or(0.0), 3),
        }
    }
}

impl SeriesAnswer {
    /// From the meter's averages.
    #[must_use]
    pub fn of(series: &[(f64, [f64; SIGNALS])]) -> Self {
        let signal = |at: usize| series.iter().map(|(_, values)| rounded(values[at], 3)).collect();
        Self {
            t_s: series.iter().map(|(t, _)| rounded(*t, 3)).collect(),
            held_gpus: signal(0),
            available_gpus: signal(1),
            waiting_tasks: signal(2),
            waiting_gpus: signal(3),
            wasted_gpus: signal(4),
            power_w: signal(5),
        }
    }
}
