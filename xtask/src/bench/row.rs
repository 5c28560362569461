//! What a row of the table is: figures, what they should reach, and the limit seen in the same run.

use serde_json::{Value, json};

/// One thing that is measured.
pub(super) struct Row {
    /// Also the name of its file in `target/bench`, and what `--only` takes.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) measure: fn(&super::Context) -> anyhow::Result<Measured>,
}

/// On which side of its mark a figure is good.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

/// One number of a row.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    reach: Option<Reach>,
    /// What bounds it on this machine, measured in the same run: words and number in the figure's unit.
    limit: Option<(String, f64)>,
}

impl Figure {
    pub(super) fn new(label: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { label: label.into(), value, unit, reach: None, limit: None }
    }

    pub(super) fn reach(mut self, reach: Reach) -> Self {
        self.reach = Some(reach);
        self
    }

    /// A limit that could not be measured is left out, never guessed.
    pub(super) fn limit(mut self, words: &str, value: anyhow::Result<f64>) -> Self {
        match value {
            Ok(value) => self.limit = Some((words.to_owned(), value)),
            Err(error) => println!("  limit not measured: {words}: {error:#}"),
        }
        self
    }

    fn reach_text(&self) -> String {
        match self.reach {
            None => String::new(),
            Some(Reach::AtLeast(mark)) => format!("≥ {}", number(mark)),
            Some(Reach::AtMost(mark)) => format!("≤ {}", number(mark)),
        }
    }

    fn is_reached(&self) -> Option<bool> {
        self.reach.map(|reach| match reach {
            Reach::AtLeast(mark) => self.value >= mark,
            Reach::AtMost(mark) => self.value <= mark,
        })
    }

    /// The columns of the table.
    pub(super) fn cells(&self) -> [String; 6] {
        let reached = self.is_reached().map_or("", |reached| if reached { "yes" } else { "no" });
        let limit = self.limit.as_ref().map(|(words, value)| format!("{} {words}", number(*value)));
        let ratio = self.limit.as_ref().map(|(_, value)| format!("{:.2}", self.value / value));
        [
            self.label.clone(),
            format!("{} {}", number(self.value), self.unit),
            self.reach_text(),
            reached.to_owned(),
            limit.unwrap_or_default(),
            ratio.unwrap_or_default(),
        ]
    }

    pub(super) fn to_json(&self) -> Value {
        let limit = self
            .limit
            .as_ref()
            .map(|(words, value)| json!({ "what": words, "value": value, "ratio": self.value / value }));
        json!({
            "label": self.label,
            "value": self.value,
            "unit": self.unit,
            "reach": self.reach_text(),
            "reached": self.is_reached(),
            "limit": limit,
        })
    }
}

/// The figures of a row, and what a reader must know to believe them.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) figures: Vec<Figure>,
    pub(super) notes: Vec<String>,
}

impl Measured {
    pub(super) fn of(figures: Vec<Figure>) -> Self {
        Self { figures, notes: Vec::new() }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Three digits that count, thousands apart.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction.map(|digits| digits.trim_end_matches('0')).filter(|digits| !digits.is_empty()) {
        None => grouped,
        Some(digits) => format!("{grouped}.{digits}"),
    }
}

/// The value below which this part of the samples lies; the samples get sorted.
pub(super) fn quantile(samples: &mut [f64], part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the last index"
    )]
    let index = (last as f64 * part).round() as usize;
    samples.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(number(12_345.6), "12,346");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(2.345), "2.35");
        assert_eq!(number(3.0), "3");
        assert_eq!(number(100_000.0), "100,000");
        assert_eq!(number(0.5), "0.5");
    }

    #[test]
    fn quantiles_are_samples() {
        let mut samples: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(&mut samples, 0.5), quantile(&mut samples, 0.99)), (50.0, 99.0));
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn a_mark_is_a_floor_or_a_ceiling() {
        let figure = |reach| Figure::new("x", 5.0, "ms").reach(reach).is_reached();
        assert_eq!(figure(Reach::AtLeast(5.0)), Some(true));
        assert_eq!(figure(Reach::AtLeast(5.1)), Some(false));
        assert_eq!(figure(Reach::AtMost(4.9)), Some(false));
        assert_eq!(Figure::new("x", 5.0, "ms").is_reached(), None);
    }
}
