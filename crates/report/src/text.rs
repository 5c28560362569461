//! The page for a terminal: the words and the tables; of the charts what they would show.

use std::fmt::Write as _;

use crate::escape::is_hostile;
use crate::format::quantity;
use crate::{Best, Chart, Column, Report, Table};

/// The report as plain text, without control characters of strangers.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let title = visible(&report.title);
    let _ = writeln!(out, "{title}\n{}", "=".repeat(title.chars().count()));
    if !report.summary.is_empty() {
        let _ = writeln!(out, "\n{}", visible(&report.summary));
    }
    for table in &report.tables {
        let _ = writeln!(out, "\n{}", visible(&table.title));
        write_table(&mut out, table);
        if !table.caption.is_empty() {
            let _ = writeln!(out, "{}", visible(&table.caption));
        }
    }
    if !report.settings.is_empty() {
        out.push_str("\nSettings\n");
        let width = report.settings.iter().map(|(name, _)| visible(name).chars().count()).max().unwrap_or(0);
        for (name, value) in &report.settings {
            let _ = writeln!(out, "  {:<width$}  {}", visible(name), visible(value));
        }
    }
    if !report.charts.is_empty() {
        out.push('\n');
    }
    for chart in &report.charts {
        let _ = writeln!(out, "Chart: {} ({})", visible(&chart.caption().title), contents(chart));
    }
    if !report.command.is_empty() {
        let _ = writeln!(out, "\nMade by: {}", visible(&report.command));
    }
    out
}

fn contents(chart: &Chart) -> String {
    match chart {
        Chart::Line(chart) => format!("{} series", chart.series.len()),
        Chart::Cdf(chart) => format!("{} distributions", chart.series.len()),
        Chart::Occupancy(chart) => format!("{} rows, {} spans", chart.rows.len(), chart.spans.len()),
        Chart::Bars(chart) => format!("{} groups of bars", chart.categories.len()),
    }
}

fn write_table(out: &mut String, table: &Table) {
    let best = best_of(table);
    let heading =
        std::iter::once(visible(&table.subject)).chain(table.columns.iter().map(|c| visible(&c.name)));
    let mut lines: Vec<Vec<String>> = vec![heading.collect()];
    for (row, marks) in table.rows.iter().zip(&best) {
        let cells = table.columns.iter().enumerate().map(|(place, column)| {
            let mark = if marks[place] { "*" } else { "" };
            format!("{}{mark}", cell(row.values.get(place).copied().flatten(), column))
        });
        lines.push(std::iter::once(visible(&row.name)).chain(cells).collect());
    }
    let widths: Vec<usize> = (0..=table.columns.len())
        .map(|place| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0))
        .collect();
    for line in &lines {
        let _ = write!(out, "  {:<1$}", line[0], widths[0]);
        for (text, width) in line.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {text:>width$}");
        }
        out.push('\n');
    }
    if best.iter().flatten().any(|mark| *mark) {
        out.push_str("  * best of its column\n");
    }
}

/// How a value of a column is written.
pub(crate) fn cell(value: Option<f64>, column: &Column) -> String {
    quantity(value.unwrap_or(f64::NAN), column.unit)
}

/// Which cells are the best of their column: for each row, for each column. Where all are equal, none is.
pub(crate) fn best_of(table: &Table) -> Vec<Vec<bool>> {
    let mut marks = vec![vec![false; table.columns.len()]; table.rows.len()];
    for (place, column) in table.columns.iter().enumerate() {
        // What is written alike is alike.
        let written: Vec<String> =
            table.rows.iter().map(|row| cell(row.values.get(place).copied().flatten(), column)).collect();
        let values = table
            .rows
            .iter()
            .zip(&written)
            .filter_map(|(row, text)| Some(((*row.values.get(place)?)?, text)));
        let values = values.filter(|(value, _)| value.is_finite());
        let first = match column.best {
            Best::None => None,
            Best::Lowest => values.min_by(|left, right| left.0.total_cmp(&right.0)),
            Best::Highest => values.max_by(|left, right| left.0.total_cmp(&right.0)),
        };
        let Some((_, best)) = first else { continue };
        if written.iter().all(|text| text == best) {
            continue;
        }
        for (row, text) in written.iter().enumerate() {
            marks[row][place] = text == best;
        }
    }
    marks
}

/// Without what would move the cursor or turn the direction of writing around.
fn visible(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '\u{fffd}' } else { c }).collect()
}
