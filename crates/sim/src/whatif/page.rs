//! The answer as a page: tables and pictures.

use fastgpu_report::{
    Axis, BarChart, Bars, Best, Caption, CdfChart, Chart, Column, Distribution, Guide, LineChart,
    OccupancyChart, Report, Row, Series, Shape, Span, Table, Unit, cumulative,
};

use super::{Answer, Outcomes, Pictures, PolicyAnswer};

/// More policies than this get no picture of their GPUs: the page would never end.
const OCCUPANCIES_MAX: usize = 4;
/// Owners that get a colour of their own; the rest share one.
const OWNERS_SHOWN: usize = 7;

/// What was asked, for the head of the page.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The heading.
    pub title: String,
    /// What was typed.
    pub command: String,
    /// Name and value: trace, cluster, faults, prices.
    pub settings: Vec<(String, String)>,
}

/// The page.
#[must_use]
pub fn report(asked: Asked, outcomes: &Outcomes) -> Report {
    let answer = &outcomes.answer;
    Report {
        title: asked.title,
        command: asked.command,
        summary: summary(answer),
        settings: asked.settings,
        tables: vec![waits(answer), use_and_cost(answer), fairness(answer)],
        charts: charts(outcomes),
    }
}

fn summary(answer: &Answer) -> String {
    let cluster = &answer.cluster;
    let what = format!("{} tasks on {} GPUs in {} machines.", answer.tasks, cluster.gpus, cluster.nodes);
    let best = answer.policies.iter().min_by(|a, b| a.wait_s.mean.total_cmp(&b.wait_s.mean));
    match best {
        Some(best) if answer.policies.len() > 1 => format!(
            "{what} Tasks wait least with {}: {} on average.",
            best.policy,
            fastgpu_report::quantity(best.wait_s.mean, Unit::Seconds)
        ),
        Some(only) => format!(
            "{what} Tasks wait {} on average, and {:.1} % of all GPU time is held.",
            fastgpu_report::quantity(only.wait_s.mean, Unit::Seconds),
            only.utilization_percent
        ),
        None => what,
    }
}

type Value<'a> = (&'a str, Unit, Best, fn(&PolicyAnswer) -> f64);

fn table(title: &str, caption: &str, answer: &Answer, values: &[Value<'_>]) -> Table {
    // A column of zeros tells nothing: no prices, no faults.
    let is_told = |value: &&Value<'_>| answer.policies.iter().any(|policy| (value.3)(policy) != 0.0);
    let values: Vec<&Value<'_>> = values.iter().filter(is_told).collect();
    let column = |&&(name, unit, best, _): &&Value<'_>| Column { name: name.to_owned(), unit, best };
    let row = |policy: &PolicyAnswer| Row {
        name: policy.policy.clone(),
        values: values.iter().map(|(.., of)| Some(of(policy))).collect(),
    };
    Table {
        title: title.to_owned(),
        caption: caption.to_owned(),
        subject: "policy".to_owned(),
        columns: values.iter().map(column).collect(),
        rows: answer.policies.iter().map(row).collect(),
    }
}

fn waits(answer: &Answer) -> Table {
    use Best::Lowest;
    use Unit::Seconds;
    table(
        "Waiting and completion",
        "A wait is all the time a task is queued, also after it was preempted or a machine failed it.",
        answer,
        &[
            ("wait, mean", Seconds, Lowest, |policy| policy.wait_s.mean),
            ("wait, p50", Seconds, Lowest, |policy| policy.wait_s.p50),
            ("wait, p99", Seconds, Lowest, |policy| policy.wait_s.p99),
            ("longest wait", Seconds, Lowest, |policy| policy.wait_s.max),
            ("completion, mean", Seconds, Lowest, |policy| policy.completion_s.mean),
            ("completion, p99", Seconds, Lowest, |policy| policy.completion_s.p99),
            ("makespan", Seconds, Lowest, |policy| policy.makespan_s),
        ],
    )
}

fn use_and_cost(answer: &Answer) -> Table {
    use Best::{Highest, Lowest, None};
    use Unit::{Fraction, GpuHours, KilowattHours, Money};
    table(
        "Use, energy and cost",
        "Unusable is free GPU that the usual tasks could not use, of all GPU. Cost counts every GPU for the whole time; \
         electricity counts the GPUs alone.",
        answer,
        &[
            ("held, part", Fraction, Highest, |policy| policy.utilization_percent / 100.0),
            ("held, time", GpuHours, None, |policy| policy.gpu_hours.held),
            ("done twice", GpuHours, Lowest, |policy| policy.gpu_hours.lost),
            ("unusable", Fraction, Lowest, |policy| policy.fragmentation_percent / 100.0),
            ("energy", KilowattHours, Lowest, |policy| policy.energy.kwh),
            ("of that idle", KilowattHours, Lowest, |policy| policy.energy.idle_kwh),
            ("cost", Money, Lowest, |policy| policy.cost.gpus),
            ("electricity", Money, Lowest, |policy| policy.cost.electricity),
        ],
    )
}

fn fairness(answer: &Answer) -> Table {
    use Best::{Highest, Lowest, None};
    use Unit::{Count, Fraction};
    table(
        "Fairness and trouble",
        "Jain's index compares how fast the tasks of each owner got through; 1 is even. A finish-time ratio above 1.05 is \
         unfair: the task would have been faster with its fair part of the cluster to itself.",
        answer,
        &[
            ("Jain's index", Count, Highest, |policy| policy.fairness.jain_owners),
            ("worst ratio", Count, Lowest, |policy| policy.fairness.finish_time_ratio.worst),
            ("unfair", Fraction, Lowest, |policy| policy.fairness.finish_time_ratio.unfair_percent / 100.0),
            ("preemptions", Count, Lowest, |policy| float(policy.preemptions)),
            ("machine failures", Count, None, |policy| float(policy.machine_failures)),
            ("succeeded", Count, Highest, |policy| float(policy.tasks.succeeded)),
            ("failed", Count, Lowest, |policy| float(policy.tasks.failed)),
            ("refused", Count, Lowest, |policy| float(policy.tasks.refused)),
            ("left over", Count, Lowest, |policy| float(policy.tasks.parked + policy.tasks.unfinished)),
        ],
    )
}

fn charts(outcomes: &Outcomes) -> Vec<Chart> {
    let pictures = &outcomes.pictures;
    let gpus = outcomes.answer.cluster.gpus;
    let mut allocation = over_time(pictures, "GPUs held", Unit::Count, 0, "Allocation over time", "");
    allocation.guides = vec![Guide { at: float(gpus as u64), label: "all GPUs".to_owned() }];
    let waiting = over_time(
        pictures,
        "tasks",
        Unit::Count,
        2,
        "Tasks that wait",
        "How many tasks are queued, over time.",
    );
    let wasted = over_time(
        pictures,
        "GPUs",
        Unit::Count,
        4,
        "Fragmentation over time",
        "Free GPUs that the usual tasks of this trace could not use, on average over those tasks.",
    );
    let power = over_time(pictures, "power of all GPUs", Unit::Watts, 5, "Power over time", "");
    let mut charts =
        vec![Chart::Line(allocation), Chart::Line(waiting), Chart::Cdf(cdf(pictures)), Chart::Line(wasted)];
    charts.extend(pictures.iter().take(OCCUPANCIES_MAX).map(|picture| Chart::Occupancy(occupancy(picture))));
    charts.push(Chart::Line(power));
    charts.push(Chart::Bars(energy(&outcomes.answer)));
    if outcomes.answer.policies.iter().any(|policy| policy.cost.gpus > 0.0) {
        charts.push(Chart::Bars(cost(&outcomes.answer)));
    }
    charts
}

fn over_time(
    pictures: &[Pictures],
    label: &str,
    unit: Unit,
    signal: usize,
    title: &str,
    note: &str,
) -> LineChart {
    let series = |picture: &Pictures| Series {
        name: picture.policy.clone(),
        shape: Shape::Line,
        points: picture.series.iter().map(|(t, values)| [*t, values[signal]]).collect(),
        intervals: Vec::new(),
        like: None,
    };
    LineChart {
        caption: Caption { title: title.to_owned(), note: note.to_owned() },
        x: Axis { label: "time".to_owned(), unit: Unit::Seconds, ..Axis::default() },
        y: Axis { label: label.to_owned(), unit, min: Some(0.0), ..Axis::default() },
        series: pictures.iter().map(series).collect(),
        guides: Vec::new(),
    }
}

fn cdf(pictures: &[Pictures]) -> CdfChart {
    let distribution = |picture: &Pictures| Distribution {
        name: picture.policy.clone(),
        points: cumulative(&picture.waits_s),
    };
    CdfChart {
        caption: Caption {
            title: "Waiting times".to_owned(),
            note: "Which part of the tasks waited at most so long. Steep and left is good; the right end is the longest wait."
                .to_owned(),
        },
        x: Axis { label: "wait".to_owned(), unit: Unit::Seconds, log: true, min: Some(1.0), ..Axis::default() },
        series: pictures.iter().map(distribution).collect(),
    }
}

fn occupancy(picture: &Pictures) -> OccupancyChart {
    let title = format!("GPUs over time: {}", picture.policy);
    let window_s = Some([0.0, picture.end_s]);
    let rows = picture.gpus.iter().map(|(label, _)| label.clone()).collect();
    if let Some(runs) = &picture.runs {
        let mut groups: Vec<String> = picture.owners.iter().take(OWNERS_SHOWN).cloned().collect();
        if picture.owners.len() > OWNERS_SHOWN {
            groups.push("others".to_owned());
        }
        let span = |run: &super::RunPicture| Span {
            row: run.gpu,
            from_s: run.from_s,
            to_s: run.to_s,
            share: run.share,
            group: run.owner.min(groups.len().saturating_sub(1)),
            label: run.label.clone(),
        };
        let spans = runs.iter().map(span).collect();
        let note = "A row is a GPU, a block a task, a colour an owner.".to_owned();
        return OccupancyChart { caption: Caption { title, note }, rows, groups, spans, window_s };
    }
    let steps = picture.gpus.first().map_or(0, |(_, busy)| busy.len());
    let step_s = picture.end_s / float(steps.max(1) as u64);
    let spans = picture.gpus.iter().enumerate().flat_map(|(row, (_, busy))| {
        busy.iter().enumerate().filter(|(_, share)| **share > 0.0).map(move |(step, &share)| Span {
            row,
            from_s: float(step as u64) * step_s,
            to_s: float(step as u64 + 1) * step_s,
            share: share.min(1.0),
            group: 0,
            label: String::new(),
        })
    });
    let note = "A row is a GPU or a group of neighbours; the darker, the more of it is held.".to_owned();
    OccupancyChart {
        caption: Caption { title, note },
        rows,
        groups: Vec::new(),
        spans: spans.collect(),
        window_s,
    }
}

fn energy(answer: &Answer) -> BarChart {
    bars(
        answer,
        "Energy",
        "What GPUs drew while they were held, and while nobody held them.",
        Unit::KilowattHours,
        &[
            ("held", |policy| policy.energy.kwh - policy.energy.idle_kwh),
            ("idle", |policy| policy.energy.idle_kwh),
        ],
    )
}

fn cost(answer: &Answer) -> BarChart {
    bars(
        answer,
        "Cost",
        "What all GPUs cost for the whole time, and which part of it tasks held.",
        Unit::Money,
        &[("all GPUs", |policy| policy.cost.gpus), ("held by tasks", |policy| policy.cost.held)],
    )
}

type BarOf<'a> = (&'a str, fn(&PolicyAnswer) -> f64);

fn bars(answer: &Answer, title: &str, note: &str, unit: Unit, series: &[BarOf<'_>]) -> BarChart {
    BarChart {
        caption: Caption { title: title.to_owned(), note: note.to_owned() },
        value: Axis { label: title.to_lowercase(), unit, ..Axis::default() },
        categories: answer.policies.iter().map(|policy| policy.policy.clone()).collect(),
        series: series
            .iter()
            .map(|(name, of)| Bars {
                name: (*name).to_owned(),
                values: answer.policies.iter().map(|policy| Some(of(policy))).collect(),
            })
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a report are far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
