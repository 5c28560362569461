//! What the loop tells whoever writes it down: what it began with, what was done, what was decided.

use std::fmt::Debug;

use fastgpu_core::command::Command;
use fastgpu_core::decision::Plan;
use fastgpu_core::state::Beginning;
use fastgpu_core::units::Timestamp;
use fastgpu_store::journal::Batch;

use crate::answers::Submitted;
use crate::inbox::Answer;

/// Somebody who writes down what the loop does, so that it can be repeated. Is told after the commit, on the
/// thread of the loop; trouble is its own.
pub trait Recorder: Debug + Send {
    /// The loop begins with this, or begins anew: what came before is over.
    fn begin(&mut self, beginning: &Beginning);

    /// All of this was done, and is durable.
    fn batch(&mut self, batch: &Batch);
}

/// One batch as it is told; `None` inside if nobody listens, so that it costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Story(Option<Batch>);

impl Story {
    pub(crate) fn of(somebody_listens: bool) -> Self {
        Self(somebody_listens.then(Batch::default))
    }

    /// A copy of a command that is about to be used up.
    pub(crate) fn copy_of(&self, copy: impl FnOnce() -> Command) -> Option<Command> {
        self.0.is_some().then(copy)
    }

    /// A command that was done.
    pub(crate) fn done(&mut self, command: Option<Command>) {
        if let Some((batch, command)) = self.0.as_mut().zip(command) {
            batch.commands.push(command);
        }
    }

    /// A command that was answered so: what was refused changed nothing.
    pub(crate) fn answered(&mut self, command: Option<Command>, answer: &Answer) {
        match (answer, &mut self.0) {
            (Answer::Submit(_, Ok(Submitted { ids, repeated: false })), Some(batch)) => {
                batch.accepted.extend(ids);
            }
            (Answer::Command(_, Ok(_)), _) => {}
            _ => return,
        }
        self.done(command);
    }

    /// A round that was adopted.
    pub(crate) fn round(&mut self, plan: &Plan) {
        if let Some(batch) = &mut self.0 {
            batch.rounds.push(plan.into());
        }
    }

    /// The whole, at its moment.
    pub(crate) fn told(self, now: Timestamp) -> Batch {
        Batch { now, ..self.0.unwrap_or_default() }
    }
}
