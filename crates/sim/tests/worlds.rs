//! What must hold in every simulated world: it repeats itself to the last bit, nothing is oversold, no task is lost, and
//! every second of GPU time is accounted for.
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use fastgpu_core::task::Outcome;
use fastgpu_sim::cluster::{Machines, models};
use fastgpu_sim::engine::{Engine, Story, World};
use fastgpu_sim::faults::Faults;
use fastgpu_sim::input::Input;
use fastgpu_sim::job::Fate;
use fastgpu_sim::policy::Policy;
use fastgpu_sim::task::Task;
use fastgpu_sim::whatif::{self, Scenario};
use fastgpu_sim::{synthetic, trace};

const POLICIES: [&str; 6] = [
    "default",
    "fifo,placement=spreading",
    "sjf-bf,placement=packing",
    "las",
    "srtf,placement=random",
    "predicted",
];
const STORM: &str = "nodes-mtbf=6h,gpu-mtbf=2d,repair=1h,task-failure=0.05,checkpoint=10m";

fn machines(text: &str) -> Machines {
    Machines::read(&Input::of_text("machines", text)).unwrap()
}

fn crowd(count: usize) -> (Machines, Vec<Task>) {
    let mut machines = Machines::alike(4, 8, &models::parse("A100-80GB").unwrap());
    machines.add(self::machines("2x 4xL40S cpu=64"));
    let mut tasks = synthetic::tasks(count, machines.gpus(), 1.1, 7);
    for (number, task) in tasks.iter_mut().enumerate() {
        task.expected = (number % 3 == 0).then_some(task.duration);
        task.retries = u16::from(number % 5 == 0);
        if number % 4 == 0 {
            let mut ask = fastgpu_core::ask::Ask::clone(&task.ask);
            ask.class = fastgpu_core::ask::Class::Spot;
            task.ask = ask.into();
        }
    }
    (machines, tasks)
}

fn story(machines: &Machines, tasks: &[Task], policy: &str, faults: Option<&Faults>) -> Story {
    let policy = Policy::parse(policy).unwrap();
    let world =
        World { machines, tasks, policy: &policy, faults, mix: None, stopwatch: None, check_every: 10 };
    Engine::new(world).unwrap().run(|_| ())
}

#[test]
fn a_world_repeats_itself_to_the_last_byte() {
    let (machines, tasks) = crowd(400);
    let policies: Vec<Policy> = POLICIES.iter().map(|policy| Policy::parse(policy).unwrap()).collect();
    let faults = Faults::parse(STORM, 3).unwrap();
    let scenario = Scenario {
        machines: &machines,
        tasks: &tasks,
        policies: &policies,
        faults: Some(&faults),
        electricity: 0.3,
        stopwatch: None,
        with_series: true,
        check_every: 0,
    };
    let tell = || {
        let outcomes = whatif::run(&scenario, |_, _| ()).unwrap();
        let page = whatif::page::report(whatif::page::Asked::default(), &outcomes);
        serde_json::to_string(&outcomes.answer).unwrap() + &fastgpu_report::html(&page)
    };
    assert_eq!(tell(), tell());
}

#[test]
fn gpu_time_and_energy_are_conserved_and_no_task_is_lost() {
    let (machines, tasks) = crowd(400);
    let faults = Faults::parse(STORM, 3).unwrap();
    for policy in POLICIES {
        for faults in [None, Some(&faults)] {
            let story = story(&machines, &tasks, policy, faults);
            let ran: i128 = story
                .jobs
                .iter()
                .zip(&tasks)
                .map(|(job, task)| i128::from(job.ran.0) * i128::from(task.milli()))
                .sum();
            assert_eq!(story.meter.used_milli_ms(), ran, "{policy}: held is what ran, times its share");
            assert_eq!(story.meter.charged_milli_ms, ran, "{policy}: charged is what ran, times its share");
            let power = |mw: fn(&fastgpu_sim::cluster::Power) -> u32| {
                let kinds = story.meter.totals.iter().zip(&story.meter.kinds.all);
                kinds.map(|(total, kind)| (*total, i128::from(mw(&kind.power)))).collect::<Vec<_>>()
            };
            let idle: i128 = power(|p| p.idle_mw)
                .iter()
                .map(|(t, mw)| (t.up_milli_ms - t.used_milli_ms) * mw / 1_000)
                .sum();
            let busy: i128 = power(|p| p.busy_mw).iter().map(|(t, mw)| t.used_milli_ms * mw / 1_000).sum();
            let apart = (story.meter.energy_uj() - idle - busy).abs();
            assert!(apart <= 2 * 2, "{policy}: energy is that of held and of idle GPUs, less rounding");
            for (job, task) in story.jobs.iter().zip(&tasks) {
                let completion = job.completion().map(|span| span.0);
                match job.fate {
                    Fate::Ended { outcome: Outcome::Succeeded, .. } => {
                        assert_eq!(completion, Some(job.ran.0 + job.waited.0), "{policy}: it waits or runs");
                        assert_eq!(job.ran.0, task.duration.0 + job.lost.0, "{policy}: all its work is done");
                    }
                    Fate::Ended { .. } | Fate::Parked => assert!(faults.is_some(), "{policy}: {job:?}"),
                    Fate::Coming | Fate::Alive | Fate::Refused => panic!("{policy} lost a task: {job:?}"),
                }
            }
        }
    }
}

#[test]
fn a_preempted_task_goes_on_where_it_was_and_pays_for_the_move() {
    let machines = machines("8xA100-80GB");
    let text = "submit_s,duration_s,gpus,class\n0,7200,8,spot\n1800,600,8,standard\n";
    let tasks = trace::read(&Input::of_text("trace", text), 8).unwrap();
    let story = story(&machines, &tasks, "default", None);
    let (spot, standard) = (&story.jobs[0], &story.jobs[1]);
    assert_eq!((spot.preemptions, spot.lost.0), (1, 30_000));
    assert_eq!(standard.waited.0, 0, "its place is free at once");
    assert_eq!(spot.completion().unwrap().0, (7_200 + 600 + 30) * 1_000);
}

#[test]
fn a_vanished_machine_costs_what_was_not_saved() {
    let machines = machines("2x 8xA100-80GB");
    let text = "submit_s,duration_s,gpus\n0,360000,8\n0,360000,8\n";
    let tasks = trace::read(&Input::of_text("trace", text), 8).unwrap();
    let run = |faults: &str| story(&machines, &tasks, "default", Some(&Faults::parse(faults, 4).unwrap()));
    let lost = |story: &Story| story.jobs.iter().map(|job| job.lost.0).sum::<u64>();
    let bare = run("nodes-mtbf=3d,repair=1h");
    let saved = run("nodes-mtbf=3d,repair=1h,checkpoint=10m");
    let failures = |story: &Story| story.jobs.iter().map(|job| job.failures).sum::<u32>();
    assert!(failures(&bare) > 0 && failures(&saved) > 0);
    assert!(lost(&saved) <= u64::from(failures(&saved)) * 600_000, "at most ten minutes each time");
    assert!(lost(&bare) > lost(&saved));
}

#[test]
fn what_no_machine_could_hold_is_refused_with_the_reason() {
    let machines = machines("2x 4xL40S");
    let text = "submit_s,duration_s,gpus,model,spread\n0,10,4,,\n0,10,5,,no\n0,10,1,H100,\n0,10,8,,\n";
    let tasks = trace::read(&Input::of_text("trace", text), machines.largest()).unwrap();
    let story = story(&machines, &tasks, "default", None);
    let fates: Vec<bool> = story.jobs.iter().map(|job| job.fate == Fate::Refused).collect();
    assert_eq!(fates, [false, true, true, false]);
    let why: Vec<&str> = story.refusals.keys().map(String::as_str).collect();
    assert_eq!(why, ["5 GPUs are asked for; the largest node has 4", "no device here is of model H100"]);
}
