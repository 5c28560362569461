//! A keeper that does not answer: noticed, told, and waited for.
//!
//! It is never given up. What it holds runs on, nobody may take its place, and when it goes on it finds our
//! greeting and every order after it. So all that is done here is to let the node say so.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fastgpu_core::node::{Ability, Report};
use fastgpu_core::units::Timestamp;

use super::Link;
use crate::clock::now;

/// How long a keeper may take to answer the greeting. It answers in milliseconds unless it is stopped, hangs
/// in the kernel, or the machine is out of breath.
const WELCOME_MAX: Duration = Duration::from_secs(5);

impl Link {
    /// When a greeted keeper is late with its answer.
    pub(super) fn late_at(&self) -> Option<Instant> {
        let connection = self.connection.as_ref().filter(|c| !c.welcomed && !c.is_late)?;
        Some(connection.greeted_at + WELCOME_MAX)
    }

    pub(super) fn look_at_silence(&mut self) {
        if self.late_at().is_none_or(|at| Instant::now() < at) {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        connection.is_late = true;
        let peer = rustix::net::sockopt::socket_peercred(connection.stream.as_fd());
        let pid = peer.map_or_else(|_| "unknown".to_owned(), |peer| peer.pid.as_raw_nonzero().to_string());
        let silent_ms = i64::try_from(connection.greeted_at.elapsed().as_millis()).unwrap_or(0);
        let since = time_of_day(Timestamp(now().0 - silent_ms));
        tracing::warn!(pid, "the keeper does not answer; it is waited for");
        self.say_trouble(format!("the keeper (pid {pid}) does not answer since {since}; it is waited for"));
    }

    /// Lets the node say what is wrong with its keeper, until one answers.
    pub(super) fn say_trouble(&mut self, detail: String) {
        let is_known = self.trouble.as_ref().is_some_and(|trouble| trouble.detail == detail);
        if is_known || self.shared.lock().shutdown {
            return;
        }
        self.trouble = Some(Ability { name: "keeper".into(), works: false, detail });
        let inventory = self.inventory();
        self.pass(Report::Inventory(inventory));
    }

    /// A keeper answers.
    pub(super) fn trouble_is_over(&mut self) {
        if let Some(trouble) = self.trouble.take() {
            tracing::info!(before = trouble.detail, "the keeper answers");
        }
    }
}

fn time_of_day(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1_000).rem_euclid(24 * 60 * 60);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_written_as_clocks_show_it() {
        assert_eq!(time_of_day(Timestamp(1_760_000_000_999)), "08:53:20 UTC");
        assert_eq!(time_of_day(Timestamp(-1)), "23:59:59 UTC");
    }
}
