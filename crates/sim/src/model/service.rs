//! How long tasks run: a distribution that can be drawn from, and its first three moments, which decide the waits.

use crate::random::Random;

/// How long tasks run, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Service {
    /// All alike.
    Fixed {
        /// The duration.
        mean_s: f64,
    },
    /// Exponential: no memory, coefficient of variation 1.
    Exponential {
        /// The mean.
        mean_s: f64,
    },
    /// Gamma: alike below a coefficient of variation of 1, mixed above.
    Gamma {
        /// The mean.
        mean_s: f64,
        /// Deviation over mean.
        cv: f64,
    },
    /// Lognormal: many short and a few very long; what traces of GPU clusters look like.
    Lognormal {
        /// The mean.
        mean_s: f64,
        /// Deviation over mean.
        cv: f64,
    },
    /// Two kinds of exponential tasks, short and long, with the same total work each (balanced means).
    Hyperexponential {
        /// The mean.
        mean_s: f64,
        /// Deviation over mean, at least 1.
        cv: f64,
    },
    /// Durations that were measured, each equally likely.
    Empirical {
        /// The durations.
        durations_s: Vec<f64>,
    },
}

impl Service {
    /// The mean duration in seconds.
    #[must_use]
    pub fn mean_s(&self) -> f64 {
        match self {
            Self::Fixed { mean_s }
            | Self::Exponential { mean_s }
            | Self::Gamma { mean_s, .. }
            | Self::Lognormal { mean_s, .. }
            | Self::Hyperexponential { mean_s, .. } => *mean_s,
            Self::Empirical { durations_s } => moment(durations_s, 1),
        }
    }

    /// The squared coefficient of variation: 0 for all alike, 1 for exponential.
    #[must_use]
    pub fn cv2(&self) -> f64 {
        match self {
            Self::Fixed { .. } => 0.0,
            Self::Exponential { .. } => 1.0,
            Self::Gamma { cv, .. } | Self::Lognormal { cv, .. } | Self::Hyperexponential { cv, .. } => {
                cv * cv
            }
            Self::Empirical { durations_s } => {
                (moment(durations_s, 2) / moment(durations_s, 1).powi(2) - 1.0).max(0.0)
            }
        }
    }

    /// The mean of the third power, over the third power of the mean: 1 for all alike, 6 for exponential.
    #[must_use]
    pub fn third_moment(&self) -> f64 {
        match self {
            Self::Fixed { .. } => 1.0,
            Self::Exponential { .. } => 6.0,
            Self::Gamma { cv, .. } => (1.0 + cv * cv) * (1.0 + 2.0 * cv * cv),
            Self::Lognormal { cv, .. } => (1.0 + cv * cv).powi(3),
            Self::Hyperexponential { cv, .. } => {
                let short = short_part(*cv);
                0.75 * (short.powi(-2) + (1.0 - short).powi(-2))
            }
            Self::Empirical { durations_s } => moment(durations_s, 3) / moment(durations_s, 1).powi(3),
        }
    }

    /// Whether the queue formulas for it are exact for any number of servers.
    #[must_use]
    pub fn is_exponential(&self) -> bool {
        matches!(self, Self::Exponential { .. })
    }

    /// One duration in seconds.
    pub fn draw_s(&self, random: &mut Random) -> f64 {
        match self {
            Self::Fixed { mean_s } => *mean_s,
            Self::Exponential { mean_s } => random.exponential(*mean_s),
            Self::Gamma { mean_s, cv } => random.gamma(*mean_s, *cv),
            Self::Lognormal { mean_s, cv } => random.lognormal(*mean_s, *cv),
            Self::Hyperexponential { mean_s, cv } => {
                let short = short_part(*cv);
                let part = if random.happens(short) { short } else { 1.0 - short };
                random.exponential(mean_s / (2.0 * part))
            }
            Self::Empirical { durations_s } => {
                let place = usize::try_from(random.below(durations_s.len() as u64));
                durations_s[place.expect("an index of a list in memory")]
            }
        }
    }
}

/// Which part of hyperexponential tasks is of the short kind.
fn short_part(cv: f64) -> f64 {
    let cv2 = (cv * cv).max(1.0);
    0.5 * (1.0 + ((cv2 - 1.0) / (cv2 + 1.0)).sqrt())
}

fn moment(durations_s: &[f64], power: i32) -> f64 {
    durations_s.iter().map(|duration| duration.powi(power)).sum::<f64>() / durations_s.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_that_the_formulas_use() {
        let mean_s = 10.0;
        let all = [
            Service::Fixed { mean_s },
            Service::Exponential { mean_s },
            Service::Gamma { mean_s, cv: 0.5 },
            Service::Lognormal { mean_s, cv: 0.7 },
            Service::Hyperexponential { mean_s, cv: 1.5 },
            Service::Empirical { durations_s: vec![1.0, 2.0, 27.0] },
        ];
        for service in all {
            let mut random = Random::stream(5, 0);
            let drawn: Vec<f64> = (0..1_000_000).map(|_| service.draw_s(&mut random)).collect();
            let found = Service::Empirical { durations_s: drawn };
            for (name, found, expected) in [
                ("mean", found.mean_s(), service.mean_s()),
                ("cv2", found.cv2() + 1.0, service.cv2() + 1.0),
                ("third moment", found.third_moment(), service.third_moment()),
            ] {
                assert!(
                    (found / expected - 1.0).abs() < 0.03,
                    "{service:?}: {name} {found}, expected {expected}"
                );
            }
        }
    }
}
