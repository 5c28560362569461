//! The model of the article that FastGPU began with, as exact fractions, to set beside the truth.
//!
//! The article gives two formulas, `U = (1/R) Σ T_i` for the utilization of `R` GPUs by tasks of `T_i` hours and
//! `T = Σ T_i + W_i` for their completion, and one example: 10 GPUs and 5 tasks of one GPU and 2 hours give 10 %
//! utilization and 1 hour of waiting. It shows no steps in between. [`ARTICLE_STEPS`] are the ones that lead from the
//! formulas to exactly these figures; [`ARTICLE_FAILS`] says what is wrong with them.

use fastgpu_core::units::Millis;
use serde::Serialize;

/// A fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ratio {
    /// Above the line.
    pub numerator: u128,
    /// Below the line; never 0.
    pub denominator: u128,
}

impl Ratio {
    /// In lowest terms; `None` if the denominator is 0.
    #[must_use]
    pub fn new(numerator: u128, denominator: u128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let (mut larger, mut divisor) = (numerator, denominator);
        while !larger.is_multiple_of(divisor) {
            (larger, divisor) = (divisor, larger % divisor);
        }
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// The nearest float.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

/// What the article says of a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ArticleFigures {
    /// A part of 1.
    pub utilization: Ratio,
    /// Milliseconds.
    pub wait_ms: Ratio,
    /// `T`: what it takes for completion, in milliseconds.
    pub completion_ms: Ratio,
}

/// Each step of the derivation, and what it takes for granted without saying so.
pub const ARTICLE_STEPS: [(&str, &str); 3] = [
    (
        "T = Σ T_i + W_i with no W_i yet: the tasks take Σ T_i together",
        "the tasks run one after another, however many GPUs are free",
    ),
    (
        "U = (1/R) Σ T_i, each T_i as a part of that time: (1/R) Σ (T_i / Σ T_j) = 1/R",
        "one GPU is busy and R - 1 are idle at every moment, whatever the tasks are; the GPUs a task asks for do not matter",
    ),
    (
        "W = (1/R) Σ T_i, each T_i in hours: the same sum once more",
        "a task waits for its share of all work, its own included, although nobody is before it",
    ),
];

/// Where it fails, in two sentences.
pub const ARTICLE_FAILS: &str = "It lets the tasks run one after another although enough GPUs are free for several at once, so that \
its utilization is 1/R for every list of tasks and sees neither the load nor the GPUs that a task holds. What it calls waiting \
is the work per GPU, a lower bound of the time that all work takes, whereas a task waits only while fewer GPUs are free than \
it asks for.";

/// The article's figures for tasks of these durations on so many GPUs; `None` without GPUs or without any work.
#[must_use]
pub fn article(gpus: u32, durations: &[Millis]) -> Option<ArticleFigures> {
    let work_ms: u128 = durations.iter().map(|duration| u128::from(duration.0)).sum();
    let gpus = u128::from(gpus);
    Some(ArticleFigures {
        utilization: Ratio::new(work_ms, gpus * work_ms)?,
        wait_ms: Ratio::new(work_ms, gpus)?,
        completion_ms: Ratio::new(work_ms * gpus + work_ms, gpus)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn the_example_of_the_article_gives_exactly_its_figures() {
        let figures = article(10, &[Millis(2 * HOUR_MS); 5]).unwrap();
        assert_eq!(figures.utilization, Ratio { numerator: 1, denominator: 10 });
        assert_eq!(figures.wait_ms, Ratio { numerator: u128::from(HOUR_MS), denominator: 1 });
    }

    #[test]
    fn its_utilization_is_blind_to_the_load() {
        let light = article(8, &[Millis(1)]).unwrap();
        let heavy = article(8, &[Millis(HOUR_MS); 1_000]).unwrap();
        assert_eq!(
            (light.utilization, heavy.utilization),
            (Ratio::new(1, 8).unwrap(), Ratio::new(1, 8).unwrap())
        );
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(article(0, &[Millis(1)]), None);
        assert_eq!(article(3, &[]), None);
    }

    #[test]
    fn the_failure_is_told_in_two_sentences() {
        assert_eq!(ARTICLE_FAILS.matches(". ").count() + 1, 2);
        assert!(ARTICLE_FAILS.ends_with('.'));
    }
}
