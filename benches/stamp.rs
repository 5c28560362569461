//! `stamp FILE` writes the time of its own first instructions, in nanoseconds since 1970, to FILE.
//!
//! The bench submits it as a task: what lies between the submit and this time is all that stands between a user
//! and their program. Built by `cargo xtask bench` with `rustc -O`, no cargo, no dependencies.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let file = std::env::args_os().nth(1).expect("usage: stamp FILE");
    // A reader must never see half a number: the file appears whole.
    let half = std::path::PathBuf::from(&file).with_extension("half");
    std::fs::write(&half, now.as_nanos().to_string()).expect("the folder is there");
    std::fs::rename(half, file).expect("the same folder");
}
