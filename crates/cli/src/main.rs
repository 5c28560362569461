//! The one binary of FastGPU: server, node, and the command line that speaks to them.
//!
//! Start here: two hidden words turn the process into a node's keeper or its probe, before anything else
//! has run. Everything typed by people goes through [`args`], [`settings`] and [`commands`], one file per
//! verb. `up` assembles the server in [`serve`].
#![forbid(unsafe_code)]

mod args;
mod commands;
mod connect;
mod detach;
mod failure;
mod find;
mod follow;
mod local;
mod output;
mod quantity;
mod reference;
mod serve;
mod settings;
mod table;
mod task_spec;
mod visible;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::failure::exit;
use crate::output::Output;
use crate::settings::{Environment, Settings};

/// The word that turns the process into a node's keeper; the node's folder follows.
pub(crate) const KEEPER: &str = "__keeper";
/// The word that turns the process into a probe of the GPU driver.
pub(crate) const PROBE: &str = "__probe";

fn main() -> ExitCode {
    fastgpu_failpoints::arm();
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == KEEPER => match words.next() {
            Some(folder) => fastgpu_node::keeper::main(Path::new(&folder)),
            None => ExitCode::from(exit::USAGE),
        },
        Some(word) if word == PROBE => fastgpu_node::probe::main(words),
        _ => by_people(),
    }
}

fn by_people() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version go to stdout and are no failure; clap knows which is which.
        Err(refusal) => {
            let _ = refusal.print();
            return ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    let environment = Environment::of_process();
    let taste = Settings::taste(&environment);
    let plain = Output::new(args::Format::Table, taste);
    let (settings, out) = match Settings::gather(&cli.common, environment) {
        Ok(settings) => {
            let out = Output::new(settings.format, taste);
            (settings, out)
        }
        Err(failure) => {
            plain.failed(&failure);
            return ExitCode::from(failure.exit);
        }
    };
    match commands::run(cli.verb, &settings, &out) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            out.failed(&failure);
            ExitCode::from(failure.exit)
        }
    }
}
