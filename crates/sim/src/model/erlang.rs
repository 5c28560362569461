//! Erlang's formulas for tasks that arrive at random and run for exponential times.
//!
//! Everything rests on one recurrence, which adds a server at a time, never leaves the range from 0 to 1 and loses no
//! digits: 100,000 servers take a tenth of a millisecond each way.

/// A growing number of servers under a fixed load.
#[derive(Debug, Clone, Copy)]
pub struct Erlang {
    /// The mean number of servers that the tasks would keep busy if there were enough of them.
    load: f64,
    servers: u32,
    /// Erlang B: the part of tasks that would find all servers busy if nobody could wait.
    blocked: f64,
}

impl Erlang {
    /// No servers yet. The load is arrivals per second times seconds of service, and at least 0.
    #[must_use]
    pub fn new(load: f64) -> Self {
        Self { load, servers: 0, blocked: 1.0 }
    }

    /// With so many servers.
    #[must_use]
    pub fn with(load: f64, servers: u32) -> Self {
        let mut erlang = Self::new(load);
        (0..servers).for_each(|_| erlang.add());
        erlang
    }

    /// Adds a server.
    pub fn add(&mut self) {
        self.servers += 1;
        self.blocked = self.load * self.blocked / (f64::from(self.servers) + self.load * self.blocked);
    }

    /// How many servers there are.
    #[must_use]
    pub fn servers(&self) -> u32 {
        self.servers
    }

    /// The part of the servers that is busy; 1 and more means that the queue grows without end.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.load / f64::from(self.servers)
    }

    /// Erlang B: the part of tasks lost if nobody can wait.
    #[must_use]
    pub fn blocked(&self) -> f64 {
        self.blocked
    }

    /// Erlang C: the part of tasks that have to wait; 1 if there are too few servers.
    #[must_use]
    pub fn waits(&self) -> f64 {
        let idle = 1.0 - self.utilization();
        if idle <= 0.0 { 1.0 } else { self.blocked / (self.blocked + (1.0 - self.blocked) * idle) }
    }

    /// The mean wait, in services: how many mean durations a task waits. Infinite if there are too few servers.
    #[must_use]
    pub fn mean_wait_in_services(&self) -> f64 {
        let surplus = f64::from(self.servers) - self.load;
        if surplus <= 0.0 { f64::INFINITY } else { self.waits() / surplus }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, digits: i32) {
        assert!((found - expected).abs() <= 0.5 * 10_f64.powi(-digits), "{found}, expected {expected}");
    }

    #[test]
    fn small_cases_are_the_fractions_of_a_textbook() {
        // By hand: B(2, 1) = (1/2) / (1 + 1 + 1/2) = 1/5, C(2, 1) = 1/3; C(3, 2) = 4/9; C(2, 1.5) = 9/14.
        near(Erlang::with(1.0, 2).blocked(), 0.2, 14);
        near(Erlang::with(1.0, 2).waits(), 1.0 / 3.0, 14);
        near(Erlang::with(2.0, 3).waits(), 4.0 / 9.0, 14);
        near(Erlang::with(1.5, 2).waits(), 9.0 / 14.0, 14);
    }

    #[test]
    fn printed_tables_are_met() {
        // Help desk: 2.5 erlangs. Ten servers, 6 erlangs: "about 0.10".
        for (servers, percent) in [(4, 32.0), (5, 13.0), (6, 4.7)] {
            near(Erlang::with(2.5, servers).waits() * 100.0, percent, 0);
        }
        near(Erlang::with(6.0, 10).waits(), 0.1013, 4);
        // Erlang B tables: 10 servers at 1 % take 4.461 erlangs, 100 servers at 1 % take 84.06.
        near(Erlang::with(4.461, 10).blocked(), 0.01, 5);
        near(Erlang::with(84.06, 100).blocked(), 0.01, 4);
    }

    #[test]
    fn one_server_is_the_closed_form() {
        for utilization in [0.01, 0.5, 0.9, 0.999] {
            let erlang = Erlang::with(utilization, 1);
            near(erlang.waits(), utilization, 14);
            near(erlang.mean_wait_in_services() / (utilization / (1.0 - utilization)), 1.0, 12);
        }
    }

    #[test]
    fn a_hundred_thousand_servers_lose_no_digits() {
        // Halfin and Whitt: with a surplus of sqrt(load) servers the wait probability tends to 1 / (1 + Φ(1) / φ(1)) = 0.2234.
        let load = 100_000.0 - 316.0;
        let waits = Erlang::with(load, 100_000).waits();
        near(waits, 0.2234, 2);
        // The sum of the definition in logarithms, term by term, as the witness.
        let mut term = 0.0_f64;
        let mut terms = vec![term];
        for server in 1..=100_000_u32 {
            term += (load / f64::from(server)).ln();
            terms.push(term);
        }
        let largest = terms.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
        let blocked = (term - largest).exp() / sum;
        near(blocked / Erlang::with(load, 100_000).blocked(), 1.0, 8);
    }

    #[test]
    fn each_server_more_shortens_the_wait() {
        let mut erlang = Erlang::with(40.0, 41);
        let mut before = f64::INFINITY;
        for _ in 0..200 {
            let wait = erlang.mean_wait_in_services();
            assert!(wait < before, "{} servers", erlang.servers());
            before = wait;
            erlang.add();
        }
    }
}
