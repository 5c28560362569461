//! Cumulative distributions: which part of the values is at most so large.

use crate::axis::{Ends, Scale};
use crate::canvas::Canvas;
use crate::legend::{Mark, entries};
use crate::line::{draw_line, frame, nothing};
use crate::{Axis, CdfChart, SERIES_MAX, Shape, Unit};

/// Steps of a distribution in its middle; its tails are finer.
const LEVELS: usize = 400;
/// The parts that are kept at the far end, where few values decide what people remember.
const TAIL: [f64; 6] = [0.998, 0.999, 0.9995, 0.9999, 0.99995, 0.99999];

/// The distribution of samples, with the smallest and the largest kept. What is not finite is left out.
#[must_use]
pub fn cumulative(samples: &[f64]) -> Vec<[f64; 2]> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let part = |place: usize| [sorted[place], (place + 1) as f64 / count as f64];
    if count <= LEVELS {
        return (0..count).map(part).collect();
    }
    let mut places: Vec<usize> = (0..LEVELS).map(|level| level * count / LEVELS).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the count")]
    places.extend(TAIL.map(|level| (level * count as f64) as usize));
    places.push(count - 1);
    places.sort_unstable();
    places.dedup();
    // The end of a run of equal values: the part that is at most this value, not a part of it.
    places.iter_mut().for_each(|place| *place = sorted.partition_point(|value| *value <= sorted[*place]) - 1);
    places.dedup();
    places.into_iter().map(part).collect()
}

pub(crate) fn draw(chart: &CdfChart) -> Canvas {
    let shown = &chart.series[..chart.series.len().min(SERIES_MAX)];
    let marks = entries(Mark::Line, chart.series.iter().map(|series| series.name.as_str()));
    let xs = shown.iter().flat_map(|series| series.points.iter().map(|point| point[0]));
    let x = Scale::new(&chart.x, xs, Ends::Tight, 8.0);
    let parts =
        Axis { label: "part of all".to_owned(), unit: Unit::Fraction, max: Some(1.0), ..Axis::default() };
    let y = Scale::new(&parts, [0.0, 1.0].into_iter(), Ends::Round, 5.0);
    let mut canvas = Canvas::new(&chart.caption);
    let plot = frame(&mut canvas, &marks, [(&x, &chart.x), (&y, &parts)]);
    let at = |value: f64, part: f64| {
        [plot.x + x.place(value).clamp(0.0, 1.0) * plot.width, plot.bottom() - part * plot.height]
    };
    for (index, series) in shown.iter().enumerate().filter(|(_, series)| !series.points.is_empty()) {
        let points = series.points.iter().filter(|point| point.iter().all(|value| value.is_finite()));
        let first = series.points[0];
        // From the ground at the first value, and on along the top to the end of the axis.
        let start = std::iter::once(at(first[0], 0.0));
        let end = std::iter::once(at(x.to, series.points[series.points.len() - 1][1]));
        draw_line(
            &mut canvas,
            index,
            Shape::Step,
            start.chain(points.map(|point| at(point[0], point[1]))).chain(end),
        );
    }
    if shown.iter().all(|series| series.points.is_empty()) {
        nothing(&mut canvas, plot);
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_keeps_its_ends_and_is_short() {
        let samples: Vec<f64> = (0..1_000_000).rev().map(f64::from).chain([f64::NAN, 5e9]).collect();
        let points = cumulative(&samples);
        assert!(points.len() < 450, "{}", points.len());
        assert_eq!(points[0][0], 0.0);
        assert_eq!(points[points.len() - 1], [5e9, 1.0]);
        assert!(points.is_sorted_by(|left, right| left[0] < right[0] && left[1] < right[1]));
    }

    #[test]
    fn equal_values_are_one_step() {
        assert_eq!(cumulative(&[2.0, 1.0]), [[1.0, 0.5], [2.0, 1.0]]);
        let waits: Vec<f64> = std::iter::repeat_n(0.0, 900).chain(std::iter::repeat_n(7.0, 100)).collect();
        assert_eq!(cumulative(&waits), [[0.0, 0.9], [7.0, 1.0]]);
        assert!(cumulative(&[]).is_empty());
    }
}
