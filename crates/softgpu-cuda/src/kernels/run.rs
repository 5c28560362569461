//! What the kernels do to memory.
//!
//! Their ranges were checked when they were launched. Ranges of one kernel may overlap, so nothing here
//! makes two slices of which one is written.

use super::{Kernel, Picture};
use crate::abi::Done;
use crate::sys::{self, read, write};

impl Kernel {
    /// Does it, on this thread.
    pub(crate) fn run(&self) -> Done {
        match *self {
            Self::Busy(_) | Self::Spin(_) | Self::Broken => {}
            Self::Poke(address) => write(address, 0, 0u32),
            Self::Fill(out, value, count) => (0..count).for_each(|index| write(out, index, value)),
            Self::Copy(to, from, count) => sys::copy(from, to, 4 * count as usize),
            Self::Saxpy(count, a, x, y) => {
                for index in 0..count {
                    write(y, index, a * read::<f32>(x, index) + read::<f32>(y, index));
                }
            }
            Self::Matmul(rows, a, b, c) => matmul(rows as usize, a, b, c),
            Self::Mandelbrot(picture) => mandelbrot(&picture),
        }
        Ok(())
    }
}

fn matmul(rows: usize, a: u64, b: u64, c: u64) {
    let load = |base: u64| (0..(rows * rows) as u64).map(|index| read(base, index)).collect::<Vec<f32>>();
    let (a, b) = (load(a), load(b));
    let mut row = vec![0f32; rows];
    for i in 0..rows {
        row.fill(0.0);
        for k in 0..rows {
            let factor = a[i * rows + k];
            for (sum, value) in row.iter_mut().zip(&b[k * rows..(k + 1) * rows]) {
                *sum += factor * value;
            }
        }
        row.iter().zip((i * rows) as u64..).for_each(|(sum, index)| write(c, index, *sum));
    }
}

fn mandelbrot(picture: &Picture) {
    #[expect(clippy::cast_precision_loss, reason = "pictures are far smaller than what a float counts")]
    let point = |start: f32, step: f32, index: u32| start + step * index as f32;
    for row in 0..picture.height {
        let y = point(picture.top, picture.step_y, row);
        for column in 0..picture.width {
            let x = point(picture.left, picture.step_x, column);
            let index = u64::from(row) * u64::from(picture.width) + u64::from(column);
            write(picture.out, index, steps_to_escape(x, y, picture.iterations_max));
        }
    }
}

fn steps_to_escape(x: f32, y: f32, steps_max: u32) -> u32 {
    let (mut real, mut imaginary) = (0f32, 0f32);
    for step in 0..steps_max {
        let (squared_real, squared_imaginary) = (real * real, imaginary * imaginary);
        if squared_real + squared_imaginary > 4.0 {
            return step;
        }
        imaginary = 2.0 * real * imaginary + y;
        real = squared_real - squared_imaginary + x;
    }
    steps_max
}
