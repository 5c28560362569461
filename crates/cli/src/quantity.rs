//! Quantities and labels as flags give them, read by the API's own rules: a slip is answered in the words of the
//! command line, and nothing is sent.

use fastgpu_api::spec::Quantity;
use fastgpu_api::units::{self, UnitError};

use crate::failure::Failure;

pub(crate) fn wrong(flag: &str, error: &UnitError) -> Failure {
    Failure::usage(format!("`{flag}`: {}", error.what)).help(error.instead.clone())
}

pub(crate) fn memory(flag: &str, text: Option<&String>) -> Result<Option<Quantity>, Failure> {
    let Some(text) = text else { return Ok(None) };
    units::memory_text(text).map_err(|error| wrong(flag, &error))?;
    Ok(Some(Quantity::Text(text.clone())))
}

/// Labels, sorted; of a task or of a machine.
pub(crate) fn labels(given: &[String]) -> Result<Vec<String>, Failure> {
    fastgpu_api::label::sorted(given).map_err(|(label, why)| {
        Failure::usage(format!("`--label`: `{}` is no label: {why}", units::shown(label)))
            .help("write for example `--label rack=7`")
    })
}

/// A time as it goes on the wire; checked here.
pub(crate) fn span(flag: &str, text: Option<&String>) -> Result<Option<Quantity>, Failure> {
    let Some(text) = text else { return Ok(None) };
    span_ms(flag, text)?;
    Ok(Some(Quantity::Text(text.clone())))
}

/// The time from SIGTERM to SIGKILL, which may be nothing.
pub(crate) fn grace(text: Option<&String>) -> Result<Option<Quantity>, Failure> {
    let Some(text) = text else { return Ok(None) };
    units::grace_text(text).map_err(|error| wrong("--grace", &error))?;
    Ok(Some(Quantity::Text(text.clone())))
}

/// A time in milliseconds.
pub(crate) fn span_ms(flag: &str, text: &str) -> Result<u64, Failure> {
    Ok(units::span_text(text).map_err(|error| wrong(flag, &error))?.0)
}

pub(crate) fn cores(value: f64) -> Result<f64, Failure> {
    units::cpu_number(value).map_err(|error| wrong("--cpu", &error))?;
    Ok(value)
}
