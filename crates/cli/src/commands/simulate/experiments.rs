//! `fastgpu simulate openb` and `fastgpu simulate philly`: published experiments, repeated.

use fastgpu_sim::openb::{self, Experiment};
use fastgpu_sim::philly;

use super::progress::Progress;
use super::{input, one_or_all, policies, stopwatch, tell, typed};
use crate::args::{Durations, OpenbArgs, PhillyArgs};
use crate::failure::Failure;
use crate::output::Output;

/// More runs than this in one go are a mistake.
const SEEDS_MAX: u64 = 10_000;

pub(super) fn openb(flags: &OpenbArgs, out: &Output) -> Result<u8, Failure> {
    let policies = policies(&flags.policy)?;
    let seeds = seeds(&flags.seeds)?;
    let experiment = Experiment::read(&input(&flags.nodes)?, &input(&flags.tasks)?)?;
    let order =
        flags.order.as_ref().map(|path| Ok::<_, Failure>(openb::read_order(&input(path)?)?)).transpose()?;
    let mut progress = Progress::of(seeds.len());
    let mut answers = Vec::new();
    for policy in &policies {
        let on = |done| progress.at(&policy.name, done);
        answers.push(openb::run(
            &experiment,
            policy,
            &seeds,
            flags.arrived,
            order.as_deref(),
            Some(stopwatch),
            on,
        )?);
    }
    drop(progress);
    let settings = vec![
        ("nodes".to_owned(), flags.nodes.display().to_string()),
        ("tasks".to_owned(), flags.tasks.display().to_string()),
        ("seeds".to_owned(), flags.seeds.clone()),
        ("asked for".to_owned(), format!("{} % of all GPU", flags.arrived)),
    ];
    let page = openb::report(&answers, typed(), settings);
    tell(&one_or_all(&answers), &page, &flags.page, out)
}

pub(super) fn philly(flags: &PhillyArgs, out: &Output) -> Result<u8, Failure> {
    let policies = policies(&flags.policy)?;
    if let Some(load) = flags.load.filter(|load| !(0.001..=100.0).contains(load)) {
        return Err(Failure::usage(format!("`--load {load}` is not from 0.001 to 100"))
            .help("0.6 gives each cluster so many machines that 60 % of them are asked for"));
    }
    let trace = philly::Trace::read(&input(&flags.tasks)?)?;
    let mut options = philly::Options {
        vcs: &flags.vc,
        load: flags.load,
        durations_known: flags.durations == Durations::Known,
        stopwatch: Some(stopwatch),
        check_every: 0,
    };
    let vcs = trace.vcs(&options).map_err(Failure::usage)?;
    options.vcs = &vcs;
    let mut progress = Progress::of(trace.tasks_in(&vcs));
    let mut answers = Vec::new();
    for policy in &policies {
        let on = |done| progress.at(&policy.name, done);
        answers.push(trace.run(&vcs, policy, &options, on)?);
    }
    drop(progress);
    let settings = vec![
        ("tasks".to_owned(), flags.tasks.display().to_string()),
        ("virtual clusters".to_owned(), vcs.join(", ")),
        ("load".to_owned(), flags.load.map_or("the machines there were".to_owned(), |load| load.to_string())),
        ("durations".to_owned(), if options.durations_known { "known" } else { "unknown" }.to_owned()),
    ];
    let page = philly::report(&answers, typed(), settings);
    tell(&one_or_all(&answers), &page, &flags.page, out)
}

/// `42..51` (both ends), `42`, `42,50..52`.
fn seeds(text: &str) -> Result<Vec<u64>, Failure> {
    let wrong = || {
        Failure::usage(format!("`--seeds {text}` names no seeds, or more than {SEEDS_MAX}"))
            .help("write `42..51` for ten of them, or `42,43`")
    };
    let mut seeds = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) =
            part.split_once("..").map_or((part, part), |(first, last)| (first, last.trim_start_matches('=')));
        let first: u64 = first.parse().map_err(|_| wrong())?;
        let last: u64 = last.parse().map_err(|_| wrong())?;
        if last < first || last - first >= SEEDS_MAX {
            return Err(wrong());
        }
        seeds.extend(first..=last);
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_ranges_with_both_ends_or_lists() {
        assert_eq!(seeds("42..44").unwrap(), [42, 43, 44]);
        assert_eq!(seeds("7, 9..=10").unwrap(), [7, 9, 10]);
        for bad in ["", "x", "5..3", "0..10000", "1,,2", "-1"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }
}
