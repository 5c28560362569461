//! `fastgpu simulate`: the scheduler of the server in virtual time.
//!
//! Here: what all its verbs share. The simulation itself lives in `fastgpu_sim`; files, the clock and the terminal live
//! here.

mod experiments;
mod from_server;
mod progress;
mod replay;
mod trace;

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use fastgpu_report::{Report, html, text};
use fastgpu_sim::input::{Input, InputError};
use fastgpu_sim::policy::{Policy, PolicyError};
use serde::Serialize;

use crate::args::{Format, PageArgs, SimulateVerb};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

pub(super) fn run(verb: &SimulateVerb, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    match verb {
        SimulateVerb::Trace(flags) => trace::run(flags, settings, out),
        SimulateVerb::Synthetic(flags) => trace::synthetic(flags, out),
        SimulateVerb::Replay(flags) => replay::run(flags, out),
        SimulateVerb::Openb(flags) => experiments::openb(flags, out),
        SimulateVerb::Philly(flags) => experiments::philly(flags, out),
    }
}

/// Reads a file whole.
fn input(path: &Path) -> Result<Input, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| {
        Failure::new(format!("{name} cannot be opened: {}", crate::detach::plain(&error)))
    })?;
    Ok(Input::read(&name, file)?)
}

fn policies(texts: &[String]) -> Result<Vec<Policy>, Failure> {
    texts.iter().map(|text| Ok(Policy::parse(text)?)).collect()
}

/// Nanoseconds since the first call: a watch for decisions.
fn stopwatch() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What was typed, for the foot of a page.
fn typed() -> String {
    let words = std::env::args().skip(1).map(|word| {
        let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./,=:@%+".contains(&byte));
        if is_plain { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    });
    std::iter::once("fastgpu".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Prints the answer in the asked format, and writes the page where one is asked for.
fn tell<T: Serialize>(answer: &T, page: &Report, flags: &PageArgs, out: &Output) -> Result<u8, Failure> {
    if let Some(path) = &flags.html {
        std::fs::write(path, html(page)).map_err(|error| {
            Failure::new(format!("{} cannot be written: {}", path.display(), crate::detach::plain(&error)))
        })?;
        out.say(&format!("the page is in {}", path.display()));
    }
    match out.format() {
        Format::Json | Format::Jsonl => out.json(answer)?,
        Format::Table | Format::Id => out.data(text(page).trim_end())?,
    }
    Ok(0)
}

/// Several policies are answered with a list, one with its answer alone.
fn one_or_all<T: Serialize>(answers: &[T]) -> OneOrAll<'_, T> {
    match answers {
        [only] => OneOrAll::One(only),
        all => OneOrAll::All(all),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum OneOrAll<'a, T> {
    One(&'a T),
    All(&'a [T]),
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        let failure = Self::usage(error.to_string());
        match error.help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::usage(error.what).help(error.help)
    }
}

impl From<fastgpu_core::command::Refused> for Failure {
    fn from(refused: fastgpu_core::command::Refused) -> Self {
        Self::new(format!("the simulated server refuses: {refused}"))
    }
}
