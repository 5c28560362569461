//! How wrong the approximation for durations that are not exponential is: every cell of a grid against a simulation.
//!
//! `cargo run --release -p fastgpu-sim --example model_error [TASKS]` prints the table of `docs/model.md`. Two older formulas
//! stand beside ours to show what the choice is worth.
#![expect(clippy::print_stdout, reason = "the table goes where the caller sends it")]

use fastgpu_sim::model::check::{Estimate, Run, simulate};
use fastgpu_sim::model::erlang::Erlang;
use fastgpu_sim::model::queue::{Queue, fixed_factor, variation_factor};
use fastgpu_sim::model::service::Service;

const SERVERS: [u32; 6] = [1, 2, 4, 8, 16, 64];
const UTILIZATIONS: [f64; 5] = [0.5, 0.7, 0.8, 0.9, 0.95];
/// Where fewer tasks wait, a relative error says nothing: the wait is next to nothing.
const WAIT_PROBABILITY_MIN: f64 = 0.01;
/// A quantile is compared where at least so many times more tasks wait than lie above it.
const QUANTILE_MARGIN: f64 = 3.0;
const TASKS: u64 = 2_000_000;
const SEED: u64 = 1;

/// The largest error of one formula so far, and where.
#[derive(Debug, Clone, Default)]
struct Worst {
    error: f64,
    sum: f64,
    cells: u32,
    place: String,
}

impl Worst {
    /// Takes in one cell: what the formula says and what the simulation found.
    fn see(&mut self, formula: f64, found: Estimate, place: &str) {
        let error = formula / found.value - 1.0;
        self.sum += error.abs();
        self.cells += 1;
        if error.abs() > self.error.abs() {
            let sure = found.plus_minus() / found.value * 100.0;
            (self.error, self.place) = (error, format!("{place}, simulation ±{sure:.1} %"));
        }
    }
}

fn main() {
    let tasks = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(TASKS);
    println!("{:<18} {:<28} {:>8} {:>8}  worst at", "durations", "formula", "mean", "worst");
    for (name, service) in services() {
        let mut worst: [(&str, Worst); 6] = [
            ("Kimura (ours), mean wait", Worst::default()),
            ("Lee-Longton, mean wait", Worst::default()),
            ("Page, mean wait", Worst::default()),
            ("ours, wait probability", Worst::default()),
            ("ours, p90 wait", Worst::default()),
            ("ours, p99 wait", Worst::default()),
        ];
        for servers in SERVERS {
            for utilization in UTILIZATIONS {
                cell(&service, servers, utilization, tasks, &mut worst);
            }
        }
        for (formula, worst) in &worst {
            let (mean, error) = (100.0 * worst.sum / f64::from(worst.cells.max(1)), 100.0 * worst.error);
            println!("{name:<18} {formula:<28} {mean:>6.1} % {error:>+6.1} %  {}", worst.place);
        }
    }
}

fn services() -> Vec<(&'static str, Service)> {
    let mean_s = 1.0;
    vec![
        ("fixed", Service::Fixed { mean_s }),
        ("gamma, cv 0.5", Service::Gamma { mean_s, cv: 0.5 }),
        ("lognormal, cv 0.5", Service::Lognormal { mean_s, cv: 0.5 }),
        ("exponential", Service::Exponential { mean_s }),
        ("lognormal, cv 1.5", Service::Lognormal { mean_s, cv: 1.5 }),
        ("hyperexp, cv 1.5", Service::Hyperexponential { mean_s, cv: 1.5 }),
        ("lognormal, cv 2", Service::Lognormal { mean_s, cv: 2.0 }),
        ("hyperexp, cv 2", Service::Hyperexponential { mean_s, cv: 2.0 }),
        ("gamma, cv 2", Service::Gamma { mean_s, cv: 2.0 }),
        ("lognormal, cv 3", Service::Lognormal { mean_s, cv: 3.0 }),
        ("hyperexp, cv 3", Service::Hyperexponential { mean_s, cv: 3.0 }),
    ]
}

fn cell(service: &Service, servers: u32, utilization: f64, tasks: u64, worst: &mut [(&str, Worst); 6]) {
    let queue = Queue {
        arrivals_per_s: utilization * f64::from(servers) / service.mean_s(),
        service: service.clone(),
        servers,
    };
    let theory = queue.figures().expect("the utilization is below 1");
    if theory.wait_probability < WAIT_PROBABILITY_MIN {
        return;
    }
    // Close to saturation a run says less for its length.
    let tasks = if utilization > 0.85 { 4 * tasks } else { tasks };
    let found = simulate(&queue, Run { seed: SEED, tasks });
    let place = format!("{servers} servers, {:.0} % busy", utilization * 100.0);
    let exponential = Erlang::with(queue.load(), servers).mean_wait_in_services() * service.mean_s();
    let cv2 = service.cv2();
    let factors = [
        variation_factor(servers, utilization, cv2),
        f64::midpoint(1.0, cv2),
        cv2 + (1.0 - cv2) * fixed_factor(servers, utilization),
    ];
    for (factor, (_, worst)) in factors.iter().zip(worst.iter_mut()) {
        worst.see(exponential * factor, found.wait_s_mean, &place);
    }
    worst[3].1.see(theory.wait_probability, found.wait_probability, &place);
    // Where only just more tasks wait than the quantile leaves over, it is next to nothing too.
    let far = |left_over: f64| theory.wait_probability >= QUANTILE_MARGIN * left_over;
    for (place_in, left_over, formula, found) in
        [(4, 0.1, theory.wait_s_p90, found.wait_s_p90), (5, 0.01, theory.wait_s_p99, found.wait_s_p99)]
    {
        if far(left_over) {
            worst[place_in].1.see(formula, found, &place);
        }
    }
}
