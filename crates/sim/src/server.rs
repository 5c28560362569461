//! The control plane without its shell: the same state, the same plan, adopted in the same order, but the time is
//! whatever the caller says and nothing is stored.
//!
//! What [`fastgpu_core`] decides here is what it decides in a server, command for command and round for round;
//! [`crate::replay`] proves that with the recording of a real one.

use fastgpu_core::change::Actor;
use fastgpu_core::command::{Command, Refused, Reply};
use fastgpu_core::config::Config;
use fastgpu_core::decision::Plan;
use fastgpu_core::ids::NodeId;
use fastgpu_core::node::Report;
use fastgpu_core::plan::{Planner, needs_round};
use fastgpu_core::state::{Beginning, Changes, State};
use fastgpu_core::units::Timestamp;

use crate::cluster::Machines;

/// Rounds that follow each other without anything new; as in the server.
pub(crate) const ROUNDS_MAX: usize = 16;

/// Reads a clock in nanoseconds, to time decisions. The simulation itself never looks at it.
pub type Stopwatch = fn() -> u64;

/// A control plane in simulated time.
#[derive(Debug)]
pub struct Server {
    state: State,
    planner: Planner,
    stopwatch: Option<Stopwatch>,
    wake_at: Option<Timestamp>,
    /// How long each decision took, in nanoseconds, if somebody has a watch.
    decisions_ns: Vec<u32>,
}

impl Server {
    /// A control plane that has just met its machines.
    ///
    /// # Errors
    /// [`Refused`] when the configuration is not valid.
    pub fn new(
        config: Config,
        machines: &Machines,
        now: Timestamp,
        stopwatch: Option<Stopwatch>,
    ) -> Result<Self, Refused> {
        let state = State::new(Beginning::default());
        let mut server =
            Self { state, planner: Planner::default(), stopwatch, wake_at: None, decisions_ns: Vec::new() };
        let changes = &mut Changes::default();
        server.apply(Command::Configure { config, actor: Actor::Local }, now, changes)?;
        for (number, machine) in (0..).zip(&machines.0) {
            let report = Report::Hello { inventory: machine.inventory(), attempts: Vec::new() };
            server.apply(Command::Report { node: NodeId(number), report }, now, changes)?;
        }
        Ok(server)
    }

    /// The state as it is.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// How long each decision took, in nanoseconds; empty without a watch.
    #[must_use]
    pub fn decisions_ns(&self) -> &[u32] {
        &self.decisions_ns
    }

    /// When something happens by itself: a timer of the state, or a plan that wants to be made again.
    #[must_use]
    pub fn next_moment(&self) -> Option<Timestamp> {
        self.state.next_timer().into_iter().chain(self.wake_at).min()
    }

    /// Does one command.
    ///
    /// # Errors
    /// What the state refuses.
    pub fn apply(
        &mut self,
        command: Command,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<Reply, Refused> {
        self.state.apply(command, now, changes)
    }

    /// Plans and adopts until the plan is done, if there is anything to plan. Says whether there was.
    pub fn rounds(&mut self, now: Timestamp, changes: &mut Changes) -> bool {
        let is_due = self.wake_at.is_some_and(|at| at <= now);
        if !needs_round(&self.state) && !is_due {
            return false;
        }
        for _ in 0..ROUNDS_MAX {
            let plan = self.decide(now);
            self.state.adopt(&plan, now, changes);
            self.wake_at = if plan.more { Some(now) } else { plan.wake_at };
            if !plan.more {
                break;
            }
        }
        true
    }

    fn decide(&mut self, now: Timestamp) -> Plan {
        let began = self.stopwatch.map(|watch| watch());
        let plan = self.planner.plan(&self.state, now);
        if let (Some(began), Some(watch)) = (began, self.stopwatch) {
            self.decisions_ns.push(u32::try_from(watch() - began).unwrap_or(u32::MAX));
        }
        plan
    }
}
