//! `fastgpu completion`: the script that makes a shell complete verbs and flags.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::failure::Failure;
use crate::output::{Output, Stream};

pub(super) fn run(flags: &CompletionArgs, out: &Output) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "fastgpu", &mut script);
    out.raw(Stream::Stdout, &script)?;
    Ok(0)
}
