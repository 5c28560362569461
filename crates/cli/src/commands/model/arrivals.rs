//! Tasks that keep arriving: theory, a simulation beside it, and how many GPUs a goal takes.

use fastgpu_report::{Unit, quantity};
use fastgpu_sim::model::check::{Estimate, Run, Simulated, simulate};
use fastgpu_sim::model::goal::{Choice, Cost, Goal, around, cost, fewest};
use fastgpu_sim::model::queue::{Queue, QueueError, QueueFigures, SERVERS_MAX};
use serde::Serialize;

use super::{percent, read, seconds};
use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::quantity::span_ms;
use crate::table::Table;

/// So many choices are shown below and above the answer.
const CHOICES_LESS: u32 = 2;
const CHOICES_MORE: u32 = 3;

#[derive(Serialize)]
struct ArrivalsShape {
    gpus: u32,
    gpus_per_task: u32,
    arrivals_per_h: f64,
    service: String,
    service_s_mean: f64,
    service_cv: f64,
    /// GPUs that would be busy in the mean if there were enough.
    load_gpus: f64,
    #[serde(flatten)]
    figures: QueueFigures,
    #[serde(flatten)]
    cost: Option<Cost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<GoalShape>,
}

#[derive(Serialize)]
struct CheckShape {
    seed: u64,
    #[serde(flatten)]
    simulated: Simulated,
}

#[derive(Serialize)]
struct GoalShape {
    wait_s: f64,
    of: String,
    gpus: u32,
    choices: Vec<ChoiceShape>,
}

#[derive(Serialize)]
struct ChoiceShape {
    gpus: u32,
    #[serde(flatten)]
    choice: Choice,
    #[serde(flatten)]
    cost: Option<Cost>,
}

pub(super) fn run(flags: &ModelArgs, out: &Output) -> Result<u8, Failure> {
    let (Some(arrivals), Some(service_text)) = (&flags.arrivals, &flags.service) else {
        return Err(
            Failure::usage("`--arrivals` needs `--service`").help("add for example `--service exp:2h`")
        );
    };
    if flags.price.is_some_and(|price| !(price.is_finite() && price >= 0.0)) {
        return Err(Failure::usage("`--price` is no price").help("write for example `--price 2.5`"));
    }
    let each = flags.gpus_per_task;
    let mut queue = Queue {
        arrivals_per_s: read::rate_per_s(arrivals)?,
        service: read::service(service_text)?,
        servers: 0,
    };
    let goal = goal(flags, &queue)?;
    let gpus = match (flags.gpus, &goal) {
        (Some(gpus), _) => gpus,
        (None, Some(goal)) => goal.gpus,
        (None, None) => {
            return Err(Failure::usage("it is not said how many GPUs there are")
                .help("add for example `--gpus 30`, or let `--wait-goal 5m` find out"));
        }
    };
    queue.servers = gpus / each;
    let mut figures = queue.figures().map_err(|error| refused(&error, &queue, gpus, each))?;
    let check = flags.check.then(|| {
        let run = Run { seed: flags.seed, tasks: flags.check_tasks };
        CheckShape { seed: flags.seed, simulated: simulate(&queue, run) }
    });
    let servers_busy = figures.utilization;
    // GPUs that are too few for one more task are idle as well.
    figures.utilization = queue.load() * f64::from(each) / f64::from(gpus);
    let shape = ArrivalsShape {
        gpus,
        gpus_per_task: each,
        arrivals_per_h: queue.arrivals_per_s * 3_600.0,
        service: service_text.clone(),
        service_s_mean: queue.service.mean_s(),
        service_cv: queue.service.cv2().sqrt(),
        load_gpus: queue.load() * f64::from(each),
        cost: flags.price.map(|price| cost(&queue, gpus, figures.utilization, price)),
        figures,
        check,
        goal,
    };
    out.one(&shape, "model", |out| person(&shape, servers_busy, out))?;
    Ok(0)
}

fn goal(flags: &ModelArgs, queue: &Queue) -> Result<Option<GoalShape>, Failure> {
    let each = flags.gpus_per_task;
    let Some(text) = &flags.wait_goal else { return Ok(None) };
    // No wait at all is a fair goal, and no other span is 0.
    let wait_s =
        if text == "0" || text == "0s" { 0.0 } else { span_ms("--wait-goal", text)? as f64 / 1_000.0 };
    let goal = Goal { wait_s, quantile: read::quantile(&flags.quantile)? };
    let refused = |error: QueueError| refused(&error, queue, flags.gpus.unwrap_or(0), each);
    let servers = fewest(queue, goal).map_err(refused)?.figures.servers;
    let choices = around(queue, goal, servers, CHOICES_LESS, CHOICES_MORE).map_err(refused)?;
    let choices = choices.into_iter().map(|choice| {
        let gpus = choice.figures.servers.saturating_mul(each);
        let cost = flags.price.map(|price| cost(queue, gpus, choice.figures.utilization, price));
        ChoiceShape { gpus, choice, cost }
    });
    let (of, gpus) = (flags.quantile.clone(), servers.saturating_mul(each));
    Ok(Some(GoalShape { wait_s, of, gpus, choices: choices.collect() }))
}

fn refused(error: &QueueError, queue: &Queue, gpus: u32, each: u32) -> Failure {
    match error {
        QueueError::Unstable { load, servers_min, .. } => {
            let (busy, needed) =
                (quantity(load * f64::from(each), Unit::Count), servers_min.saturating_mul(each));
            let what = if each == 1 { String::new() } else { format!(" and {each} GPUs") };
            Failure::usage(format!(
                "{} tasks/h of {}{what} each would keep {busy} GPUs busy all the time, and there are {gpus}: the queue \
                 grows without end",
                quantity(queue.arrivals_per_s * 3_600.0, Unit::Count),
                seconds(queue.service.mean_s()),
            ))
            .help(format!("at least `--gpus {needed}` are needed; `--wait-goal 5m` finds how many keep waits short"))
        }
        QueueError::TooLarge => Failure::usage(format!("this takes more than {SERVERS_MAX} tasks at once"))
            .help("divide the load among several pools and reckon with one of them"),
    }
}

fn person(shape: &ArrivalsShape, servers_busy: f64, out: &Output) -> Result<(), Failure> {
    let figures = &shape.figures;
    let how = if figures.exact { "M/M/c, exact" } else { "M/G/c, an approximation; see `--check`" };
    out.data(&format!(
        "{} tasks/h of {} ({}, deviation over mean {}) on {} GPUs, first come, first served ({how})",
        quantity(shape.arrivals_per_h, Unit::Count),
        seconds(shape.service_s_mean),
        shape.service,
        quantity(shape.service_cv, Unit::Count),
        shape.gpus
    ))?;
    let load = quantity(shape.load_gpus, Unit::Count);
    let mut lines = vec![
        (
            "utilization",
            format!("{}: {load} of {} GPUs busy in the mean", percent(figures.utilization), shape.gpus),
        ),
        ("have to wait", percent(figures.wait_probability)),
        (
            "wait",
            format!(
                "mean {} · p50 {} · p90 {} · p95 {} · p99 {}",
                seconds(figures.wait_s_mean),
                seconds(figures.wait_s_p50),
                seconds(figures.wait_s_p90),
                seconds(figures.wait_s_p95),
                seconds(figures.wait_s_p99)
            ),
        ),
        ("completion", format!("mean {}", seconds(figures.completion_s_mean))),
        ("waiting", format!("{} tasks in the mean", quantity(figures.waiting_mean, Unit::Count))),
    ];
    if let Some(cost) = &shape.cost {
        lines.push((
            "cost",
            format!(
                "{} a month · {} a task · {} of it for idle GPUs",
                quantity(cost.cost_per_month, Unit::Money),
                quantity(cost.cost_per_task, Unit::Money),
                percent(cost.idle_share)
            ),
        ));
    }
    for (name, text) in lines {
        out.data(&format!("  {name:<13} {text}"))?;
    }
    if let Some(check) = &shape.check {
        beside(figures, servers_busy, check, out)?;
    }
    shape.goal.as_ref().map_or(Ok(()), |goal| choices(goal, out))
}

/// Theory beside simulation.
fn beside(
    figures: &QueueFigures,
    servers_busy: f64,
    check: &CheckShape,
    out: &Output,
) -> Result<(), Failure> {
    let found = &check.simulated;
    out.data(&format!(
        "\nsimulated: {} tasks with seed {}",
        quantity(found.tasks as f64, Unit::Count),
        check.seed
    ))?;
    let rows: [(&str, f64, Estimate, Unit); 7] = [
        ("busy", servers_busy, found.utilization, Unit::Fraction),
        ("have to wait", figures.wait_probability, found.wait_probability, Unit::Fraction),
        ("mean wait", figures.wait_s_mean, found.wait_s_mean, Unit::Seconds),
        ("p50 wait", figures.wait_s_p50, found.wait_s_p50, Unit::Seconds),
        ("p90 wait", figures.wait_s_p90, found.wait_s_p90, Unit::Seconds),
        ("p95 wait", figures.wait_s_p95, found.wait_s_p95, Unit::Seconds),
        ("p99 wait", figures.wait_s_p99, found.wait_s_p99, Unit::Seconds),
    ];
    let mut table = Table::new(&["", "THEORY", "SIMULATION", "95 % INTERVAL", "THEORY IS"]);
    for (name, theory, found, unit) in rows {
        let verdict = if found.contains(theory) {
            "inside".to_owned()
        } else if found.value > 0.0 {
            format!("outside, {} off", percent((theory / found.value - 1.0).abs()))
        } else {
            "outside".to_owned()
        };
        let interval = format!("{} to {}", quantity(found.low, unit), quantity(found.high, unit));
        let row = [name.to_owned(), quantity(theory, unit), quantity(found.value, unit), interval, verdict];
        table.row(row.iter().map(Into::into).collect());
    }
    out.table(&table)
}

/// The answer and its neighbours.
fn choices(goal: &GoalShape, out: &Output) -> Result<(), Failure> {
    let which = if goal.of == "mean" { "mean wait".to_owned() } else { format!("{} wait", goal.of) };
    out.data(&format!("\n{} GPUs keep the {which} within {}", goal.gpus, seconds(goal.wait_s)))?;
    let mut table = Table::new(&[
        "GPUS",
        "GOAL",
        "THAT WAIT",
        "MEAN WAIT",
        "HAVE TO WAIT",
        "BUSY",
        "A MONTH",
        "A TASK",
        "IDLE",
    ]);
    for ChoiceShape { gpus, choice, cost } in &goal.choices {
        let verdict = match (choice.met, *gpus == goal.gpus) {
            (_, true) => "enough",
            (true, _) => "met",
            (false, _) => "missed",
        };
        let money = |pick: fn(&Cost) -> f64| {
            cost.as_ref().map(|cost| quantity(pick(cost), Unit::Money)).unwrap_or_default()
        };
        table.row(vec![
            gpus.to_string().into(),
            verdict.into(),
            seconds(choice.goal_wait_s).into(),
            seconds(choice.figures.wait_s_mean).into(),
            percent(choice.figures.wait_probability).into(),
            percent(choice.figures.utilization).into(),
            money(|cost| cost.cost_per_month).into(),
            money(|cost| cost.cost_per_task).into(),
            percent(1.0 - choice.figures.utilization).into(),
        ]);
    }
    out.table(&table)
}
