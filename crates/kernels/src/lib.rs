//! Small programs for a GPU: what `fastgpu demo-kernel` runs, on a real device or on a software one.
//!
//! Start here: [`saxpy`], [`burn`] and [`mandelbrot`] each do their work on a [`Gpu`] and check the result
//! themselves. The driver's library is found at run time by its name ([`driver`]); nothing is linked. The
//! kernels are text that a real driver compiles, and that a software GPU knows by name.
//!
//! Absent on purpose: printing, settings, anything that a program of some size would need.

mod driver;
mod picture;

use std::time::Duration;

pub use driver::{Gpu, GpuError};
pub use picture::Picture;

use driver::Argument;

/// The kernels, ended by a zero as the driver wants it.
const KERNELS: &str = concat!(include_str!("kernels.ptx"), "\0");
/// Threads of a block; every device takes as many.
const BLOCK: u32 = 256;
/// Most numbers of a [`saxpy`]: 4 GiB for each of its two arrays.
pub const SAXPY_COUNT_MAX: u32 = 1 << 30;
/// A [`burn`] launches kernels of this length one after the other, so that it can be ended in between.
const BURN_KERNEL: Duration = Duration::from_millis(10);
/// How many of them wait in the device's queue; enough that it never runs dry.
const BURN_AHEAD: u32 = 4;

/// What a program did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Done {
    /// Time on the device, by its own events.
    pub on_device: Duration,
    /// How many numbers were checked, all of them right.
    pub checked: u64,
}

/// Adds a multiple of one array to another, and checks every number of it.
///
/// # Errors
/// When the driver refuses something, or a number is wrong.
pub fn saxpy(gpu: &Gpu, count: u32) -> Result<Done, GpuError> {
    const FACTOR: f32 = 2.5;
    let count = count.clamp(1, SAXPY_COUNT_MAX);
    let numbers = |step: u32| (0..count).map(move |at| small(at.wrapping_mul(step)));
    let (x, y): (Vec<f32>, Vec<f32>) = (numbers(3).collect(), numbers(7).collect());
    let module = gpu.load(KERNELS)?;
    let kernel = module.function(c"saxpy")?;
    let on_x = gpu.upload(&x)?;
    let on_y = gpu.upload(&y)?;
    let arguments = [
        Argument::Long(count.into()),
        Argument::Float(FACTOR),
        Argument::Long(on_x.address()),
        Argument::Long(on_y.address()),
    ];
    let on_device = gpu.timed(|| gpu.launch(&kernel, count.div_ceil(BLOCK).min(4_096), BLOCK, &arguments))?;
    let got: Vec<f32> = on_y.download()?;
    let expected = x.iter().zip(&y).map(|(x, y)| FACTOR * x + y);
    compare(got.iter().copied().map(f32::to_bits), expected.map(f32::to_bits))?;
    Ok(Done { on_device, checked: count.into() })
}

/// Keeps the device busy for `time`. `go_on` is asked between kernels, a hundred times a second.
///
/// # Errors
/// When the driver refuses something.
pub fn burn(gpu: &Gpu, time: Duration, mut go_on: impl FnMut() -> bool) -> Result<Done, GpuError> {
    let module = gpu.load(KERNELS)?;
    let kernel = module.function(c"busy")?;
    let began = std::time::Instant::now();
    let mut kernels = 0;
    let one = Argument::Long(u64::try_from(BURN_KERNEL.as_micros()).unwrap_or(u64::MAX));
    while began.elapsed() < time && go_on() {
        for _ in 0..BURN_AHEAD {
            gpu.launch(&kernel, 1, 1, &[one])?;
            kernels += 1;
        }
        gpu.synchronize()?;
    }
    Ok(Done { on_device: BURN_KERNEL * kernels, checked: 0 })
}

/// Draws the Mandelbrot set and checks every point of it.
///
/// # Errors
/// When the driver refuses something, or a point is wrong.
pub fn mandelbrot(gpu: &Gpu, width: u32, height: u32) -> Result<(Done, Picture), GpuError> {
    let mut picture = Picture::of_the_whole_set(width, height);
    let module = gpu.load(KERNELS)?;
    let kernel = module.function(c"mandelbrot")?;
    let points = picture.points();
    let room = gpu.reserve::<u32>(points)?;
    let arguments = [
        Argument::Long(room.address()),
        Argument::Word(picture.width),
        Argument::Word(picture.height),
        Argument::Word(Picture::STEPS_MAX),
        Argument::Float(picture.left),
        Argument::Float(picture.top),
        Argument::Float(picture.step),
        Argument::Float(picture.step),
    ];
    let blocks = (picture.width * picture.height).div_ceil(BLOCK);
    let on_device = gpu.timed(|| gpu.launch(&kernel, blocks, BLOCK, &arguments))?;
    picture.steps = room.download()?;
    compare(picture.steps.iter().copied(), picture.expected())?;
    Ok((Done { on_device, checked: u64::try_from(points).unwrap_or(u64::MAX) }, picture))
}

/// A number that a float holds exactly.
fn small(at: u32) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits are wanted")]
    let low = at as u8;
    f32::from(low) / 16.0
}

fn compare(got: impl Iterator<Item = u32>, expected: impl Iterator<Item = u32>) -> Result<(), GpuError> {
    let wrong = got.zip(expected).enumerate().find(|(_, (got, expected))| got != expected);
    match wrong {
        Some((place, (got, expected))) => Err(GpuError::Wrong { place, got, expected }),
        None => Ok(()),
    }
}
