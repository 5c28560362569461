//! Rates measured in pairs, and what is said of them: medians with quartiles, and the ratio within each pair.

use super::super::row::quantile;

/// Tasks per second of both sides, pair by pair.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// Half of the values lie between the quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Pairs {
    pub(super) fn add(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }

    pub(super) fn count(&self) -> usize {
        self.ours.len()
    }

    pub(super) fn ours(&self) -> Spread {
        Spread::of(self.ours.clone())
    }

    pub(super) fn theirs(&self) -> Spread {
        Spread::of(self.theirs.clone())
    }

    /// Ours to theirs, each pair for itself: above 1 we are ahead.
    pub(super) fn ratio(&self) -> Spread {
        Spread::of(self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours / theirs).collect())
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        let mut part = |part| quantile(&mut values, part);
        Self { median: part(0.5), low: part(0.25), high: part(0.75) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_within_each_pair() {
        let mut pairs = Pairs::default();
        // The machine slows down from pair to pair; each pair says the same.
        for slow in [1.0, 2.0, 4.0] {
            pairs.add(900.0 / slow, 600.0 / slow);
        }
        let ratio = pairs.ratio();
        assert_eq!((ratio.low, ratio.median, ratio.high), (1.5, 1.5, 1.5));
        assert_eq!((pairs.count(), pairs.ours().median, pairs.theirs().median), (3, 450.0, 300.0));
    }

    #[test]
    fn quartiles_hold_half_of_seven_pairs() {
        let spread = Spread::of((1..=7).map(f64::from).collect());
        // The nearest sample: there is none at 2.5.
        assert_eq!((spread.low, spread.median, spread.high), (3.0, 4.0, 6.0));
    }
}
