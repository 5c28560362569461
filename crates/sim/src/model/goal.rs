//! How many GPUs keep waits within a goal, and what they cost.

use serde::Serialize;

use super::erlang::Erlang;
use super::queue::{Queue, QueueError, QueueFigures, SERVERS_MAX};

/// Hours of a month: a twelfth of 365 days.
pub const MONTH_H: f64 = 730.0;

/// What waits shall not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// The wait in seconds.
    pub wait_s: f64,
    /// Which wait: `None` is the mean, else the one that this part of the tasks does not exceed.
    pub quantile: Option<f64>,
}

/// One number of servers: the figures, the wait that the goal speaks of, and whether that is met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// In the long run.
    #[serde(flatten)]
    pub figures: QueueFigures,
    /// The wait that the goal speaks of.
    pub goal_wait_s: f64,
    /// Whether it is within the goal.
    pub met: bool,
}

/// What servers cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// In the currency of the price.
    pub cost_per_month: f64,
    /// For each task, idle time included.
    pub cost_per_task: f64,
    /// The part of the cost that is for idle GPUs.
    pub idle_share: f64,
}

/// The fewest servers that meet the goal. [`around`] shows their neighbours.
///
/// # Errors
/// When more than [`SERVERS_MAX`] would be needed.
pub fn fewest(queue: &Queue, goal: Goal) -> Result<Choice, QueueError> {
    let least = queue.servers_min().ok_or(QueueError::TooLarge)?;
    let mut erlang = Erlang::with(queue.load(), least);
    while erlang.servers() <= SERVERS_MAX {
        let choice = choice(queue, &erlang, goal);
        if choice.met {
            return Ok(choice);
        }
        erlang.add();
    }
    Err(QueueError::TooLarge)
}

/// So many servers less and more than `servers`, as far as the queue stays finite.
///
/// # Errors
/// When the load is too large for any allowed number.
pub fn around(
    queue: &Queue,
    goal: Goal,
    servers: u32,
    less: u32,
    more: u32,
) -> Result<Vec<Choice>, QueueError> {
    let least = queue.servers_min().ok_or(QueueError::TooLarge)?.max(servers.saturating_sub(less));
    let mut erlang = Erlang::with(queue.load(), least);
    let mut choices = Vec::new();
    while erlang.servers() <= (servers + more).min(SERVERS_MAX) {
        choices.push(choice(queue, &erlang, goal));
        erlang.add();
    }
    Ok(choices)
}

fn choice(queue: &Queue, erlang: &Erlang, goal: Goal) -> Choice {
    let figures = queue.of(erlang);
    let goal_wait_s = match goal.quantile {
        None => figures.wait_s_mean,
        Some(quantile) => queue.wait_s(erlang, figures.wait_s_mean, quantile),
    };
    Choice { figures, goal_wait_s, met: goal_wait_s <= goal.wait_s }
}

/// What so many GPUs cost at this price for each GPU and hour, of which the tasks of the queue use `utilization`.
#[must_use]
pub fn cost(queue: &Queue, gpus: u32, utilization: f64, price_per_gpu_hour: f64) -> Cost {
    let per_hour = f64::from(gpus) * price_per_gpu_hour;
    Cost {
        cost_per_month: per_hour * MONTH_H,
        cost_per_task: per_hour / (queue.arrivals_per_s * 3_600.0),
        idle_share: 1.0 - utilization,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Service;

    fn busy(cv: f64) -> Queue {
        // Twelve tasks an hour of two hours each keep 24 servers busy.
        Queue {
            arrivals_per_s: 12.0 / 3_600.0,
            service: Service::Lognormal { mean_s: 7_200.0, cv },
            servers: 0,
        }
    }

    #[test]
    fn the_answer_meets_the_goal_and_one_less_does_not() {
        for (cv, wait_s, quantile) in
            [(1.0, 300.0, Some(0.95)), (2.0, 300.0, None), (0.3, 0.0, Some(0.9)), (3.0, 86_400.0, Some(0.99))]
        {
            let queue = busy(cv);
            let goal = Goal { wait_s, quantile };
            let found = fewest(&queue, goal).unwrap();
            let table = around(&queue, goal, found.figures.servers, 3, 3).unwrap();
            for choice in table {
                assert_eq!(choice.met, choice.figures.servers >= found.figures.servers, "{choice:?}");
            }
            assert!(found.met && found.goal_wait_s <= wait_s);
        }
    }

    #[test]
    fn the_cost_is_for_idle_gpus_too() {
        let cost = cost(&busy(1.0), 30, 0.8, 2.5);
        assert!((cost.cost_per_month - 54_750.0).abs() < 1e-9);
        assert!((cost.cost_per_task - 6.25).abs() < 1e-9);
        assert!((cost.idle_share - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_goal_beyond_all_servers_is_refused() {
        let queue = Queue { arrivals_per_s: 1e6, ..busy(1.0) };
        assert_eq!(fewest(&queue, Goal { wait_s: 1.0, quantile: None }), Err(QueueError::TooLarge));
    }
}
