//! A known list of tasks on a number of GPUs: when each starts and ends, computed event by event in whole milliseconds.
//!
//! Whole GPUs, all alike, and a task takes any that are free. Nothing is estimated: durations are as given.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastgpu_core::units::Millis;
use serde::Serialize;

/// More tasks than this are refused: looking for one that may go ahead takes time with the square of it.
pub const JOBS_MAX: usize = 20_000;

/// A task that is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// How many GPUs it holds.
    pub gpus: u32,
    /// For how long.
    pub duration: Millis,
    /// When it is submitted.
    pub arrival: Millis,
}

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// In the order of arrival; who does not fit yet holds back everybody behind.
    Fifo,
    /// As `Fifo`, but who fits now goes ahead if that does not delay the first who waits (EASY backfill with
    /// durations known).
    Backfill,
}

/// When a task ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Its first moment.
    pub start: Millis,
    /// The moment after its last.
    pub end: Millis,
}

/// Why tasks cannot be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It would wait for ever.
    #[error("task {number} asks for {asked} GPUs and there are {gpus}")]
    TooLarge {
        /// Its place in the list, from 1.
        number: usize,
        /// What it asks for.
        asked: u32,
        /// What there is.
        gpus: u32,
    },
    /// A task of no GPUs or no time is a slip.
    #[error("task {number} asks for nothing: GPUs and duration must be more than 0")]
    Empty {
        /// Its place in the list, from 1.
        number: usize,
    },
    /// See [`JOBS_MAX`].
    #[error("{count} tasks are more than the {JOBS_MAX} that are computed one by one")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// When each task runs, in the order of `jobs`.
///
/// # Errors
/// When a task can never run, or there are too many.
pub fn schedule(gpus: u32, jobs: &[Job], order: Order) -> Result<Vec<Ran>, ScheduleError> {
    if jobs.len() > JOBS_MAX {
        return Err(ScheduleError::TooMany { count: jobs.len() });
    }
    for (index, job) in jobs.iter().enumerate() {
        if job.gpus > gpus {
            return Err(ScheduleError::TooLarge { number: index + 1, asked: job.gpus, gpus });
        }
        if job.gpus == 0 || job.duration.0 == 0 {
            return Err(ScheduleError::Empty { number: index + 1 });
        }
    }
    let mut arriving: Vec<usize> = (0..jobs.len()).collect();
    arriving.sort_by_key(|&job| jobs[job].arrival.0);
    let mut pool =
        Pool { free: gpus, running: BinaryHeap::new(), waiting: Vec::new(), ran: vec![None; jobs.len()] };
    let mut arriving = arriving.into_iter().peekable();
    loop {
        let next_end = pool.running.peek().map(|Reverse((end, _))| *end);
        let next_arrival = arriving.peek().map(|&job| jobs[job].arrival.0);
        let Some(now) = next_end.into_iter().chain(next_arrival).min() else { break };
        while pool.running.peek().is_some_and(|Reverse((end, _))| *end <= now) {
            pool.free += pool.running.pop().map_or(0, |Reverse((_, gpus))| gpus);
        }
        while let Some(job) = arriving.next_if(|&job| jobs[job].arrival.0 <= now) {
            pool.waiting.push(job);
        }
        pool.start_first(jobs, now);
        if order == Order::Backfill {
            pool.backfill(jobs, now);
        }
    }
    Ok(pool.ran.into_iter().map(|ran| ran.expect("every task fits the empty pool, so it ran")).collect())
}

/// What runs and what waits at one moment.
struct Pool {
    free: u32,
    /// End and GPUs, the next end first.
    running: BinaryHeap<Reverse<(u64, u32)>>,
    /// In order of arrival.
    waiting: Vec<usize>,
    ran: Vec<Option<Ran>>,
}

impl Pool {
    fn start(&mut self, job: usize, jobs: &[Job], now: u64) {
        let end = now.saturating_add(jobs[job].duration.0);
        self.free -= jobs[job].gpus;
        self.running.push(Reverse((end, jobs[job].gpus)));
        self.ran[job] = Some(Ran { start: Millis(now), end: Millis(end) });
    }

    /// Starts from the front for as long as the first fits.
    fn start_first(&mut self, jobs: &[Job], now: u64) {
        let mut started = 0;
        while let Some(&job) = self.waiting.get(started).filter(|&&job| jobs[job].gpus <= self.free) {
            self.start(job, jobs, now);
            started += 1;
        }
        self.waiting.drain(..started);
    }

    /// Starts who fits and does not delay the first: ends before it can start, or takes GPUs that it does not need.
    fn backfill(&mut self, jobs: &[Job], now: u64) {
        let Some((&first, _)) = self.waiting.split_first().filter(|_| self.free > 0) else { return };
        let (promised, mut spare) = self.promise(jobs[first].gpus);
        let mut place = 1;
        while place < self.waiting.len() && self.free > 0 {
            let job = self.waiting[place];
            let Job { gpus, duration, .. } = jobs[job];
            let in_time = now.saturating_add(duration.0) <= promised;
            if gpus <= self.free && (in_time || gpus <= spare) {
                spare -= if in_time { 0 } else { gpus };
                self.start(job, jobs, now);
                self.waiting.remove(place);
            } else {
                place += 1;
            }
        }
    }

    /// When so many GPUs will be free at the latest, and how many more than that.
    fn promise(&self, gpus: u32) -> (u64, u32) {
        let mut ends: Vec<(u64, u32)> = self.running.iter().map(|Reverse(end)| *end).collect();
        ends.sort_unstable();
        let mut free = self.free;
        let mut ends = ends.into_iter().peekable();
        while let Some((end, freed)) = ends.next() {
            free += freed;
            // What ends at the same moment is free at the same moment.
            if free >= gpus && ends.peek().is_none_or(|next| next.0 > end) {
                return (end, free - gpus);
            }
        }
        unreachable!("a task that is no larger than the pool fits when all else has ended")
    }
}

/// What a schedule is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleFigures {
    /// Who went first.
    pub order: Order,
    /// From arrival to start.
    pub wait_s_mean: f64,
    /// Half of the tasks wait at most this long.
    pub wait_s_p50: f64,
    /// Nine of ten.
    pub wait_s_p90: f64,
    /// Ninety-nine of a hundred.
    pub wait_s_p99: f64,
    /// The longest.
    pub wait_s_max: f64,
    /// From arrival to end.
    pub completion_s_mean: f64,
    /// From the first arrival to the last end.
    pub makespan_s: f64,
    /// No order could be faster: the work over all GPUs, or the longest task, or the last arrival and its task.
    pub makespan_s_bound: f64,
    /// GPU time that the tasks hold.
    pub busy_gpu_s: f64,
    /// That over what the GPUs have from the first arrival to the last end.
    pub utilization: f64,
    /// The horizon that was asked for.
    pub horizon_s: Option<f64>,
    /// GPU time held within the horizon, over what the GPUs have in it.
    pub utilization_over_horizon: Option<f64>,
}

/// Figures of a schedule that [`schedule`] has made; the horizon begins with the first arrival. `None` without tasks.
#[must_use]
pub fn figures(
    gpus: u32,
    jobs: &[Job],
    ran: &[Ran],
    order: Order,
    horizon: Option<Millis>,
) -> Option<ScheduleFigures> {
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let first = jobs.iter().map(|job| job.arrival.0).min()?;
    let last = ran.iter().map(|ran| ran.end.0).max()?;
    let mut waits: Vec<u64> = jobs.iter().zip(ran).map(|(job, ran)| ran.start.0 - job.arrival.0).collect();
    waits.sort_unstable();
    let total = |ms: &mut dyn Iterator<Item = u64>| ms.map(u128::from).sum::<u128>();
    let mean = |total: u128| total as f64 / 1_000.0 / jobs.len() as f64;
    let completion = total(&mut jobs.iter().zip(ran).map(|(job, ran)| ran.end.0 - job.arrival.0));
    let held = |until: u64| -> u128 {
        let spans =
            jobs.iter().zip(ran).map(|(job, ran)| (job.gpus, ran.start.0.min(until), ran.end.0.min(until)));
        spans.map(|(gpus, start, end)| u128::from(gpus) * u128::from(end - start)).sum()
    };
    let part = |held: u128, span: u64| held as f64 / (u128::from(gpus) * u128::from(span)) as f64;
    let work = held(u64::MAX);
    let alone = jobs.iter().map(|job| job.arrival.0.saturating_add(job.duration.0) - first).max()?;
    let spread = work.div_ceil(u128::from(gpus));
    let horizon = horizon.filter(|horizon| horizon.0 > 0);
    Some(ScheduleFigures {
        order,
        wait_s_mean: mean(total(&mut waits.iter().copied())),
        wait_s_p50: seconds(at_rank(&waits, 50)),
        wait_s_p90: seconds(at_rank(&waits, 90)),
        wait_s_p99: seconds(at_rank(&waits, 99)),
        wait_s_max: seconds(at_rank(&waits, 100)),
        completion_s_mean: mean(completion),
        makespan_s: seconds(last - first),
        makespan_s_bound: seconds(alone.max(u64::try_from(spread).unwrap_or(u64::MAX))),
        busy_gpu_s: work as f64 / 1_000.0,
        utilization: part(work, last - first),
        horizon_s: horizon.map(|horizon| seconds(horizon.0)),
        utilization_over_horizon: horizon
            .map(|horizon| part(held(first.saturating_add(horizon.0)), horizon.0)),
    })
}

/// The smallest value that so many percent of the sorted values do not exceed.
fn at_rank(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(gpus: u32, duration: u64, arrival: u64) -> Job {
        Job { gpus, duration: Millis(duration), arrival: Millis(arrival) }
    }

    fn starts(gpus: u32, jobs: &[Job], order: Order) -> Vec<u64> {
        schedule(gpus, jobs, order).unwrap().iter().map(|ran| ran.start.0).collect()
    }

    #[test]
    fn the_example_of_the_article_has_no_wait_and_half_of_the_gpus_busy() {
        let jobs = [job(1, 7_200_000, 0); 5];
        let ran = schedule(10, &jobs, Order::Fifo).unwrap();
        let figures = figures(10, &jobs, &ran, Order::Fifo, Some(Millis(36_000_000))).unwrap();
        assert_eq!((figures.wait_s_mean, figures.wait_s_max, figures.completion_s_mean), (0.0, 0.0, 7_200.0));
        assert_eq!((figures.makespan_s, figures.utilization), (7_200.0, 0.5));
        // Over the ten hours that the article has in mind it is 10 %: the figure needs its time base.
        assert_eq!(figures.utilization_over_horizon, Some(0.1));
    }

    #[test]
    fn a_small_task_goes_ahead_only_where_it_delays_nobody() {
        // 3 of 4 GPUs are busy until 10; the second needs all; the third would end at 9, the fourth at 11.
        let jobs = [job(3, 10, 0), job(4, 5, 0), job(1, 9, 0), job(1, 11, 0)];
        assert_eq!(starts(4, &jobs, Order::Fifo), [0, 10, 15, 15]);
        assert_eq!(starts(4, &jobs, Order::Backfill), [0, 10, 0, 15]);
        // With a GPU to spare even then, a long one may go ahead as well.
        let jobs = [job(3, 10, 0), job(3, 5, 0), job(1, 99, 0)];
        assert_eq!(starts(4, &jobs, Order::Backfill), [0, 10, 0]);
    }

    #[test]
    fn later_arrivals_wait_for_those_before_them() {
        assert_eq!(starts(1, &[job(1, 10, 5), job(1, 10, 0)], Order::Fifo), [10, 0]);
    }

    #[test]
    fn what_can_never_run_is_refused() {
        let refused = |job| schedule(2, &[job], Order::Fifo).unwrap_err().to_string();
        assert_eq!(refused(job(3, 1, 0)), "task 1 asks for 3 GPUs and there are 2");
        assert!(refused(job(0, 1, 0)).contains("asks for nothing"));
        assert_eq!(schedule(0, &[], Order::Fifo), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_gpu_is_held_twice_and_fifo_starts_in_order(
            jobs in prop::collection::vec((1_u32..=4, 1_u64..30, 0_u64..60), 1..40)
        ) {
            let jobs: Vec<Job> = jobs.into_iter().map(|(gpus, duration, arrival)| job(gpus, duration, arrival)).collect();
            for order in [Order::Fifo, Order::Backfill] {
                let ran = schedule(4, &jobs, order).unwrap();
                for moment in ran.iter().map(|ran| ran.start.0) {
                    let held: u32 = jobs.iter().zip(&ran)
                        .filter(|(_, ran)| (ran.start.0..ran.end.0).contains(&moment))
                        .map(|(job, _)| job.gpus).sum();
                    prop_assert!(held <= 4);
                }
                let figures = figures(4, &jobs, &ran, order, None).unwrap();
                prop_assert!(figures.makespan_s >= figures.makespan_s_bound && figures.utilization <= 1.0);
                prop_assert!(jobs.iter().zip(&ran).all(|(job, ran)| ran.start.0 >= job.arrival.0));
            }
            let fifo = schedule(4, &jobs, Order::Fifo).unwrap();
            prop_assert!(jobs.iter().enumerate().all(|(a, left)| jobs.iter().enumerate().all(|(b, right)| {
                (left.arrival.0, a) >= (right.arrival.0, b) || fifo[a].start.0 <= fifo[b].start.0
            })), "first come, first served");
        }
    }
}
