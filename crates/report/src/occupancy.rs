//! GPU × time: tasks as rectangles, or, where there are too many to see, a map of how busy things are.

use std::fmt::Write as _;

use crate::axis::{Ends, Scale, draw_bottom};
use crate::canvas::{Anchor, Area, Canvas, LINE, MARGIN, WIDTH, fitted, pixel, width_of};
use crate::format::quantity;
use crate::legend::{self, Mark};
use crate::line::nothing;
use crate::{Axis, OccupancyChart, ROWS_MAX, SERIES_MAX, SPANS_MAX, Span, Unit};

/// The names of rows take at most this much.
const NAME_MAX: f64 = 140.0;
/// Rows are as high as fits into this, between the two limits.
const PLOT: f64 = 360.0;
const ROW_MIN: f64 = 3.0;
const ROW_MAX: f64 = 20.0;
/// The map has at most this many cells, down and along.
const CELLS_DOWN: usize = 50;
const CELLS_ALONG: usize = 100;
/// How many shades the map has, without the one for idle.
const SHADES: usize = 8;

pub(crate) fn draw(chart: &OccupancyChart) -> Canvas {
    let as_map = chart.rows.len() > ROWS_MAX || chart.spans.len() > SPANS_MAX;
    let mut canvas = Canvas::new(&chart.caption);
    let along = Axis { label: "time".to_owned(), unit: Unit::Seconds, ..Axis::default() };
    let window = chart.window_s.unwrap_or_else(|| window(&chart.spans));
    let along = Axis { min: Some(window[0]), max: Some(window[1]), ..along };
    let time = Scale::new(&along, window.into_iter(), Ends::Tight, 8.0);
    let top =
        if as_map { draw_shades(&mut canvas, 34.0) } else { draw_groups(&mut canvas, 34.0, chart) } + 8.0;
    let names: Vec<String> = chart.rows.iter().map(|name| fitted(name, NAME_MAX)).collect();
    let left = MARGIN + names.iter().map(|name| width_of(name)).fold(20.0, f64::max) + 10.0;
    let row = (PLOT / names.len().max(1) as f64).clamp(if as_map { 0.0 } else { ROW_MIN }, ROW_MAX);
    let last = time.ticks.last().map_or(0.0, |tick| width_of(&tick.text) / 2.0);
    let height = row * names.len().max(1) as f64;
    let plot = Area { x: left, y: top, width: WIDTH - left - MARGIN - last, height };
    draw_bottom(&mut canvas, plot, &time, &along);
    draw_names(&mut canvas, plot, row, &names);
    canvas.begin_clip(plot);
    if as_map {
        draw_map(&mut canvas, plot, chart, [time.from, time.to]);
    } else {
        draw_spans(&mut canvas, plot, row, chart, &time);
    }
    canvas.end_clip();
    canvas.line("fg-axis", [plot.x, plot.y], [plot.x, plot.bottom()]);
    canvas.set_height(plot.bottom() + 2.0 * LINE + MARGIN);
    if chart.spans.is_empty() {
        nothing(&mut canvas, plot);
    }
    canvas
}

fn window(spans: &[Span]) -> [f64; 2] {
    let ends = spans.iter().flat_map(|span| [span.from_s, span.to_s]).filter(|end| end.is_finite());
    let [low, high] = ends.fold([f64::INFINITY, 0.0], |[low, high], end| [low.min(end), high.max(end)]);
    if low < high { [low, high] } else { [0.0, 1.0] }
}

/// As many names as have room.
fn draw_names(canvas: &mut Canvas, plot: Area, row: f64, names: &[String]) {
    let mut free_from = f64::NEG_INFINITY;
    for (index, name) in names.iter().enumerate() {
        let middle = plot.y + row * (index as f64 + 0.5);
        if middle - LINE / 2.0 >= free_from - 3.0 {
            canvas.text("fg-faint", Anchor::End, [plot.x - 8.0, middle + 4.0], name);
            free_from = middle + LINE / 2.0;
        }
    }
}

fn draw_groups(canvas: &mut Canvas, top: f64, chart: &OccupancyChart) -> f64 {
    let marks = legend::entries(Mark::Box, chart.groups.iter().map(String::as_str));
    if marks.is_empty() { top } else { legend::draw(canvas, top, &marks) }
}

fn draw_spans(canvas: &mut Canvas, plot: Area, row: f64, chart: &OccupancyChart, time: &Scale) {
    let gap = if row >= 8.0 { 1.0 } else { 0.0 };
    for (span, base) in stacked(&chart.spans, chart.rows.len()) {
        let x = plot.x + time.place(span.from_s) * plot.width;
        let width = ((span.to_s - span.from_s) / (time.to - time.from) * plot.width).max(0.4);
        let inner = row - 2.0 * gap;
        let height = inner * span.share.clamp(0.0, 1.0);
        let y = plot.y + row * (span.row as f64 + 1.0) - gap - inner * base - height;
        let hint = if span.label.is_empty() {
            String::new()
        } else {
            let [from, to] = [span.from_s, span.to_s].map(|end| quantity(end, Unit::Seconds));
            format!("{}: {from} to {to}", span.label)
        };
        let class = format!("fg-span fg-f{}", span.group.min(SERIES_MAX - 1));
        canvas.rect(&class, Area { x, y, width, height }, &hint);
    }
}

/// The spans with the height at which each lies in its row, in order of time: the lowest place where it fits.
fn stacked(spans: &[Span], rows: usize) -> Vec<(&Span, f64)> {
    /// Shares come from thousandths; sums of them as floats miss by less than this.
    const SLACK: f64 = 1e-6;
    let mut order: Vec<&Span> = spans
        .iter()
        .filter(|span| {
            span.row < rows && span.from_s.is_finite() && span.to_s.is_finite() && span.share > 0.0
        })
        .collect();
    order.sort_by(|left, right| left.from_s.total_cmp(&right.from_s));
    let mut open: Vec<Vec<(f64, &Span)>> = vec![Vec::new(); rows];
    let mut placed = Vec::with_capacity(order.len());
    for span in order {
        let here = &mut open[span.row];
        here.retain(|(_, other)| other.to_s > span.from_s);
        here.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut base = 0.0;
        for (other_base, other) in here.iter() {
            if base + span.share <= other_base + SLACK {
                break;
            }
            base = f64::max(base, other_base + other.share);
        }
        // Rows that are given more than they have show it on top of each other.
        let base = f64::max(0.0, f64::min(base, 1.0 - span.share));
        here.push((base, span));
        placed.push((span, base));
    }
    placed
}

/// How busy each cell is, from 0 to 1: cells along for each cell down.
fn busy(chart: &OccupancyChart, rows_each: usize, [from, to]: [f64; 2]) -> Vec<Vec<f64>> {
    let down = chart.rows.len().div_ceil(rows_each);
    let step = (to - from) / CELLS_ALONG as f64;
    let mut cells = vec![vec![0.0; CELLS_ALONG]; down];
    for span in chart.spans.iter().filter(|span| span.row < chart.rows.len()) {
        let (begin, end) = (span.from_s.max(from), span.to_s.min(to));
        if !(begin < end && span.share > 0.0) {
            continue;
        }
        let line = &mut cells[span.row / rows_each];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "inside the window, from 0 up"
        )]
        let cell = |at: f64| (((at - from) / step) as usize).min(CELLS_ALONG - 1);
        let first = cell(begin);
        for (index, busy) in line[first..=cell(end)].iter_mut().enumerate() {
            let cell_from = from + (first + index) as f64 * step;
            let overlap = end.min(cell_from + step) - begin.max(cell_from);
            *busy += span.share.min(1.0) * overlap.max(0.0) / step;
        }
    }
    for (index, line) in cells.iter_mut().enumerate() {
        let rows = rows_each.min(chart.rows.len() - index * rows_each) as f64;
        line.iter_mut().for_each(|cell| *cell /= rows);
    }
    cells
}

/// The shade of a cell: 0 is idle, [`SHADES`] is as good as fully busy.
fn shade(busy: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1")]
    let shade = (busy.clamp(0.0, 1.0) * SHADES as f64).ceil() as usize;
    if busy < 1e-9 { 0 } else { shade.min(SHADES) }
}

fn draw_map(canvas: &mut Canvas, plot: Area, chart: &OccupancyChart, window: [f64; 2]) {
    let rows_each = chart.rows.len().div_ceil(CELLS_DOWN).max(1);
    let mut data = vec![String::new(); SHADES + 1];
    let (row, step) = (plot.height / chart.rows.len().max(1) as f64, plot.width / CELLS_ALONG as f64);
    for (down, line) in busy(chart, rows_each, window).iter().enumerate() {
        let top = plot.y + row * (down * rows_each) as f64;
        let height = row * rows_each.min(chart.rows.len() - down * rows_each) as f64;
        let mut begin = 0;
        for run in line.chunk_by(|left, right| shade(*left) == shade(*right)) {
            let (x, width) = (plot.x + step * begin as f64, step * run.len() as f64);
            begin += run.len();
            let [x, y, width, height] = [x, top, width, height].map(pixel);
            let _ = write!(data[shade(run[0])], "M{x} {y}h{width}v{height}h-{width}z");
        }
    }
    for (shade, data) in data.iter().enumerate().skip(1).filter(|(_, data)| !data.is_empty()) {
        canvas.faded("fg-f0", shade as f64 / SHADES as f64, data);
    }
}

fn draw_shades(canvas: &mut Canvas, top: f64) -> f64 {
    let middle = top + LINE / 2.0;
    canvas.text("", Anchor::Start, [MARGIN, middle + 4.0], "idle");
    for shade in 1..=SHADES {
        let x = MARGIN + 28.0 + 14.0 * (shade - 1) as f64;
        let data = format!("M{} {}h14v11h-14z", pixel(x), pixel(middle - 5.5));
        canvas.faded("fg-f0", shade as f64 / SHADES as f64, &data);
    }
    let x = MARGIN + 36.0 + 14.0 * SHADES as f64;
    canvas.text("", Anchor::Start, [x, middle + 4.0], "all busy");
    top + LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(row: usize, from_s: f64, to_s: f64, share: f64) -> Span {
        Span { row, from_s, to_s, share, ..Span::default() }
    }

    #[test]
    fn shares_of_a_row_lie_on_top_of_each_other_without_overlap() {
        let spans = [
            span(0, 0.0, 9.0, 0.5),
            span(0, 1.0, 4.0, 0.25),
            span(0, 2.0, 8.0, 0.25),
            span(0, 5.0, 6.0, 0.25),
        ];
        let bases: Vec<f64> = stacked(&spans, 1).into_iter().map(|(_, base)| base).collect();
        assert_eq!(bases, [0.0, 0.5, 0.75, 0.5]);
    }

    #[test]
    fn the_map_loses_no_busy_time() {
        let rows: Vec<String> = (0..1_003).map(|gpu| format!("gpu{gpu}")).collect();
        let spans: Vec<Span> = (0..1_003_u32)
            .map(|row| span(row as usize, f64::from(row % 7), f64::from(row % 7) + 3.3, 0.5))
            .collect();
        let total: f64 = spans.iter().map(|span| span.share * (span.to_s - span.from_s)).sum();
        let chart = OccupancyChart { rows, spans, ..OccupancyChart::default() };
        let rows_each = 1_003_usize.div_ceil(CELLS_DOWN);
        let mut found = 0.0;
        for (index, line) in busy(&chart, rows_each, [0.0, 10.0]).iter().enumerate() {
            let rows = rows_each.min(1_003 - index * rows_each) as f64;
            found += line.iter().sum::<f64>() * rows * 0.1;
        }
        assert!((found / total - 1.0).abs() < 1e-9, "{found} of {total}");
        let drawn = super::super::svg(&super::super::Chart::Occupancy(chart));
        assert!(drawn.len() < 200_000, "{} bytes", drawn.len());
    }
}
