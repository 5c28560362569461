//! The software GPU: what its calls cost, how fast processes come to it, and what turns between them take away.
//!
//! The programs are those of the tests: C against the driver's interface.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Context;
use super::row::{Figure, Measured, Reach};
use crate::root::{cargo, program, target_dir};

const ATTACH: usize = 200;
/// Costs of a switch between contexts that are tried, in microseconds; the middle one is the usual.
const SWITCH_US: [u32; 3] = [50, 100, 300];
/// How long a context runs before others get their turn, in microseconds.
const SLICE_US: f64 = 2_000.0;

/// What a call costs, and an attach.
pub(super) fn calls(context: &Context) -> anyhow::Result<Measured> {
    let bench = Bench::new(context)?;
    let speed = bench.build("crates/softgpu-cuda/tests/programs/speed.c")?;
    let said = bench.run(&speed, &[], "1xH100", None)?;
    let clock_us = value(&said, "clock")? / 1e3;
    let us = |label: &str, name: &str, most: f64| {
        let figure = Figure::new(label, value(&said, name)? / 1e3, "µs").reach(Reach::AtMost(most));
        anyhow::Ok(figure.limit("to read the clock", Ok(clock_us)))
    };
    let attach = bench.build("tests/softgpu/probes/attach.c")?;
    let count = context.count(ATTACH);
    let attached = bench.run(&attach, &[&count.to_string()], "1xH200", None)?;
    ensure!(value(&attached, "attach.refused")? == 0.0, "some were refused");
    let attach_s = value(&attached, "time.attach_ms")? / 1e3;
    let figures = vec![
        us("launch, the queue has room", "launch", 1.0)?,
        us("allocation of 4 KiB", "alloc_4_kib", 5.0)?,
        us("allocation of 4 MiB", "alloc_4_mib", 5.0)?,
        Figure::new(format!("{count} processes get a context"), attach_s, "s").reach(Reach::AtMost(1.0)),
    ];
    Ok(Measured::of(figures).note("the best of 20 rounds of 1,000 calls"))
}

/// What is lost of a device on which two processes have work all the time.
pub(super) fn switches(context: &Context) -> anyhow::Result<Measured> {
    let bench = Bench::new(context)?;
    let slices = bench.build("tests/softgpu/probes/slices.c")?;
    let figure = |switch_us: u32| {
        let said = bench.run(&slices, &[], "1xH100", Some(switch_us))?;
        let lost = value(&said, "time.shared.2.lost_percent")?;
        let exact = 100.0 * f64::from(switch_us) / SLICE_US;
        anyhow::Ok(
            Figure::new(format!("a switch costs {switch_us} µs"), lost, "%")
                .limit("by arithmetic", Ok(exact)),
        )
    };
    let figures = SWITCH_US.into_iter().map(figure).collect::<anyhow::Result<_>>()?;
    Ok(Measured::of(figures).note("two processes, 150 ms of kernels of 0.5 ms each, slices of 2 ms"))
}

/// The library in release, and a folder for programs and ledgers.
struct Bench {
    folder: PathBuf,
    root: PathBuf,
}

impl Bench {
    fn new(context: &Context) -> anyhow::Result<Self> {
        let built = cargo(&["build", "--release", "--package", "fastgpu-softgpu-cuda"])?.status()?;
        ensure!(built.success(), "the library does not build");
        let folder = context.work.join("softgpu");
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(target_dir()?.join("release/libcuda.so"), folder.join("libcuda.so.1"))?;
        Ok(Self { folder, root: context.root.clone() })
    }

    fn build(&self, source: &str) -> anyhow::Result<PathBuf> {
        let source = self.root.join(source);
        let name = source.file_stem().context("a program has a name")?;
        let made = self.folder.join(name);
        let mut compiler = program("cc");
        compiler.args(["-std=gnu11", "-O2", "-o"]).arg(&made).arg(&source);
        compiler.arg(self.folder.join("libcuda.so.1")).arg("-ldl");
        ensure!(compiler.status()?.success(), "{} does not build", source.display());
        Ok(made)
    }

    /// The numbers that a program prints, one `name value` to a line, on a ledger of its own.
    fn run(
        &self,
        program: &Path,
        words: &[&str],
        devices: &str,
        switch_us: Option<u32>,
    ) -> anyhow::Result<HashMap<String, f64>> {
        let ledger = tempfile::tempdir_in(&self.folder)?;
        let mut command = Command::new(program);
        command.args(words).env("LD_LIBRARY_PATH", &self.folder);
        command.env("FASTGPU_SOFTGPU_DIR", ledger.path().join("gpus"));
        command.env("FASTGPU_SOFTGPU_DEVICES", devices).env_remove("CUDA_VISIBLE_DEVICES");
        if let Some(us) = switch_us {
            command.env("FASTGPU_SOFTGPU_SWITCH_US", us.to_string());
        }
        let done = command.output()?;
        let said = String::from_utf8_lossy(&done.stdout);
        let wrong = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{} ended badly: {said}{wrong}", program.display());
        let number = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(said.lines().filter_map(number).collect())
    }
}

fn value(said: &HashMap<String, f64>, name: &str) -> anyhow::Result<f64> {
    said.get(name).copied().with_context(|| format!("the program says nothing of {name}"))
}
