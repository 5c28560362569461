//! The picture of `docs/model.md`: `cargo run --release -p fastgpu-sim --example model_picture > docs/images/model.svg`.
//!
//! Lines are theory, dots are simulations with their 95 % intervals.
#![expect(clippy::print_stdout, reason = "the picture goes where the caller sends it")]

use fastgpu_report::{Axis, Caption, Chart, Guide, LineChart, Series, Shape, Unit, svg};
use fastgpu_sim::model::check::{Run, simulate};
use fastgpu_sim::model::queue::Queue;
use fastgpu_sim::model::service::Service;

/// Twelve tasks an hour of two hours each: 24 GPUs busy in the mean.
const ARRIVALS_PER_S: f64 = 12.0 / 3_600.0;
const MEAN_S: f64 = 7_200.0;
const GPUS: std::ops::RangeInclusive<u32> = 26..=36;
const TASKS: u64 = 2_000_000;

fn main() {
    let kinds = [
        ("all alike", Service::Fixed { mean_s: MEAN_S }),
        ("exponential", Service::Exponential { mean_s: MEAN_S }),
        ("lognormal, deviation 2 × mean", Service::Lognormal { mean_s: MEAN_S, cv: 2.0 }),
    ];
    let mut lines = Vec::new();
    let mut dots = Vec::new();
    for (name, service) in kinds {
        let (line, dot) = series(name, &service);
        lines.push(line);
        dots.push(dot);
    }
    for (place, dots) in dots.iter_mut().enumerate() {
        dots.like = Some(place);
    }
    lines.extend(dots);
    let chart = LineChart {
        caption: Caption {
            title: "Mean wait of 12 tasks an hour, 2 hours each, by the number of GPUs".to_owned(),
            note: "Lines are theory, dots are simulations with their 95 % intervals.".to_owned(),
        },
        x: Axis {
            label: "GPUs (24 are busy in the mean)".to_owned(),
            min: Some(25.5),
            max: Some(36.5),
            ..Axis::default()
        },
        y: Axis {
            label: "mean wait".to_owned(),
            unit: Unit::Seconds,
            log: true,
            min: Some(1.0),
            max: Some(7_200.0),
        },
        series: lines,
        guides: vec![Guide { at: 300.0, label: "5 min".to_owned() }],
    };
    print!("{}", svg(&Chart::Line(chart)));
}

/// Theory as a line, simulation as dots.
fn series(name: &str, service: &Service) -> (Series, Series) {
    let mut line = Series { name: format!("{name}: theory"), shape: Shape::Line, ..Series::default() };
    let mut dots = Series { name: format!("{name}: simulated"), shape: Shape::Dots, ..Series::default() };
    for servers in GPUS {
        let queue = Queue { arrivals_per_s: ARRIVALS_PER_S, service: service.clone(), servers };
        let theory = queue.figures().expect("more servers than are busy");
        let found = simulate(&queue, Run { seed: u64::from(servers), tasks: TASKS }).wait_s_mean;
        line.points.push([f64::from(servers), theory.wait_s_mean]);
        dots.points.push([f64::from(servers), found.value]);
        dots.intervals.push([found.low, found.high]);
    }
    (line, dots)
}
