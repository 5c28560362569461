//! Which colour means what, in as many lines as it takes.

use crate::SERIES_MAX;
use crate::canvas::{Anchor, Area, Canvas, LINE, MARGIN, WIDTH, fitted, width_of};

/// How a series looks in its chart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    Line,
    Dot,
    Box,
}

/// A name takes at most this much of a line.
const NAME_MAX: f64 = 260.0;
/// The mark, and the space around a name.
const MARK: f64 = 24.0;
const GAP: f64 = 16.0;

/// Entries that have the colours of their places.
pub(crate) fn entries<'a>(mark: Mark, names: impl Iterator<Item = &'a str>) -> Vec<(Mark, usize, &'a str)> {
    names.enumerate().map(|(place, name)| (mark, place, name)).collect()
}

/// Draws the legend from `top` down and returns where it ends. One name alone needs none where it is empty.
pub(crate) fn draw(canvas: &mut Canvas, top: f64, entries: &[(Mark, usize, &str)]) -> f64 {
    let more = entries.len().saturating_sub(SERIES_MAX);
    let (mut x, mut y) = (MARGIN, top);
    if entries.iter().all(|(_, _, name)| name.is_empty()) {
        return top;
    }
    for (mark, colour, name) in entries.iter().take(SERIES_MAX) {
        let name = fitted(name, NAME_MAX);
        let width = MARK + width_of(&name) + GAP;
        if x + width > WIDTH && x > MARGIN {
            (x, y) = (MARGIN, y + LINE);
        }
        let middle = y + LINE / 2.0;
        match mark {
            Mark::Line => {
                canvas.line(&format!("fg-line fg-l{colour}"), [x, middle], [x + MARK - 6.0, middle]);
            }
            Mark::Dot => canvas.dot(&format!("fg-f{colour}"), [x + 9.0, middle]),
            Mark::Box => {
                let area = Area { x: x + 4.0, y: middle - 5.0, width: 11.0, height: 11.0 };
                canvas.rect(&format!("fg-f{colour}"), area, "");
            }
        }
        canvas.text("", Anchor::Start, [x + MARK, middle + 4.0], &name);
        x += width;
    }
    if more > 0 {
        let words = format!("and {more} more, not drawn");
        if x + width_of(&words) > WIDTH {
            (x, y) = (MARGIN, y + LINE);
        }
        canvas.text("fg-faint", Anchor::Start, [x, y + LINE / 2.0 + 4.0], &words);
    }
    y + LINE
}
