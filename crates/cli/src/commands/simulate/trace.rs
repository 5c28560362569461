//! `fastgpu simulate trace` and `fastgpu simulate synthetic`: policies side by side.

use std::path::Path;

use fastgpu_core::units::CpuMilli;
use fastgpu_sim::cluster::{Machines, models};
use fastgpu_sim::faults::Faults;
use fastgpu_sim::input::Input;
use fastgpu_sim::policy::Policy;
use fastgpu_sim::task::Task;
use fastgpu_sim::whatif::page::{self, Asked};
use fastgpu_sim::whatif::{self, Scenario};
use fastgpu_sim::{synthetic, trace};

use super::progress::Progress;
use super::{from_server, input, policies, stopwatch, tell, typed};
use crate::args::{HowArgs, SimulateTraceArgs, SyntheticArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// GPUs of a made-up machine.
const PER_MACHINE: usize = 8;

/// What is to be compared, read before any file: a slip in the words is answered at once.
struct Rules {
    policies: Vec<Policy>,
    faults: Option<Faults>,
}

impl Rules {
    fn read(how: &HowArgs) -> Result<Self, Failure> {
        if !(0.0..=1e6).contains(&how.electricity) {
            return Err(Failure::usage(format!("`--electricity {}` is no price", how.electricity))
                .help("write the price of a kilowatt-hour, as 0.25"));
        }
        let faults = how.faults.as_deref().map(|text| Faults::parse(text, how.seed)).transpose()?;
        Ok(Self { policies: policies(&how.policy)?, faults })
    }
}

pub(super) fn run(flags: &SimulateTraceArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let rules = Rules::read(&flags.how)?;
    let history = match flags.from_server {
        true => Some(super::super::block_on(from_server::history(flags.since.as_deref(), settings))?),
        false => None,
    };
    let (mut machines, mut tasks, source) = match (history, &flags.file) {
        (Some(history), _) => {
            if history.left_out > 0 {
                out.say(&format!("{} tasks that have not run to an end are left out", history.left_out));
            }
            (history.machines, history.tasks, "the history of the server".to_owned())
        }
        (None, Some(path)) => {
            let machines = machines(flags.cluster.as_deref().unwrap_or_default())?;
            let tasks = trace::read(&input(path)?, machines.largest())?;
            (machines, tasks, path.display().to_string())
        }
        (None, None) => unreachable!("clap asks for a file or a server"),
    };
    if let (true, Some(cluster)) = (flags.from_server, &flags.cluster) {
        machines = self::machines(cluster)?;
    }
    for more in &flags.add {
        machines.add(self::machines(more)?);
    }
    if tasks.is_empty() {
        return Err(
            Failure::new("there are no tasks to play").help("`fastgpu ps -a` shows what the server has run")
        );
    }
    machines.price(flags.price).map_err(Failure::usage)?;
    trace::spread_where_needed(&mut tasks, machines.largest());
    let about = vec![
        ("tasks".to_owned(), format!("{} of {source}", tasks.len())),
        ("machines".to_owned(), describe(&machines)),
    ];
    play("What if?", &machines, &tasks, about, &rules, &flags.how, out)
}

pub(super) fn synthetic(flags: &SyntheticArgs, out: &Output) -> Result<u8, Failure> {
    let rules = Rules::read(&flags.how)?;
    if !(0.001..=10.0).contains(&flags.load) {
        return Err(Failure::usage(format!("`--load {}` is not from 0.001 to 10", flags.load))
            .help("0.9 asks for nine tenths of all GPUs on average"));
    }
    let gpu = models::parse("A100-80GB").expect("a model we know");
    let mut machines = Machines::alike((flags.gpus as usize).div_ceil(PER_MACHINE), PER_MACHINE, &gpu);
    for machine in &mut machines.0 {
        machine.cpu = CpuMilli(128_000);
    }
    let tasks = synthetic::tasks(flags.tasks as usize, machines.gpus(), flags.load, flags.how.seed);
    let about = vec![
        ("tasks".to_owned(), format!("{} made up by rule, see docs/simulator.md", tasks.len())),
        ("load".to_owned(), flags.load.to_string()),
        ("machines".to_owned(), describe(&machines)),
    ];
    play("A synthetic load", &machines, &tasks, about, &rules, &flags.how, out)
}

fn play(
    title: &str,
    machines: &Machines,
    tasks: &[Task],
    mut about: Vec<(String, String)>,
    rules: &Rules,
    how: &HowArgs,
    out: &Output,
) -> Result<u8, Failure> {
    about.extend([
        ("faults".to_owned(), how.faults.clone().unwrap_or_else(|| "none".to_owned())),
        ("seed".to_owned(), how.seed.to_string()),
        ("price of a kWh".to_owned(), how.electricity.to_string()),
    ]);
    let mut progress = Progress::of(tasks.len());
    let scenario = Scenario {
        machines,
        tasks,
        policies: &rules.policies,
        faults: rules.faults.as_ref(),
        electricity: how.electricity,
        stopwatch: how.timing.then_some(stopwatch),
        with_series: how.series,
        check_every: 0,
    };
    let outcomes = whatif::run(&scenario, |policy, over| progress.at(policy, over))?;
    drop(progress);
    let asked = Asked { title: title.to_owned(), command: typed(), settings: about };
    tell(&outcomes.answer, &page::report(asked, &outcomes), &how.page, out)
}

/// A file if there is one of this name, else the description itself.
fn machines(text: &str) -> Result<Machines, Failure> {
    let path = Path::new(text);
    let is_file = path.is_file();
    let described = if is_file { input(path)? } else { Input::of_text("--cluster", text) };
    Machines::read(&described).map_err(|error| {
        let failure = Failure::from(error);
        if is_file {
            failure
        } else {
            failure.note(format!("there is no file `{text}`, so it was read as text"))
        }
    })
}

/// `4 with 8 x H100-80GB; 1 with 4 x A100-40GB`.
fn describe(machines: &Machines) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for machine in &machines.0 {
        let kind = match machine.gpus.first() {
            Some(gpu) => format!("{} x {}", machine.gpus.len(), gpu.model),
            None => "no GPU".to_owned(),
        };
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    kinds.iter().map(|(kind, count)| format!("{count} with {kind}")).collect::<Vec<_>>().join("; ")
}
