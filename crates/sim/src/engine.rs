//! A virtual clock, simulated machines, and the core of the server between them.
//!
//! The engine knows what a user and a machine know; every decision is the core's: tasks are submitted by
//! [`Command::Submit`], placed by plans, launched and stopped by orders, and what machines do comes back as reports.
//! What happens at one moment is one batch, in this order: programs end, faults, then arrivals; then rounds until
//! nothing moves. Start reading at [`Engine::run`].

mod breakage;
mod nodes;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fastgpu_core::change::{Actor, Attempt, Change};
use fastgpu_core::command::{Command, Refused, Reply};
use fastgpu_core::ids::{NodeId, TaskId};
use fastgpu_core::node::Report;
use fastgpu_core::state::Changes;
use fastgpu_core::task::{QueueCause, TaskState};
use fastgpu_core::units::Timestamp;

use crate::START;
use crate::cluster::Machines;
use crate::faults::Faults;
use crate::fragmentation::Mix;
use crate::job::{Fate, Job};
use crate::meter::Meter;
use crate::policy::Policy;
use crate::server::{Server, Stopwatch};
use crate::task::{Form, Task, number_of};
use breakage::Breakage;

/// What a simulation is made of.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The machines.
    pub machines: &'a Machines,
    /// The tasks, by rising time of submission.
    pub tasks: &'a [Task],
    /// The rules of the scheduler.
    pub policy: &'a Policy,
    /// What goes wrong.
    pub faults: Option<&'a Faults>,
    /// The usual tasks, if waste is to be measured.
    pub mix: Option<&'a Mix>,
    /// A watch for decisions.
    pub stopwatch: Option<Stopwatch>,
    /// Check that the state is sound after this many moments; 0 for never.
    pub check_every: u32,
}

/// What came out of a simulation.
#[derive(Debug)]
pub struct Story {
    /// What became of each task, in the order of the tasks.
    pub jobs: Vec<Job>,
    /// What the cluster gave and drew.
    pub meter: Meter,
    /// How long each decision took, in nanoseconds.
    pub decisions_ns: Vec<u32>,
    /// Why tasks were refused, and how many.
    pub refusals: BTreeMap<String, u64>,
    /// When the last task ended.
    pub end: Timestamp,
}

/// A simulation while it goes on.
#[derive(Debug)]
pub struct Engine<'a> {
    world: World<'a>,
    server: Server,
    form: Form,
    now: Timestamp,
    events: BinaryHeap<Reverse<Event>>,
    jobs: Vec<Job>,
    next_arrival: usize,
    /// Tasks that wait or run, without those that nobody will ever place.
    alive: usize,
    meter: Meter,
    breakage: Breakage,
    refusals: BTreeMap<String, u64>,
    /// Machines on which something changed at this moment.
    dirty: Vec<u32>,
}

/// Something that will happen; at one moment in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Timestamp,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A program ends by itself, if this attempt still runs.
    End { job: u32, attempt: u32 },
    /// A machine or a GPU is repaired.
    Repaired { machine: u32, gpu: Option<u16> },
    /// A machine vanishes, or a GPU falls ill.
    Breaks { machine: u32, gpu: Option<u16> },
}

/// More passes over one moment than this mean that state and plan chase each other.
const PASSES_MAX: u32 = 100_000;

impl<'a> Engine<'a> {
    /// A world in which nothing has happened yet.
    ///
    /// # Errors
    /// When the policy makes no valid configuration.
    pub fn new(world: World<'a>) -> Result<Self, Refused> {
        let mut queues: Vec<_> = world.tasks.iter().map(|task| &task.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        let config = world.policy.config(queues);
        let server = Server::new(config, world.machines, START, world.stopwatch)?;
        let mut engine = Self {
            world,
            server,
            form: Form::default(),
            now: START,
            events: BinaryHeap::new(),
            jobs: world.tasks.iter().map(|task| Job::coming(task.duration)).collect(),
            next_arrival: 0,
            alive: 0,
            meter: Meter::new(world.machines, world.mix.cloned(), START),
            breakage: Breakage::new(world.machines),
            refusals: BTreeMap::new(),
            dirty: Vec::new(),
        };
        engine.plan_faults();
        for machine in (0..).take(world.machines.0.len()) {
            engine.meter.look_at(machine, engine.server.state());
        }
        Ok(engine)
    }

    /// Lets time pass until every task is over; `progress` hears now and then how many are.
    pub fn run(mut self, mut progress: impl FnMut(usize)) -> Story {
        let mut passes = 0u32;
        let mut moments = 0u32;
        while let Some(at) = self.next_moment() {
            passes = if at > self.now { 0 } else { passes + 1 };
            assert!(passes < PASSES_MAX, "a bug: the plan wants to be made again and again at {at:?}");
            self.now = at.max(self.now);
            self.meter.advance(self.now);
            self.happen();
            moments = moments.wrapping_add(1);
            if self.world.check_every > 0 && moments.is_multiple_of(self.world.check_every) {
                self.server.state().assert_sound();
            }
            if moments.is_multiple_of(4_096) {
                progress(self.next_arrival - self.alive);
            }
        }
        Story {
            jobs: self.jobs,
            meter: self.meter,
            decisions_ns: self.server.decisions_ns().to_vec(),
            refusals: self.refusals,
            end: self.now,
        }
    }

    /// When something happens next; never again once every task is over or nobody can help those that are left.
    fn next_moment(&self) -> Option<Timestamp> {
        let arrival = self.world.tasks.get(self.next_arrival).map(|task| START.plus(task.submit));
        if self.alive == 0 {
            return arrival;
        }
        let event = self.events.peek().map(|Reverse(event)| event.at);
        event.into_iter().chain(arrival).chain(self.server.next_moment()).min()
    }

    /// Everything of this moment.
    fn happen(&mut self) {
        let mut changes = Changes::default();
        let _ = self.server.apply(Command::Tick, self.now, &mut changes);
        while let Some(Reverse(event)) =
            self.events.peek().copied().filter(|Reverse(event)| event.at <= self.now)
        {
            self.events.pop();
            match event.what {
                What::End { job, attempt } => self.program_ends(job, attempt, &mut changes),
                What::Repaired { machine, gpu } => self.repaired(machine, gpu, &mut changes),
                What::Breaks { machine, gpu } => self.breaks(machine, gpu, &mut changes),
            }
        }
        while let Some(task) = self.world.tasks.get(self.next_arrival)
            && START.plus(task.submit) <= self.now
        {
            self.arrives(task, &mut changes);
        }
        self.settle(changes);
    }

    fn arrives(&mut self, task: &Task, changes: &mut Changes) {
        let number = self.next_arrival;
        self.next_arrival += 1;
        let submit = self.form.submit(u32::try_from(number).expect("fewer than 2^32 tasks"), task, false);
        let command = Command::Submit { tasks: vec![submit], actor: Actor::Local };
        let job = &mut self.jobs[number];
        (job.submitted_at, job.queued_since) = (self.now, self.now);
        match self.server.apply(command, self.now, changes) {
            Ok(Reply::Submitted(_)) => {
                job.fate = Fate::Alive;
                job.crowding_before = self.meter.crowding();
                self.alive += 1;
                self.meter.come(task.milli());
                self.meter.wait(task.milli());
            }
            Ok(_) => unreachable!("a submit is answered with ids"),
            Err(why) => {
                job.fate = Fate::Refused;
                *self.refusals.entry(why.to_string()).or_default() += 1;
            }
        }
    }

    /// Hands out orders and takes in what follows from them, and plans, until nothing moves any more.
    fn settle(&mut self, mut changes: Changes) {
        loop {
            let outcome = changes.finish(self.server.state());
            self.account(&outcome.rows);
            changes = Changes::default();
            for (node, order) in outcome.orders {
                self.obey(node, order, &mut changes);
            }
            self.server.rounds(self.now, &mut changes);
            if changes.is_empty() {
                break;
            }
        }
        self.dirty.sort_unstable();
        self.dirty.dedup();
        for machine in std::mem::take(&mut self.dirty) {
            self.meter.look_at(machine, self.server.state());
        }
    }

    /// Keeps the books by the rows that a server would have stored: first the tasks, then what they did.
    fn account(&mut self, rows: &[Change]) {
        let mut numbers: Vec<(TaskId, usize)> = Vec::new();
        for row in rows {
            match row {
                Change::Task { task, .. } => {
                    let number = number_of(task.work.spec());
                    numbers.push((task.id, number));
                    self.account_task(number, &task.state);
                }
                Change::Attempt(attempt) => {
                    let place = numbers.binary_search_by_key(&attempt.task, |&(id, _)| id);
                    let place = place.expect("a batch that writes an attempt writes its task, by rising id");
                    self.account_attempt(numbers[place].1, attempt);
                }
                Change::Usage(segment) => self.meter.charged_milli_ms += i128::from(segment.gpu_milli_ms),
                _ => {}
            }
        }
    }

    fn account_task(&mut self, number: usize, state: &TaskState) {
        let job = &mut self.jobs[number];
        let fate = match state {
            TaskState::Ended(end) => Fate::Ended { outcome: end.outcome, at: self.now },
            TaskState::Queued { cause: QueueCause::Parked, .. } => Fate::Parked,
            _ => return,
        };
        if job.fate == Fate::Alive {
            let milli = self.world.tasks[number].milli();
            job.fate = fate;
            job.crowding_after = self.meter.crowding();
            self.alive -= 1;
            self.meter.go(milli);
            self.meter.wait_over(milli);
        }
    }

    fn account_attempt(&mut self, number: usize, attempt: &Attempt) {
        let milli = self.world.tasks[number].milli();
        let job = &mut self.jobs[number];
        if attempt.ended.is_some() {
            self.meter.hold(&attempt.parts, false);
            self.meter.rows.note(number, &attempt.parts, attempt.placed_at, self.now);
            self.meter.wait(milli);
            job.queued_since = self.now;
        } else if attempt.started_at.is_none() {
            self.meter.hold(&attempt.parts, true);
            self.meter.wait_over(milli);
            job.waited.0 += self.now.since(job.queued_since).0;
        } else {
            return;
        }
        self.dirty.extend(attempt.parts.iter().map(|part| part.node.0));
    }

    fn say(&mut self, node: NodeId, report: Report, changes: &mut Changes) {
        let command = Command::Report { node, report };
        self.server.apply(command, self.now, changes).expect("a report is never refused");
    }
}
