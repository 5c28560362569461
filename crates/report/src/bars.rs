//! Few values to compare: lying bars, so that long names of policies can be read.

use crate::axis::{Ends, Scale, draw_bottom};
use crate::canvas::{Anchor, Area, Canvas, LINE, MARGIN, WIDTH, fitted, width_of};
use crate::format::quantity;
use crate::legend::{self, Mark};
use crate::line::nothing;
use crate::{BarChart, SERIES_MAX};

/// The names of the categories take at most this much.
const NAME_MAX: f64 = 200.0;
/// A bar, and the space between two groups.
const BAR: f64 = 16.0;
const GAP: f64 = 10.0;

pub(crate) fn draw(chart: &BarChart) -> Canvas {
    let shown = &chart.series[..chart.series.len().min(SERIES_MAX)];
    let values = || shown.iter().flat_map(|bars| bars.values.iter().flatten().copied());
    let scale = Scale::new(&chart.value, values(), Ends::Round, 6.0);
    let marks = legend::entries(Mark::Box, chart.series.iter().map(|bars| bars.name.as_str()));
    let mut canvas = Canvas::new(&chart.caption);
    let top = legend::draw(&mut canvas, 34.0, &marks) + 10.0;
    let names: Vec<String> = chart.categories.iter().map(|name| fitted(name, NAME_MAX)).collect();
    let left = MARGIN + names.iter().map(|name| width_of(name)).fold(20.0, f64::max) + 10.0;
    let written = values().map(|value| width_of(&quantity(value, chart.value.unit))).fold(0.0, f64::max);
    let group = BAR * shown.len().max(1) as f64 + GAP;
    let height = group * names.len().max(1) as f64 + GAP;
    let plot = Area { x: left, y: top, width: WIDTH - left - MARGIN - written - 8.0, height };
    draw_bottom(&mut canvas, plot, &scale, &chart.value);
    for (row, name) in names.iter().enumerate() {
        let y = plot.y + GAP + group * row as f64;
        let middle = y + (group - GAP) / 2.0;
        canvas.text("", Anchor::End, [left - 8.0, middle + 4.0], name);
        for (index, bars) in shown.iter().enumerate() {
            let Some(value) = bars.values.get(row).copied().flatten().filter(|value| value.is_finite())
            else {
                continue;
            };
            let from = plot.x + scale.place(0.0).clamp(0.0, 1.0) * plot.width;
            let to = plot.x + scale.place(value).clamp(0.0, 1.0) * plot.width;
            let text = quantity(value, chart.value.unit);
            let y = y + BAR * index as f64;
            let area = Area { x: from.min(to), y: y + 1.0, width: (to - from).abs(), height: BAR - 2.0 };
            canvas.rect(&format!("fg-f{index}"), area, &format!("{}: {text}", chart.categories[row]));
            canvas.text("", Anchor::Start, [from.max(to) + 6.0, y + BAR / 2.0 + 4.0], &text);
        }
    }
    canvas.line("fg-axis", [plot.x, plot.y], [plot.x, plot.bottom()]);
    canvas.set_height(plot.bottom() + 2.0 * LINE + MARGIN);
    if values().next().is_none() {
        nothing(&mut canvas, plot);
    }
    canvas
}
