//! What goes wrong, and how often: machines that vanish, GPUs that fall ill, programs that fail.

use fastgpu_core::units::Millis;

use crate::input::shown;
use crate::job::seconds;
use crate::policy::{PolicyError, span};
use crate::random::Random;

/// Streams of chance: each machine, GPU and attempt has its own, so that every policy meets the same faults.
const NODES: u64 = 1 << 60;
const GPUS: u64 = 2 << 60;
const TASKS: u64 = 3 << 60;

/// How often things go wrong. Nothing does by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Of which world; the same world brings the same faults to every policy.
    pub seed: u64,
    /// The average time until a machine vanishes.
    pub node_mtbf: Option<Millis>,
    /// The average time until a GPU falls ill.
    pub gpu_mtbf: Option<Millis>,
    /// How long a repair takes.
    pub repair: Millis,
    /// The chance of an attempt to fail by itself, somewhere on its way.
    pub task_failure: f64,
    /// How often programs save their state; without it a fault costs all that an attempt has done.
    pub checkpoint: Option<Millis>,
}

/// Four hours: somebody must come.
const REPAIR_DEFAULT: Millis = Millis::from_secs(4 * 3_600);

impl Faults {
    /// Reads `nodes-mtbf=30d,gpu-mtbf=200d,repair=4h,task-failure=0.02,checkpoint=1h`.
    ///
    /// # Errors
    /// Names the word that makes no sense.
    pub fn parse(text: &str, seed: u64) -> Result<Self, PolicyError> {
        let mut faults = Self { seed, repair: REPAIR_DEFAULT, ..Self::default() };
        for word in text.split(',').map(str::trim) {
            let wrong = |what: String| PolicyError { what, help: HELP.to_owned() };
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| wrong(format!("`{}` of the faults has no value", shown(word))))?;
            let time = || {
                span(value)
                    .filter(|span| span.0 > 0)
                    .ok_or_else(|| wrong(format!("`{key}={}` is no span of time", shown(value))))
            };
            match key {
                "nodes-mtbf" | "node-mtbf" => faults.node_mtbf = Some(time()?),
                "gpu-mtbf" | "gpus-mtbf" => faults.gpu_mtbf = Some(time()?),
                "repair" => faults.repair = time()?,
                "checkpoint" => faults.checkpoint = Some(time()?),
                "task-failure" => {
                    faults.task_failure =
                        value.parse().ok().filter(|chance| (0.0..=1.0).contains(chance)).ok_or_else(
                            || wrong(format!("`{key}={}` is no chance from 0 to 1", shown(value))),
                        )?;
                }
                _ => return Err(wrong(format!("`{}` is no fault", shown(key)))),
            }
        }
        Ok(faults)
    }

    /// The luck of a machine.
    #[must_use]
    pub fn of_node(&self, machine: usize) -> Random {
        Random::stream(self.seed, NODES | machine as u64)
    }

    /// The luck of a GPU.
    #[must_use]
    pub fn of_gpu(&self, machine: usize, gpu: usize) -> Random {
        Random::stream(self.seed, GPUS | (machine as u64) << 16 | gpu as u64)
    }

    /// How much work is left when a task fails by itself, if it does. A task that is tried again has new luck; one
    /// that is merely moved has not, so that policies which move tasks meet the same failures.
    #[must_use]
    pub fn fails_with_left(&self, task: usize, failed_before: u32, duration: Millis) -> Option<Millis> {
        if self.task_failure <= 0.0 {
            return None;
        }
        let mut chance = Random::stream(self.seed, TASKS | (task as u64) << 24 | u64::from(failed_before));
        chance.happens(self.task_failure).then(|| part(duration, chance.unit()))
    }

    /// What of so much running is saved.
    #[must_use]
    pub fn saved(&self, ran: Millis) -> Millis {
        self.checkpoint.map_or(Millis(0), |every| Millis(ran.0 / every.0 * every.0))
    }
}

/// The time to the next fault of something that fails once in `mtbf` on average.
#[must_use]
pub fn next_fault(chance: &mut Random, mtbf: Millis) -> Millis {
    let wait_ms = chance.exponential(seconds(mtbf)) * 1e3;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
    Millis((wait_ms as u64).max(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a span is a span")]
fn part(whole: Millis, part: f64) -> Millis {
    Millis((seconds(whole) * part * 1e3) as u64)
}

const HELP: &str =
    "write for example `nodes-mtbf=30d,gpu-mtbf=200d,repair=4h,task-failure=0.02,checkpoint=1h`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_refused_by_name() {
        let faults = Faults::parse("nodes-mtbf=30d,task-failure=0.02", 7).unwrap();
        assert_eq!((faults.node_mtbf, faults.repair), (Some(Millis(2_592_000_000)), REPAIR_DEFAULT));
        let refused = |text: &str| Faults::parse(text, 7).unwrap_err().what;
        assert_eq!(refused("fire=1d"), "`fire` is no fault");
        assert_eq!(refused("repair=soon"), "`repair=soon` is no span of time");
        assert_eq!(refused("task-failure=2"), "`task-failure=2` is no chance from 0 to 1");
        assert_eq!(refused("repair"), "`repair` of the faults has no value");
    }

    #[test]
    fn a_machine_vanishes_as_often_as_it_should() {
        let faults = Faults::parse("nodes-mtbf=10d", 3).unwrap();
        let mut chance = faults.of_node(5);
        let mtbf = faults.node_mtbf.unwrap();
        let days: f64 = (0..20_000).map(|_| seconds(next_fault(&mut chance, mtbf)) / 86_400.0).sum();
        assert!((days / 20_000.0 - 10.0).abs() < 0.3, "{days}");
        let first = |machine: usize| seconds(next_fault(&mut faults.of_node(machine), mtbf)) / 86_400.0;
        let days: f64 = (0..20_000).map(first).sum();
        assert!((days / 20_000.0 - 10.0).abs() < 0.3, "neighbours have nothing in common: {days}");
    }
}
