//! Tasks made up by rule: they come at any moment alike, their durations are spread widely around a median, and their
//! shapes are those of the openb trace, roughly.
//!
//! | | |
//! |---|---|
//! | arrivals | Poisson, at the rate that keeps `load` of all GPUs busy on average |
//! | durations | lognormal, median [`MEDIAN_S`], deviation [`SIGMA`] of the logarithm, at most a week |
//! | shapes | half of the tasks share one GPU (the frequent shares of openb), two in five take one whole, one in ten takes 2, 4 or 8 |
//! | owners | 64, the first ones busier than the last |

use std::sync::Arc;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share};
use fastgpu_core::ids::Name;
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis};

use crate::job::seconds;
use crate::random::Random;
use crate::task::Task;

/// Half of the tasks run shorter.
pub const MEDIAN_S: f64 = 900.0;
/// Deviation of the logarithm of durations: one in six runs more than four times the median.
pub const SIGMA: f64 = 1.4;
/// No task runs longer.
const LONGEST_S: f64 = 7.0 * 86_400.0;
/// The stream of chance that tasks are made from.
const STREAM: u64 = 4 << 60;
const OWNERS: u64 = 64;

/// What is asked for, and of a thousand tasks how many ask for it: GPUs, thousandths of each, cores.
const SHAPES: [(u64, u16, u32, u32); 12] = [
    (120, 1, 1_000, 8),
    (280, 1, 1_000, 12),
    (60, 1, 100, 1),
    (70, 1, 200, 2),
    (90, 1, 300, 4),
    (140, 1, 460, 6),
    (60, 1, 500, 6),
    (80, 1, 810, 10),
    (40, 2, 1_000, 16),
    (30, 4, 1_000, 32),
    (20, 8, 1_000, 64),
    (10, 0, 0, 4),
];

/// `count` tasks for a cluster of `gpus`, by time of submission.
#[must_use]
pub fn tasks(count: usize, gpus: usize, load: f64, seed: u64) -> Vec<Task> {
    let mut chance = Random::stream(seed, STREAM);
    let asks: Vec<Arc<Ask>> = SHAPES.iter().map(|&(_, gpus, milli, cores)| ask(gpus, milli, cores)).collect();
    let owners: Vec<Name> = (0..OWNERS).map(|owner| Name::from(format!("owner-{owner}"))).collect();
    let (project, queue): (Name, Name) = ("default".into(), "default".into());
    let mut tasks: Vec<Task> = Vec::with_capacity(count);
    for _ in 0..count {
        let owner = (chance.unit() * chance.unit() * 64.0).floor();
        tasks.push(Task {
            submit: Millis(0),
            duration: duration(&mut chance),
            ask: asks[shape(&mut chance)].clone(),
            project: project.clone(),
            owner: owners[place(owner).min(owners.len() - 1)].clone(),
            queue: queue.clone(),
            name: None,
            priority: 0,
            expected: None,
            retries: 0,
            exit_code: 0,
        });
    }
    // The rate follows from what was drawn, so that the load is met by these very tasks.
    let work: f64 = tasks.iter().map(|task| seconds(task.duration) * milli(task) / 1e3).sum();
    let between = work / amount(count) / (amount(gpus) * load);
    let mut at = 0.0;
    for task in &mut tasks {
        at += chance.exponential(between);
        task.submit = span(at);
    }
    tasks
}

fn ask(gpus: u16, milli: u32, cores: u32) -> Arc<Ask> {
    Arc::new(Ask {
        devices: DeviceCount::exactly(gpus),
        share: Share::Milli(GpuMilli::new(milli).expect("shapes are at most whole")),
        constraints: Constraints::default(),
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(cores * 1_000),
        host_memory: MemoryMib(0),
    })
}

fn shape(chance: &mut Random) -> usize {
    let mut left = chance.below(1_000);
    SHAPES
        .iter()
        .position(|&(weight, ..)| {
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        })
        .expect("the weights add up to 1000")
}

fn duration(chance: &mut Random) -> Millis {
    span((MEDIAN_S.ln() + SIGMA * chance.normal()).exp().clamp(1.0, LONGEST_S))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn amount(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "thousandths of one task are few")]
fn milli(task: &Task) -> f64 {
    task.milli() as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
fn span(seconds: f64) -> Millis {
    Millis((seconds * 1e3).round() as u64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 64")]
fn place(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_the_shapes_add_up() {
        assert_eq!(SHAPES.iter().map(|shape| shape.0).sum::<u64>(), 1_000);
    }

    #[test]
    fn the_tasks_ask_for_the_stated_load() {
        let tasks = tasks(20_000, 1_000, 0.8, 1);
        let work: f64 = tasks.iter().map(|task| seconds(task.duration) * milli(task) / 1e3).sum();
        let load = work / seconds(tasks.last().unwrap().submit) / 1_000.0;
        assert!((load - 0.8).abs() < 0.02, "{load}");
        assert!(tasks.is_sorted_by_key(|task| task.submit));
        assert_eq!(tasks, super::tasks(20_000, 1_000, 0.8, 1), "the same seed, the same tasks");
    }
}
