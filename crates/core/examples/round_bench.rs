//! How long a scheduling round takes when one task ends: 100,000 waiting tasks of 1,000 shapes and 50 users,
//! 1,000 busy devices. Prints one line of JSON.
//!
//! `cargo run --release -p fastgpu-core --example round_bench`

#![expect(clippy::print_stdout, reason = "the result of a benchmark is its output")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end at the first surprise")]
#![expect(clippy::disallowed_types, reason = "a benchmark has a clock")]

use std::sync::Arc;
use std::time::Instant;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Submit};
use fastgpu_core::ids::{NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Device, Exit, ExitKind, Inventory, Report};
use fastgpu_core::plan::{Planner, plan};
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};

const NODES: u32 = 125;
const DEVICES_PER_NODE: u16 = 8;
const WAITING: u32 = 100_000;
const SHAPES: u32 = 1_000;
const USERS: u32 = 50;
const ROUNDS: usize = 5_000;

fn main() {
    let mut now = Timestamp(1_800_000_000_000);
    let mut state = State::new(Beginning::default());
    for node in 0..NODES {
        let report = Report::Hello { inventory: inventory(node), attempts: Vec::new() };
        state.apply(Command::Report { node: NodeId(node), report }, now, &mut Changes::default()).unwrap();
    }
    for chunk in 0..WAITING / 1_000 {
        let tasks = (0..1_000).map(|i| submit(chunk * 1_000 + i)).collect();
        state.apply(Command::Submit { tasks, actor: Actor::Local }, now, &mut Changes::default()).unwrap();
    }
    settle(&mut state, now);
    let mut running: Vec<TaskId> =
        state.tasks().filter(|task| task.state.hold().is_some()).map(|task| task.id).collect();
    println_stderr(&format!("{} placed, {} wait", running.len(), state.queue_len()));

    let mut planner = Planner::default();
    let mut took_us: Vec<f64> = Vec::with_capacity(ROUNDS);
    let mut started = 0;
    for round in 0..ROUNDS {
        now = now.plus(Millis(7));
        let victim = running.swap_remove((round * 7_919) % running.len());
        end(&mut state, victim, now);
        let began = Instant::now();
        let decided = planner.plan(&state, now);
        let mut changes = Changes::default();
        state.adopt(&decided, now, &mut changes);
        took_us.push(began.elapsed().as_secs_f64() * 1e6);
        started += decided.starts.len();
        running.extend(decided.starts.iter().map(|start| start.task));
    }
    state.assert_sound();
    took_us.sort_by(f64::total_cmp);
    let at = |percent: usize| took_us[(ROUNDS - 1) * percent / 100];
    println!(
        "{{\"rounds\":{ROUNDS},\"waiting\":{},\"shapes\":{SHAPES},\"users\":{USERS},\"devices\":{},\
         \"started\":{started},\"p50_us\":{:.1},\"p99_us\":{:.1},\"max_us\":{:.1}}}",
        state.queue_len(),
        NODES * u32::from(DEVICES_PER_NODE),
        at(50),
        at(99),
        at(100)
    );
}

#[expect(clippy::print_stderr, reason = "what the benchmark is doing is talk")]
fn println_stderr(text: &str) {
    eprintln!("{text}");
}

fn settle(state: &mut State, now: Timestamp) {
    loop {
        let decided = plan(state, now);
        state.adopt(&decided, now, &mut Changes::default());
        if decided.starts.is_empty() {
            return;
        }
    }
}

fn end(state: &mut State, task: TaskId, now: Timestamp) {
    let hold = state.task(task).unwrap().state.hold().unwrap();
    let (node, fence) = (hold.grant.first_node(), hold.grant.fence);
    let exit = Exit { at: now, how: ExitKind::Code(0), cpu_ms: 0, rss_max_kib: 0, sick: None };
    let report = Report::Exited { task, fence, exit };
    state.apply(Command::Report { node, report }, now, &mut Changes::default()).unwrap();
}

/// A thousand shapes: shares and whole devices, small gangs, a few gangs over several nodes, some with CPU.
fn submit(number: u32) -> Submit {
    let shape = number.wrapping_mul(2_654_435_761) % SHAPES;
    let (count, share) = match shape % 10 {
        0..6 => (1, Share::Milli(GpuMilli::new(50 + shape % 900).unwrap())),
        6 => (1, Share::Milli(GpuMilli::FULL)),
        7 => (1, Share::Cap(MemoryMib(u64::from(1_024 + shape * 64)))),
        _ => (1 + (shape % 8) as u16, Share::Milli(GpuMilli::FULL)),
    };
    let spread = if shape % 50 == 9 { Spread::AnyNodes } else { Spread::OneNode };
    let ask = Ask {
        devices: DeviceCount::exactly(count),
        share,
        constraints: Constraints { spread, ..Constraints::default() },
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(shape / 10 * 10),
        host_memory: MemoryMib(0),
    };
    let limits = Limits { stop_grace: Millis(1_000), ..Limits::default() };
    Submit {
        project: "default".into(),
        owner: format!("user-{}", number % USERS).into(),
        terms: Terms { limits, ..Terms::new(ask) },
        spec: Arc::new(Spec { command: vec!["true".to_owned()], ..Spec::default() }),
        spec_hash: SpecHash([0; 32]),
        held: false,
    }
}

fn inventory(node: u32) -> Inventory {
    let device = |index| Device {
        uuid: format!("SIM-{node}-{index}").into(),
        ..Device::simulated(index, "A100", MemoryMib(81_920))
    };
    Inventory {
        cpu: CpuMilli(128_000),
        host_memory: MemoryMib(1 << 20),
        ..Inventory::of(format!("host-{node}"), (0..DEVICES_PER_NODE).map(device))
    }
}
