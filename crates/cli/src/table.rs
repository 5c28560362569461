//! Columns that line up and fit the terminal. The last column gives way first; nothing wraps.

use crate::visible::visible;

/// Space between two columns.
const GAP: &str = "  ";
/// A column that gives way keeps at least this much.
const SHRUNK_MIN: usize = 6;

/// One cell: what it says, and how it looks (the two differ by colour codes only).
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    painted: Option<String>,
}

impl Cell {
    /// A cell whose colour is decided by `paint`, which must only add colour codes.
    pub(crate) fn painted(text: &str, paint: impl FnOnce(&str) -> String) -> Self {
        let text = visible(text).into_owned();
        let painted = Some(paint(&text));
        Self { text, painted }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The cell in exactly `width` columns, or fewer if it is the `last` of its line.
    fn fit(&self, width: usize, last: bool) -> String {
        let own = self.width();
        if own > width {
            let kept: String = self.text.chars().take(width.saturating_sub(1)).collect();
            return format!("{kept}…");
        }
        let padding = if last { 0 } else { width - own };
        format!("{}{}", self.painted.as_deref().unwrap_or(&self.text), " ".repeat(padding))
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: visible(text.as_ref()).into_owned(), painted: None }
    }
}

/// Rows under a heading. Columns that are empty in every row are left out.
#[derive(Debug, Default)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    empty: Option<&'static str>,
}

impl Table {
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), ..Self::default() }
    }

    /// What to say instead of a table without rows.
    pub(crate) fn or_say(mut self, empty: &'static str) -> Self {
        self.empty = Some(empty);
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.heading.len(), "a row has a cell for each heading");
        self.rows.push(cells);
    }

    /// The lines, each at most `width` columns where that is known.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        if self.rows.is_empty() {
            return self.empty.map(str::to_owned).into_iter().collect();
        }
        let shown: Vec<usize> = (0..self.heading.len())
            .filter(|&column| self.rows.iter().any(|row| row[column].width() > 0))
            .collect();
        let mut widths: Vec<usize> = shown
            .iter()
            .map(|&column| {
                let cells = self.rows.iter().map(|row| row[column].width());
                cells.chain([self.heading[column].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        if let Some(width) = width {
            shrink(&mut widths, width);
        }
        let heading = self.heading.iter().map(Cell::from).collect::<Vec<_>>();
        std::iter::once(&heading).chain(&self.rows).map(|row| line(row, &shown, &widths)).collect()
    }
}

fn line(row: &[Cell], shown: &[usize], widths: &[usize]) -> String {
    let last = shown.len().saturating_sub(1);
    let cells = shown.iter().zip(widths).enumerate();
    let texts: Vec<_> =
        cells.map(|(place, (&column, &width))| row[column].fit(width, place == last)).collect();
    texts.join(GAP).trim_end().to_owned()
}

/// Takes columns of space from the last column, then from the widest, until the line fits.
fn shrink(widths: &mut [usize], limit: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
    if let Some(last) = widths.last_mut() {
        let given = excess.min(last.saturating_sub(SHRUNK_MIN));
        *last -= given;
        excess -= given;
    }
    while excess > 0 {
        let Some(widest) = widths.iter_mut().filter(|width| **width > SHRUNK_MIN).max() else { return };
        *widest -= 1;
        excess -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["ID", "NAME", "GPU", "REASON"]);
        table.row(vec!["t-1".into(), "train".into(), "".into(), "needs 1 GPU with 24 GiB; none fits".into()]);
        table.row(vec!["t-22".into(), "".into(), "".into(), "".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let lines = sample().lines(None);
        assert_eq!(lines[0], "ID    NAME   REASON");
        assert_eq!(lines[1], "t-1   train  needs 1 GPU with 24 GiB; none fits");
        assert_eq!(lines[2], "t-22");
    }

    #[test]
    fn the_last_column_gives_way() {
        let lines = sample().lines(Some(24));
        assert_eq!(lines[1], "t-1   train  needs 1 GP…");
        assert!(lines.iter().all(|line| line.chars().count() <= 24));
    }

    #[test]
    fn hostile_text_is_made_visible() {
        let mut table = Table::new(&["NAME"]);
        table.row(vec!["a\x1b[31m".into()]);
        assert_eq!(table.lines(None)[1], "a\\u{1b}[31m");
    }
}
