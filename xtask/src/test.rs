//! `cargo xtask test`: every test of the project, in one order, with one truthful last line.
//!
//! A failing step does not hide the ones after it; what could not run is named at the end with the reason.
//! Start at [`steps`].

mod packages;
mod softgpu;
mod step;
mod tally;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::bail;

use crate::root::{cargo, program, project_root, refuse_unknown, target_dir};
use crate::tidy::{self, Tree};
use packages::Packages;
use step::{Outcome, Step};
use tally::Tally;

/// The tests of recovery need the crash points, so everything is built with them, and built once.
const FEATURES: [&str; 3] = ["--workspace", "--features", "fastgpu/failpoints"];

pub(crate) fn run(words: &[String]) -> anyhow::Result<bool> {
    refuse_unknown(words, &["--install"])?;
    let began = Instant::now();
    let install = words.iter().any(|word| word == "--install");
    let packages = Packages::find(install)?;
    let mut finished: Vec<(&'static str, Outcome)> = Vec::new();
    for step in steps(&packages, install)? {
        let name = step.name;
        println!("\n=== {name} ===");
        let outcome = step.run();
        println!("=== {name}: {} ===", outcome.line());
        finished.push((name, outcome));
    }
    print_summary(&finished, began)
}

/// Cheap and telling first, what needs the built binary after it.
fn steps(packages: &Packages, install: bool) -> anyhow::Result<Vec<Step>> {
    let mut steps = vec![
        Step::command("fmt", cargo(&["fmt", "--all", "--check"])?),
        Step::check("tidy", || Ok(Tally::of_counts(tidy::check(&Tree::read(&project_root()?)?)))),
        Step::command("clippy", clippy()?),
        Step::command("build", cargo_tests(&["--no-run"])?),
        Step::tests("tests", cargo_tests(&["--lib", "--bins", "--tests", "--examples", "--no-fail-fast"])?),
        Step::tests("doctests", cargo_tests(&["--doc", "--no-fail-fast"])?),
    ];
    steps.push(match &packages.python {
        Ok(python) => Step::tests("python", python_tests(python)?),
        // Who asked for the packages must not be told that all is well without them.
        Err(missing) if install => Step::failed("python", missing.clone()),
        Err(missing) => Step::not_run("python", missing.clone()),
    });
    steps.push(Step::command("softgpu-libraries", cargo(&softgpu::BUILD)?));
    steps.push(match softgpu::environment(install)? {
        Ok(python) => Step::tests("softgpu", softgpu::tests(&python)?),
        Err(missing) if install => Step::failed("softgpu", missing),
        Err(missing) => Step::not_run("softgpu", missing),
    });
    steps.push(if answers("cargo", &["deny", "--version"]) {
        Step::command("cargo-deny", cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"])?)
    } else {
        let reason = "cargo-deny is not installed; it checks licences, bans and sources of dependencies";
        Step::not_run("cargo-deny", reason.to_owned())
    });
    Ok(steps)
}

fn clippy() -> anyhow::Result<Command> {
    let mut command = cargo(&["clippy"])?;
    command.args(FEATURES).args(["--all-targets", "--", "--deny", "warnings"]);
    Ok(command)
}

fn cargo_tests(words: &[&str]) -> anyhow::Result<Command> {
    let mut command = cargo(&["test"])?;
    command.args(FEATURES).args(words);
    Ok(command)
}

/// The standard library's runner: nothing to fetch.
fn python_tests(python: &OsStr) -> anyhow::Result<Command> {
    let root = project_root()?;
    let mut command = program(python);
    command.args(["-B", "-m", "unittest", "discover", "--start-directory", "tests/python", "--verbose"]);
    command.current_dir(root).env("FASTGPU_BIN", debug_binary()?);
    Ok(command)
}

fn debug_binary() -> anyhow::Result<PathBuf> {
    Ok(target_dir()?.join("debug/fastgpu"))
}

/// True if the program is there and ends well.
fn answers(program: impl AsRef<OsStr>, words: &[&str]) -> bool {
    Command::new(program).args(words).output().is_ok_and(|output| output.status.success())
}

fn print_summary(finished: &[(&'static str, Outcome)], began: Instant) -> anyhow::Result<bool> {
    println!();
    let mut total = Tally::default();
    for (name, outcome) in finished {
        println!("{name:<18} {}", outcome.line());
        total.add(&outcome.tally);
    }
    println!("{:<18} {:.1} s", "total", began.elapsed().as_secs_f64());
    for (name, failure) in
        finished.iter().flat_map(|(name, outcome)| outcome.tally.failures.iter().map(move |f| (name, f)))
    {
        println!("FAILED {name}: {failure}");
    }
    for (name, reason) in
        finished.iter().filter_map(|(name, outcome)| Some((name, outcome.not_run.as_ref()?)))
    {
        println!("NOT RUN {name}: {reason}");
    }
    if total.ignored > 0 {
        println!("NOT RUN tests: {} that are marked as ignored", total.ignored);
    }
    if total.passed + total.failed == 0 {
        bail!("not a single test ran");
    }
    println!("xtask test: {} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}
