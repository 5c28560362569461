//! Decides again what a server has decided, and compares, round by round.
//!
//! A recording has for each batch of the server's loop the moment, the commands and what each round decided. The same commands
//! at the same moments must lead to the same decisions: that is what makes a simulation a statement about the server.

use std::fmt;

use fastgpu_core::command::{Command, Reply};
use fastgpu_core::ids::TaskId;
use fastgpu_core::decision::{Keep, Plan, Preempt, Start};
use fastgpu_core::plan::{Planner, needs_round};
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

/// The first decision that was another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which round, counted from 1 over the whole recording.
    pub round: u64,
    /// When.
    pub now: Timestamp,
    /// In what.
    pub what: Differs,
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

    /// One turn of the loop.
    ///
    /// # Errors
    /// The first decision that is another than the server's.
    pub fn batch(&mut self, batch: Batch) -> Result<(), Difference> {
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
        if accepted != batch.accepted {
            return Err(Difference { round, now, what: Differs::Ids });
        }
        if batch.rounds.is_empty() && needs_round(&self.state) {
            return Err(Difference { round, now, what: Differs::Silence });
        }
        for server in batch.rounds {
            let plan = self.planner.plan(&self.state, now);
            self.compare(now, server, Decided::from(&plan))?;
            self.state.adopt(&plan, now, changes);
        }
        Ok(())
    }

    fn compare(&mut self, now: Timestamp, server: Decided, replay: Decided) -> Result<(), Difference> {
        self.compared.rounds += 1;
        if server == replay {
            let decisions = replay.starts.len() + replay.preempts.len() + replay.keeps.len();
            self.compared.decisions += decisions as u64;
            return Ok(());
        }
        let what = Differs::Decision(Box::new(server), Box::new(replay));
        Err(Difference { round: self.compared.rounds, now, what })
    }
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
                        f.write_str("other devices are kept")
                    }
                    (None, None) => f.write_str("other tasks are stopped"),
                    (server, replay) => write!(f, "the server {}, the replay {}", told(server), told(replay)),
                }
            }
        }
    }
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
    use fastgpu_core::change::Actor;
    use fastgpu_core::ids::NodeId;
    use fastgpu_core::node::Report;
    use fastgpu_core::units::Millis;

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

    fn replay(batches: Vec<Batch>) -> Result<Compared, Difference> {
        let mut replay = Replay::new(Beginning::default());
        batches.into_iter().try_for_each(|batch| replay.batch(batch))?;
        Ok(replay.compared())
    }

    #[test]
    fn the_same_commands_lead_to_the_same_decisions() {
        let compared = replay(recording()).unwrap();
        assert!(compared.rounds > 10 && compared.decisions > 5, "{compared:?}");
    }

    #[test]
    fn a_decision_that_was_another_is_found() {
        let mut batches = recording();
        let round =
            batches.iter_mut().flat_map(|batch| &mut batch.rounds).find(|round| !round.starts.is_empty());
        round.unwrap().starts[0].parts[0].node = NodeId(7);
        let difference = replay(batches).unwrap_err().to_string();
        assert!(
            difference.contains("the server starts t-") && difference.contains("on node-7"),
            "{difference}"
        );

        let mut batches = recording();
        batches.iter_mut().find(|batch| !batch.rounds.is_empty()).unwrap().rounds.clear();
        assert!(replay(batches).unwrap_err().to_string().contains("the server decided nothing"));
    }
}
