//! What must hold whatever happens: random commands, plans, and nodes whose messages are dropped, repeated
//! and reordered. A failure prints its seed; the same seed gives the same run on every machine.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

#[path = "properties/spreading.rs"]
mod spreading;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::change::{Actor, Change};
use fastgpu_core::cluster::{DeviceSlot, Node};
use fastgpu_core::command::{Command, Submit, Update};
use fastgpu_core::decision::{Keep, KeepCause, Plan};
use fastgpu_core::explain::explain;
use fastgpu_core::ids::{Fence, NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Device, Exit, ExitKind, HeldAttempt, Inventory, Order, Report};
use fastgpu_core::outlook::Outlook;
use fastgpu_core::place::fit::allows_device;
use fastgpu_core::place::{Ground, View};
use fastgpu_core::plan::{Planner, plan};
use fastgpu_core::policy::{self, QueuePolicy};
use fastgpu_core::retry::RetryPolicy;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, Outcome, State};
use fastgpu_core::task::{Standing, Task, TaskState};
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};

const NODES: u32 = 3;
const SEEDS: u64 = 120;
const STEPS: usize = 3_000;
const SPREADING: &[policy::Placement] = &[policy::Placement::Spreading];
const QUEUES: [&str; 5] = ["default", "attained", "predicted", "short", "random"];

/// SplitMix64: a stream of numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }
}

/// One attempt as its node knows it.
#[derive(Clone)]
struct Process {
    fence: Fence,
    started: Option<Timestamp>,
    exit: Option<Exit>,
}

/// A node that keeps its promises: it starts an attempt once, keeps an end until it is acknowledged.
#[derive(Default)]
struct NodeModel {
    processes: BTreeMap<(TaskId, u32), Process>,
    /// Attempts it has ever seen, so that none starts twice.
    seen: BTreeSet<(TaskId, u32)>,
    orders: VecDeque<Order>,
    reports: VecDeque<Report>,
}

struct World {
    dice: Dice,
    now: Timestamp,
    state: State,
    planner: Planner,
    nodes: Vec<NodeModel>,
    ids: Vec<TaskId>,
    /// Rows as a store would hold them.
    ended: BTreeMap<TaskId, &'static str>,
    next_event: BTreeMap<TaskId, u32>,
    old_reports: Vec<(NodeId, Report)>,
    commands: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice(seed),
            now: Timestamp(1_800_000_000_000),
            state: State::new(Beginning::default()),
            planner: Planner::default(),
            nodes: (0..NODES).map(|_| NodeModel::default()).collect(),
            ids: Vec::new(),
            ended: BTreeMap::new(),
            next_event: BTreeMap::new(),
            old_reports: Vec::new(),
            commands: 0,
        };
        world.configure(usize::try_from(seed).unwrap());
        for node in 0..NODES {
            world.hello(node);
        }
        world
    }

    /// One queue of each order, placement and way to preempt, in other pairs with each seed. With some seeds devices
    /// are kept sooner, or all queues spread.
    fn configure(&mut self, seed: usize) {
        let mut config = self.state.config().clone();
        if seed.is_multiple_of(2) {
            config.overtake_max = Millis(30_000);
        }
        let placements = if seed.is_multiple_of(4) { SPREADING } else { policy::Placement::ALL };
        for (at, name) in QUEUES.into_iter().enumerate() {
            let policy = QueuePolicy {
                priority: i32::from(name == "short"),
                order: policy::Order::ALL[at % policy::Order::ALL.len()],
                placement: placements[(at + seed) % placements.len()],
                preempt: policy::Preempt::ALL[(at + 1) % policy::Preempt::ALL.len()],
                wait_max: Millis(400_000),
            };
            config.queues.insert(name.into(), policy);
        }
        self.apply(Command::Configure { config, actor: Actor::Local });
    }

    /// What a plan may never do.
    fn check_plan(&self, decided: &Plan) {
        let mut kept = BTreeSet::new();
        for keep in &decided.keeps {
            let twice = keep.devices.iter().find(|&&device| !kept.insert(device));
            assert_eq!(twice, None, "kept for {} and for somebody else", keep.task);
        }
        self.check_spreading(decided);
        for start in &decided.starts {
            let task = self.state.task(start.task).unwrap();
            let devices: usize = start.parts.iter().map(|part| part.slices.len()).sum();
            assert!(devices >= usize::from(task.terms.ask.devices.min), "{} starts in part", start.task);
            // What is cleared in this very round comes after its starts.
            let is_older = |keep: &&Keep| {
                keep.cause == KeepCause::Overtaken
                    || self.state.keeps().iter().any(|old| old.task == keep.task)
            };
            for keep in decided.keeps.iter().filter(is_older) {
                let takes_of_it = start.parts.iter().any(|part| {
                    part.slices.iter().any(|slice| keep.devices.contains(&(part.node, slice.device)))
                });
                let is_back_in_time = task.time_limit.is_some_and(|run| self.now.plus(run) <= keep.free_at);
                assert!(
                    !takes_of_it || (is_back_in_time && keep.cause == KeepCause::Overtaken),
                    "{} takes what is kept for {}",
                    start.task,
                    keep.task
                );
            }
        }
        for preempt in &decided.preempts {
            let (victim, task) =
                (self.state.task(preempt.task).unwrap(), self.state.task(preempt.for_task).unwrap());
            assert_ne!(victim.terms.ask.class, Class::Guaranteed, "{} is stopped", victim.id);
            assert!(
                (Reverse(victim.standing.priority), victim.terms.ask.class)
                    >= (Reverse(task.standing.priority), task.terms.ask.class)
                    || victim.terms.ask.class == Class::Spot
                    || victim.terms.queue == task.terms.queue,
                "{} is stopped for {}, which ranks behind",
                victim.id,
                task.id
            );
            assert!(decided.keeps.iter().any(|keep| keep.task == task.id), "nothing is kept for {}", task.id);
        }
    }

    fn inventory(node: u32) -> Inventory {
        let (model, memory) =
            if node == 0 { ("A100", MemoryMib(40_960)) } else { ("H100", MemoryMib(81_920)) };
        let device = |index| Device {
            uuid: format!("SIM-{node}-{index}").into(),
            ..Device::simulated(index, model, memory)
        };
        Inventory {
            cpu: CpuMilli(16_000),
            host_memory: MemoryMib(65_536),
            ..Inventory::of(format!("host-{node}"), (0..4).map(device))
        }
    }

    /// One command through the core, with everything that must hold afterwards.
    fn apply(&mut self, command: Command) -> Outcome {
        self.commands += 1;
        let mut changes = Changes::default();
        let _ = self.state.apply(command, self.now, &mut changes);
        self.settle(changes)
    }

    fn settle(&mut self, changes: Changes) -> Outcome {
        self.state.assert_sound();
        let outcome = changes.finish(&self.state);
        for row in &outcome.rows {
            match row {
                Change::Task { task, .. } => {
                    assert!(!self.ended.contains_key(&task.id), "{} moved after its end", task.id);
                    if task.state.is_ended() {
                        self.ended.insert(task.id, task.state.code());
                    }
                }
                Change::Event(event) => {
                    let next = self.next_event.entry(event.task).or_default();
                    assert_eq!(event.number, *next, "events of {} have a gap", event.task);
                    *next += 1;
                }
                _ => {}
            }
        }
        for (node, order) in &outcome.orders {
            self.nodes[node.0 as usize].orders.push_back(order.clone());
        }
        outcome
    }

    /// A round; the same plan taken up a second time must change nothing.
    fn round(&mut self) {
        let decided = self.planner.plan(&self.state, self.now);
        self.check_plan(&decided);
        // From nothing a plan takes long: sometimes is often enough in 300,000 rounds.
        if self.dice.roll(16) == 0 {
            assert_eq!(decided, plan(&self.state, self.now), "a planner that remembers plans otherwise");
        }
        let mut changes = Changes::default();
        self.state.adopt(&decided, self.now, &mut changes);
        self.settle(changes);
        let mut again = Changes::default();
        self.state.adopt(&decided, self.now, &mut again);
        assert!(again.is_empty(), "a plan adopted twice changed something");
        let settled = self.planner.plan(&self.state, self.now);
        assert!(
            settled.starts.is_empty(),
            "a settled state still starts something: first {decided:?}, then {settled:?}"
        );
        self.nothing_that_fits_waits();
    }

    /// Work conservation: what fits waits only behind devices kept for the head of the queue.
    fn nothing_that_fits_waits(&self) {
        if !self.state.keeps().is_empty() {
            return;
        }
        let ground = Ground::of(self.state.cluster(), &Outlook::default());
        let view = View::new(&ground, self.state.cluster());
        for (_, lane) in self.state.queue().lanes() {
            assert!(!view.fits(&lane.ask), "{:?} fits and waits", lane.ask);
            // What is said of the first of them names no place that is not there; sometimes is often enough.
            if !self.commands.is_multiple_of(32) {
                continue;
            }
            let first = lane.ranks().next().unwrap().task();
            let why = explain(&self.state, first, self.now, &|_| true).unwrap();
            assert_ne!(why.earliest_at, Some(self.now), "{}: {:?}", why.headline, why.lines);
            assert!(!why.lines.is_empty() && !why.suggestions.is_empty(), "{}", why.headline);
        }
    }

    fn submit(&mut self) {
        let dice = &mut self.dice;
        let milli = GpuMilli::new(1 + u32::try_from(dice.roll(1_000)).unwrap()).unwrap();
        let share = match dice.roll(4) {
            0 => Share::Milli(milli),
            1 => Share::Cap(MemoryMib(1 + dice.roll(50_000))),
            2 => Share::Both(milli, MemoryMib(1 + dice.roll(40_000))),
            _ => Share::Milli(GpuMilli::FULL),
        };
        let count = u16::try_from([0, 1, 1, 1, 2, 3, 5, 9][usize::try_from(dice.roll(8)).unwrap()]).unwrap();
        let spread = if dice.roll(2) == 0 { Spread::OneNode } else { Spread::AnyNodes };
        let models = if dice.roll(5) == 0 { vec!["h100".into()] } else { Vec::new() };
        let ask = Ask {
            devices: DeviceCount { min: count, max: count + u16::from(dice.roll(4) == 0) },
            share,
            constraints: Constraints { models, spread, ..Constraints::default() },
            class: [Class::Guaranteed, Class::Standard, Class::Spot][usize::try_from(dice.roll(3)).unwrap()],
            isolation: if dice.roll(6) == 0 { Isolation::Hard } else { Isolation::Soft },
            cpu: CpuMilli(u32::try_from(dice.roll(4) * 1_000).unwrap()),
            host_memory: MemoryMib(dice.roll(3) * 8_192),
        };
        let is_reservation = dice.roll(6) == 0;
        let command = if is_reservation { Vec::new() } else { vec!["true".to_owned()] };
        let owner = format!("user-{}", dice.roll(3)).into();
        let terms = Terms {
            priority: i32::try_from(dice.roll(3)).unwrap(),
            queue: QUEUES[usize::try_from(dice.roll(QUEUES.len() as u64)).unwrap()].into(),
            limits: Limits {
                run: (is_reservation || dice.roll(2) == 0).then(|| Millis(1 + dice.roll(100_000))),
                queue: (dice.roll(5) == 0).then(|| Millis(dice.roll(200_000))),
                stop_grace: Millis(1_000),
            },
            expected: (dice.roll(3) == 0).then(|| Millis(1 + dice.roll(300_000))),
            retry: RetryPolicy { max: u16::try_from(dice.roll(3)).unwrap(), backoff: None },
            ..Terms::new(ask)
        };
        let submit = Submit {
            project: "default".into(),
            owner,
            spec: Arc::new(Spec { command, ..Spec::default() }),
            spec_hash: SpecHash([0; 32]),
            held: dice.roll(12) == 0,
            terms: Terms { wait_for_capacity: dice.roll(10) == 0, ..terms },
        };
        let outcome = self.apply(Command::Submit { tasks: vec![submit], actor: Actor::Local });
        self.ids.extend(outcome.moved);
    }

    fn some_task(&mut self) -> Option<TaskId> {
        let recent = self.ids.len().min(60) as u64;
        if recent == 0 {
            return None;
        }
        let back = usize::try_from(self.dice.roll(recent)).unwrap();
        Some(self.ids[self.ids.len() - 1 - back])
    }

    /// The node takes its next order; it may be lost (then the link breaks), or come twice.
    fn node_works(&mut self, node: u32) {
        let fate = self.dice.roll(20);
        let model = &mut self.nodes[node as usize];
        let Some(order) = model.orders.pop_front() else { return };
        match fate {
            0 => {
                // The link broke: whatever was under way on it is gone, both ways.
                model.orders.clear();
                model.reports.clear();
                self.hello(node);
                return;
            }
            1 => model.orders.push_back(order.clone()),
            _ => {}
        }
        let now = self.now;
        match order {
            Order::Launch(launch) => {
                let key = (launch.task, launch.fence.attempt);
                if model.seen.insert(key) {
                    model
                        .processes
                        .insert(key, Process { fence: launch.fence, started: Some(now), exit: None });
                    let (task, fence) = (launch.task, launch.fence);
                    model.reports.push_back(Report::Started { task, fence, at: now });
                }
            }
            Order::Stop { task, fence, .. } => {
                // An attempt it does not hold (any more) is refused from now on, and reported ended.
                let key = (task, fence.attempt);
                model.seen.insert(key);
                model.processes.entry(key).or_insert(Process { fence, started: None, exit: None });
                self.process_ends(node, key, ExitKind::Signal(15));
            }
            Order::Forget { task, attempt } => {
                model.processes.remove(&(task, attempt));
            }
            Order::Regrant { .. } | Order::Suspend { .. } | Order::Resume { .. } => {}
        }
        self.at_most_one_live_attempt();
    }

    fn process_ends(&mut self, node: u32, key: (TaskId, u32), how: ExitKind) {
        let now = self.now;
        let model = &mut self.nodes[node as usize];
        let Some(process) = model.processes.get_mut(&key).filter(|process| process.exit.is_none()) else {
            return;
        };
        let exit = Exit { at: now, how, cpu_ms: 0, rss_max_kib: 0, sick: None };
        process.exit = Some(exit.clone());
        model.reports.push_back(Report::Exited { task: key.0, fence: process.fence, exit });
    }

    fn some_process_ends(&mut self, node: u32) {
        let running: Vec<_> = self.nodes[node as usize]
            .processes
            .iter()
            .filter(|(_, process)| process.exit.is_none())
            .map(|(&key, _)| key)
            .collect();
        if running.is_empty() {
            return;
        }
        let key = running[usize::try_from(self.dice.roll(running.len() as u64)).unwrap()];
        let how = match self.dice.roll(6) {
            0..=2 => ExitKind::Code(0),
            3 => ExitKind::Code(1),
            4 => ExitKind::Infrastructure("broken".to_owned()),
            _ => ExitKind::TimeLimit,
        };
        self.process_ends(node, key, how);
    }

    /// A report arrives: perhaps lost (then the link breaks), twice, or overtaken by the next one.
    fn report_arrives(&mut self, node: u32) {
        let fate = self.dice.roll(20);
        let model = &mut self.nodes[node as usize];
        let reordered =
            fate == 2 && model.reports.iter().take(2).all(|report| !matches!(report, Report::Hello { .. }));
        let next = if reordered && model.reports.len() > 1 {
            model.reports.remove(1)
        } else {
            model.reports.pop_front()
        };
        let Some(report) = next else { return };
        if fate == 0 {
            model.orders.clear();
            model.reports.clear();
            self.hello(node);
            return;
        }
        if !matches!(report, Report::Hello { .. }) {
            self.old_reports.push((NodeId(node), report.clone()));
        }
        if fate == 1 && !matches!(report, Report::Hello { .. }) {
            self.apply(Command::Report { node: NodeId(node), report: report.clone() });
        }
        self.apply(Command::Report { node: NodeId(node), report });
    }

    fn hello(&mut self, node: u32) {
        let model = &mut self.nodes[node as usize];
        let attempts = model
            .processes
            .iter()
            .map(|(&(task, _), process)| HeldAttempt {
                task,
                fence: process.fence,
                started: process.started,
                exit: process.exit.clone(),
            })
            .collect();
        let inventory = Self::inventory(node);
        self.apply(Command::Report { node: NodeId(node), report: Report::Hello { inventory, attempts } });
    }

    /// The machine dies with everything on it, and comes back empty.
    fn machine_dies(&mut self, node: u32) {
        let model = &mut self.nodes[node as usize];
        model.processes.clear();
        model.orders.clear();
        model.reports.clear();
        if self.dice.roll(2) == 0 {
            self.apply(Command::Report { node: NodeId(node), report: Report::Lost });
        }
        self.hello(node);
    }

    /// A report about an attempt that is over must change nothing durable.
    fn an_old_report_comes_again(&mut self) {
        if self.old_reports.is_empty() {
            return;
        }
        let pick = usize::try_from(self.dice.roll(self.old_reports.len() as u64)).unwrap();
        let (node, report) = self.old_reports[pick].clone();
        let (Report::Started { task, fence, .. } | Report::Exited { task, fence, .. }) = &report else {
            return;
        };
        let current =
            self.state.task(*task).and_then(|task| task.state.hold()).map(|hold| hold.grant.fence.attempt);
        let is_old = current != Some(fence.attempt);
        let outcome = self.apply(Command::Report { node, report });
        if is_old {
            assert!(outcome.rows.is_empty(), "a stale report changed something: {:?}", outcome.rows);
        }
    }

    fn at_most_one_live_attempt(&self) {
        let mut live = BTreeSet::new();
        for model in &self.nodes {
            for (&(task, attempt), process) in &model.processes {
                if process.exit.is_none() && process.started.is_some() {
                    assert!(live.insert(task), "{task} has two live attempts, one of them {attempt}");
                }
            }
        }
    }

    fn step(&mut self) {
        self.now = self.now.plus(Millis(self.dice.roll(2_000)));
        let node = u32::try_from(self.dice.roll(u64::from(NODES))).unwrap();
        match self.dice.roll(100) {
            0..20 => self.submit(),
            20..26 => {
                if let Some(task) = self.some_task() {
                    self.apply(Command::Cancel { task, grace: None, actor: Actor::Local });
                }
            }
            26..29 => {
                if let Some(task) = self.some_task() {
                    self.apply(Command::Release { task, actor: Actor::Local });
                }
            }
            29..33 => {
                if let Some(task) = self.some_task() {
                    let held = Some(self.dice.roll(2) == 0);
                    let priority = Some(i32::try_from(self.dice.roll(5)).unwrap());
                    let update = Update { priority, held, ..Update::default() };
                    self.apply(Command::Update { task, update, if_revision: None, actor: Actor::Local });
                }
            }
            33..34 => {
                let drain = self.dice.roll(3) == 0;
                self.apply(Command::Drain { node: NodeId(node), drain, actor: Actor::Local });
            }
            34..35 => self.machine_dies(node),
            35..37 => self.hello_again(node),
            37..41 => self.an_old_report_comes_again(),
            41..43 => {
                if let Some(task) = self.some_task() {
                    self.apply(Command::Suspend { task, actor: Actor::Local });
                    self.apply(Command::Resume { task, actor: Actor::Local });
                }
            }
            43..58 => self.node_works(node),
            58..70 => self.some_process_ends(node),
            70..82 => self.report_arrives(node),
            82..86 => {
                self.apply(Command::Tick);
            }
            _ => self.round(),
        }
    }

    fn hello_again(&mut self, node: u32) {
        self.nodes[node as usize].reports.clear();
        self.nodes[node as usize].orders.clear();
        self.hello(node);
    }

    /// Everybody is cancelled, everything is delivered: nothing may be held and nobody may be left.
    fn wind_down(&mut self) {
        for id in self.ids.clone() {
            self.apply(Command::Cancel { task: id, grace: None, actor: Actor::Local });
        }
        for _ in 0..10_000 {
            for node in 0..NODES {
                self.node_works(node);
                self.report_arrives(node);
            }
            if self.state.live_len() == 0 {
                break;
            }
        }
        let left: Vec<_> = self.state.tasks().map(|task| (task.id, task.state.code())).collect();
        assert!(left.is_empty(), "still alive after everything was cancelled: {left:?}");
        for node in self.state.cluster().nodes() {
            assert_eq!(node.held().count(), 0, "a grant leaked on {}", node.id);
            assert!(node.devices.iter().all(|slot| slot.free_milli == GpuMilli::FULL));
        }
        assert_eq!(self.ended.len(), self.ids.len(), "a task was lost");
    }
}

#[test]
fn nothing_is_oversold_lost_or_run_twice_whatever_happens() {
    let mut commands = 0;
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.wind_down();
            world.commands
        });
        match run {
            Ok(count) => commands += count,
            Err(panic) => {
                eprintln!("seed {seed} failed");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(commands >= 100_000, "only {commands} commands were tried");
    let placed = spreading::PLACED.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert!(placed.iter().all(|&count| count > 0), "starts looked at: {placed:?}");
}

#[test]
fn a_state_that_is_loaded_again_is_the_same_state() {
    for seed in 100..110 {
        let mut world = World::new(seed);
        for _ in 0..1_000 {
            world.step();
        }
        // Where a task stands follows from the rest and from what was learned.
        let stored = |task: &Task| Task { standing: Standing::default(), ..task.clone() };
        let tasks: Vec<_> = world.state.tasks().map(stored).collect();
        let config = Some(world.state.config().clone());
        let loaded = State::new(Beginning { tasks: tasks.clone(), config, ..Beginning::default() });
        let again: Vec<_> = loaded.tasks().map(stored).collect();
        assert_eq!(tasks, again);
        assert_eq!(loaded.queue_len(), world.state.queue_len());
        let waiting = tasks.iter().filter(|task| matches!(task.state, TaskState::Queued { .. })).count();
        assert!(loaded.queue_len() <= waiting);
    }
}
