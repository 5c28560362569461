//! Published experiments through the server's own core, against numbers of an independent program.
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs::File;
use std::path::Path;

use fastgpu_sim::input::Input;
use fastgpu_sim::openb::{self, Experiment};
use fastgpu_sim::philly;
use fastgpu_sim::policy::Policy;

fn trace(name: &str) -> Input {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../traces").join(name);
    Input::read(name, File::open(path).unwrap()).unwrap()
}

fn openb(list: &str) -> Experiment {
    let tasks = format!("openb/openb_pod_list_{list}.csv.gz");
    Experiment::read(&trace("openb/openb_node_list_gpu_node.csv.gz"), &trace(&tasks)).unwrap()
}

fn run(experiment: &Experiment, policy: &str, seeds: &[u64]) -> openb::Answer {
    let policy = Policy::parse(policy).unwrap();
    openb::run(experiment, &policy, seeds, 130, None, None, |_| ()).unwrap()
}

/// The numbers are those of an independent program for the same seed, printed to two decimals:
/// `fgd_reference.py --nodes openb_node_list_gpu_node.csv --pods openb_pod_list_default.csv
/// --policy bestfit packing random --seeds 1 --first-seed 42`.
#[test]
fn best_fit_packing_and_random_allocate_what_an_independent_program_does() {
    let experiment = openb("default");
    let close = |policy: &str, expected: [f64; 4], idle_gpus: f64, lost: f64, tolerance: f64| {
        let answer = run(&experiment, policy, &[42]);
        let figures = &answer.seeds[0].figures;
        for (mark, expected) in ["100", "110", "120", "130"].into_iter().zip(expected) {
            let allocated = figures.allocation[mark];
            assert!(
                (allocated - expected).abs() <= tolerance,
                "{policy} at {mark}: {allocated}, not {expected}"
            );
        }
        let idle = 100.0 * (figures.idle_gpus - idle_gpus).abs() / 6_212.0;
        assert!(idle <= tolerance, "{policy}: {} GPUs idle, not {idle_gpus}", figures.idle_gpus);
        assert!((figures.lost - lost).abs() <= 100.0 * tolerance, "{policy}: {} lost", figures.lost);
    };
    // The best fit and the packing of the two programs are the same rule.
    close("best_fit", [92.75, 92.84, 92.93, 93.03], 433.0, 2_607.0, 0.011);
    close("packing", [91.51, 91.58, 91.67, 91.81], 508.9, 2_705.0, 0.011);
    // Two random policies agree as well as ten seeds of one of them do with each other, and a bit less.
    close("random", [85.91, 86.56, 87.00, 87.20], 795.1, 2_649.0, 1.5);
}

#[test]
fn unusable_gpu_is_what_an_independent_program_measures() {
    let answer = run(&openb("default"), "best_fit", &[42]);
    // The same run as above: 431.7 GPUs of 6212.
    assert!((answer.mean.unusable - 100.0 * 431.7 / 6_212.0).abs() < 0.001, "{}", answer.mean.unusable);
}

#[test]
fn an_order_from_a_file_is_taken_as_it_is() {
    let experiment = openb("default");
    let text = "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n1000,100,8,1000,\n1000,100,1,500,T4|G2\n";
    let order = openb::read_order(&Input::of_text("order.csv", text)).unwrap();
    let policy = Policy::parse("best_fit").unwrap();
    let answer = openb::run(&experiment, &policy, &[42], 130, Some(&order), None, |_| ()).unwrap();
    let figures = &answer.seeds[0].figures;
    assert_eq!((figures.tasks, figures.lost, figures.idle_gpus), (2.0, 0.0, 6_212.0 - 8.5));
}

/// Where no task needs more than one machine, the rules are the same and so are the numbers:
/// `jct_reference.py philly_oct_nov_2017.csv.gz --load 0.6 --policy fifo-bf --vc e13805 103959`.
#[test]
fn first_come_with_skip_ahead_on_philly_completes_when_an_independent_program_does() {
    let trace = philly::Trace::read(&trace("philly/philly_oct_nov_2017.csv.gz")).unwrap();
    let vcs = ["e13805".to_owned(), "103959".to_owned()];
    let options = philly::Options {
        vcs: &vcs,
        load: Some(0.6),
        durations_known: false,
        stopwatch: None,
        check_every: 500,
    };
    let policy = Policy::parse("fifo-bf,placement=best_fit").unwrap();
    let answer = trace.run(&vcs, &policy, &options, |_| ()).unwrap();
    let vc = |name: &str| {
        let vc = &answer.vcs[name];
        (vc.nodes, vc.figures.tasks, vc.figures.completion_s_mean, vc.figures.queue_s_mean)
    };
    assert_eq!(vc("e13805"), (4, 264, 49_453.6, 5_445.9));
    assert_eq!(vc("103959"), (4, 1_450, 55_585.4, 31_048.1));
    assert_eq!((answer.all.preemptions, answer.all.lost_work_s), (0, 0.0));
}
