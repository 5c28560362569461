//! The probe child as a program of its own, so that tests meet it as a real process.

use std::process::ExitCode;

fn main() -> ExitCode {
    fastgpu_node::probe::main(std::env::args_os().skip(1))
}
