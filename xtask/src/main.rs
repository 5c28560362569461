//! The project's own chores: `cargo xtask test`, `cargo xtask tidy`, `cargo xtask bench`, `cargo xtask
//! picture`.
//!
//! Lives here: what builds, checks and measures the project. Does not live here: anything that is shipped.
//! Start at [`CHORES`]; each chore is one module with a `run`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the terminal it runs in")]

mod bench;
mod picture;
mod root;
mod test;
mod tidy;

use std::process::ExitCode;

/// A chore gets the words after its name and says whether all is well.
struct Chore {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> anyhow::Result<bool>,
}

const CHORES: [Chore; 4] = [
    Chore {
        name: "test",
        help: "[--install]               every test of the project; --install fetches missing system packages",
        run: test::run,
    },
    Chore {
        name: "tidy",
        help: "                          the house rules: arrows between crates, file sizes, links, …",
        run: tidy::run,
    },
    Chore {
        name: "bench",
        help: "[--quick] [--only NAME]   the numbers, measured against real servers; [--cold] [--list] [--peers]",
        run: bench::run,
    },
    Chore {
        name: "picture",
        help: "                          the README's picture of the demo",
        run: picture::run,
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let name = words.first().map_or("help", String::as_str);
    let Some(chore) = CHORES.iter().find(|chore| chore.name == name) else {
        let known = matches!(name, "help" | "--help" | "-h");
        if !known {
            eprintln!("there is no chore `{name}`");
        }
        eprintln!("usage: cargo xtask <chore>");
        for chore in &CHORES {
            eprintln!("  {:<7} {}", chore.name, chore.help);
        }
        return if known { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    match (chore.run)(&words[1..]) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
