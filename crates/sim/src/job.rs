//! What happens to one task in a simulation, as its nodes and its user see it.

use fastgpu_core::ids::{Fence, TaskId};
use fastgpu_core::task::Outcome;
use fastgpu_core::units::{Millis, Timestamp};

/// One task's story so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What became of it.
    pub fate: Fate,
    /// Work that is left, as running time.
    pub left: Millis,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Since when it waits, while it does.
    pub queued_since: Timestamp,
    /// All its waiting.
    pub waited: Millis,
    /// When its program first ran.
    pub first_started_at: Option<Timestamp>,
    /// All its running, over all attempts.
    pub ran: Millis,
    /// Running that has to be done again, and what moving cost.
    pub lost: Millis,
    /// How often it made room for others.
    pub preemptions: u32,
    /// How often a machine failed it.
    pub failures: u32,
    /// How often its program failed.
    pub own_failures: u32,
    /// Its present attempt.
    pub run: Option<Run>,
    /// How crowded the cluster was up to its submission, see [`crate::meter::Meter::crowding`].
    pub crowding_before: f64,
    /// How crowded it was up to its end.
    pub crowding_after: f64,
}

/// An attempt on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Of which task of the core.
    pub task: TaskId,
    /// Which.
    pub fence: Fence,
    /// On which node its program runs.
    pub node: u32,
    /// Since when.
    pub since: Timestamp,
    /// Whether its program will end with a failure.
    pub fails: bool,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not submitted yet.
    Coming,
    /// No cluster of this kind could ever hold it.
    Refused,
    /// It waits or runs.
    Alive,
    /// A person would have to look at it: it broke several machines.
    Parked,
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
}

/// What stopping a task and starting it elsewhere costs it, as more running time: saving its state and loading it.
#[must_use]
pub const fn move_cost(gpus: u16) -> Millis {
    match gpus {
        0..=1 => Millis::from_secs(7),
        2..=8 => Millis::from_secs(30),
        _ => Millis::from_secs(60),
    }
}

impl Job {
    /// A task that is still to come.
    #[must_use]
    pub fn coming(duration: Millis) -> Self {
        Self {
            fate: Fate::Coming,
            left: duration,
            submitted_at: Timestamp::default(),
            queued_since: Timestamp::default(),
            waited: Millis(0),
            first_started_at: None,
            ran: Millis(0),
            lost: Millis(0),
            preemptions: 0,
            failures: 0,
            own_failures: 0,
            run: None,
            crowding_before: 0.0,
            crowding_after: 0.0,
        }
    }

    /// Its program begins to run.
    pub fn start(&mut self, run: Run) {
        self.first_started_at.get_or_insert(run.since);
        self.run = Some(run);
    }

    /// Its program stops; `kept` of its work is done for good and `cost` is added to it.
    pub fn stop(&mut self, now: Timestamp, kept: impl FnOnce(Millis) -> Millis, cost: Millis) {
        let Some(run) = self.run.take() else { return };
        let ran = now.since(run.since);
        let kept = kept(ran).min(ran);
        self.ran.0 += ran.0;
        self.lost.0 += ran.0 - kept.0 + cost.0;
        self.left = Millis(self.left.0.saturating_sub(kept.0) + cost.0);
    }

    /// When it ended, if it did.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.fate {
            Fate::Ended { at, .. } => Some(at),
            _ => None,
        }
    }

    /// From submit to end, if it has ended.
    #[must_use]
    pub fn completion(&self) -> Option<Millis> {
        self.ended_at().map(|at| at.since(self.submitted_at))
    }

    /// How much longer it took than it would have with its fair part of the cluster to itself: the finish-time
    /// ratio. The fair part of a task in a cluster where twice as much is asked for as there is, is half of it.
    #[must_use]
    pub fn finish_time_ratio(&self) -> Option<f64> {
        let completion = seconds(self.completion()?);
        let alone = seconds(self.ran);
        if alone <= 0.0 || completion <= 0.0 {
            return None;
        }
        let crowding = (self.crowding_after - self.crowding_before) / completion;
        Some(completion / (alone * crowding.max(1.0)))
    }
}

/// A span in seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "spans of a simulation are far below 2^52 ms")]
pub fn seconds(span: Millis) -> f64 {
    span.0 as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_keeps_what_was_saved_and_adds_what_it_cost() {
        let mut job = Job::coming(Millis(100_000));
        let (task, fence) = (TaskId::new(1).unwrap(), Fence { attempt: 1, version: 1 });
        let run = Run { task, fence, node: 0, since: Timestamp(0), fails: false };
        job.start(run);
        job.stop(Timestamp(40_000), |ran| ran, move_cost(1));
        assert_eq!((job.left, job.lost, job.ran), (Millis(67_000), Millis(7_000), Millis(40_000)));
        job.start(Run { since: Timestamp(50_000), ..run });
        job.stop(Timestamp(60_000), |_| Millis(0), Millis(0));
        assert_eq!((job.left, job.lost, job.ran), (Millis(67_000), Millis(17_000), Millis(50_000)));
    }

    #[test]
    fn a_task_that_waits_for_nobodys_sake_is_treated_unfairly() {
        let mut job = Job::coming(Millis(10_000));
        job.ran = Millis(10_000);
        job.fate = Fate::Ended { outcome: Outcome::Succeeded, at: Timestamp(20_000) };
        job.crowding_after = 20.0;
        assert_eq!(job.finish_time_ratio(), Some(2.0));
        job.crowding_after = 40.0;
        assert_eq!(job.finish_time_ratio(), Some(1.0), "twice as much was asked for as there was");
    }
}
