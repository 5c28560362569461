//! `fastgpu simulate replay`: is what the server has decided decided again?

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use fastgpu_sim::input::unpacked;
use fastgpu_sim::replay::{Batch, Compared, Decided, Difference, Kind, Replay};
use fastgpu_store::journal::{self, Entry, JournalError, Round};
use serde::Serialize;

use crate::args::ReplayArgs;
use crate::failure::{Failure, exit};
use crate::output::Output;

/// More differences of one kind are counted, not shown.
const SHOWN_MAX: usize = 5;

pub(super) fn run(flags: &ReplayArgs, out: &Output) -> Result<u8, Failure> {
    let name = flags.file.display();
    let unreadable = |error: &std::io::Error| {
        Failure::new(format!("{name} cannot be opened: {}", crate::detach::plain(error)))
            .help("`fastgpu up --record FILE` writes a recording")
    };
    let file = File::open(&flags.file).and_then(unpacked).map_err(|error| unreadable(&error))?;
    let mut replay: Option<Replay> = None;
    let mut found = Found::default();
    for entry in journal::read(BufReader::new(file)) {
        match (entry.map_err(|error| damaged(&name.to_string(), &error))?, &mut replay) {
            (Entry::Begin(beginning), None) => replay = Some(Replay::new(*beginning)),
            (Entry::Begin(beginning), Some(replay)) => replay.begin_anew(*beginning),
            (Entry::Batch(batch), Some(replay)) => {
                for difference in replay.batch(recorded(batch)) {
                    // Whoever has other ids cannot follow what is said of tasks.
                    if !flags.go_on || difference.kind == Kind::Ids {
                        out.data(&format!("decided otherwise: {difference}"))?;
                        return Ok(exit::FAILURE);
                    }
                    found.note(&difference);
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
    tell(compared, &found, flags.go_on, out)?;
    Ok(if found.0.is_empty() { 0 } else { exit::FAILURE })
}

/// Differences by the word for their kind.
#[derive(Default, Serialize)]
struct Found(BTreeMap<&'static str, Differences>);

#[derive(Default, Serialize)]
struct Differences {
    rounds: u64,
    /// The first of them, in words.
    first: Vec<String>,
}

impl Found {
    fn note(&mut self, difference: &Difference) {
        let of_kind = self.0.entry(difference.kind.code()).or_default();
        of_kind.rounds += 1;
        if of_kind.first.len() < SHOWN_MAX {
            of_kind.first.push(difference.to_string());
        }
    }
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    compared: Compared,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<&'a Found>,
}

fn tell(compared: Compared, found: &Found, go_on: bool, out: &Output) -> Result<(), Failure> {
    let Compared { rounds, decisions } = compared;
    let word = if found.0.is_empty() { "equal" } else { "different" };
    let told = Told { compared, differences: go_on.then_some(found) };
    out.one(&told, word, |out| {
        if found.0.is_empty() {
            return out.data(&format!("{rounds} rounds, {decisions} decisions, all equal"));
        }
        let different: u64 = found.0.values().map(|of_kind| of_kind.rounds).sum();
        out.data(&format!("{rounds} rounds, {different} decided otherwise; {decisions} decisions equal"))?;
        for (kind, of_kind) in &found.0 {
            out.data(&format!("{kind}: {}", of_kind.rounds))?;
            of_kind.first.iter().try_for_each(|difference| out.data(&format!("  {difference}")))?;
        }
        Ok(())
    })
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
