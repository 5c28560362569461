//! The answer as a page: completion and waiting, per policy.

use fastgpu_report::{
    Axis, Best, Caption, CdfChart, Chart, Column, Distribution, Report, Row, Table, Unit, cumulative,
    quantity,
};

use super::Answer;

/// The page.
#[must_use]
pub fn report(answers: &[Answer], command: String, settings: Vec<(String, String)>) -> Report {
    let best = answers.iter().min_by(|a, b| a.all.completion_s_mean.total_cmp(&b.all.completion_s_mean));
    let summary = best.map_or_else(String::new, |best| {
        let mean = quantity(best.all.completion_s_mean, Unit::Seconds);
        format!("Tasks complete soonest with {}: after {mean} on average.", best.policy)
    });
    let mut tables = vec![whole(answers)];
    tables.extend(answers.iter().map(per_vc));
    Report {
        title: "Completion times on the Philly trace".to_owned(),
        command,
        summary,
        settings,
        tables,
        charts: vec![waits(answers)],
    }
}

type Value = (&'static str, Unit, fn(&super::Figures) -> f64);

const VALUES: [Value; 8] = [
    ("completion, mean", Unit::Seconds, |figures| figures.completion_s_mean),
    ("queue, mean", Unit::Seconds, |figures| figures.queue_s_mean),
    ("wait, p50", Unit::Seconds, |figures| figures.wait_s.p50),
    ("wait, p90", Unit::Seconds, |figures| figures.wait_s.p90),
    ("wait, p99", Unit::Seconds, |figures| figures.wait_s.p99),
    ("wait, p99.9", Unit::Seconds, |figures| figures.wait_s.p999),
    ("preemptions", Unit::Count, |figures| float(figures.preemptions)),
    ("lost work", Unit::Seconds, |figures| figures.lost_work_s),
];

fn columns() -> Vec<Column> {
    let column = |&(name, unit, _): &Value| Column { name: name.to_owned(), unit, best: Best::Lowest };
    VALUES.iter().map(column).collect()
}

fn row(name: &str, figures: &super::Figures) -> Row {
    Row { name: name.to_owned(), values: VALUES.iter().map(|(.., of)| Some(of(figures))).collect() }
}

fn whole(answers: &[Answer]) -> Table {
    Table {
        title: "All virtual clusters".to_owned(),
        caption: "A wait is all the time a task is queued, also after it was preempted.".to_owned(),
        subject: "policy".to_owned(),
        columns: columns(),
        rows: answers.iter().map(|answer| row(&answer.policy, &answer.all)).collect(),
    }
}

fn per_vc(answer: &Answer) -> Table {
    Table {
        title: format!("Each virtual cluster: {}", answer.policy),
        caption: String::new(),
        subject: "cluster".to_owned(),
        columns: columns().into_iter().map(|column| Column { best: Best::None, ..column }).collect(),
        rows: answer.vcs.iter().map(|(vc, answer)| row(vc, &answer.figures)).collect(),
    }
}

fn waits(answers: &[Answer]) -> Chart {
    let distribution =
        |answer: &Answer| Distribution { name: answer.policy.clone(), points: cumulative(&answer.waits_s) };
    Chart::Cdf(CdfChart {
        caption: Caption {
            title: "Waiting times".to_owned(),
            note: "Which part of the tasks waited at most so long.".to_owned(),
        },
        x: Axis {
            label: "wait".to_owned(),
            unit: Unit::Seconds,
            log: true,
            min: Some(1.0),
            ..Axis::default()
        },
        series: answers.iter().map(distribution).collect(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a report are far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
