//! Tasks that keep arriving: waits in the long run, by queueing theory.
//!
//! Tasks arrive at random (Poisson), each takes one server (the GPUs that a task holds), and the first that came is
//! served first. With exponential durations (M/M/c) every figure is exact. With others (M/G/c) no exact formula is known
//! for more than one server; what is used then, and how wrong it was found to be, stands at [`variation_factor`] and
//! [`Queue::wait_s`].

use serde::Serialize;

use super::erlang::Erlang;
use super::gamma;
use super::service::Service;

/// More servers than this are refused.
pub const SERVERS_MAX: u32 = 100_000;

/// The system: what arrives, how long it runs, and how many can run at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Tasks per second.
    pub arrivals_per_s: f64,
    /// How long each runs.
    pub service: Service,
    /// How many run at once.
    pub servers: u32,
}

/// Why a queue has no figures.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum QueueError {
    /// The queue grows without end.
    #[error(
        "the tasks would keep {load:.2} servers busy, and {servers} cannot keep up: the queue grows without end"
    )]
    Unstable {
        /// The mean number of busy servers if there were enough.
        load: f64,
        /// What there is.
        servers: u32,
        /// The fewest with which the queue stays finite.
        servers_min: u32,
    },
    /// See [`SERVERS_MAX`].
    #[error("the tasks need more than {SERVERS_MAX} servers at once")]
    TooLarge,
}

/// A queue in the long run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueFigures {
    /// How many tasks run at once.
    pub servers: u32,
    /// The part of the servers that is busy.
    pub utilization: f64,
    /// The part of tasks that do not start at once.
    pub wait_probability: f64,
    /// The mean wait.
    pub wait_s_mean: f64,
    /// Half of the tasks wait at most this long.
    pub wait_s_p50: f64,
    /// Nine of ten.
    pub wait_s_p90: f64,
    /// Nineteen of twenty.
    pub wait_s_p95: f64,
    /// Ninety-nine of a hundred.
    pub wait_s_p99: f64,
    /// The mean from arrival to end.
    pub completion_s_mean: f64,
    /// The mean number of tasks that wait.
    pub waiting_mean: f64,
    /// Whether the figures are exact or an approximation.
    pub exact: bool,
}

impl Queue {
    /// The mean number of servers that the tasks would keep busy if there were enough.
    #[must_use]
    pub fn load(&self) -> f64 {
        self.arrivals_per_s * self.service.mean_s()
    }

    /// The fewest servers with which the queue stays finite, if that many are allowed.
    #[must_use]
    pub fn servers_min(&self) -> Option<u32> {
        let whole = self.load().floor() + 1.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 1 to the largest allowed"
        )]
        (whole <= f64::from(SERVERS_MAX)).then_some(whole as u32)
    }

    /// All figures.
    ///
    /// # Errors
    /// When the servers cannot keep up, or are too many.
    pub fn figures(&self) -> Result<QueueFigures, QueueError> {
        if self.servers > SERVERS_MAX {
            return Err(QueueError::TooLarge);
        }
        let servers_min = self.servers_min().ok_or(QueueError::TooLarge)?;
        if self.servers < servers_min {
            return Err(QueueError::Unstable { load: self.load(), servers: self.servers, servers_min });
        }
        Ok(self.of(&Erlang::with(self.load(), self.servers)))
    }

    /// Figures with the servers of `erlang`, which has this queue's load and at least [`Queue::servers_min`] servers.
    pub(super) fn of(&self, erlang: &Erlang) -> QueueFigures {
        let mean_s = self.service.mean_s();
        let factor = variation_factor(erlang.servers(), erlang.utilization(), self.service.cv2());
        let wait_s_mean = erlang.mean_wait_in_services() * mean_s * factor;
        let wait = |probability| self.wait_s(erlang, wait_s_mean, probability);
        QueueFigures {
            servers: erlang.servers(),
            utilization: erlang.utilization(),
            wait_probability: erlang.waits(),
            wait_s_mean,
            wait_s_p50: wait(0.5),
            wait_s_p90: wait(0.9),
            wait_s_p95: wait(0.95),
            wait_s_p99: wait(0.99),
            completion_s_mean: wait_s_mean + mean_s,
            waiting_mean: wait_s_mean * self.arrivals_per_s,
            exact: self.service.is_exponential(),
        }
    }

    /// The wait that this part of the tasks does not exceed.
    ///
    /// A task waits at all with Erlang's probability, as with exponential durations. The waits of those who wait have the mean
    /// that follows, and for their spread the moment formula that is exact for one server; between the two a gamma
    /// distribution. For exponential durations that is the exponential distribution, and exact.
    pub(super) fn wait_s(&self, erlang: &Erlang, wait_s_mean: f64, probability: f64) -> f64 {
        let waits = erlang.waits();
        if waits <= 1.0 - probability {
            return 0.0;
        }
        let (utilization, cv2) = (erlang.utilization(), self.service.cv2());
        let spread = 4.0 * self.service.third_moment() / (3.0 * (1.0 + cv2).powi(2));
        let delay_cv2 = 2.0 * utilization - 1.0 + (1.0 - utilization) * spread;
        gamma::quantile(wait_s_mean / waits, delay_cv2, 1.0 - (1.0 - probability) / waits)
    }
}

/// The mean wait with durations all alike (M/D/c) over that with exponential ones: Cosmetatos's approximation, 1/2 for one
/// server and in heavy traffic. Whitt's limit keeps it in bounds in light traffic.
#[must_use]
pub fn fixed_factor(servers: u32, utilization: f64) -> f64 {
    /// Beyond this the correction overshoots.
    const CORRECTION_MAX: f64 = 0.24;
    let servers = f64::from(servers);
    let correction = (1.0 - utilization) * (servers - 1.0) * ((4.0 + 5.0 * servers).sqrt() - 2.0)
        / (16.0 * servers * utilization.max(f64::MIN_POSITIVE));
    0.5 * (1.0 + correction.min(CORRECTION_MAX))
}

/// The mean wait with durations of this squared coefficient of variation (M/G/c) over that with exponential ones.
///
/// Kimura's interpolation between the system with fixed and the one with exponential durations: 1 for a variation of 1,
/// `(1 + cv²)/2` for one server (Pollaczek and Khinchine, exact) and in heavy traffic.
#[must_use]
pub fn variation_factor(servers: u32, utilization: f64, cv2: f64) -> f64 {
    (1.0 + cv2) / (2.0 * cv2 + (1.0 - cv2) / fixed_factor(servers, utilization))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(utilization: f64, servers: u32, service: Service) -> Queue {
        let arrivals_per_s = utilization * f64::from(servers) / service.mean_s();
        Queue { arrivals_per_s, service, servers }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 * expected.abs().max(1e-3), "{found}, expected {expected}");
    }

    #[test]
    fn one_exponential_server_is_the_closed_form() {
        let found = queue(0.8, 1, Service::Exponential { mean_s: 60.0 }).figures().unwrap();
        near(found.wait_s_mean, 0.8 / 0.2 * 60.0);
        near(found.completion_s_mean, 300.0);
        near(found.waiting_mean, 0.8 * 0.8 / 0.2);
        // P(wait > t) = 0.8 e^(-t/300).
        near(found.wait_s_p90, 300.0 * 8_f64.ln());
        near(found.wait_s_p99, 300.0 * 80_f64.ln());
        assert!(found.exact);
        near(queue(0.4, 1, Service::Exponential { mean_s: 60.0 }).figures().unwrap().wait_s_p50, 0.0);
    }

    #[test]
    fn one_server_is_pollaczek_and_khinchine() {
        for (cv, utilization) in [(0.0, 0.5), (0.5, 0.9), (2.0, 0.3), (3.0, 0.95)] {
            let found = queue(utilization, 1, Service::Gamma { mean_s: 10.0, cv }).figures().unwrap();
            near(found.wait_s_mean, 10.0 * utilization / (1.0 - utilization) * (1.0 + cv * cv) / 2.0);
        }
    }

    #[test]
    fn a_variation_of_one_is_the_exponential_system() {
        let exponential = queue(0.9, 12, Service::Exponential { mean_s: 5.0 }).figures().unwrap();
        let other = queue(0.9, 12, Service::Gamma { mean_s: 5.0, cv: 1.0 }).figures().unwrap();
        near(other.wait_s_mean, exponential.wait_s_mean);
        near(other.wait_s_p99, exponential.wait_s_p99);
        assert!(!other.exact);
    }

    #[test]
    fn too_few_servers_are_told_how_many_are_needed() {
        let mut queue = queue(1.0, 24, Service::Fixed { mean_s: 7_200.0 });
        assert!(matches!(queue.figures(), Err(QueueError::Unstable { servers: 24, servers_min: 25, .. })));
        queue.servers = 25;
        assert!(queue.figures().is_ok());
        queue.arrivals_per_s = 1e9;
        assert_eq!(queue.figures(), Err(QueueError::TooLarge));
    }

    proptest! {
        #[test]
        fn more_servers_and_less_variation_never_lengthen_the_wait(
            load in 0.05_f64..300.0, more in 0_u32..40, cv in 0.0_f64..4.0
        ) {
            let base = Queue { arrivals_per_s: load, service: Service::Gamma { mean_s: 1.0, cv }, servers: 0 };
            let least = base.servers_min().unwrap() + more;
            let figures = |servers, cv| Queue { servers, service: Service::Gamma { mean_s: 1.0, cv }, ..base.clone() }
                .figures().unwrap();
            let (fewer, more) = (figures(least, cv), figures(least + 1, cv));
            prop_assert!(more.wait_s_mean <= fewer.wait_s_mean * (1.0 + 1e-12));
            prop_assert!(more.wait_probability <= fewer.wait_probability);
            prop_assert!(fewer.wait_s_mean <= figures(least, cv + 0.1).wait_s_mean * (1.0 + 1e-12));
            let quantiles = [fewer.wait_s_p50, fewer.wait_s_p90, fewer.wait_s_p95, fewer.wait_s_p99];
            prop_assert!(quantiles.is_sorted());
        }
    }
}
