//! One line for each peer, as Markdown for a page and as JSON for a file.

use serde_json::{Value, json};

use super::super::row::number;
use super::pairs::{Pairs, Spread};
use super::side::{PROGRAM, SLOTS};

/// Above this 1-minute load average, somebody else is at work.
const QUIET_LOAD_MAX: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Line {
    label: String,
    measured: Option<Figures>,
    /// Why nothing was measured.
    why_not: Option<String>,
}

#[derive(Debug)]
struct Figures {
    pairs: usize,
    theirs: Spread,
    ours: Spread,
    ratio: Spread,
}

impl Line {
    pub(super) fn of_pairs(label: String, pairs: &Pairs) -> Self {
        let figures = Figures {
            pairs: pairs.count(),
            theirs: pairs.theirs(),
            ours: pairs.ours(),
            ratio: pairs.ratio(),
        };
        Self { label, measured: Some(figures), why_not: None }
    }

    pub(super) fn not_measured(name: &str, error: &anyhow::Error) -> Self {
        println!("  not measured: {error:#}");
        Self { label: name.to_owned(), measured: None, why_not: Some(format!("{error:#}")) }
    }

    fn markdown(&self) -> String {
        let cells = match &self.measured {
            None => ["not measured".to_owned(), "–".to_owned(), "–".to_owned()],
            Some(figures) => {
                let Figures { theirs, ours, ratio, .. } = figures;
                [rate_text(theirs), rate_text(ours), ratio_text(ratio)]
            }
        };
        format!("| {} | {} |", self.label, cells.join(" | "))
    }

    pub(super) fn to_json(&self) -> Value {
        let spread =
            |spread: &Spread| json!({ "median": spread.median, "low": spread.low, "high": spread.high });
        let measured = self.measured.as_ref().map(|figures| {
            json!({
                "pairs": figures.pairs,
                "theirs_per_s": spread(&figures.theirs),
                "ours_per_s": spread(&figures.ours),
                "ratio": spread(&figures.ratio),
            })
        });
        json!({ "label": self.label, "measured": measured, "not_measured": self.why_not })
    }
}

fn rate_text(spread: &Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.low), number(spread.high))
}

fn ratio_text(spread: &Spread) -> String {
    format!("**{:.2}** ({:.2}–{:.2})", spread.median, spread.low, spread.high)
}

/// A table with a line for each peer.
pub(super) fn markdown(lines: &[Line]) -> String {
    let tasks = number(super::TASKS as f64);
    let head = format!(
        "| beside FastGPU: {tasks} × `{PROGRAM}`, {SLOTS} slots | tasks per second | FastGPU in the same pairs | FastGPU / it |"
    );
    let rows = lines.iter().map(Line::markdown);
    [head, "|---|---|---|---|".to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// What the table was measured on, and a warning where that was no place to measure: beside other work, whoever has more
/// processes gets more of the machine.
pub(super) fn caption(machine: &Value, load_before: f64) -> String {
    let words = |name: &str| machine[name].as_str().unwrap_or("?").to_owned();
    let (cores, date) = (&machine["cores"], words("date"));
    let date = date.split('T').next().unwrap_or_default();
    let place = format!(
        "{cores} cores ({}), commit {}, {date}, load before {load_before:.1}",
        words("cpu"),
        words("git_commit")
    );
    if load_before > QUIET_LOAD_MAX {
        format!("On {place}: **the machine had other work, so these figures say little.**")
    } else {
        format!("On {place}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_told_under_the_table() {
        let machine =
            json!({ "cores": 2, "cpu": "A", "git_commit": "c", "date": "2026-12-01T16:00:00+00:00" });
        assert_eq!(caption(&machine, 0.3), "On 2 cores (A), commit c, 2026-12-01, load before 0.3.");
        assert!(caption(&machine, 14.1).ends_with("these figures say little.**"));
    }

    #[test]
    fn a_line_says_both_rates_and_their_ratio() {
        let mut pairs = Pairs::default();
        pairs.add(1_500.0, 1_000.0);
        let line = Line::of_pairs("Peer 1.2".to_owned(), &pairs);
        assert_eq!(
            line.markdown(),
            "| Peer 1.2 | 1,000 (1,000–1,000) | 1,500 (1,500–1,500) | **1.50** (1.50–1.50) |"
        );
        assert_eq!(line.to_json()["measured"]["ratio"]["median"], 1.5);
    }

    #[test]
    fn who_was_not_measured_is_not_hidden() {
        let line = Line::not_measured("Peer", &anyhow::anyhow!("it is not here"));
        assert_eq!(line.markdown(), "| Peer | not measured | – | – |");
        assert_eq!(line.to_json()["not_measured"], "it is not here");
        assert!(markdown(&[line]).lines().count() == 3);
    }
}
