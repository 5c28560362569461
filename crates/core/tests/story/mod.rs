//! Stories: a cluster and a queue in words, what happened in words.
//!
//! A cluster is `2x80 24` (a node with two devices of 80 GiB, a node with one of 24 GiB); `8x80/4` says that four
//! devices each are NVLink peers, `80@zone=a` gives a node a label. A task is `0.5`, `8GiB`, `0.25+8GiB`, or `2`
//! (whole devices), with `p9` for priority, `60s` for a time limit, `q5s` for a queue timeout, `x60s` for an
//! expected duration, `spread`, `spot`, `guaranteed`, `4c` for cores, `@zone=a` for a label, `in:name` for a queue,
//! `by:name` for its owner. Steps between tasks: `end task-1`, `cancel task-1`, `wait 20s`, and
//! `queue name order preempt` for a queue with such a policy, with a placement behind it where that matters.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![allow(dead_code, reason = "each test file tells other stories")]

use std::collections::BTreeMap;
use std::sync::Arc;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused, Submit};
use fastgpu_core::explain::explain;
use fastgpu_core::ids::{NodeId, SpecHash, TaskId};
use fastgpu_core::node::{Device, Exit, ExitKind, Inventory, Order, Report};
use fastgpu_core::plan::{Planner, needs_round};
use fastgpu_core::policy::{self, Placement, Preempt, QueuePolicy};
use fastgpu_core::spec::Spec;
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::task::TaskState;
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis, Timestamp};

pub(crate) struct Story {
    pub(crate) state: State,
    planner: Planner,
    wake_at: Option<Timestamp>,
    pub(crate) now: Timestamp,
    names: BTreeMap<TaskId, String>,
    pub(crate) told: String,
}

/// Plays a story and tells what happened, with a `why` for everybody who still waits if `explained`.
pub(crate) fn play(cluster: &str, steps: &str, explained: bool) -> String {
    let mut story = Story::begin(cluster);
    for step in steps.split(';').map(str::trim).filter(|step| !step.is_empty()) {
        match step.split_once(' ') {
            Some(("end", name)) => story.end(name),
            Some(("cancel", name)) => story.cancel(name),
            Some(("wait", span)) => story.now = story.now.plus(seconds(span)),
            Some(("queue", policy)) => story.configure(policy),
            _ => story.submit(step),
        }
        story.round();
    }
    story.tell_who_waits(explained);
    story.told
}

pub(crate) fn check(cluster: &str, steps: &str) -> String {
    play(cluster, steps, false)
}

fn seconds(text: &str) -> Millis {
    Millis::from_secs(text.strip_suffix('s').unwrap().parse().unwrap())
}

impl Story {
    pub(crate) fn begin(cluster: &str) -> Self {
        let mut state = State::new(Beginning::default());
        for (number, node) in cluster.split(' ').enumerate() {
            let (node, label) =
                node.split_once('@').map_or((node, None), |(node, label)| (node, Some(label)));
            let (node, peers) =
                node.split_once('/').map_or((node, None), |(node, peers)| (node, Some(peers)));
            let (count, gib) = node.split_once('x').unwrap_or(("1", node));
            let (count, gib): (u16, u64) = (count.parse().unwrap(), gib.parse().unwrap());
            let node = u32::try_from(number).unwrap() + 1;
            let mut inventory = inventory(node, count, gib);
            inventory.labels.extend(label.map(Into::into));
            let peers: Option<u16> = peers.map(|peers| peers.parse().unwrap());
            for device in &mut inventory.devices {
                device.closeness.nvlink = peers.map(|peers| device.index.0 / peers);
            }
            let report = Report::Hello { inventory, attempts: Vec::new() };
            let command = Command::Report { node: NodeId(node), report };
            state.apply(command, Timestamp(0), &mut Changes::default()).unwrap();
        }
        Self {
            state,
            planner: Planner::default(),
            wake_at: None,
            now: Timestamp(1_800_000_000_000),
            names: BTreeMap::new(),
            told: String::new(),
        }
    }

    pub(crate) fn submit(&mut self, words: &str) {
        if let Err(refused) = self.submit_task(task(words)) {
            self.tell(&format!("{words} is refused: {refused}"));
        }
    }

    pub(crate) fn submit_task(&mut self, task: Submit) -> Result<(), Refused> {
        let name = format!("task-{}", self.names.len() + 1);
        let mut changes = Changes::default();
        let command = Command::Submit { tasks: vec![task], actor: Actor::Local };
        self.state.apply(command, self.now, &mut changes)?;
        let id = changes.finish(&self.state).moved[0];
        self.names.insert(id, name);
        Ok(())
    }

    pub(crate) fn end(&mut self, name: &str) {
        let id = self.id(name);
        let hold =
            self.state.task(id).unwrap().state.hold().unwrap_or_else(|| panic!("{name} holds nothing"));
        let (node, fence) = (hold.grant.first_node(), hold.grant.fence);
        let exit = Exit { at: self.now, how: ExitKind::Code(0), cpu_ms: 0, rss_max_kib: 0, sick: None };
        let report = Report::Exited { task: id, fence, exit };
        self.state.apply(Command::Report { node, report }, self.now, &mut Changes::default()).unwrap();
        self.tell(&format!("{name} ends"));
    }

    pub(crate) fn id(&self, name: &str) -> TaskId {
        *self.names.iter().find(|(_, known)| *known == name).unwrap().0
    }

    pub(crate) fn drain(&mut self, node: &str) {
        let node = NodeId(node.strip_prefix("node-").unwrap().parse().unwrap());
        let command = Command::Drain { node, drain: true, actor: Actor::Local };
        self.state.apply(command, self.now, &mut Changes::default()).unwrap();
    }

    pub(crate) fn cancel(&mut self, name: &str) {
        let command = Command::Cancel { task: self.id(name), grace: None, actor: Actor::Local };
        self.state.apply(command, self.now, &mut Changes::default()).unwrap();
        self.tell(&format!("{name} is cancelled"));
    }

    pub(crate) fn round(&mut self) {
        let mut changes = Changes::default();
        self.state.apply(Command::Tick, self.now, &mut changes).unwrap();
        let mut over = changes.finish(&self.state).moved;
        over.retain(|&id| self.state.task(id).is_none());
        for id in over {
            self.tell(&format!("{id} is over"));
        }
        // A round that nobody asks for would not happen in the product either.
        if !needs_round(&self.state) && self.wake_at.is_none_or(|at| at > self.now) {
            return;
        }
        let decided = self.planner.plan(&self.state, self.now);
        self.wake_at = decided.wake_at;
        let before = self.state.keeps().to_vec();
        for keep in decided.keeps.iter().filter(|keep| !before.contains(keep)) {
            let devices: Vec<_> =
                keep.devices.iter().map(|(node, device)| format!("{node} {device}")).collect();
            self.tell(&format!("{} is kept {}", self.names[&keep.task], devices.join(", ")));
        }
        for preempt in &decided.preempts {
            self.tell(&format!("{} is stopped for {}", preempt.task, preempt.for_task));
        }
        let mut changes = Changes::default();
        self.state.adopt(&decided, self.now, &mut changes);
        self.state.assert_sound();
        for start in &decided.starts {
            let parts: Vec<_> = start.parts.iter().map(place).collect();
            self.tell(&format!("{} starts on {}", self.names[&start.task], parts.join(" and ")));
        }
        let orders = changes.finish(&self.state).orders;
        let stopped = orders.iter().any(|(_, order)| matches!(order, Order::Stop { .. }));
        orders.into_iter().for_each(|(node, order)| self.obey(node, order));
        if stopped {
            self.round();
        }
    }

    /// The node does at once what it is told.
    fn obey(&mut self, node: NodeId, order: Order) {
        let report = match order {
            Order::Launch(launch) => Report::Started { task: launch.task, fence: launch.fence, at: self.now },
            Order::Stop { task, fence, .. } => {
                let exit =
                    Exit { at: self.now, how: ExitKind::Signal(15), cpu_ms: 0, rss_max_kib: 0, sick: None };
                Report::Exited { task, fence, exit }
            }
            _ => return,
        };
        self.state.apply(Command::Report { node, report }, self.now, &mut Changes::default()).unwrap();
    }

    /// `name order preempt [placement]`, as the configuration says them.
    fn configure(&mut self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let policy = QueuePolicy {
            order: policy::Order::from_code(words[1]).unwrap(),
            preempt: Preempt::from_code(words[2]).unwrap(),
            placement: words
                .get(3)
                .map_or_else(Placement::default, |word| Placement::from_code(word).unwrap()),
            ..QueuePolicy::default()
        };
        let mut config = self.state.config().clone();
        config.queues.insert(words[0].into(), policy);
        let command = Command::Configure { config, actor: Actor::Local };
        self.state.apply(command, self.now, &mut Changes::default()).unwrap();
    }

    pub(crate) fn tell_who_waits(&mut self, explained: bool) {
        for (id, name) in self.names.clone() {
            let Some(task) = self.state.task(id) else { continue };
            if !matches!(task.state, TaskState::Queued { .. }) {
                continue;
            }
            if !explained {
                self.tell(&format!("{name} waits"));
                continue;
            }
            self.explain(id);
        }
    }

    fn explain(&mut self, id: TaskId) {
        let why = explain(&self.state, id, self.now, &|_| true).unwrap();
        self.tell(&why.headline);
        why.lines.iter().for_each(|line| self.tell(&format!("  {line}")));
        why.suggestions.iter().for_each(|line| self.tell(&format!("  could start now with: {line}")));
    }

    /// Takes what was told so far.
    pub(crate) fn take_told(&mut self) -> String {
        std::mem::take(&mut self.told)
    }

    /// The node says that it has something else now.
    pub(crate) fn node_has(&mut self, inventory: Inventory) {
        let node = NodeId(inventory.hostname.strip_prefix("host-").unwrap().parse().unwrap());
        let report = Report::Inventory(inventory);
        self.state.apply(Command::Report { node, report }, self.now, &mut Changes::default()).unwrap();
        self.round();
    }

    pub(crate) fn tell(&mut self, line: &str) {
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

pub(crate) fn task(words: &str) -> Submit {
    let mut ask = Ask {
        devices: DeviceCount::exactly(1),
        share: Share::Milli(GpuMilli::FULL),
        constraints: Constraints::default(),
        class: Class::Standard,
        isolation: Isolation::Soft,
        cpu: CpuMilli(0),
        host_memory: MemoryMib(0),
    };
    let (mut priority, mut run, mut queue, mut expected) = (0, None, None, None);
    let (mut waits_in, mut owner) = ("default", "ann");
    for word in words.split(' ') {
        if let Some(name) = word.strip_prefix("in:") {
            waits_in = name;
        } else if let Some(name) = word.strip_prefix("by:") {
            owner = name;
        } else if let Some(label) = word.strip_prefix('@') {
            ask.constraints.labels.push(label.into());
        } else if word == "spot" {
            ask.class = Class::Spot;
        } else if word == "guaranteed" {
            ask.class = Class::Guaranteed;
        } else if let Some(span) = word.strip_prefix('x') {
            expected = Some(seconds(span));
        } else if word == "spread" {
            ask.constraints.spread = Spread::AnyNodes;
        } else if let Some(number) = word.strip_prefix('p') {
            priority = number.parse().unwrap();
        } else if let Some(span) = word.strip_prefix('q') {
            queue = Some(seconds(span));
        } else if let Some(cores) = word.strip_suffix('c') {
            ask.cpu = CpuMilli(cores.parse::<u32>().unwrap() * 1_000);
        } else if word.ends_with('s') {
            run = Some(seconds(word));
        } else {
            (ask.devices, ask.share) = devices(word);
        }
    }
    let limits = Limits { run, queue, stop_grace: Millis(1_000) };
    Submit {
        project: "default".into(),
        owner: owner.into(),
        terms: Terms { queue: waits_in.into(), priority, limits, expected, ..Terms::new(ask) },
        spec: Arc::new(Spec { command: vec!["true".to_owned()], ..Spec::default() }),
        spec_hash: SpecHash([0; 32]),
        held: false,
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

pub(crate) fn inventory(node: u32, count: u16, gib: u64) -> Inventory {
    let device = |index| Device {
        uuid: format!("SIM-{node}-{index}").into(),
        ..Device::simulated(index, format!("GPU-{gib}GB"), MemoryMib(gib * 1_024))
    };
    Inventory {
        cpu: CpuMilli(8_000),
        host_memory: MemoryMib(32_768),
        ..Inventory::of(format!("host-{node}"), (0..count).map(device))
    }
}
