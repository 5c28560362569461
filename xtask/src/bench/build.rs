//! What is measured by building and by small programs of the crates: size, build time, a round, bare SQLite.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::Context;
use super::row::{Figure, Measured, Reach};
use crate::root::cargo;

/// The store's example measures 25 rates; this is enough for each.
const SECONDS_PER_RATE: &str = "0.5";

/// The release build that all other rows measure.
pub(super) fn release() -> anyhow::Result<()> {
    let built = cargo(&["build", "--release", "--package", "fastgpu"])?.status()?;
    ensure!(built.success(), "the release build failed");
    Ok(())
}

pub(super) fn binary_size(context: &Context) -> anyhow::Result<Measured> {
    let bytes = std::fs::metadata(&context.binary)?.len();
    let figure = Figure::new("stripped", bytes as f64 / f64::from(1 << 20), "MiB").reach(Reach::AtMost(25.0));
    Ok(Measured::of(vec![figure]).note("profile release, no LTO"))
}

pub(super) fn cold_build(context: &Context) -> anyhow::Result<Measured> {
    if !context.cold {
        bail!("takes minutes; ask for it with --cold");
    }
    let fresh = tempfile::tempdir_in(&context.work)?;
    let began = Instant::now();
    let mut command = cargo(&["build", "--release", "--package", "fastgpu"])?;
    ensure!(command.env("CARGO_TARGET_DIR", fresh.path()).status()?.success(), "the release build failed");
    let figure = Figure::new("into an empty folder", began.elapsed().as_secs_f64() / 60.0, "min");
    Ok(Measured::of(vec![figure.reach(Reach::AtMost(6.0))]).note("dependencies were already downloaded"))
}

/// One round of planning, by the core's own example.
pub(super) fn round(context: &Context) -> anyhow::Result<Measured> {
    let answer = example(context, "core", "round_bench", &[])?;
    let figure = |label: &str, name: &str| {
        let value = answer[name].as_f64().with_context(|| format!("no {name} in {answer}"))?;
        anyhow::Ok(Figure::new(label, value / 1e3, "ms"))
    };
    let figures = vec![figure("p50", "p50_us")?, figure("p99", "p99_us")?.reach(Reach::AtMost(1.0))];
    Ok(Measured::of(figures).note(format!("by crates/core/examples/round_bench.rs: {answer}")))
}

/// Rows a second that SQLite alone commits durably, so many at a time. Measured once in a run, by the store's example.
pub(super) fn sqlite_rows_per_s(context: &Context, rows_per_commit: usize) -> anyhow::Result<f64> {
    let report = match context.commit_rates.get() {
        Some(report) => report,
        None => {
            let folder = context.work.display().to_string();
            let report = example(context, "store", "commit_rate", &[&folder, SECONDS_PER_RATE])?;
            context.commit_rates.get_or_init(|| report)
        }
    };
    let rates =
        report["sqlite_rows"].as_array().context("the store's example says nothing of sqlite_rows")?;
    let rate = rates.iter().find(|rate| rate["batch"] == rows_per_commit).context("not this batch")?;
    rate["rows_per_s"].as_f64().context("no rows_per_s")
}

/// What an example prints, as JSON.
fn example(context: &Context, folder: &str, name: &str, words: &[&str]) -> anyhow::Result<Value> {
    let source = format!("crates/{folder}/examples/{name}.rs");
    ensure!(context.root.join(&source).exists(), "{source} does not exist");
    let package = format!("fastgpu-{folder}");
    let mut command =
        cargo(&["run", "--release", "--quiet", "--package", &package, "--example", name, "--"])?;
    let output = command.args(words).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{source} ended with {}", output.status);
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{source} printed {}", String::from_utf8_lossy(&output.stdout)))
}
