//! What simulated machines do with orders, and how programs on them end.

use std::cmp::Reverse;

use fastgpu_core::ids::{Fence, NodeId, TaskId};
use fastgpu_core::node::{Exit, ExitKind, Launch, Order, Report};
use fastgpu_core::state::Changes;
use fastgpu_core::task::{StopCause, TaskState};
use fastgpu_core::units::{Millis, Timestamp};

use super::{Engine, Event, What};
use crate::job::{Run, move_cost};
use crate::task::number_of;

/// SIGTERM, which every simulated program obeys at once.
const TERMINATED: u8 = 15;

impl Engine<'_> {
    /// A machine does what it is told, at once.
    pub(super) fn obey(&mut self, node: NodeId, order: Order, changes: &mut Changes) {
        match order {
            Order::Launch(launch) => self.launch(node, &launch, changes),
            Order::Stop { task, fence, .. } => self.stop(node, task, fence, changes),
            // Ends are told once and arrive; the rest is never ordered yet.
            Order::Forget { .. } | Order::Regrant { .. } | Order::Suspend { .. } | Order::Resume { .. } => {}
        }
    }

    fn launch(&mut self, node: NodeId, launch: &Launch, changes: &mut Changes) {
        let number = number_of(launch.spec);
        let (attempt, now) = (launch.fence.attempt, self.now);
        let job = &mut self.jobs[number];
        if job.run.is_some_and(|run| run.fence.attempt >= attempt) {
            return;
        }
        let duration = self.world.tasks[number].duration;
        let breaks = self
            .world
            .faults
            .and_then(|faults| faults.fails_with_left(number, job.own_failures, duration))
            .map(|left| Millis(job.left.0.saturating_sub(left.0)));
        let (task, fence) = (launch.task, launch.fence);
        job.start(Run { task, fence, node: node.0, since: now, fails: breaks.is_some() });
        let ends = Event {
            at: now.plus(breaks.unwrap_or(job.left)),
            what: What::End { job: u32::try_from(number).expect("fewer than 2^32 tasks"), attempt },
        };
        self.events.push(Reverse(ends));
        self.say(node, Report::Started { task, fence, at: now }, changes);
    }

    fn stop(&mut self, node: NodeId, id: TaskId, fence: Fence, changes: &mut Changes) {
        let Some(task) = self.server.state().task(id) else { return };
        let number = number_of(task.work.spec());
        let is_preempted = matches!(&task.state, TaskState::Stopping { why: StopCause::Preempt, .. });
        let cost = if is_preempted { move_cost(self.world.tasks[number].gpus()) } else { Millis(0) };
        let job = &mut self.jobs[number];
        if job.run.is_none_or(|run| run.fence.attempt != fence.attempt) {
            return;
        }
        // Told in time, a program saves all it has done.
        job.stop(self.now, |ran| ran, cost);
        job.preemptions += u32::from(is_preempted);
        let exit = exit(self.now, ExitKind::Signal(TERMINATED));
        self.say(node, Report::Exited { task: id, fence, exit }, changes);
    }

    /// A program comes to its end, good or bad.
    pub(super) fn program_ends(&mut self, job: u32, attempt: u32, changes: &mut Changes) {
        let number = job as usize;
        let Some(run) = self.jobs[number].run.filter(|run| run.fence.attempt == attempt) else { return };
        let task = &self.world.tasks[number];
        let code = match (run.fails, task.exit_code) {
            (true, _) => 1,
            (false, code) => code,
        };
        let job = &mut self.jobs[number];
        // A program that failed begins anew, if it is tried again.
        job.stop(self.now, |ran| if code == 0 { ran } else { Millis(0) }, Millis(0));
        if code != 0 {
            (job.left, job.lost) = (task.duration, job.ran);
            job.own_failures += 1;
        }
        let exit = exit(self.now, ExitKind::Code(code));
        self.say(NodeId(run.node), Report::Exited { task: run.task, fence: run.fence, exit }, changes);
    }
}

pub(super) fn exit(at: Timestamp, how: ExitKind) -> Exit {
    Exit { at, how, cpu_ms: 0, rss_max_kib: 0, sick: None }
}
