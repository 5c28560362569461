//! Placement, order and explanation as stories: a cluster and a queue in words, what happened in words.
//!
//! A cluster is `2x80 24` (a node with two devices of 80 GiB, a node with one of 24 GiB). A task is
//! `0.5`, `8GiB`, `0.25+8GiB`, or `2` (whole devices), with `p9` for priority, `60s` for a time limit,
//! `q5s` for a queue timeout, `spread`, `4c` for cores. Steps between tasks: `end task-1`, `cancel task-1`,
//! `wait 20s`.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused, Submit};
use fastgpu_core::explain::explain;
use fastgpu_core::ids::{DeviceIndex, NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Closeness, Device, Exit, ExitKind, Inventory, Order, Report, Telemetry};
use fastgpu_core::plan::plan;
use fastgpu_core::retry::RetryPolicy;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::task::{Limits, TaskState};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};
use insta::assert_snapshot;

struct Story {
    state: State,
    now: Timestamp,
    names: BTreeMap<TaskId, String>,
    told: String,
}

/// Plays a story and tells what happened, with a `why` for everybody who still waits if `explained`.
fn play(cluster: &str, steps: &str, explained: bool) -> String {
    let mut story = Story::begin(cluster);
    for step in steps.split(';').map(str::trim).filter(|step| !step.is_empty()) {
        match step.split_once(' ') {
            Some(("end", name)) => story.end(name),
            Some(("cancel", name)) => story.cancel(name),
            Some(("wait", span)) => story.now = story.now.plus(seconds(span)),
            _ => story.submit(step),
        }
        story.round();
    }
    story.tell_who_waits(explained);
    story.told
}

fn check(cluster: &str, steps: &str) -> String {
    play(cluster, steps, false)
}

fn seconds(text: &str) -> Millis {
    Millis::from_secs(text.strip_suffix('s').unwrap().parse().unwrap())
}

impl Story {
    fn begin(cluster: &str) -> Self {
        let mut state = State::new(Beginning::default());
        for (number, node) in cluster.split(' ').enumerate() {
            let (count, gib) = node.split_once('x').unwrap_or(("1", node));
            let (count, gib): (u16, u64) = (count.parse().unwrap(), gib.parse().unwrap());
            let node = u32::try_from(number).unwrap() + 1;
            let report = Report::Hello { inventory: inventory(node, count, gib), attempts: Vec::new() };
            let command = Command::Report { node: NodeId(node), report };
            state.apply(command, Timestamp(0), &mut Changes::default()).unwrap();
        }
        Self { state, now: Timestamp(1_800_000_000_000), names: BTreeMap::new(), told: String::new() }
    }

    fn submit(&mut self, words: &str) {
        if let Err(refused) = self.submit_task(task(words)) {
            self.tell(&format!("{words} is refused: {refused}"));
        }
    }

    fn submit_task(&mut self, task: Submit) -> Result<(), Refused> {
        let name = format!("task-{}", self.names.len() + 1);
        let mut changes = Changes::default();
        let command = Command::Submit { tasks: vec![task], actor: Actor::Local };
        self.state.apply(command, self.now, &mut changes)?;
        let id = changes.finish(&self.state).moved[0];
        self.names.insert(id, name);
        Ok(())
    }

    fn end(&mut self, name: &str) {
        let id = self.id(name);
        let hold =
            self.state.task(id).unwrap().state.hold().unwrap_or_else(|| panic!("{name} holds nothing"));
        let (node, fence) = (hold.grant.first_node(), hold.grant.fence);
        let exit = Exit { at: self.now, how: ExitKind::Code(0), cpu_ms: 0, rss_max_kib: 0 };
        let report = Report::Exited { task: id, fence, exit };
        self.state.apply(Command::Report { node, report }, self.now, &mut Changes::default()).unwrap();
        self.tell(&format!("{name} ends"));
    }

    fn id(&self, name: &str) -> TaskId {
        *self.names.iter().find(|(_, known)| *known == name).unwrap().0
    }

    fn cancel(&mut self, name: &str) {
        let command = Command::Cancel { task: self.id(name), grace: None, actor: Actor::Local };
        self.state.apply(command, self.now, &mut Changes::default()).unwrap();
        self.tell(&format!("{name} is cancelled"));
    }

    fn round(&mut self) {
        let mut changes = Changes::default();
        self.state.apply(Command::Tick, self.now, &mut changes).unwrap();
        let mut over = changes.finish(&self.state).moved;
        over.retain(|&id| self.state.task(id).is_none());
        for id in over {
            self.tell(&format!("{id} is over"));
        }
        // A round that nobody asks for would not happen in the product either.
        if !self.state.needs_round() && !self.state.keeps().is_empty() {
            return;
        }
        let decided = plan(&self.state, self.now);
        if let Some(keep) = decided.keeps.iter().find(|keep| !self.state.keeps().contains(keep)) {
            let devices: Vec<_> =
                keep.devices.iter().map(|(node, device)| format!("{node} {device}")).collect();
            self.tell(&format!("{} is kept {}", self.names[&keep.task], devices.join(", ")));
        }
        let mut changes = Changes::default();
        self.state.adopt(&decided, self.now, &mut changes);
        self.state.assert_sound();
        for start in &decided.starts {
            let parts: Vec<_> = start.parts.iter().map(place).collect();
            self.tell(&format!("{} starts on {}", self.names[&start.task], parts.join(" and ")));
        }
        for (node, order) in changes.finish(&self.state).orders {
            if let Order::Launch(launch) = order {
                let report = Report::Started { task: launch.task, fence: launch.fence, at: self.now };
                self.state
                    .apply(Command::Report { node, report }, self.now, &mut Changes::default())
                    .unwrap();
            }
        }
    }

    fn tell_who_waits(&mut self, explained: bool) {
        for (id, name) in self.names.clone() {
            let Some(task) = self.state.task(id) else { continue };
            if !matches!(task.state, TaskState::Queued { .. }) {
                continue;
            }
            if !explained {
                self.tell(&format!("{name} waits"));
                continue;
            }
            let why = explain(&self.state, id, self.now, &|_| true).unwrap();
            self.tell(&why.headline);
            why.lines.iter().for_each(|line| self.tell(&format!("  {line}")));
            why.suggestions.iter().for_each(|line| self.tell(&format!("  could start now with: {line}")));
        }
    }

    fn tell(&mut self, line: &str) {
        let named =
            self.names.iter().fold(line.to_owned(), |line, (id, name)| line.replace(&id.to_string(), name));
        self.told.push_str(&named);
        self.told.push('\n');
    }
}

fn place(part: &fastgpu_core::ask::GrantPart) -> String {
    let devices: Vec<_> = part.slices.iter().map(|slice| slice.device.to_string()).collect();
    format!("{} {}", part.node, devices.join("+")).trim_end().to_owned()
}

fn task(words: &str) -> Submit {
    let mut ask = Ask {
        devices: DeviceCount::exactly(1),
        share: Share::Milli(GpuMilli::FULL),
        constraints: Constraints::default(),
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(0),
        host_memory: MemoryMib(0),
    };
    let (mut priority, mut run, mut queue) = (0, None, None);
    for word in words.split(' ') {
        if let Some(number) = word.strip_prefix('p') {
            priority = number.parse().unwrap();
        } else if let Some(span) = word.strip_prefix('q') {
            queue = Some(seconds(span));
        } else if word == "spread" {
            ask.constraints.spread = Spread::AnyNodes;
        } else if let Some(cores) = word.strip_suffix('c') {
            ask.cpu = CpuMilli(cores.parse::<u32>().unwrap() * 1_000);
        } else if word.ends_with('s') {
            run = Some(seconds(word));
        } else {
            (ask.devices, ask.share) = devices(word);
        }
    }
    Submit {
        project: "default".into(),
        owner: "ann".into(),
        name: None,
        ask,
        queue: "default".into(),
        priority,
        spec: Arc::new(Spec { command: vec!["true".to_owned()], ..Spec::default() }),
        spec_hash: SpecHash([0; 32]),
        limits: Limits { run, queue, stop_grace: Millis(1_000) },
        expected: None,
        retry: RetryPolicy::default(),
        held: false,
        wait_for_capacity: false,
    }
}

fn devices(word: &str) -> (DeviceCount, Share) {
    let gib = |text: &str| MemoryMib(text.strip_suffix("GiB").unwrap().parse::<u64>().unwrap() * 1_024);
    let milli = |text: &str| {
        let part = text.strip_prefix("0.").unwrap();
        GpuMilli::new(format!("{part:0<3}").parse().unwrap()).unwrap()
    };
    let one = DeviceCount::exactly(1);
    match word.split_once('+') {
        Some((share, cap)) => (one, Share::Both(milli(share), gib(cap))),
        None if word.ends_with("GiB") => (one, Share::Cap(gib(word))),
        None if word.starts_with("0.") => (one, Share::Milli(milli(word))),
        None => (DeviceCount::exactly(word.parse().unwrap()), Share::Milli(GpuMilli::FULL)),
    }
}

fn inventory(node: u32, count: u16, gib: u64) -> Inventory {
    let device = |index| Device {
        index: DeviceIndex(index),
        uuid: format!("SIM-{node}-{index}").into(),
        model: format!("GPU-{gib}GB").into(),
        memory: MemoryMib(gib * 1_024),
        simulated: true,
        pci: None,
        driver: None,
        mig: None,
        closeness: Closeness::default(),
        unusable: None,
        telemetry: Telemetry::default(),
    };
    Inventory {
        hostname: format!("host-{node}").into(),
        cpu: CpuMilli(8_000),
        host_memory: MemoryMib(32_768),
        devices: (0..count).map(device).collect(),
        labels: Vec::new(),
        abilities: Vec::new(),
        probed: true,
    }
}

#[test]
fn small_tasks_share_a_device_and_keep_the_big_hole() {
    assert_snapshot!(check("80 24", "0.25+8GiB; 0.25+8GiB; 80GiB; 80GiB"), @r"
    task-1 starts on node-2 gpu-0
    task-2 starts on node-2 gpu-0
    task-3 starts on node-1 gpu-0
    task-4 waits
    ");
}

#[test]
fn whole_devices_go_to_the_node_with_the_fewest_to_spare() {
    assert_snapshot!(check("8x80 2x80 4x80", "2; 3; 0.5; 0.5; 1"), @r"
    task-1 starts on node-2 gpu-0+gpu-1
    task-2 starts on node-3 gpu-0+gpu-1+gpu-2
    task-3 starts on node-3 gpu-3
    task-4 starts on node-3 gpu-3
    task-5 starts on node-1 gpu-0
    ");
}

#[test]
fn a_gang_starts_whole_or_not_at_all_and_spans_nodes_only_if_it_may() {
    assert_snapshot!(check("2x80 2x80", "3 spread; 2; end task-1; 4 spread; end task-2"), @r"
    task-1 starts on node-1 gpu-0+gpu-1 and node-2 gpu-0
    task-1 ends
    task-2 starts on node-1 gpu-0+gpu-1
    task-2 ends
    task-3 starts on node-1 gpu-0+gpu-1 and node-2 gpu-0+gpu-1
    ");
}

#[test]
fn priority_goes_first_then_who_came_first_and_who_fits_skips_ahead() {
    assert_snapshot!(check("2x80", "1; 2; 1; 1 p5; end task-1; end task-4; end task-3"), @r"
    task-1 starts on node-1 gpu-0
    task-3 starts on node-1 gpu-1
    task-1 ends
    task-4 starts on node-1 gpu-0
    task-4 ends
    task-3 ends
    task-2 starts on node-1 gpu-0+gpu-1
    ");
}

#[test]
fn the_head_is_overtaken_for_ten_minutes_then_devices_are_kept_for_it() {
    assert_snapshot!(
        check("2x80", "1 900s; 2; 1 300s; wait 300s; end task-3; 1 400s; wait 300s; 1; end task-4; 1; end task-1"),
        @r"
        task-1 starts on node-1 gpu-0
        task-3 starts on node-1 gpu-1
        task-3 ends
        task-4 starts on node-1 gpu-1
        task-2 is kept node-1 gpu-0, node-1 gpu-1
        task-4 ends
        task-1 ends
        task-2 starts on node-1 gpu-0+gpu-1
        task-5 waits
        task-6 waits
        "
    );
}

#[test]
fn a_queue_timeout_ends_who_waits_and_never_who_runs() {
    assert_snapshot!(check("1x80", "1 q5s; 1 q5s; wait 6s; end task-1; 1 q5s; wait 60s"), @r"
    task-1 starts on node-1 gpu-0
    task-2 is over
    task-1 ends
    task-3 starts on node-1 gpu-0
    ");
}

#[test]
fn what_is_kept_for_the_head_is_free_again_when_the_head_leaves() {
    assert_snapshot!(play("4x80", "3 900s; 4; wait 700s; 1; cancel task-2", true), @r"
    task-1 starts on node-1 gpu-0+gpu-1+gpu-2
    task-2 is kept node-1 gpu-0, node-1 gpu-1, node-1 gpu-2, node-1 gpu-3
    task-2 is cancelled
    task-3 starts on node-1 gpu-3
    ");
}

#[test]
fn why_does_not_promise_what_is_kept_for_another() {
    assert_snapshot!(play("2x80", "1 900s; 2; wait 700s; 1", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 is kept node-1 gpu-0, node-1 gpu-1
    task-2 waits: position 1 of 2; starts within 3 min 20 s at the latest, unless others go first
      needs 2 whole GPUs; 1 of 2 devices fit now
      node-1 gpu-0 GPU-80GB: busy; held by task-1 (ends within 3 min 20 s)
      node-1 gpu-1 GPU-80GB: would do
      2 devices are kept for it as they become free
      could start now with: `--gpu 1`
    task-3 waits: position 2 of 2; devices are kept for a task that goes first
      needs 1 whole GPU; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB: busy; held by task-1 (ends within 3 min 20 s)
      node-1 gpu-1 GPU-80GB: kept for task-2
      2 devices are kept for task-2, first in the queue and overtaken for 10 min
      could start now with: nothing smaller would start now: everything that would do is in use
    ");
}

#[test]
fn an_elastic_task_gets_the_most_there_is() {
    let mut many = task("2");
    many.ask.devices.max = 10_000;
    let mut story = Story::begin("2x80 8x80 4x80");
    story.submit_task(many).unwrap();
    story.round();
    assert_snapshot!(story.told, @r"
    task-1 starts on node-2 gpu-0+gpu-1+gpu-2+gpu-3+gpu-4+gpu-5+gpu-6+gpu-7
    ");
}

#[test]
fn cores_and_host_memory_are_placed_too() {
    assert_snapshot!(check("2x80 2x80", "1 6c; 1 6c; 1 4c; 1 2c; end task-1"), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-2 gpu-0
    task-4 starts on node-1 gpu-1
    task-1 ends
    task-3 starts on node-1 gpu-0
    ");
}

#[test]
fn what_can_never_run_is_refused_with_the_numbers() {
    assert_snapshot!(check("2x80 1x24", "96GiB; 3; 3 spread; 4 spread; 1 9c; 0.5+90GiB"), @r"
    96GiB is refused: no device offers 96 GiB of GPU memory; the largest has 80 GiB
    3 is refused: 3 GPUs are asked for; the largest node has 2
    task-1 starts on node-1 gpu-0+gpu-1 and node-2 gpu-0
    4 spread is refused: 4 GPUs are asked for; there are 3
    1 9c is refused: 9 cores are asked for; the largest node has 8
    0.5+90GiB is refused: no device offers 90 GiB of GPU memory; the largest has 80 GiB
    ");
}

#[test]
fn why_names_what_is_short_who_frees_it_and_what_would_start_now() {
    assert_snapshot!(play("2x80", "0.6 60s; 1; 0.5 p1; 2; 60GiB", true), @r"
    task-1 starts on node-1 gpu-0
    task-2 starts on node-1 gpu-1
    task-3 waits: position 1 of 3; starts within 1 min at the latest, unless others go first
      needs 0.5 of a GPU; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB: 0.4 of it free, short by 0.1; held by task-1 (ends within 1 min)
      node-1 gpu-1 GPU-80GB: busy; held by task-2 (no time limit)
      could start now with: `--gpu 0.4`
    task-4 waits: position 2 of 3; no latest start is known: what is in its way has no time limit
      needs 2 whole GPUs; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB: 0.4 of it free, short by 0.6; held by task-1 (ends within 1 min)
      node-1 gpu-1 GPU-80GB: busy; held by task-2 (no time limit)
      could start now with: nothing smaller would start now: everything that would do is in use
    task-5 waits: position 3 of 3; starts within 1 min at the latest, unless others go first
      needs 1 GPU with 60 GiB free; 0 of 2 devices fit now
      node-1 gpu-0 GPU-80GB: 0.4 of it free, short by 0.35; held by task-1 (ends within 1 min)
      node-1 gpu-1 GPU-80GB: busy; held by task-2 (no time limit)
      could start now with: `--gpu-memory 32768MiB`
    ");
}

#[test]
fn where_data_cannot_be_hidden_from_tasks_only_the_first_owner_runs_any() {
    use fastgpu_core::node::{Ability, HIDES_OUR_DATA};
    use fastgpu_core::token::{Role, Token};
    let submit = |works: bool, owner: &str| {
        let mut state = State::new(Beginning::default());
        for (id, owner, created) in [("first", "ann", 1), ("second", "bob", 2)] {
            let token = Token {
                id: id.into(),
                hash: [0; 32],
                owner: owner.into(),
                project: "default".into(),
                role: Role::Admin,
                created_at: Timestamp(created),
                expires_at: None,
                revoked_at: None,
            };
            let command = Command::TokenCreate { token, actor: Actor::Local };
            state.apply(command, Timestamp(3), &mut Changes::default()).unwrap();
        }
        let detail = "user namespaces are off".to_owned();
        let ability = Ability { name: HIDES_OUR_DATA, works, detail };
        let inventory = Inventory { abilities: vec![ability], ..inventory(0, 2, 80) };
        let report = Report::Hello { inventory, attempts: Vec::new() };
        state
            .apply(Command::Report { node: NodeId(0), report }, Timestamp(3), &mut Changes::default())
            .unwrap();
        let actor = Actor::Token { id: "x".into(), owner: owner.into() };
        state.apply(Command::Submit { tasks: vec![task("1")], actor }, Timestamp(4), &mut Changes::default())
    };
    assert!(submit(true, "bob").is_ok());
    assert!(submit(false, "ann").is_ok());
    assert!(matches!(submit(false, "bob"), Err(Refused::Exposed { .. })));
}

#[test]
fn the_programs_of_all_live_tasks_together_have_a_limit() {
    use fastgpu_core::config::SPEC_BYTES_MAX;
    let large = || {
        let mut large = task("1");
        let env = std::iter::once(("BLOB".to_owned(), "x".repeat(64 << 20))).collect();
        large.spec = Arc::new(Spec { command: vec!["true".to_owned()], env, ..Spec::default() });
        large
    };
    let mut story = Story::begin("1x80");
    let fitting = SPEC_BYTES_MAX / (64 << 20) - 1;
    let one = large();
    for _ in 0..fitting {
        story.submit_task(one.clone()).unwrap();
    }
    let refused = story.submit_task(large()).unwrap_err();
    assert_snapshot!(refused.to_string(), @"the queue is full: the commands and environments of its tasks take 4 GiB, the most allowed");
}
