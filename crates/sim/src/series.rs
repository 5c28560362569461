//! What some numbers were over time, in as many steps as a picture can show, however long it takes.

use fastgpu_core::units::{Millis, Timestamp};

/// Averages of `N` numbers over steps of equal length. The length doubles as time goes on.
#[derive(Debug, Clone)]
pub struct Series<const N: usize> {
    /// Steps are merged in pairs when there are more.
    steps_max: u64,
    start: Timestamp,
    step: Millis,
    /// Sums of value times milliseconds.
    sums: Vec<[f64; N]>,
    end: Timestamp,
}

impl<const N: usize> Series<N> {
    /// Nothing yet, from `start` on, in at most so many steps.
    #[must_use]
    pub fn from(start: Timestamp, steps_max: u64) -> Self {
        Self { steps_max, start, step: Millis(1_000), sums: Vec::new(), end: start }
    }

    /// The numbers were `values` from the last call until `until`.
    pub fn push(&mut self, values: &[f64; N], until: Timestamp) {
        while until.since(self.start).0 > self.step.0 * self.steps_max {
            self.merge();
        }
        while self.end < until {
            let step = self.end.since(self.start).0 / self.step.0;
            let step_end = self.start.plus(Millis((step + 1) * self.step.0));
            let to = step_end.min(until);
            let place = usize::try_from(step).expect("at most as many steps as are kept");
            if self.sums.len() <= place {
                self.sums.resize(place + 1, [0.0; N]);
            }
            let span = milliseconds(to.since(self.end));
            for (sum, value) in self.sums[place].iter_mut().zip(values) {
                *sum += value * span;
            }
            self.end = to;
        }
    }

    fn merge(&mut self) {
        self.step = Millis(self.step.0 * 2);
        let merged = self.sums.chunks(2).map(|pair| {
            let mut sum = pair[0];
            if let Some(second) = pair.get(1) {
                sum.iter_mut().zip(second).for_each(|(sum, value)| *sum += value);
            }
            sum
        });
        self.sums = merged.collect();
    }

    /// The averages: seconds from the start to the middle of each step, and the numbers there.
    #[must_use]
    pub fn averages(&self) -> Vec<(f64, [f64; N])> {
        let step = milliseconds(self.step);
        let whole = milliseconds(self.end.since(self.start));
        let mut from = 0.0;
        let mut averages = Vec::with_capacity(self.sums.len());
        for sum in &self.sums {
            let span = step.min(whole - from);
            averages.push(((from + span / 2.0) / 1e3, sum.map(|sum| sum / span)));
            from += step;
        }
        averages
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans of a simulation are far below 2^52 ms")]
fn milliseconds(span: Millis) -> f64 {
    span.0 as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_stays_right_when_steps_are_merged() {
        let mut series = Series::<1>::from(Timestamp(0), 512);
        series.push(&[4.0], Timestamp(500));
        series.push(&[2.0], Timestamp(1_000));
        assert_eq!(series.averages(), [(0.5, [3.0])]);
        series.push(&[7.0], Timestamp(5_000_000));
        let averages = series.averages();
        assert!(averages.len() <= 512);
        assert_eq!(averages[1].1, [7.0]);
        let step = series.step.0 as f64;
        let total: f64 = averages.iter().map(|(_, [value])| value * step).sum();
        let last = averages.last().unwrap().1[0];
        let cut = step * averages.len() as f64 - 5_000_000.0;
        assert!((total - last * cut - (3.0 * 1_000.0 + 7.0 * 4_999_000.0)).abs() < 1e-3);
    }
}
