//! From values to pixels, and the round numbers beside them.

use crate::canvas::{Anchor, Area, Canvas, LINE, width_of};
use crate::format::{DAY_S, HOUR_S, MINUTE_S, fixed, number, quantity};
use crate::{Axis, Unit};

/// A direction of the plot: which values lie between its two ends.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) from: f64,
    pub(crate) to: f64,
    log: bool,
    unit: Unit,
    pub(crate) ticks: Vec<Tick>,
    /// Written behind the label: the unit that the ticks do not repeat.
    suffix: &'static str,
}

/// A round number and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) text: String,
}

/// Whether an axis begins with its first value or at zero, and ends at a round number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Along: exactly the values there are.
    Tight,
    /// Upwards: from zero to a round number.
    Round,
}

impl Scale {
    /// A scale for these values, with about `ticks` ticks.
    pub(crate) fn new(axis: &Axis, values: impl Iterator<Item = f64>, ends: Ends, ticks: f64) -> Self {
        let fits = |value: &f64| value.is_finite() && (!axis.log || *value > 0.0);
        let (low, high) = values
            .filter(fits)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let given = |end: Option<f64>| end.filter(fits);
        let (low, high) = if low <= high { (low, high) } else { (if axis.log { 0.1 } else { 0.0 }, 1.0) };
        let zero = ends == Ends::Round || low < 0.25 * high;
        let natural = if axis.log || (!zero && low > 0.0) { low } else { low.min(0.0) };
        let from = given(axis.min).unwrap_or(natural);
        let to = given(axis.max).unwrap_or(high);
        // One value alone, or ends the wrong way round: there must be something between the ends.
        let to = if to > from { to } else { from + if from == 0.0 { 1.0 } else { from.abs() } };
        let (mut from, mut to) = (from, to);
        let (ticks, suffix) = if axis.log {
            (log_ticks(from, to, axis.unit), "")
        } else {
            let (step, size, suffix) = step_for((to - from) / ticks, axis.unit);
            if ends == Ends::Round {
                from = axis.min.map_or((from / step).floor() * step, |_| from);
                to = axis.max.map_or((to / step - 1e-9).ceil() * step, |_| to);
            }
            (linear_ticks(from, to, step, size), suffix)
        };
        Self { from, to, log: axis.log, unit: axis.unit, ticks, suffix }
    }

    /// Where between the ends a value lies: 0 at the first, 1 at the last.
    pub(crate) fn place(&self, value: f64) -> f64 {
        if self.log {
            (value.max(self.from * 1e-9).ln() - self.from.ln()) / (self.to.ln() - self.from.ln())
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }

    /// The label, with the unit that the ticks leave out.
    pub(crate) fn label(&self, axis: &Axis) -> String {
        let unit = match (self.suffix, self.unit) {
            ("", Unit::Watts) => "W",
            ("", Unit::KilowattHours) => "kWh",
            ("", Unit::GpuHours) => "GPU h",
            (suffix, _) => suffix,
        };
        match (axis.label.as_str(), unit) {
            (label, "") => label.to_owned(),
            ("", unit) => unit.to_owned(),
            (label, unit) => format!("{label}, {unit}"),
        }
    }
}

/// A round step of at least `least`, the size of the unit in which it is written, and that unit.
fn step_for(least: f64, unit: Unit) -> (f64, f64, &'static str) {
    match unit {
        Unit::Seconds => {
            let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0];
            let hours = [1.0, 2.0, 3.0, 6.0, 12.0];
            if least > 0.5 && least <= 30.0 {
                (first_of(&steps, 1.0, least), 1.0, "s")
            } else if least <= 0.5 {
                (round_step(least), 1.0, "s")
            } else if least <= 1_800.0 {
                (first_of(&steps, MINUTE_S, least), MINUTE_S, "min")
            } else if least <= 12.0 * HOUR_S {
                (first_of(&hours, HOUR_S, least), HOUR_S, "h")
            } else {
                (round_step(least / DAY_S).max(1.0) * DAY_S, DAY_S, "d")
            }
        }
        Unit::Fraction => (round_step(least), 0.01, "%"),
        _ => (round_step(least), 1.0, ""),
    }
}

fn first_of(steps: &[f64], size: f64, least: f64) -> f64 {
    steps.iter().map(|step| step * size).find(|step| *step >= least).unwrap_or(least)
}

/// 1, 2 or 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    // Divided and multiplied back, 5.000000001 is still 5.
    let factor =
        [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

/// No axis has more: a guard against ends that are absurdly far apart.
const TICKS_MAX: u32 = 40;

fn linear_ticks(from: f64, to: f64, step: f64, size: f64) -> Vec<Tick> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a few digits first"
    )]
    let decimals = (-(step / size).log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (from / step - 1e-9).ceil();
    (0..TICKS_MAX)
        .map(|index| (first + f64::from(index)) * step)
        .take_while(|at| *at <= to + step * 1e-9)
        .map(|at| Tick { at, text: fixed(at / size, decimals) })
        .collect()
}

/// Times at which a logarithmic axis may have a tick, coarse and fine.
const TIMES_S: [f64; 14] = [
    0.001,
    0.01,
    0.1,
    1.0,
    10.0,
    60.0,
    600.0,
    3_600.0,
    21_600.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
    31_536_000.0,
    315_360_000.0,
];
const TIMES_FINE_S: [f64; 20] = [
    0.002,
    0.005,
    0.02,
    0.05,
    0.2,
    0.5,
    2.0,
    5.0,
    20.0,
    30.0,
    120.0,
    300.0,
    1_200.0,
    1_800.0,
    7_200.0,
    10_800.0,
    43_200.0,
    172_800.0,
    345_600.0,
    1_209_600.0,
];

fn log_ticks(from: f64, to: f64, unit: Unit) -> Vec<Tick> {
    let inside = |at: &f64| *at >= from * (1.0 - 1e-9) && *at <= to * (1.0 + 1e-9);
    let text = |at: f64| match unit {
        Unit::Seconds if at >= DAY_S => format!("{} d", number(at / DAY_S)),
        Unit::Seconds | Unit::Fraction => quantity(at, unit),
        _ => number(at),
    };
    let coarse: Vec<f64> = if unit == Unit::Seconds {
        TIMES_S.into_iter().filter(inside).collect()
    } else {
        (-9..=15).map(|power| 10_f64.powi(power)).filter(inside).collect()
    };
    let mut places = coarse;
    if places.len() < 3 {
        let fine: Vec<f64> = if unit == Unit::Seconds {
            TIMES_FINE_S.into_iter().filter(inside).collect()
        } else {
            (-9..=15).flat_map(|power| [2.0, 5.0].map(|f| f * 10_f64.powi(power))).filter(inside).collect()
        };
        places.extend(fine);
        places.sort_by(f64::total_cmp);
    }
    places.into_iter().map(|at| Tick { at, text: text(at) }).collect()
}

/// How much room the ticks of an upward axis need to its left.
pub(crate) fn room_left(scale: &Scale) -> f64 {
    scale.ticks.iter().map(|tick| width_of(&tick.text)).fold(0.0, f64::max) + 10.0
}

/// Ticks and grid along the bottom, with the label below. Needs two lines of room.
pub(crate) fn draw_bottom(canvas: &mut Canvas, plot: Area, scale: &Scale, axis: &Axis) {
    let mut free_from = f64::NEG_INFINITY;
    for tick in &scale.ticks {
        let x = plot.x + scale.place(tick.at) * plot.width;
        canvas.line("fg-grid", [x, plot.y], [x, plot.bottom()]);
        let half = width_of(&tick.text) / 2.0;
        if x - half < free_from {
            continue;
        }
        free_from = x + half + 6.0;
        canvas.text("fg-faint", Anchor::Middle, [x, plot.bottom() + LINE - 1.0], &tick.text);
    }
    canvas.line("fg-axis", [plot.x, plot.bottom()], [plot.right(), plot.bottom()]);
    let middle = plot.x + plot.width / 2.0;
    canvas.text("fg-faint", Anchor::Middle, [middle, plot.bottom() + 2.0 * LINE], &scale.label(axis));
}

/// Ticks and grid to the left, with the label above the plot. Needs one line of room above.
pub(crate) fn draw_left(canvas: &mut Canvas, plot: Area, scale: &Scale, axis: &Axis) {
    for tick in &scale.ticks {
        let y = plot.bottom() - scale.place(tick.at) * plot.height;
        canvas.line("fg-grid", [plot.x, y], [plot.right(), y]);
        canvas.text("fg-faint", Anchor::End, [plot.x - 7.0, y + 4.0], &tick.text);
    }
    let label = scale.label(axis);
    let x = (plot.x - 7.0 - scale.ticks.last().map_or(0.0, |tick| width_of(&tick.text))).max(6.0);
    canvas.text("fg-faint", Anchor::Start, [x, plot.y - 9.0], &label);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(unit: Unit, log: bool, from: f64, to: f64) -> (Vec<String>, String) {
        let axis = Axis { label: "x".to_owned(), unit, log, ..Axis::default() };
        let scale = Scale::new(&axis, [from, to].into_iter(), Ends::Tight, 6.0);
        (scale.ticks.iter().map(|tick| tick.text.clone()).collect(), scale.label(&axis))
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(ticks(Unit::Count, false, 0.0, 97.0).0, ["0", "20", "40", "60", "80"]);
        assert_eq!(ticks(Unit::Count, false, 0.0, 0.29).0, ["0", "0.05", "0.1", "0.15", "0.2", "0.25"]);
        assert_eq!(ticks(Unit::Count, false, 0.0, 61_000.0).0[1], "20,000");
        let (texts, label) = ticks(Unit::Fraction, false, 0.0, 1.0);
        assert_eq!((texts.last().unwrap().as_str(), label.as_str()), ("100", "x, %"));
    }

    #[test]
    fn times_are_counted_in_sixties_and_days() {
        assert_eq!(
            ticks(Unit::Seconds, false, 0.0, 100.0),
            (vec!["0", "30", "60", "90"].into_iter().map(str::to_owned).collect(), "x, s".to_owned())
        );
        assert_eq!(ticks(Unit::Seconds, false, 0.0, 5_400.0).0, ["0", "15", "30", "45", "60", "75", "90"]);
        let (texts, label) = ticks(Unit::Seconds, false, 0.0, 100_000.0);
        assert_eq!(
            (texts, label.as_str()),
            (vec!["0".to_owned(), "6".into(), "12".into(), "18".into(), "24".into()], "x, h")
        );
        assert_eq!(ticks(Unit::Seconds, false, 0.0, 30.0 * DAY_S).1, "x, d");
        assert_eq!(
            ticks(Unit::Seconds, true, 0.5, 100_000.0).0,
            ["1 s", "10 s", "1 min", "10 min", "1 h", "6 h", "1 d"]
        );
    }

    #[test]
    fn odd_ranges_still_have_an_axis() {
        for (from, to) in
            [(0.0, 0.0), (5.0, 5.0), (f64::NAN, f64::INFINITY), (-3.0, -3.0), (1e-300, 1e300), (3.0, 1e18)]
        {
            for log in [false, true] {
                let axis = Axis { log, ..Axis::default() };
                let scale = Scale::new(&axis, [from, to].into_iter(), Ends::Round, 6.0);
                assert!(scale.to > scale.from, "{from} {to} {log}: {scale:?}");
                assert!(scale.ticks.len() <= TICKS_MAX as usize);
                assert!(scale.place(scale.from).abs() < 1e-9 && (scale.place(scale.to) - 1.0).abs() < 1e-9);
            }
        }
    }
}
