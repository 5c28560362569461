//! `fastgpu simulate replay`: is what the server has decided decided again?

use std::fs::File;
use std::io::BufReader;

use fastgpu_sim::input::unpacked;
use fastgpu_sim::replay::{Batch, Decided, Replay};
use fastgpu_store::journal::{self, Entry, JournalError, Round};

use crate::args::ReplayArgs;
use crate::failure::{Failure, exit};
use crate::output::Output;

pub(super) fn run(flags: &ReplayArgs, out: &Output) -> Result<u8, Failure> {
    let name = flags.file.display();
    let unreadable = |error: &std::io::Error| {
        Failure::new(format!("{name} cannot be opened: {}", crate::detach::plain(error)))
            .help("`fastgpu up --record FILE` writes a recording")
    };
    let file = File::open(&flags.file).and_then(unpacked).map_err(|error| unreadable(&error))?;
    let mut replay: Option<Replay> = None;
    for entry in journal::read(BufReader::new(file)) {
        match (entry.map_err(|error| damaged(&name.to_string(), &error))?, &mut replay) {
            (Entry::Begin(beginning), None) => replay = Some(Replay::new(*beginning)),
            (Entry::Begin(beginning), Some(replay)) => replay.begin_anew(*beginning),
            (Entry::Batch(batch), Some(replay)) => {
                if let Err(difference) = replay.batch(recorded(batch)) {
                    out.data(&format!("decided otherwise: {difference}"))?;
                    return Ok(exit::FAILURE);
                }
            }
            (Entry::Batch(_), None) => {
                return Err(Failure::new(format!("{name} does not say what the server began with")));
            }
        }
    }
    let Some(compared) = replay.map(|replay| replay.compared()) else {
        return Err(Failure::new(format!("{name} is empty")));
    };
    let (rounds, decisions) = (compared.rounds, compared.decisions);
    out.one(&compared, "equal", |out| {
        out.data(&format!("{rounds} rounds, {decisions} decisions, all equal"))
    })?;
    Ok(0)
}

fn recorded(batch: journal::Batch) -> Batch {
    let decided =
        |round: Round| Decided { starts: round.starts, preempts: round.preempts, keeps: round.keeps };
    Batch {
        now: batch.now,
        commands: batch.commands,
        accepted: batch.accepted,
        rounds: batch.rounds.into_iter().map(decided).collect(),
    }
}

fn damaged(name: &str, error: &JournalError) -> Failure {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(format!("{name}: {error}{cause}"))
}
