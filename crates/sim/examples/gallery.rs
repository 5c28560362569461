//! One page with every kind of chart, from made-up numbers, to look at: `cargo run -p fastgpu-sim --example gallery >
//! gallery.html`.
#![expect(clippy::print_stdout, reason = "the page goes where the caller sends it")]

use fastgpu_report::{
    Axis, BarChart, Bars, Best, Caption, CdfChart, Chart, Column, Distribution, Guide, LineChart,
    OccupancyChart, Report, Row, Series, Shape, Span, Table, Unit, cumulative, html,
};
use fastgpu_sim::random::Random;

const POLICIES: [&str; 4] =
    ["first come, first served", "backfill", "shortest first (knows durations)", "fair shares"];
const HOUR_S: f64 = 3_600.0;

fn axis(label: &str, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), unit, ..Axis::default() }
}

fn caption(title: &str, note: &str) -> Caption {
    Caption { title: title.to_owned(), note: note.to_owned() }
}

fn main() {
    let mut random = Random::stream(1, 0);
    let report = Report {
        title: "Four policies on two days of a made-up cluster".to_owned(),
        command: "cargo run -p fastgpu-sim --example gallery".to_owned(),
        summary: "Every number here is drawn at random, so nothing follows from it; the page shows what tables and charts look \
                  like, in light and in dark, with many points and with few."
            .to_owned(),
        settings: vec![("seed".to_owned(), "1".to_owned()), ("cluster".to_owned(), "8 nodes of 8 GPUs".to_owned())],
        tables: vec![table()],
        charts: vec![
            busy(&mut random),
            wiggles(&mut random),
            waits(&mut random),
            tasks(&mut random, "Which GPU did what", 16, 220),
            tasks(&mut random, "Which GPU did what, a large cluster", 1_200, 9_000),
            bars(),
        ],
    };
    print!("{}", html(&report));
}

fn table() -> Table {
    let column = |name: &str, unit, best| Column { name: name.to_owned(), unit, best };
    let values = [
        [52_310.0, 380_000.0, 0.612, 4_096.0, 18_240.5],
        [4_210.0, 61_000.0, 0.871, 2_991.0, 13_310.2],
        [1_904.0, 88_000.0, 0.874, 2_991.0, 13_502.8],
        [3_777.0, 42_000.0, 0.866, 3_012.0, 13_390.0],
    ];
    Table {
        title: "Policies side by side".to_owned(),
        caption: "Utilization is over the makespan; the best value of each column is marked.".to_owned(),
        subject: "policy".to_owned(),
        columns: vec![
            column("mean wait", Unit::Seconds, Best::Lowest),
            column("p99 wait", Unit::Seconds, Best::Lowest),
            column("utilization", Unit::Fraction, Best::Highest),
            column("energy", Unit::KilowattHours, Best::Lowest),
            column("cost", Unit::Money, Best::Lowest),
        ],
        rows: POLICIES
            .iter()
            .zip(values)
            .map(|(name, values)| Row { name: (*name).to_owned(), values: values.map(Some).to_vec() })
            .collect(),
    }
}

fn busy(random: &mut Random) -> Chart {
    let mut series = Vec::new();
    for (index, name) in POLICIES.iter().take(3).enumerate() {
        let mut level = 30.0 + 5.0 * index as f64;
        let points = (0..200).map(|step| {
            level = (level + 3.0 * random.normal()).clamp(0.0, 64.0);
            [f64::from(step) * 0.24 * HOUR_S, level.round()]
        });
        series.push(Series {
            name: (*name).to_owned(),
            shape: Shape::Step,
            points: points.collect(),
            ..Series::default()
        });
    }
    Chart::Line(LineChart {
        caption: caption("GPUs in use", "A step holds until the next start or end of a task."),
        x: axis("time", Unit::Seconds),
        y: axis("GPUs", Unit::Count),
        series,
        guides: vec![Guide { at: 64.0, label: "all 64 GPUs".to_owned() }],
    })
}

fn wiggles(random: &mut Random) -> Chart {
    let mut series: Vec<Series> = (0..8)
        .map(|index| {
            let points = (0..5_000).map(|step| {
                let x = f64::from(step) / 5_000.0;
                let y = 0.1 * f64::from(index)
                    + 0.08 * (6.0 * x + f64::from(index)).sin()
                    + 0.01 * random.normal();
                [x * 14.0 * 24.0 * HOUR_S, y.abs()]
            });
            Series { name: format!("project {index}"), points: points.collect(), ..Series::default() }
        })
        .collect();
    series.push(Series { name: "project 8".to_owned(), points: vec![[0.0, 0.5]], ..Series::default() });
    Chart::Line(LineChart {
        caption: caption(
            "Share of the cluster by project",
            "Eight series at most; 5,000 points each, thinned.",
        ),
        x: axis("time", Unit::Seconds),
        y: axis("share", Unit::Fraction),
        series,
        guides: Vec::new(),
    })
}

fn waits(random: &mut Random) -> Chart {
    let series = POLICIES.iter().enumerate().map(|(index, name)| {
        let mean = 9_000.0 / (1.0 + 2.0 * index as f64);
        let samples: Vec<f64> = (0..20_000)
            .map(|_| if random.happens(0.3) { 0.0 } else { random.lognormal(mean, 3.0) })
            .collect();
        Distribution { name: (*name).to_owned(), points: cumulative(&samples) }
    });
    Chart::Cdf(CdfChart {
        caption: caption(
            "Waits",
            "Where a curve begins above the ground, that part of the tasks did not wait at all.",
        ),
        x: Axis { log: true, min: Some(1.0), ..axis("wait", Unit::Seconds) },
        series: series.collect(),
    })
}

fn tasks(random: &mut Random, title: &str, gpus: u32, count: u32) -> Chart {
    let mut ends = vec![0.0; gpus as usize];
    let mut spans = Vec::new();
    for index in 0..count {
        let row = usize::try_from(random.below(u64::from(gpus))).unwrap_or(0);
        let from_s = ends[row] + random.exponential(0.5 * HOUR_S);
        let to_s = from_s + random.lognormal(2.0 * HOUR_S, 1.0);
        ends[row] = to_s;
        let group = usize::try_from(random.below(4)).unwrap_or(0);
        let share = if random.happens(0.2) { 0.5 } else { 1.0 };
        spans.push(Span { row, from_s, to_s, share, group, label: format!("task-{index}") });
    }
    Chart::Occupancy(OccupancyChart {
        caption: caption(title, "Half-high rectangles are tasks that hold half of a GPU."),
        rows: (0..gpus).map(|gpu| format!("node-{} gpu{}", gpu / 8, gpu % 8)).collect(),
        groups: ["ann", "bob", "carla", "everybody else"].map(str::to_owned).to_vec(),
        spans,
        window_s: None,
    })
}

fn bars() -> Chart {
    let bars =
        |name: &str, values: [f64; 4]| Bars { name: name.to_owned(), values: values.map(Some).to_vec() };
    Chart::Bars(BarChart {
        caption: caption("Energy", "Less is better."),
        value: axis("energy", Unit::KilowattHours),
        categories: POLICIES.map(str::to_owned).to_vec(),
        series: vec![
            bars("at work", [2_410.0, 2_390.0, 2_388.0, 2_395.0]),
            bars("idle", [1_686.0, 601.0, 603.0, 617.0]),
        ],
    })
}
