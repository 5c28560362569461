//! A picture of the Mandelbrot set: as numbers, as text for a terminal, as a file.

use std::fmt::Write;

/// Widest and highest picture; its points are counted in 32 bits.
const SIDE_MAX: u32 = 8_192;
/// From "escapes at once" to "never escapes", for terminals without colour.
const SHADES: &[u8] = b" .:-=+*#%@";

/// A rectangle of the plane, and after how many steps each of its points escapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Where the first column lies.
    pub left: f32,
    /// Where the first row lies.
    pub top: f32,
    /// From one column, and from one row, to the next.
    pub step: f32,
    /// Steps to escape, row by row; empty until it was drawn.
    pub steps: Vec<u32>,
}

impl Picture {
    /// A point that has not escaped after so many steps never does.
    pub const STEPS_MAX: u32 = 256;

    /// The whole set in a picture of this size.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sides are far smaller than what a float counts")]
    pub fn of_the_whole_set(width: u32, height: u32) -> Self {
        let (width, height) = (width.clamp(2, SIDE_MAX), height.clamp(2, SIDE_MAX));
        let step = (3.0 / width as f32).max(2.4 / height as f32);
        let left = -0.65 - step * width as f32 / 2.0;
        let top = -step * height as f32 / 2.0;
        Self { width, height, left, top, step, steps: Vec::new() }
    }

    /// How many points it has.
    #[must_use]
    pub fn points(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// What a processor comes to.
    pub(crate) fn expected(&self) -> impl Iterator<Item = u32> {
        #[expect(clippy::cast_precision_loss, reason = "sides are far smaller than what a float counts")]
        let along = |start: f32, index: u32| start + self.step * index as f32;
        (0..self.height).flat_map(move |row| {
            let y = along(self.top, row);
            (0..self.width).map(move |column| escapes_after(along(self.left, column), y))
        })
    }

    /// As text of so many columns; a row of text is two of a picture that is not distorted.
    #[must_use]
    pub fn to_text(&self, columns: u32) -> String {
        let columns = columns.clamp(2, self.width);
        let stride = (self.width / columns).max(1);
        let mut text = String::new();
        for row in (0..self.height).step_by(2 * stride as usize) {
            for column in (0..self.width).step_by(stride as usize) {
                text.push(char::from(shade(self.at(column, row))));
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    /// As a file in the portable pixmap format (`.ppm`), which every viewer of pictures reads.
    #[must_use]
    pub fn to_ppm(&self) -> Vec<u8> {
        let mut header = String::new();
        let written = write!(header, "P6\n{} {}\n255\n", self.width, self.height);
        written.expect("a text takes whatever is written to it");
        let pixels = self.steps.iter().flat_map(|steps| colour(*steps));
        header.into_bytes().into_iter().chain(pixels).collect()
    }

    fn at(&self, column: u32, row: u32) -> u32 {
        let place = row as usize * self.width as usize + column as usize;
        self.steps.get(place).copied().unwrap_or(0)
    }
}

/// The same steps in the same order as the kernel, rounded one by one.
fn escapes_after(x: f32, y: f32) -> u32 {
    let (mut real, mut imaginary) = (0f32, 0f32);
    for step in 0..Picture::STEPS_MAX {
        let (rr, ii) = (real * real, imaginary * imaginary);
        if rr + ii > 4.0 {
            return step;
        }
        imaginary = 2.0 * real * imaginary + y;
        real = rr - ii + x;
    }
    Picture::STEPS_MAX
}

/// Steps on a scale that grows with the logarithm: most of a picture escapes early.
fn shade(steps: u32) -> u8 {
    if steps >= Picture::STEPS_MAX {
        return SHADES[SHADES.len() - 1];
    }
    let level = (steps.max(1).ilog2() as usize).min(SHADES.len() - 2);
    SHADES[level]
}

fn colour(steps: u32) -> [u8; 3] {
    if steps >= Picture::STEPS_MAX {
        return [0, 0, 0];
    }
    let ramp = |factor: u32| u8::try_from((steps * factor).min(255)).unwrap_or(u8::MAX);
    [ramp(3), ramp(7), ramp(20).max(40)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u32, height: u32) -> Picture {
        let mut picture = Picture::of_the_whole_set(width, height);
        picture.steps = picture.expected().collect();
        picture
    }

    #[test]
    fn the_set_is_in_the_middle_and_symmetric_and_nothing_of_it_is_at_the_border() {
        let picture = drawn(96, 64);
        assert_eq!(picture.at(50, 32), Picture::STEPS_MAX);
        let corners = [(0, 0), (95, 0), (0, 63), (95, 63)].map(|(x, y)| picture.at(x, y));
        assert!(corners.iter().all(|steps| *steps < 8), "{corners:?}");
        assert_eq!(picture.at(30, 20), picture.at(30, 44), "rows above and below the middle are alike");
    }

    #[test]
    fn a_terminal_shows_it_whole() {
        let text = drawn(128, 96).to_text(64);
        assert_eq!(text.lines().count(), 24);
        assert!(text.lines().all(|line| line.len() <= 64) && text.contains('@'));
    }

    #[test]
    fn a_file_has_three_bytes_for_each_point() {
        let file = drawn(4, 3).to_ppm();
        assert!(file.starts_with(b"P6\n4 3\n255\n"));
        assert_eq!(file.len(), b"P6\n4 3\n255\n".len() + 36);
    }

    #[test]
    fn no_size_breaks_it() {
        for (width, height) in [(0, 0), (1, 9), (9, 1), (u32::MAX, 2)] {
            let picture = Picture::of_the_whole_set(width, height);
            assert!(picture.points() >= 4 && picture.points() <= (SIDE_MAX * SIDE_MAX) as usize);
        }
    }
}
