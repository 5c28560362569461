//! `fastgpu doctor`: what this machine can do, and how to repair what it cannot.

use fastgpu_node::doctor::{Check, CheckStatus, checks};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::failure::{Failure, exit};
use crate::output::{Output, Tone};
use crate::serve;
use crate::settings::Settings;
use crate::visible::visible;

#[derive(Serialize)]
struct CheckShape<'a> {
    name: &'a str,
    status: &'static str,
    found: &'a str,
    fix: Option<&'a str>,
}

#[derive(Serialize)]
struct Checks<'a> {
    items: Vec<CheckShape<'a>>,
}

/// Exits with 1 when something must be repaired.
pub(super) fn run(flags: &DoctorArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let probe = serve::probe_command(settings.nvml_path(flags.nvml_path.as_deref()), &settings.environment)?;
    let found = checks(&settings.data_dir, &probe);
    let shapes = Checks { items: found.iter().map(shape).collect() };
    match out.format() {
        crate::args::Format::Table => found.iter().try_for_each(|check| person(check, out))?,
        _ => out.list(
            &shapes,
            &shapes.items,
            |check| check.name.to_owned(),
            |_| unreachable!("handled above"),
        )?,
    }
    let sick = found.iter().any(|check| check.status == CheckStatus::Fail);
    Ok(if sick { exit::FAILURE } else { 0 })
}

fn shape(check: &Check) -> CheckShape<'_> {
    CheckShape {
        name: check.name,
        status: match check.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "fail",
        },
        found: &check.found,
        fix: check.fix.as_deref(),
    }
}

fn person(check: &Check, out: &Output) -> Result<(), Failure> {
    let (tone, word) = match check.status {
        CheckStatus::Ok => (Tone::Good, "ok  "),
        CheckStatus::Warn => (Tone::Busy, "warn"),
        CheckStatus::Fail => (Tone::Bad, "FAIL"),
    };
    out.data(&format!("{}  {:<16} {}", out.paint(tone, word), check.name, visible(&check.found)))?;
    match &check.fix {
        Some(fix) => out.data(&format!("      {:<16} {} {}", "", out.paint(Tone::Note, "→"), visible(fix))),
        None => Ok(()),
    }
}
