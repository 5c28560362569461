//! The answer as a page: allocation by what was asked for, per policy.

use fastgpu_report::{
    Axis, Best, Caption, Chart, Column, LineChart, Report, Row, Series, Shape, Table, Unit,
};

use super::{Answer, Figures};

/// The page.
#[must_use]
pub fn report(answers: &[Answer], command: String, settings: Vec<(String, String)>) -> Report {
    let best = answers.iter().max_by(|a, b| last(&a.mean).total_cmp(&last(&b.mean)));
    let summary = best.map_or_else(String::new, |best| {
        let runs = best.seeds.len();
        let orders = if runs == 1 { "one order".to_owned() } else { format!("{runs} orders") };
        format!(
            "{} allocates most: {:.2} % on average over {orders} of tasks.",
            best.policy,
            last(&best.mean)
        )
    });
    Report {
        title: "Packing of the openb trace".to_owned(),
        command,
        summary,
        settings,
        tables: vec![table(answers)],
        charts: vec![chart(answers)],
    }
}

fn last(figures: &Figures) -> f64 {
    figures.marks().last().map_or(0.0, |&(_, allocated)| allocated)
}

impl Figures {
    /// Asked for in percent of all GPU, and allocated then.
    fn marks(&self) -> Vec<(f64, f64)> {
        let mut marks: Vec<(f64, f64)> = self
            .allocation
            .iter()
            .filter_map(|(mark, &allocated)| Some((mark.parse().ok()?, allocated)))
            .collect();
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        marks
    }
}

fn table(answers: &[Answer]) -> Table {
    let marks: Vec<String> = answers
        .first()
        .map(|answer| answer.mean.marks().iter().map(|(mark, _)| format!("{mark}")).collect())
        .unwrap_or_default();
    let column = |name: String, unit, best| Column { name, unit, best };
    let mut columns: Vec<Column> =
        marks.iter().map(|mark| column(format!("at {mark} %"), Unit::Fraction, Best::Highest)).collect();
    columns.extend([
        column("unusable".to_owned(), Unit::Fraction, Best::Lowest),
        column("idle GPUs".to_owned(), Unit::Count, Best::Lowest),
        column("lost tasks".to_owned(), Unit::Count, Best::None),
        column("decision, p50".to_owned(), Unit::Seconds, Best::Lowest),
        column("decision, p99".to_owned(), Unit::Seconds, Best::Lowest),
    ]);
    let row = |answer: &Answer| {
        let mean = &answer.mean;
        let mut values: Vec<Option<f64>> =
            marks.iter().map(|mark| mean.allocation.get(mark).map(|percent| percent / 100.0)).collect();
        let worst = |of: fn(&super::DecisionUs) -> f64| {
            answer.seeds.iter().map(|seed| of(&seed.decision_us) / 1e6).max_by(f64::total_cmp)
        };
        values.extend([Some(mean.unusable / 100.0), Some(mean.idle_gpus), Some(mean.lost)]);
        values.extend([worst(|us| us.p50), worst(|us| us.p99)]);
        Row { name: answer.policy.clone(), values }
    };
    Table {
        title: "Allocated GPU, by how much was asked for".to_owned(),
        caption: "Averages over the orders of tasks; of decision times the worst order.".to_owned(),
        subject: "policy".to_owned(),
        columns,
        rows: answers.iter().map(row).collect(),
    }
}

fn chart(answers: &[Answer]) -> Chart {
    let series = |answer: &Answer| Series {
        name: answer.policy.clone(),
        shape: Shape::Line,
        points: answer
            .mean
            .marks()
            .iter()
            .map(|(mark, allocated)| [mark / 100.0, allocated / 100.0])
            .collect(),
        intervals: Vec::new(),
        like: None,
    };
    // What policies differ in is small: the axis begins just below the worst.
    let allocated = answers.iter().flat_map(|answer| answer.mean.allocation.values().copied());
    let worst = allocated.fold(100.0, f64::min);
    let from = ((worst / 5.0).floor() - 1.0).max(0.0) * 0.05;
    Chart::Line(LineChart {
        caption: Caption {
            title: "Allocated over asked for".to_owned(),
            note: "What cannot be allocated is idle in pieces that no task wants.".to_owned(),
        },
        x: Axis { label: "asked for, of all GPU".to_owned(), unit: Unit::Fraction, ..Axis::default() },
        y: Axis { label: "allocated".to_owned(), unit: Unit::Fraction, min: Some(from), ..Axis::default() },
        series: answers.iter().map(series).collect(),
        guides: Vec::new(),
    })
}
