//! `fastgpu demo-kernel`: a small program for a GPU, to see that a device works, or to have something to run.
//!
//! It runs on the first device that this process may see, so inside a task on the one that was granted.

use std::time::Duration;

use fastgpu_kernels::{Done, Gpu, GpuError};
use serde::Serialize;

use crate::args::{DemoKernelArgs, Format, KernelVerb};
use crate::failure::Failure;
use crate::output::{Output, Tone};

/// Columns of a picture in text where nobody says how wide the terminal is.
const COLUMNS: u32 = 78;
/// Longest burn; whoever wants more says so again.
const BURN_MAX: Duration = Duration::from_secs(24 * 3_600);

#[derive(Serialize)]
struct Said<'a> {
    kernel: &'a str,
    gpu: &'a str,
    software: bool,
    library: &'a str,
    on_device_ms: f64,
    checked: u64,
}

pub(super) fn run(flags: &DemoKernelArgs, out: &Output) -> Result<u8, Failure> {
    let burn_time = match &flags.kernel {
        KernelVerb::Burn { time } => time_of(time)?,
        _ => Duration::ZERO,
    };
    let gpu = Gpu::first().map_err(failed)?;
    match &flags.kernel {
        KernelVerb::Saxpy { count } => {
            let done = fastgpu_kernels::saxpy(&gpu, *count).map_err(failed)?;
            say("saxpy", &gpu, done, out)?;
        }
        KernelVerb::Burn { .. } => {
            let done = fastgpu_kernels::burn(&gpu, burn_time, || true).map_err(failed)?;
            say("burn", &gpu, done, out)?;
        }
        KernelVerb::Mandelbrot { width, height, picture } => {
            let (done, drawn) = fastgpu_kernels::mandelbrot(&gpu, *width, *height).map_err(failed)?;
            if out.format() == Format::Table {
                let columns = out.columns().and_then(|columns| u32::try_from(columns).ok());
                out.data(drawn.to_text(columns.unwrap_or(COLUMNS)).trim_end())?;
            }
            if let Some(path) = picture {
                std::fs::write(path, drawn.to_ppm()).map_err(|error| {
                    Failure::new(format!("the picture cannot be written to {}: {error}", path.display()))
                })?;
            }
            say("mandelbrot", &gpu, done, out)?;
        }
    }
    Ok(0)
}

fn say(kernel: &str, gpu: &Gpu, done: Done, out: &Output) -> Result<(), Failure> {
    let software = gpu.is_software();
    let said = Said {
        kernel,
        gpu: gpu.name(),
        software,
        library: gpu.library(),
        on_device_ms: done.on_device.as_secs_f64() * 1e3,
        checked: done.checked,
    };
    out.one(&said, kernel, |out| {
        let kind = if software { " (software GPU)" } else { "" };
        let checked = match done.checked {
            0 => String::new(),
            count => format!("; {count} results, {}", out.paint(Tone::Good, "all of them right")),
        };
        out.data(&format!(
            "{kernel} on {}{kind}: {:.3} ms on the device{checked}",
            gpu.name(),
            said.on_device_ms
        ))
    })
}

fn time_of(text: &str) -> Result<Duration, Failure> {
    let parsed = fastgpu_api::units::span_text(text).ok().map(|span| Duration::from_millis(span.0));
    parsed.filter(|time| *time <= BURN_MAX).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no time up to a day")).help("write for example `30s` or `5m`")
    })
}

fn failed(error: GpuError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        GpuError::NoDriver { .. } | GpuError::NoDevice => failure
            .help("run it where a GPU was granted: `fastgpu run --gpu 1 -- fastgpu demo-kernel mandelbrot`"),
        GpuError::Wrong { .. } => failure.help("this GPU computes wrongly: take it out of service"),
        _ => failure,
    }
}
