//! Accepting submissions, each at most once: a key that was used gives the answer it gave before.

use std::collections::HashMap;

use fastgpu_core::change::{Change, IdempotencyKey};
use fastgpu_core::command::{Command, Reply};
use fastgpu_core::ids::Name;
use fastgpu_core::state::{Changes, State};
use fastgpu_core::units::Timestamp;
use fastgpu_store::Store;

use crate::answers::{CommandError, Submitted};
use crate::inbox::{Answer, Submission};

/// Keys used in the batch at hand: the store does not know them yet.
pub(crate) type NewKeys = HashMap<(Name, Name), IdempotencyKey>;

/// What a submission is admitted against.
pub(crate) struct Admission<'a> {
    pub(crate) store: &'a mut dyn Store,
    pub(crate) state: &'a mut State,
    pub(crate) changes: &'a mut Changes,
    pub(crate) keys: &'a mut NewKeys,
    pub(crate) now: Timestamp,
}

impl Admission<'_> {
    /// Accepts a submission, or finds the answer it had before.
    pub(crate) fn admit(&mut self, submission: Submission) -> Answer {
        let Submission { tasks, actor, key, reply } = submission;
        let project = tasks.first().map(|task| task.project.clone());
        let Some((key, project)) = key.zip(project) else {
            return Answer::Submit(reply, self.accept(Command::Submit { tasks, actor }));
        };
        let slot = (project.clone(), key.key.clone());
        let known = match self.keys.get(&slot) {
            Some(known) => Ok(Some(known.clone())),
            None => self.store.key(&project, &key.key),
        };
        let answer = match known {
            Err(error) => Err(CommandError::StorageFailed(error.to_string())),
            Ok(Some(known)) if known.digest != key.digest => Err(CommandError::KeyReused),
            Ok(Some(known)) => Ok(Submitted { ids: known.tasks, repeated: true }),
            Ok(None) => self.accept(Command::Submit { tasks, actor }).inspect(|submitted| {
                let (digest, tasks, at) = (key.digest, submitted.ids.clone(), self.now);
                self.keys.insert(slot, IdempotencyKey { project, key: key.key, digest, tasks, at });
            }),
        };
        Answer::Submit(reply, answer)
    }

    fn accept(&mut self, submit: Command) -> Result<Submitted, CommandError> {
        match self.state.apply(submit, self.now, self.changes)? {
            Reply::Submitted(ids) => Ok(Submitted { ids, repeated: false }),
            other => unreachable!("a submit was answered with {other:?}"),
        }
    }
}

/// The rows that remember the keys of a batch.
pub(crate) fn rows(keys: NewKeys) -> impl Iterator<Item = Change> {
    keys.into_values().map(Change::Key)
}
