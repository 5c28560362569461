//! Values over time: lines, stairs, and dots with the intervals around them.

use std::fmt::Write as _;

use crate::axis::{Ends, Scale, draw_bottom, draw_left, room_left};
use crate::canvas::{Anchor, Area, Canvas, LINE, MARGIN, WIDTH, pixel, width_of};
use crate::legend::{self, Mark};
use crate::thin::thinned;
use crate::{Axis, LineChart, SERIES_MAX, Series, Shape};

/// The height of the plot itself.
pub(crate) const PLOT: f64 = 240.0;

pub(crate) fn draw(chart: &LineChart) -> Canvas {
    let shown = &chart.series[..chart.series.len().min(SERIES_MAX)];
    let mark = |series: &Series| if series.shape == Shape::Dots { Mark::Dot } else { Mark::Line };
    let named = chart.series.iter().enumerate();
    let marks: Vec<_> =
        named.map(|(place, series)| (mark(series), colour(place, series), series.name.as_str())).collect();
    let xs = shown.iter().flat_map(|series| series.points.iter().map(|point| point[0]));
    let ends = |series: &Series| series.intervals.iter().flatten().copied().collect::<Vec<_>>();
    let ys = shown.iter().flat_map(|series| series.points.iter().map(|point| point[1]).chain(ends(series)));
    let ys = ys.chain(chart.guides.iter().map(|guide| guide.at));
    let x = Scale::new(&chart.x, xs, Ends::Tight, 8.0);
    let y = Scale::new(&chart.y, ys, Ends::Round, 5.0);
    let mut canvas = Canvas::new(&chart.caption);
    let plot = frame(&mut canvas, &marks, [(&x, &chart.x), (&y, &chart.y)]);
    let at = |point: [f64; 2]| {
        [plot.x + x.place(point[0]) * plot.width, plot.bottom() - y.place(point[1]) * plot.height]
    };
    canvas.begin_clip(grown(plot));
    for (place, series) in shown.iter().enumerate() {
        let index = colour(place, series);
        if series.shape == Shape::Dots {
            draw_dots(&mut canvas, index, series, at);
        } else {
            let points = thinned(&series.points, |value| x.place(value));
            draw_line(&mut canvas, index, series.shape, points.into_iter().map(at));
        }
    }
    canvas.end_clip();
    for guide in chart.guides.iter().filter(|guide| (0.0..=1.0).contains(&y.place(guide.at))) {
        let height = at([x.from, guide.at])[1];
        canvas.line("fg-guide", [plot.x, height], [plot.right(), height]);
        // Above the line, unless that would leave the plot.
        let below = height - LINE < plot.y;
        let text = height + if below { LINE - 3.0 } else { -5.0 };
        canvas.text("", Anchor::End, [plot.right() - 4.0, text], &guide.label);
    }
    if shown.iter().all(|series| series.points.is_empty()) {
        nothing(&mut canvas, plot);
    }
    canvas
}

/// The colour of a series: its own, or that of the one it belongs to.
fn colour(place: usize, series: &Series) -> usize {
    series.like.filter(|like| *like < SERIES_MAX).unwrap_or(place)
}

/// Legend, axes and grid; returns the area of the plot.
pub(crate) fn frame(
    canvas: &mut Canvas,
    marks: &[(Mark, usize, &str)],
    [x, y]: [(&Scale, &Axis); 2],
) -> Area {
    let top = legend::draw(canvas, 34.0, marks) + 26.0;
    let left = MARGIN + room_left(y.0);
    let last = x.0.ticks.last().map_or(0.0, |tick| width_of(&tick.text) / 2.0);
    let plot = Area { x: left, y: top, width: WIDTH - left - MARGIN - last, height: PLOT };
    draw_left(canvas, plot, y.0, y.1);
    draw_bottom(canvas, plot, x.0, x.1);
    canvas.set_height(plot.bottom() + 2.0 * LINE + MARGIN);
    plot
}

pub(crate) fn nothing(canvas: &mut Canvas, plot: Area) {
    let middle = [plot.x + plot.width / 2.0, plot.y + plot.height / 2.0];
    canvas.text("fg-faint", Anchor::Middle, middle, "no data");
}

/// A line at the very edge is as thick as any other.
fn grown(plot: Area) -> Area {
    Area { x: plot.x - 4.0, y: plot.y - 4.0, width: plot.width + 8.0, height: plot.height + 8.0 }
}

pub(crate) fn draw_line(
    canvas: &mut Canvas,
    index: usize,
    shape: Shape,
    points: impl Iterator<Item = [f64; 2]>,
) {
    let mut data = String::new();
    for [x, y] in points {
        let (x, y) = (pixel(x), pixel(y));
        let _ = match (data.is_empty(), shape) {
            (true, _) => write!(data, "M{x} {y}"),
            (false, Shape::Step) => write!(data, "H{x}V{y}"),
            (false, _) => write!(data, "L{x} {y}"),
        };
    }
    if !data.is_empty() {
        canvas.path(&format!("fg-line fg-l{index}"), &data);
    }
}

fn draw_dots(canvas: &mut Canvas, index: usize, series: &Series, at: impl Fn([f64; 2]) -> [f64; 2]) {
    // Dots are few; more than a plot is wide in pixels would be a line.
    let mut intervals = series.intervals.iter();
    for point in series.points.iter().filter(|point| point.iter().all(|value| value.is_finite())) {
        if let Some([low, high]) = intervals.next() {
            let ([x, low], [_, high]) = (at([point[0], *low]), at([point[0], *high]));
            canvas.path(
                &format!("fg-line fg-l{index}"),
                &[low, high].map(|y| format!("M{} {}h8", pixel(x - 4.0), pixel(y))).concat(),
            );
            canvas.line(&format!("fg-line fg-l{index}"), [x, low], [x, high]);
        }
        canvas.dot(&format!("fg-f{index}"), at(*point));
    }
}
