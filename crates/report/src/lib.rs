//! Results for people: tables and charts on one page that needs nothing else, neither network nor JavaScript.
//!
//! Start at [`Report`], a plain description of what is to be shown. [`html`] makes the page, [`text`] the same for a
//! terminal, [`svg`] one chart as a file of its own, [`figure`] one chart for a page that has [`STYLE`] already. The same
//! description gives the same bytes. Names come from strangers and are escaped wherever they are
//! shown; [`escaped`] is there for pages that are made elsewhere. No clock, no I/O.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

mod axis;
mod bars;
mod canvas;
mod cdf;
mod escape;
mod format;
mod html;
mod legend;
mod line;
mod occupancy;
mod style;
mod text;
mod thin;

pub use cdf::cumulative;
pub use escape::escaped;
pub use format::quantity;
pub use html::html;
pub use style::STYLE;
pub use text::text;

/// A page: what was asked, what came out, and the command that makes it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The heading.
    pub title: String,
    /// What was typed to make it; empty if nobody typed anything.
    pub command: String,
    /// One paragraph: the question and the answer.
    pub summary: String,
    /// What held during the experiment, as name and value: the seed, the trace, the cluster.
    pub settings: Vec<(String, String)>,
    /// Tables, in order.
    pub tables: Vec<Table>,
    /// Charts, in order.
    pub charts: Vec<Chart>,
}

/// What a number counts; decides how it is written and which ticks an axis gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A number of things.
    #[default]
    Count,
    /// Seconds; written as s, min, h or d.
    Seconds,
    /// A part of a whole; 0.5 is written as 50 %.
    Fraction,
    /// Money, in the currency of the price that was given.
    Money,
    /// Energy.
    KilowattHours,
    /// Power.
    Watts,
    /// Time of one whole GPU.
    GpuHours,
}

/// Which value of a column is the one to be proud of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// None is better than another.
    #[default]
    None,
    /// A wait, a cost.
    Lowest,
    /// A utilization.
    Highest,
}

/// Things side by side, one row each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What the table is about.
    pub title: String,
    /// How to read it; may be empty.
    pub caption: String,
    /// The heading above the names of the rows.
    pub subject: String,
    /// What is known of each row.
    pub columns: Vec<Column>,
    /// The things.
    pub rows: Vec<Row>,
}

/// One column of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What its numbers count.
    pub unit: Unit,
    /// Which of them is marked.
    pub best: Best,
}

/// One row: a name and a value for each column. A missing value is shown as a dash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The thing, a policy for example.
    pub name: String,
    /// In the order of the columns.
    pub values: Vec<Option<f64>>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Chart {
    /// Values over time, or over something else.
    Line(LineChart),
    /// Which part of the values is at most so large.
    Cdf(CdfChart),
    /// Which GPU does what, when.
    Occupancy(OccupancyChart),
    /// Few values to compare.
    Bars(BarChart),
}

/// What every chart says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// A line above the chart.
    pub title: String,
    /// A sentence or two below it: how to read it, what to see; may be empty.
    pub note: String,
}

/// One of the two directions of a chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What is measured along it, without the unit.
    pub label: String,
    /// What its numbers count.
    pub unit: Unit,
    /// Equal steps are equal factors; values of 0 and less have no place on it.
    pub log: bool,
    /// Where it begins, if not at 0 or at the smallest value.
    pub min: Option<f64>,
    /// Where it ends, if not at the largest value.
    pub max: Option<f64>,
}

/// Series over a common axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LineChart {
    /// Title and note.
    pub caption: Caption,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// At most [`SERIES_MAX`] are drawn; how many more there are is said in the legend.
    pub series: Vec<Series>,
    /// Heights to compare with: a capacity, a goal.
    pub guides: Vec<Guide>,
}

/// How many series can be told apart in one chart.
pub const SERIES_MAX: usize = 8;

/// One line, stair or row of dots.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// How its points are joined.
    pub shape: Shape,
    /// `[x, y]` in rising order of x; long series are thinned for drawing, and keep their extremes.
    pub points: Vec<[f64; 2]>,
    /// The interval around each point, from and to; empty if there is none. Dots only.
    pub intervals: Vec<[f64; 2]>,
    /// Takes the colour of the series in this place, as dots do that belong to a line; a colour of its own if `None`.
    pub like: Option<usize>,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Straight from point to point.
    #[default]
    Line,
    /// Each value holds until the next: a count over time.
    Step,
    /// Not at all.
    Dots,
}

/// A height with a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guide {
    /// Where, in the unit of the y axis.
    pub at: f64,
    /// What is there.
    pub label: String,
}

/// Cumulative distributions over a common axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CdfChart {
    /// Title and note.
    pub caption: Caption,
    /// What is distributed. On a logarithmic axis values of 0 count from its left end on.
    pub x: Axis,
    /// At most [`SERIES_MAX`] are drawn.
    pub series: Vec<Distribution>,
}

/// One distribution; [`cumulative`] makes it from samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Its name in the legend.
    pub name: String,
    /// `[value, part of the samples that are at most this]`, both rising.
    pub points: Vec<[f64; 2]>,
}

/// GPU × time: what holds which row from when to when.
///
/// Up to [`ROWS_MAX`] rows and [`SPANS_MAX`] spans are drawn one by one; beyond that the chart becomes a map of how busy a
/// group of rows is in a piece of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OccupancyChart {
    /// Title and note.
    pub caption: Caption,
    /// The rows from top to bottom: GPUs, or nodes.
    pub rows: Vec<String>,
    /// What the colours mean: users, kinds of task. Empty if all are alike.
    pub groups: Vec<String>,
    /// The tasks.
    pub spans: Vec<Span>,
    /// Where the chart begins and ends, in seconds; from the first to the last span if not given.
    pub window_s: Option<[f64; 2]>,
}

/// More rows than this are drawn as a map.
pub const ROWS_MAX: usize = 200;
/// More spans than this are drawn as a map.
pub const SPANS_MAX: usize = 5_000;

/// A task on a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Index into the rows.
    pub row: usize,
    /// When it begins.
    pub from_s: f64,
    /// When it ends.
    pub to_s: f64,
    /// The part of the row it holds, more than 0 and at most 1; parts of one row lie on top of each other.
    pub share: f64,
    /// Index into the groups.
    pub group: usize,
    /// Its name, shown when the pointer rests on it; may be empty.
    pub label: String,
}

/// Few values side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BarChart {
    /// Title and note.
    pub caption: Caption,
    /// What the values count.
    pub value: Axis,
    /// One group of bars each: policies.
    pub categories: Vec<String>,
    /// One bar in each group: at most [`SERIES_MAX`].
    pub series: Vec<Bars>,
}

/// One value for each category.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bars {
    /// The name in the legend; empty if it is the only one.
    pub name: String,
    /// In the order of the categories.
    pub values: Vec<Option<f64>>,
}

impl Chart {
    /// Title and note.
    #[must_use]
    pub fn caption(&self) -> &Caption {
        match self {
            Self::Line(chart) => &chart.caption,
            Self::Cdf(chart) => &chart.caption,
            Self::Occupancy(chart) => &chart.caption,
            Self::Bars(chart) => &chart.caption,
        }
    }
}

/// One chart as a picture of its own: an SVG file, with its colours for light and dark.
#[must_use]
pub fn svg(chart: &Chart) -> String {
    canvas::document(&drawn(chart), chart.caption())
}

/// One chart as an `<svg>` element for a page that has [`STYLE`] already.
#[must_use]
pub fn figure(chart: &Chart) -> String {
    canvas::element(&drawn(chart), chart.caption())
}

fn drawn(chart: &Chart) -> canvas::Canvas {
    match chart {
        Chart::Line(chart) => line::draw(chart),
        Chart::Cdf(chart) => cdf::draw(chart),
        Chart::Occupancy(chart) => occupancy::draw(chart),
        Chart::Bars(chart) => bars::draw(chart),
    }
}

#[cfg(test)]
mod tests;
