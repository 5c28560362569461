//! Random numbers that belong to a thing, not to a moment: the failures of machine 7 are the same whatever the
//! scheduler did before, so that policies can be compared pair by pair.

/// A stream of random numbers for one thing. SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// The stream of the `number`th thing of a `kind`, in the world of this seed.
    #[must_use]
    pub fn of(seed: u64, kind: u64, number: u64) -> Self {
        let mut chance = Self(seed ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = chance.next() ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let mut chance = Self(mixed);
        chance.next();
        chance
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to 1, without 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A wait whose average is `mean`, for something that happens at any moment alike.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// From a bell curve around 0 with deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_what_they_should_be() {
        let mut chance = Chance::of(1, 2, 3);
        let mean = |sum: f64| sum / 100_000.0;
        assert!((mean((0..100_000).map(|_| chance.unit()).sum()) - 0.5).abs() < 0.01);
        assert!((mean((0..100_000).map(|_| chance.exponential(3.0)).sum()) - 3.0).abs() < 0.05);
        let normals: Vec<f64> = (0..100_000).map(|_| chance.normal()).collect();
        assert!(mean(normals.iter().sum()).abs() < 0.02);
        assert!((mean(normals.iter().map(|x| x * x).sum()) - 1.0).abs() < 0.03);
    }

    #[test]
    fn different_things_have_different_luck() {
        let first = |kind, number| Chance::of(9, kind, number).next();
        let all = [first(0, 0), first(0, 1), first(1, 0), first(1, 1)];
        let mut different = all.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 4);
        assert_eq!(first(1, 1), first(1, 1));
    }
}
