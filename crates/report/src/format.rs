//! How numbers are written: three digits that mean something, a unit, and the same text every time.

use crate::Unit;

/// Seconds in the larger units of time.
pub(crate) const MINUTE_S: f64 = 60.0;
pub(crate) const HOUR_S: f64 = 3_600.0;
pub(crate) const DAY_S: f64 = 86_400.0;

/// A value with its unit: `4.17 min`, `95.3 %`, `12,400 GPU h`. What is no number is a dash.
#[must_use]
pub fn quantity(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    match unit {
        Unit::Count | Unit::Money => number(value),
        Unit::Seconds => span(value),
        Unit::Fraction => format!("{} %", number(value * 100.0)),
        Unit::KilowattHours => format!("{} kWh", number(value)),
        Unit::Watts => format!("{} W", number(value)),
        Unit::GpuHours => format!("{} GPU h", number(value)),
    }
}

/// A time in the unit in which it is short.
fn span(seconds: f64) -> String {
    let (size, name) = match seconds.abs() {
        0.0 => (1.0, "s"),
        s if s < 0.999_5 => (0.001, "ms"),
        s if s < MINUTE_S => (1.0, "s"),
        s if s < HOUR_S => (MINUTE_S, "min"),
        s if s < 2.0 * DAY_S => (HOUR_S, "h"),
        _ => (DAY_S, "d"),
    };
    format!("{} {name}", number(seconds / size))
}

/// Three significant digits, all digits of what is a thousand or more, no zeros that say nothing.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size < 0.000_1 {
        return format!("{value:.1e}");
    }
    let decimals = match size {
        s if s >= 99.95 || s == 0.0 => 0,
        s if s >= 9.995 => 1,
        s if s >= 0.999_5 => 2,
        s if s >= 0.099_95 => 3,
        s if s >= 0.009_995 => 4,
        _ => 5,
    };
    fixed(value, decimals)
}

/// So many decimals at most, thousands apart.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if whole == "0" && rest.is_empty() { "" } else { sign };
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_three_digits_and_thousands() {
        let written: Vec<_> =
            [0.0, -0.0001, 0.0123, 0.5, 2.0, 9.996, 99.96, 123.4, 1234.5, 1_234_567.0, 3e-7]
                .map(number)
                .into();
        assert_eq!(
            written,
            ["0", "-0.0001", "0.0123", "0.5", "2", "10", "100", "123", "1,234", "1,234,567", "3.0e-7"]
        );
    }

    #[test]
    fn times_choose_their_unit() {
        let written: Vec<_> = [0.0, 0.0123, 0.9999, 59.0, 90.0, 7_200.0, 100_000.0, 1e6]
            .map(|s| quantity(s, Unit::Seconds))
            .into();
        assert_eq!(written, ["0 s", "12.3 ms", "1 s", "59 s", "1.5 min", "2 h", "27.8 h", "11.6 d"]);
    }

    #[test]
    fn what_is_no_number_is_a_dash() {
        assert_eq!(quantity(f64::NAN, Unit::Count), "–");
        assert_eq!(quantity(f64::INFINITY, Unit::Seconds), "–");
        assert_eq!(quantity(0.5, Unit::Fraction), "50 %");
    }
}
