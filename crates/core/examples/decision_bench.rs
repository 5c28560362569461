//! How long one decision takes on a large cluster: 100,000 devices on 12,500 nodes of four kinds, nine tenths in
//! use; tasks come and go, three of ten with a shape that was never seen, and the mix changes all the time. Prints
//! one line of JSON.
//!
//! `cargo run --release -p fastgpu-core --example decision_bench [NODES]`

#![expect(clippy::print_stdout, reason = "the result of a benchmark is its output")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end at the first surprise")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a benchmark has a clock and arguments"
)]

use std::sync::Arc;
use std::time::Instant;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Submit};
use fastgpu_core::ids::{NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Device, Exit, ExitKind, Inventory, Order, Report};
use fastgpu_core::plan::Planner;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};

const DEVICES_PER_NODE: u16 = 8;
const DECISIONS: usize = 20_000;
const KINDS: [(&str, u64, u32); 4] = [
    ("A100", 81_920, 128_000),
    ("H100", 81_920, 192_000),
    ("L40S", 46_068, 96_000),
    ("V100", 32_768, 64_000),
];

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

    fn pick(&mut self, len: usize) -> usize {
        usize::try_from(self.roll(len as u64)).unwrap()
    }
}

struct World {
    state: State,
    planner: Planner,
    dice: Dice,
    now: Timestamp,
    running: Vec<TaskId>,
    spec: Arc<Spec>,
}

fn main() {
    let nodes: u32 = std::env::args().nth(1).map_or(12_500, |word| word.parse().unwrap());
    let mut world = World {
        state: State::new(Beginning::default()),
        planner: Planner::default(),
        dice: Dice(7),
        now: Timestamp(1_800_000_000_000),
        running: Vec::new(),
        spec: Arc::new(Spec { command: vec!["true".to_owned()], ..Spec::default() }),
    };
    for node in 0..nodes {
        let report = Report::Hello { inventory: inventory(node), attempts: Vec::new() };
        world.apply(Command::Report { node: NodeId(node), report });
    }
    let devices = u64::from(nodes) * u64::from(DEVICES_PER_NODE);
    let mut held = 0;
    while held < devices * 900 {
        let (milli, _) = world.arrive();
        held += milli;
    }
    let mut took_us = Vec::with_capacity(DECISIONS);
    while took_us.len() < DECISIONS {
        for _ in 0..2 {
            world.end();
        }
        took_us.extend([world.arrive().1, world.arrive().1]);
    }
    world.state.assert_sound();
    took_us.sort_by(f64::total_cmp);
    let at = |percent: usize| took_us[(took_us.len() - 1) * percent / 100];
    println!(
        "{{\"devices\":{devices},\"nodes\":{nodes},\"running\":{},\"decisions\":{},\"p50_us\":{:.1},\"p99_us\":{:.1},\
         \"max_us\":{:.1}}}",
        world.running.len(),
        took_us.len(),
        at(50),
        at(99),
        at(100)
    );
}

impl World {
    fn apply(&mut self, command: Command) {
        self.state.apply(command, self.now, &mut Changes::default()).unwrap();
    }

    /// One task comes and is placed if it fits. Returns what it asks for and how long the decision took.
    fn arrive(&mut self) -> (u64, f64) {
        self.now = self.now.plus(Millis(3));
        let ask = self.ask();
        let milli = match ask.share {
            Share::Milli(milli) => u64::from(milli.get()) * u64::from(ask.devices.max),
            _ => 0,
        };
        let submit = self.submit(ask);
        let mut changes = Changes::default();
        let command = Command::Submit { tasks: vec![submit], actor: Actor::Local };
        self.state.apply(command, self.now, &mut changes).unwrap();
        let began = Instant::now();
        let plan = self.planner.plan(&self.state, self.now);
        let took = began.elapsed().as_secs_f64() * 1e6;
        self.state.adopt(&plan, self.now, &mut changes);
        self.running.extend(plan.starts.iter().map(|start| start.task));
        let outcome = changes.finish(&self.state);
        for (node, order) in outcome.orders {
            if let Order::Launch(launch) = order {
                let report = Report::Started { task: launch.task, fence: launch.fence, at: self.now };
                self.apply(Command::Report { node, report });
            }
        }
        // Whoever does not fit leaves, so that each decision is about one task.
        let state = &self.state;
        let waits = |id: &TaskId| state.task(*id).is_some_and(|task| task.state.hold().is_none());
        let left: Vec<TaskId> = outcome.moved.into_iter().filter(waits).collect();
        for task in left {
            self.apply(Command::Cancel { task, grace: None, actor: Actor::Local });
        }
        (milli, took)
    }

    fn end(&mut self) {
        let at = self.dice.pick(self.running.len());
        let task = self.running.swap_remove(at);
        let hold = self.state.task(task).unwrap().state.hold().unwrap();
        let (node, fence) = (hold.grant.first_node(), hold.grant.fence);
        let exit = Exit { at: self.now, how: ExitKind::Code(0), cpu_ms: 0, rss_max_kib: 0, sick: None };
        self.apply(Command::Report { node, report: Report::Exited { task, fence, exit } });
    }

    /// Three of ten shapes are new; the others are of two hundred, of which some are frequent at a time.
    fn ask(&mut self) -> Ask {
        let is_new = self.dice.roll(10) < 3;
        let era = u64::try_from(self.now.0 / 10_000).unwrap() % 7;
        let shape =
            if is_new { 1_000 + self.dice.roll(1 << 20) } else { (self.dice.roll(40) + 30 * era) % 200 };
        let small = |value: u64| u32::try_from(value).unwrap();
        let (count, milli) = match shape % 10 {
            0..6 => (1, 50 + small(shape.wrapping_mul(37) % 90) * 10),
            6 | 7 => (1, 1_000),
            8 => (2, 1_000),
            _ => ([4, 8][usize::from(shape % 3 == 0)], 1_000),
        };
        Ask {
            devices: DeviceCount::exactly(count),
            share: Share::Milli(GpuMilli::new(milli).unwrap()),
            constraints: Constraints {
                models: if shape % 13 == 0 { vec!["H100".into()] } else { Vec::new() },
                spread: Spread::OneNode,
                ..Constraints::default()
            },
            class: Class::Standard,
            isolation: Isolation::Soft,
            cpu: CpuMilli(1_000 + small(shape % 17) * 700 * u32::from(count)),
            host_memory: MemoryMib(2_048 + shape % 5 * 4_096),
        }
    }

    fn submit(&self, ask: Ask) -> Submit {
        let limits = Limits { stop_grace: Millis(1_000), ..Limits::default() };
        Submit {
            project: "default".into(),
            owner: "ann".into(),
            terms: Terms { limits, wait_for_capacity: true, ..Terms::new(ask) },
            spec: self.spec.clone(),
            spec_hash: SpecHash([0; 32]),
            held: false,
        }
    }
}

fn inventory(node: u32) -> Inventory {
    let (model, memory, cpu) = KINDS[node as usize % KINDS.len()];
    let device = |index| Device {
        uuid: format!("SIM-{node}-{index}").into(),
        ..Device::simulated(index, model, MemoryMib(memory))
    };
    Inventory {
        cpu: CpuMilli(cpu),
        host_memory: MemoryMib(1 << 20),
        ..Inventory::of(format!("host-{node}"), (0..DEVICES_PER_NODE).map(device))
    }
}
