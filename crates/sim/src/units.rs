//! Small arithmetic of reports: percentiles and numbers rounded for print.

/// The value that `per_mille` thousandths of the sorted values stand before; of an empty list, none.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], per_mille: usize) -> Option<T> {
    let place = sorted.len() * per_mille / 1_000;
    sorted.get(place).or(sorted.last()).copied()
}

/// Rounded to so many decimals, so that a report reads well and is the same everywhere.
#[must_use]
pub fn rounded(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&values, 500), Some(101));
        assert_eq!(percentile(&values, 990), Some(199));
        assert_eq!(percentile(&values, 999), Some(200));
        assert_eq!(percentile(&[7], 1_000), Some(7));
        assert_eq!(percentile::<u32>(&[], 500), None);
    }

    #[test]
    fn rounding_goes_to_the_nearest() {
        assert_eq!(rounded(2.0 / 3.0, 2), 0.67);
        assert_eq!(rounded(-0.126, 2), -0.13);
    }
}
