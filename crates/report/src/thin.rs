//! Fewer points for the same picture: each piece of the axis keeps its first, last, lowest and highest point.

/// Pieces of the axis; with four points each a series has a thousand at most.
const PIECES: usize = 250;
/// A series of at most this many points is drawn as it is.
pub(crate) const POINTS_MAX: usize = 4 * PIECES;

/// The finite points, thinned to at most [`POINTS_MAX`]. `place` says where on the axis, from 0 to 1, an x is.
pub(crate) fn thinned(points: &[[f64; 2]], place: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
    let finite: Vec<[f64; 2]> =
        points.iter().copied().filter(|[x, y]| x.is_finite() && y.is_finite()).collect();
    if finite.len() <= POINTS_MAX {
        return finite;
    }
    let piece = |point: &[f64; 2]| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float becomes the nearest integer that exists, and the last piece is the largest"
        )]
        let index = (place(point[0]) * PIECES as f64) as usize;
        index.min(PIECES - 1)
    };
    let mut kept = Vec::with_capacity(POINTS_MAX);
    // Points in rising order of x make one run each piece; others are cut into more runs, and lose nothing.
    for run in finite.chunk_by(|left, right| piece(left) == piece(right)) {
        let by_height = |left: &&usize, right: &&usize| run[**left][1].total_cmp(&run[**right][1]);
        let all: Vec<usize> = (0..run.len()).collect();
        let extremes = [all.iter().min_by(by_height), all.iter().max_by(by_height)];
        let mut places: Vec<usize> = extremes.into_iter().flatten().copied().collect();
        places.extend([0, run.len() - 1]);
        places.sort_unstable();
        places.dedup();
        kept.extend(places.into_iter().map(|place| run[place]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_spike_among_a_million_points_is_kept() {
        let mut points: Vec<[f64; 2]> = (0..1_000_000).map(|i| [f64::from(i), f64::from(i % 10)]).collect();
        points[777_777][1] = 5_000.0;
        points[123_456][1] = -3.0;
        let kept = thinned(&points, |x| x / 1_000_000.0);
        assert!(kept.len() <= POINTS_MAX, "{}", kept.len());
        assert!(kept.contains(&[777_777.0, 5_000.0]) && kept.contains(&[123_456.0, -3.0]));
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[999_999]));
        assert!(kept.is_sorted_by(|left, right| left[0] <= right[0]));
    }

    #[test]
    fn few_points_stay_as_they_are_and_what_is_no_number_goes() {
        let points = [[0.0, 1.0], [1.0, f64::NAN], [2.0, 3.0]];
        assert_eq!(thinned(&points, |x| x), [[0.0, 1.0], [2.0, 3.0]]);
    }
}
