//! `fastgpu model`: waits, utilization and cost before anything runs. Needs no server.
//!
//! Here: tasks that are known, and the original article's figures. Tasks that keep arriving are in [`arrivals`].

mod arrivals;
mod read;

use fastgpu_core::units::Millis;
use fastgpu_report::{Unit, quantity};
use fastgpu_sim::model::article::{ARTICLE_FAILS, ARTICLE_STEPS, article};
use fastgpu_sim::model::schedule::{Job, Order, ScheduleError, ScheduleFigures, figures, schedule};
use serde::Serialize;

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::quantity::span_ms;
use crate::table::Table;

/// The article's own example.
const ARTICLE_GPUS: u32 = 10;
const ARTICLE_JOBS: [Job; 5] = [Job { gpus: 1, duration: Millis(7_200_000), arrival: Millis(0) }; 5];

/// What is known of a list of tasks.
#[derive(Serialize)]
struct ListShape {
    gpus: u32,
    tasks: usize,
    orders: Vec<ScheduleFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    article: Option<ArticleShape>,
}

#[derive(Serialize)]
struct ArticleShape {
    utilization: f64,
    wait_s: f64,
    completion_s: f64,
    steps: Vec<StepShape>,
    fails: &'static str,
}

#[derive(Serialize)]
struct StepShape {
    step: &'static str,
    assumes: &'static str,
}

pub(super) fn run(flags: &ModelArgs, out: &Output) -> Result<u8, Failure> {
    if flags.arrivals.is_some() {
        return arrivals::run(flags, out);
    }
    let (gpus, jobs) = tasks(flags)?;
    let horizon = flags.horizon.as_deref().map(|text| span_ms("--horizon", text)).transpose()?.map(Millis);
    let mut orders = Vec::new();
    for order in [Order::Fifo, Order::Backfill] {
        let ran = schedule(gpus, &jobs, order).map_err(refused)?;
        orders.extend(figures(gpus, &jobs, &ran, order, horizon));
    }
    let durations: Vec<Millis> = jobs.iter().map(|job| job.duration).collect();
    let article = flags.article.then(|| article(gpus, &durations)).flatten().map(|figures| ArticleShape {
        utilization: figures.utilization.as_f64(),
        wait_s: figures.wait_ms.as_f64() / 1_000.0,
        completion_s: figures.completion_ms.as_f64() / 1_000.0,
        steps: ARTICLE_STEPS.iter().map(|&(step, assumes)| StepShape { step, assumes }).collect(),
        fails: ARTICLE_FAILS,
    });
    let shape = ListShape { gpus, tasks: jobs.len(), orders, article };
    out.one(&shape, "model", |out| person(&shape, out))?;
    Ok(0)
}

/// The GPUs and the tasks that were asked for; the article's example if only the article was.
fn tasks(flags: &ModelArgs) -> Result<(u32, Vec<Job>), Failure> {
    let mut jobs = Vec::new();
    if let (Some(count), Some(duration)) = (flags.tasks, &flags.duration) {
        let duration = Millis(span_ms("--duration", duration)?);
        let job = Job { gpus: flags.gpus_per_task, duration, arrival: Millis(0) };
        jobs.extend(std::iter::repeat_n(job, count as usize));
    }
    for text in &flags.task {
        jobs.push(read::job(text)?);
    }
    if let Some(path) = &flags.file {
        jobs.extend(read::jobs(path)?);
    }
    match (flags.gpus, jobs.is_empty()) {
        (Some(gpus), false) => Ok((gpus, jobs)),
        (gpus, true) if flags.article => Ok((gpus.unwrap_or(ARTICLE_GPUS), ARTICLE_JOBS.to_vec())),
        (_, true) => Err(Failure::usage("there are no tasks to reckon with").help(
            "name them: `--gpus 10 --tasks 5 --duration 2h`, `--task 1x2h`, `--file tasks.csv`, or \
             `--arrivals 12/h --service exp:2h`",
        )),
        (None, false) => {
            Err(Failure::usage("it is not said how many GPUs there are").help("add for example `--gpus 10`"))
        }
    }
}

fn refused(error: ScheduleError) -> Failure {
    let help = match error {
        ScheduleError::TooLarge { asked, .. } => format!("it needs at least `--gpus {asked}`"),
        ScheduleError::Empty { .. } => "write for example `--task 1x2h`".to_owned(),
        ScheduleError::TooMany { .. } => {
            "describe so many by `--arrivals` and `--service csv:FILE`".to_owned()
        }
    };
    Failure::usage(error.to_string()).help(help)
}

fn seconds(value: f64) -> String {
    quantity(value, Unit::Seconds)
}

fn percent(value: f64) -> String {
    quantity(value, Unit::Fraction)
}

fn person(shape: &ListShape, out: &Output) -> Result<(), Failure> {
    if let Some(article) = &shape.article {
        beside(shape, article, out)?;
        out.data("")?;
    }
    let Some(first) = shape.orders.first() else { return Ok(()) };
    out.data(&format!("{} tasks on {} GPUs, computed event by event", shape.tasks, shape.gpus))?;
    let mut table = Table::new(&[
        "ORDER",
        "MEAN WAIT",
        "P50",
        "P90",
        "P99",
        "LONGEST",
        "COMPLETION",
        "MAKESPAN",
        "BUSY",
        "OVER HORIZON",
    ]);
    for figures in &shape.orders {
        let order = if figures.order == Order::Fifo { "fifo" } else { "backfill" };
        let waits = [
            figures.wait_s_mean,
            figures.wait_s_p50,
            figures.wait_s_p90,
            figures.wait_s_p99,
            figures.wait_s_max,
        ];
        let mut row = vec![order.into()];
        row.extend(waits.map(|wait| seconds(wait).into()));
        row.push(seconds(figures.completion_s_mean).into());
        row.push(seconds(figures.makespan_s).into());
        row.push(percent(figures.utilization).into());
        row.push(figures.utilization_over_horizon.map(percent).unwrap_or_default().into());
        table.row(row);
    }
    out.table(&table)?;
    out.data(&format!("no order can end before {}", seconds(first.makespan_s_bound)))?;
    out.say("fifo: the first that does not fit holds back all behind it; backfill: a task that fits goes ahead if it");
    out.say("does not delay the first. Busy is over the makespan, from the first arrival to the last end.");
    Ok(())
}

/// The article's figures and the true ones.
fn beside(shape: &ListShape, article: &ArticleShape, out: &Output) -> Result<(), Failure> {
    let Some(truth) = shape.orders.first() else { return Ok(()) };
    let mut table = Table::new(&["", "ARTICLE", "TRUTH"]);
    for (name, said, true_) in [
        (
            "utilization",
            percent(article.utilization),
            format!("{} over the makespan", percent(truth.utilization)),
        ),
        ("waiting", seconds(article.wait_s), format!("{} in the mean", seconds(truth.wait_s_mean))),
        (
            "completion",
            seconds(article.completion_s),
            format!("{} in the mean", seconds(truth.completion_s_mean)),
        ),
    ] {
        table.row(vec![name.into(), said.into(), true_.into()]);
    }
    out.table(&table)?;
    out.data("")?;
    out.data("The steps that lead to the article's figures, and what each takes for granted:")?;
    for (number, StepShape { step, assumes }) in article.steps.iter().enumerate() {
        out.data(&format!("  {}. {step}", number + 1))?;
        out.data(&format!("     {} {assumes}", out.paint(Tone::Note, "→")))?;
    }
    out.data("")?;
    out.data(article.fails)
}
