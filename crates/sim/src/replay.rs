//! Decides again what a server has decided, and compares, round by round.
//!
//! A recording has for each batch of the server's loop the moment, the commands and what each round decided. The same commands
//! at the same moments must lead to the same decisions: that is what makes a simulation a statement about the server.
//!
//! A round that is decided otherwise is noted with its [`Kind`], and the replay goes on from what the server decided. So two
//! versions of the scheduler can be compared over a whole recording.

use std::fmt;

use fastgpu_core::command::{Command, Reply};
use fastgpu_core::decision::{Keep, KeepCause, Plan, Preempt, Start};
use fastgpu_core::ids::TaskId;
use fastgpu_core::plan::{Planner, STARTS_MAX, needs_round};
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::units::Timestamp;

/// What a server did in one turn of its loop.
#[derive(Debug, Clone)]
pub struct Batch {
    /// When.
    pub now: Timestamp,
    /// What it was told, in order.
    pub commands: Vec<Command>,
    /// The ids it gave to new tasks, in order.
    pub accepted: Vec<TaskId>,
    /// What it decided in each round; nothing if there was nothing to decide.
    pub rounds: Vec<Decided>,
}

/// What a round decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// Tasks that start.
    pub starts: Vec<Start>,
    /// Tasks that are stopped for others.
    pub preempts: Vec<Preempt>,
    /// Devices that are kept from then on.
    pub keeps: Vec<Keep>,
}

impl Decided {
    /// The plan it came from, as far as taking it up goes.
    fn plan(self) -> Plan {
        // A full plan leaves the rest for the next round.
        let more = self.starts.len() >= STARTS_MAX;
        Plan { starts: self.starts, preempts: self.preempts, keeps: self.keeps, more, wake_at: None }
    }
}

impl From<&Plan> for Decided {
    fn from(plan: &Plan) -> Self {
        Self { starts: plan.starts.clone(), preempts: plan.preempts.clone(), keeps: plan.keeps.clone() }
    }
}

/// A server's life, lived again.
#[derive(Debug)]
pub struct Replay {
    state: State,
    planner: Planner,
    compared: Compared,
}

/// How much was compared and found equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compared {
    /// Rounds.
    pub rounds: u64,
    /// Starts, stops and kept devices in them.
    pub decisions: u64,
}

/// A decision that is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which round, counted from 1 over the whole recording.
    pub round: u64,
    /// When.
    pub now: Timestamp,
    /// Of which kind it is.
    pub kind: Kind,
    /// In what.
    pub what: Differs,
}

/// The kind of a difference: the first step of a round in which two decisions differ. What follows in the same round may
/// follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// New tasks have other ids: the recording cannot be followed any further.
    Ids,
    /// The server decided nothing where there is something to decide.
    Silence,
    /// What is kept for the head of the queue, and where its task starts.
    Keep,
    /// An ordinary start.
    Start,
    /// A start on devices that are kept for somebody.
    Backfill,
    /// Who is stopped for whom, what is kept for that, and where its task starts.
    Preemption,
}

impl Kind {
    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Silence => "silence",
            Self::Keep => "keep",
            Self::Start => "start",
            Self::Backfill => "backfill",
            Self::Preemption => "preemption",
        }
    }
}

/// In what two decisions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// New tasks got other ids.
    Ids,
    /// The server decided nothing where there is something to decide.
    Silence,
    /// The server decided the first, the replay the second.
    Decision(Box<Decided>, Box<Decided>),
}

impl Replay {
    /// From what the server began with.
    #[must_use]
    pub fn new(beginning: Beginning) -> Self {
        Self { state: State::new(beginning), planner: Planner::default(), compared: Compared::default() }
    }

    /// The server began anew, with this.
    pub fn begin_anew(&mut self, beginning: Beginning) {
        *self = Self { compared: self.compared, ..Self::new(beginning) };
    }

    /// What was compared so far.
    #[must_use]
    pub const fn compared(&self) -> Compared {
        self.compared
    }

    /// One turn of the loop. Returns every decision that is another than the server's, and goes on from the server's.
    pub fn batch(&mut self, batch: Batch) -> Vec<Difference> {
        let now = batch.now;
        let changes = &mut Changes::default();
        let mut accepted = Vec::new();
        for command in batch.commands {
            // What was refused is refused again, and changes nothing.
            if let Ok(Reply::Submitted(ids)) = self.state.apply(command, now, changes) {
                accepted.extend(ids);
            }
        }
        let round = self.compared.rounds + 1;
        let mut differences = Vec::new();
        if accepted != batch.accepted {
            differences.push(Difference { round, now, kind: Kind::Ids, what: Differs::Ids });
        }
        if batch.rounds.is_empty() && needs_round(&self.state) {
            differences.push(Difference { round, now, kind: Kind::Silence, what: Differs::Silence });
        }
        for server in batch.rounds {
            let replay = Decided::from(&self.planner.plan(&self.state, now));
            differences.extend(self.compare(now, &server, replay));
            self.state.adopt(&server.plan(), now, changes);
        }
        differences
    }

    fn compare(&mut self, now: Timestamp, server: &Decided, replay: Decided) -> Option<Difference> {
        self.compared.rounds += 1;
        if *server == replay {
            let decisions = replay.starts.len() + replay.preempts.len() + replay.keeps.len();
            self.compared.decisions += decisions as u64;
            return None;
        }
        let kind = kind(self.state.keeps(), server, &replay);
        let what = Differs::Decision(Box::new(server.clone()), Box::new(replay));
        Some(Difference { round: self.compared.rounds, now, kind, what })
    }
}

/// The kind of a difference, where `kept` is what was kept before.
fn kind(kept: &[Keep], server: &Decided, replay: &Decided) -> Kind {
    let only_one = |start: &&Start| !(server.starts.contains(start) && replay.starts.contains(start));
    let starts = server.starts.iter().chain(&replay.starts).filter(only_one);
    let for_head = |decided: &Decided| -> Vec<Keep> {
        decided.keeps.iter().filter(|keep| keep.cause == KeepCause::Overtaken).cloned().collect()
    };
    let by_starts = starts.map(|start| match kept.iter().find(|keep| keep.task == start.task) {
        Some(Keep { cause: KeepCause::Overtaken, .. }) => Kind::Keep,
        Some(Keep { cause: KeepCause::Preempting, .. }) => Kind::Preemption,
        None if server.keeps.iter().chain(&replay.keeps).any(|keep| takes_of(start, keep)) => Kind::Backfill,
        None => Kind::Start,
    });
    let by_keeps = (for_head(server) != for_head(replay)).then_some(Kind::Keep);
    // If neither differs, who is stopped does, or the order of starts.
    by_starts.chain(by_keeps).min().unwrap_or_else(|| match server.starts == replay.starts {
        true => Kind::Preemption,
        false => Kind::Start,
    })
}

/// Whether a start takes of what is kept.
fn takes_of(start: &Start, keep: &Keep) -> bool {
    start.parts.iter().any(|part| {
        let takes_host = part.cpu.0 > 0 || part.host_memory.0 > 0;
        (takes_host && keep.nodes.contains(&part.node))
            || part.slices.iter().any(|slice| keep.devices.contains(&(part.node, slice.device)))
    })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}, {} ms after 1970: ", self.round, self.now.0)?;
        match &self.what {
            Differs::Ids => f.write_str("new tasks have other ids"),
            Differs::Silence => f.write_str("the server decided nothing where there is something to decide"),
            Differs::Decision(server, replay) => {
                let pairs = server.starts.iter().zip(&replay.starts);
                let place = pairs.take_while(|(server, replay)| server == replay).count();
                match (server.starts.get(place), replay.starts.get(place)) {
                    (None, None) if server.preempts == replay.preempts => {
                        let pairs = server.keeps.iter().zip(&replay.keeps);
                        let place = pairs.take_while(|(server, replay)| server == replay).count();
                        let (server, replay) = (server.keeps.get(place), replay.keeps.get(place));
                        write!(f, "the server {}, the replay {}", kept(server), kept(replay))
                    }
                    (None, None) => {
                        let (server, replay) = (stopped(&server.preempts), stopped(&replay.preempts));
                        write!(f, "the server {server}, the replay {replay}")
                    }
                    (server, replay) => write!(f, "the server {}, the replay {}", told(server), told(replay)),
                }
            }
        }
    }
}

/// `keeps node-0 gpu-1, node-0 gpu-2 for t-…`.
fn kept(keep: Option<&Keep>) -> String {
    let Some(keep) = keep else { return "keeps nothing more".to_owned() };
    let devices: Vec<String> = keep.devices.iter().map(|(node, device)| format!("{node} {device}")).collect();
    format!("keeps {} for {} until {}", devices.join(", "), keep.task, keep.free_at.0)
}

/// `stops t-… for t-…`.
fn stopped(preempts: &[Preempt]) -> String {
    let pairs: Vec<String> =
        preempts.iter().map(|preempt| format!("{} for {}", preempt.task, preempt.for_task)).collect();
    if pairs.is_empty() { "stops nobody".to_owned() } else { format!("stops {}", pairs.join(", ")) }
}

/// `starts t-… on node-0 [gpu-1 0.5]`.
fn told(start: Option<&Start>) -> String {
    let Some(start) = start else { return "starts nothing more".to_owned() };
    let part = |part: &fastgpu_core::ask::GrantPart| {
        let slices: Vec<String> =
            part.slices.iter().map(|slice| format!("{} {}", slice.device, slice.milli)).collect();
        format!("{} [{}]", part.node, slices.join(", "))
    };
    let parts: Vec<String> = start.parts.iter().map(part).collect();
    format!("starts {} on {}", start.task, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ask::{Backend, GrantPart, Slice};
    use fastgpu_core::change::Actor;
    use fastgpu_core::ids::{DeviceIndex, NodeId};
    use fastgpu_core::node::Report;
    use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis};

    use super::*;
    use crate::cluster::{Machines, models};
    use crate::policy::Policy;
    use crate::task::Form;

    /// What a server would have recorded: machines say hello, then a task comes every second.
    fn recording() -> Vec<Batch> {
        let machines = Machines::alike(2, 4, &models::parse("L40S").unwrap());
        let tasks = crate::synthetic::tasks(60, 8, 1.0, 3);
        let config = Policy::parse("default").unwrap().config([]);
        let mut commands = vec![Command::Configure { config, actor: Actor::Local }];
        commands.extend((0..).zip(&machines.0).map(|(node, machine)| {
            let report = Report::Hello { inventory: machine.inventory(), attempts: Vec::new() };
            Command::Report { node: NodeId(node), report }
        }));
        let mut batches =
            vec![Batch { now: crate::START, commands, accepted: Vec::new(), rounds: Vec::new() }];
        for (number, task) in (0..).zip(&tasks) {
            let tasks = vec![Form::default().submit(number, task, false)];
            let command = Command::Submit { tasks, actor: Actor::Local };
            let now = crate::START.plus(Millis(1_000 * (u64::from(number) + 1)));
            batches.push(Batch { now, commands: vec![command], accepted: Vec::new(), rounds: Vec::new() });
        }
        let mut state = State::new(Beginning::default());
        let mut planner = Planner::default();
        for batch in &mut batches {
            let changes = &mut Changes::default();
            for command in batch.commands.clone() {
                if let Ok(Reply::Submitted(ids)) = state.apply(command, batch.now, changes) {
                    batch.accepted.extend(ids);
                }
            }
            if needs_round(&state) {
                let plan = planner.plan(&state, batch.now);
                state.adopt(&plan, batch.now, changes);
                batch.rounds.push(Decided::from(&plan));
            }
        }
        batches
    }

    fn replay(batches: Vec<Batch>) -> (Compared, Vec<Difference>) {
        let mut replay = Replay::new(Beginning::default());
        let differences = batches.into_iter().flat_map(|batch| replay.batch(batch)).collect();
        (replay.compared(), differences)
    }

    #[test]
    fn the_same_commands_lead_to_the_same_decisions() {
        let (compared, differences) = replay(recording());
        assert!(compared.rounds > 10 && compared.decisions > 5, "{compared:?}");
        assert_eq!(differences, []);
    }

    #[test]
    fn a_decision_that_was_another_is_found_and_the_replay_goes_on_from_it() {
        let mut batches = recording();
        let round =
            batches.iter_mut().flat_map(|batch| &mut batch.rounds).find(|round| !round.starts.is_empty());
        let start = &mut round.unwrap().starts[0];
        start.parts[0].node = NodeId(1 - start.parts[0].node.0);
        let differences = replay(batches.clone()).1;
        assert_eq!(differences[0].kind, Kind::Start);
        let told = differences[0].to_string();
        assert!(told.contains("the server starts t-") && told.contains("the replay starts t-"), "{told}");
        // One task more has started where the server says, and that is where the rest begins.
        let rounds = batches.iter().map(|batch| batch.rounds.len() as u64).sum::<u64>();
        assert_eq!(replay(batches).0.rounds, rounds);
    }

    #[test]
    fn a_round_that_is_missing_is_found() {
        let mut batches = recording();
        batches.iter_mut().find(|batch| !batch.rounds.is_empty()).unwrap().rounds.clear();
        let differences = replay(batches).1;
        assert_eq!(differences[0].kind, Kind::Silence);
        assert!(differences[0].to_string().contains("the server decided nothing"));
    }

    #[test]
    fn the_kind_of_a_difference_is_the_first_step_that_differs() {
        let start = |task: u64, device: u16| {
            let part = GrantPart {
                node: NodeId(0),
                cpu: CpuMilli(0),
                host_memory: MemoryMib::ZERO,
                slices: vec![Slice {
                    device: DeviceIndex(device),
                    milli: GpuMilli::FULL,
                    memory: MemoryMib(1),
                    backend: Backend::Software,
                }],
            };
            Start { task: TaskId::new(task).unwrap(), parts: vec![part] }
        };
        let keep = |task: u64, device: u16, cause| Keep {
            task: TaskId::new(task).unwrap(),
            devices: vec![(NodeId(0), DeviceIndex(device))],
            nodes: vec![NodeId(0)],
            free_at: Timestamp::NEVER,
            cause,
        };
        let decided = |starts: Vec<Start>, keeps: Vec<Keep>| Decided { starts, keeps, preempts: Vec::new() };
        let (head, room) = (keep(1, 1, KeepCause::Overtaken), keep(2, 2, KeepCause::Preempting));
        let kept = [head.clone(), room.clone()];
        let of = |one: Decided, other: Decided| kind(&kept, &one, &other);
        assert_eq!(of(decided(vec![start(1, 1)], vec![]), decided(vec![start(1, 3)], vec![])), Kind::Keep);
        assert_eq!(
            of(decided(vec![start(2, 2)], vec![]), decided(vec![start(2, 3)], vec![])),
            Kind::Preemption
        );
        assert_eq!(of(decided(vec![start(3, 3)], vec![]), decided(vec![start(3, 4)], vec![])), Kind::Start);
        let lent = decided(vec![start(3, 1)], vec![head.clone()]);
        assert_eq!(of(lent, decided(vec![start(3, 1), start(4, 1)], vec![head.clone()])), Kind::Backfill);
        assert_eq!(of(decided(vec![], vec![head]), decided(vec![], vec![])), Kind::Keep);
        assert_eq!(of(decided(vec![], vec![room]), decided(vec![], vec![])), Kind::Preemption);
    }
}
