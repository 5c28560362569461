//! Decides again what a server has decided, and compares, round by round.
//!
//! A recording has for each batch of the server's loop the moment, the commands and the plans it made. The same commands
//! at the same moments must lead to the same plans: that is what makes a simulation a statement about the server.

use std::fmt;

use fastgpu_core::command::Command;
use fastgpu_core::plan::{Plan, Planner, Start};
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::units::Timestamp;

/// What a server did in one turn of its loop.
#[derive(Debug, Clone)]
pub struct Batch {
    /// When.
    pub now: Timestamp,
    /// What it was told, in order, without the tick that begins every batch.
    pub commands: Vec<Command>,
    /// What it decided; nothing if there was nothing to decide.
    pub plans: Vec<Plan>,
}

/// A server's life, lived again.
#[derive(Debug)]
pub struct Replay {
    state: State,
    planner: Planner,
    wake_at: Option<Timestamp>,
    rounds: u64,
    decisions: u64,
}

/// How much was compared and found equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Compared {
    /// Plans.
    pub rounds: u64,
    /// Starts, stops and kept devices in them.
    pub decisions: u64,
}

/// The first decision that was another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which round, counted from 1.
    pub round: u64,
    /// When.
    pub now: Timestamp,
    /// What the server decided there; `None` if it decided nothing more.
    pub server: Option<Box<Plan>>,
    /// What is decided now.
    pub replay: Option<Box<Plan>>,
}

impl Replay {
    /// From what the server began with.
    #[must_use]
    pub fn new(beginning: Beginning) -> Self {
        let state = State::new(beginning);
        Self { state, planner: Planner::default(), wake_at: None, rounds: 0, decisions: 0 }
    }

    /// What was compared so far.
    #[must_use]
    pub const fn compared(&self) -> Compared {
        Compared { rounds: self.rounds, decisions: self.decisions }
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// The first plan that is another than the server's.
    pub fn batch(&mut self, batch: Batch) -> Result<(), Difference> {
        let now = batch.now;
        let changes = &mut Changes::default();
        let _ = self.state.apply(Command::Tick, now, changes);
        for command in batch.commands {
            // What the server refused is refused again, and changes nothing.
            let _ = self.state.apply(command, now, changes);
        }
        let mut recorded = batch.plans.into_iter();
        let is_due = self.wake_at.is_some_and(|at| at <= now);
        let mut goes_on = self.state.needs_round() || is_due;
        let mut round = 0;
        while goes_on && round < crate::server::ROUNDS_MAX {
            round += 1;
            let decided = self.planner.plan(&self.state, now);
            self.compare(now, recorded.next(), Some(&decided))?;
            self.state.adopt(&decided, now, changes);
            self.wake_at = if decided.more { Some(now) } else { decided.wake_at };
            goes_on = decided.more;
        }
        match recorded.next() {
            Some(more) => self.compare(now, Some(more), None),
            None => Ok(()),
        }
    }

    fn compare(
        &mut self,
        now: Timestamp,
        server: Option<Plan>,
        replay: Option<&Plan>,
    ) -> Result<(), Difference> {
        self.rounds += 1;
        if server.as_ref() == replay {
            let plan = replay.map_or(0, |plan| plan.starts.len() + plan.preempts.len() + plan.keeps.len());
            self.decisions += plan as u64;
            return Ok(());
        }
        let boxed = |plan: Plan| Box::new(plan);
        Err(Difference {
            round: self.rounds,
            now,
            server: server.map(boxed),
            replay: replay.cloned().map(boxed),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}, {} ms after 1970: ", self.round, self.now.0)?;
        match (&self.server, &self.replay) {
            (Some(_), None) => f.write_str("the server decided something where there is nothing to decide"),
            (None, _) => f.write_str("the server decided nothing where there is something to decide"),
            (Some(server), Some(replay)) => {
                let differs =
                    server.starts.iter().zip(&replay.starts).position(|(server, replay)| server != replay);
                let place = differs.unwrap_or(server.starts.len().min(replay.starts.len()));
                match (server.starts.get(place), replay.starts.get(place)) {
                    (None, None) => f.write_str("what is stopped, kept or looked at again is another"),
                    (server, replay) => {
                        write!(f, "the server {}, the replay {}", told(server), told(replay))
                    }
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
        let mut batches = vec![Batch { now: crate::START, commands, plans: Vec::new() }];
        for (number, task) in (0..).zip(&tasks) {
            let tasks = vec![Form::default().submit(number, task, false)];
            let command = Command::Submit { tasks, actor: Actor::Local };
            let now = crate::START.plus(Millis(1_000 * (u64::from(number) + 1)));
            batches.push(Batch { now, commands: vec![command], plans: Vec::new() });
        }
        let mut state = State::new(Beginning::default());
        let mut planner = Planner::default();
        for batch in &mut batches {
            let changes = &mut Changes::default();
            let _ = state.apply(Command::Tick, batch.now, changes);
            for command in batch.commands.clone() {
                state.apply(command, batch.now, changes).unwrap_or(fastgpu_core::command::Reply::Done);
            }
            if state.needs_round() {
                let plan = planner.plan(&state, batch.now);
                state.adopt(&plan, batch.now, changes);
                batch.plans.push(plan);
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
        let plan = batches.iter_mut().flat_map(|batch| &mut batch.plans).find(|plan| !plan.starts.is_empty());
        plan.unwrap().starts[0].parts[0].node = NodeId(7);
        let difference = replay(batches).unwrap_err().to_string();
        assert!(
            difference.contains("the server starts t-") && difference.contains("on node-7"),
            "{difference}"
        );

        let mut batches = recording();
        batches.iter_mut().find(|batch| !batch.plans.is_empty()).unwrap().plans.clear();
        assert!(replay(batches).unwrap_err().to_string().contains("the server decided nothing"));
    }
}
