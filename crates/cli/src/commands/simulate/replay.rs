//! `fastgpu simulate replay`: does the simulator decide as the server has decided?

use crate::args::ReplayArgs;
use crate::failure::Failure;
use crate::output::Output;

pub(super) fn run(flags: &ReplayArgs, _out: &Output) -> Result<u8, Failure> {
    Err(Failure::new(format!("{} cannot be read", flags.file.display())))
}
