//! Quantiles of the gamma distribution, for waits between "always alike" and "wildly different".

/// No series needs more terms for the shapes that occur; a guard against what cannot occur.
const TERMS_MAX: u32 = 10_000;
/// Terms smaller than this change nothing.
const SMALL: f64 = 1e-14;

/// The value that a gamma variable of this mean and squared coefficient of variation does not exceed with this
/// probability.
pub(super) fn quantile(mean: f64, cv2: f64, probability: f64) -> f64 {
    if probability <= 0.0 {
        return 0.0;
    }
    if (cv2 - 1.0).abs() < 1e-9 {
        return -mean * (-probability).ln_1p();
    }
    let shape = 1.0 / cv2;
    let (mut low, mut high) = (0.0, shape.max(1.0));
    while below(shape, high) < probability {
        (low, high) = (high, 2.0 * high);
    }
    // Halving 60 times leaves nothing of a float's digits.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(shape, middle) < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high) * mean / shape
}

/// The probability that a gamma variable of this shape and scale 1 is at most `x`.
fn below(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = (shape * x.ln() - x - ln_gamma(shape)).exp();
    if x < shape + 1.0 {
        // The power series, which converges fast below the mean.
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for index in 1..TERMS_MAX {
            term *= x / (shape + f64::from(index));
            sum += term;
            if term < sum * SMALL {
                break;
            }
        }
        return front * sum;
    }
    // The continued fraction of the other tail, evaluated from the front (Lentz).
    let (mut b, mut c) = (x + 1.0 - shape, 1e300);
    let mut d = 1.0 / b;
    let mut fraction = d;
    for index in 1..TERMS_MAX {
        let index = f64::from(index);
        let a = -index * (index - shape);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < SMALL {
            break;
        }
    }
    1.0 - front * fraction
}

/// The logarithm of the gamma function, by Stirling's series far from 0 and the recurrence on the way there.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = x * x;
    let tail =
        (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1_260.0 - 1.0 / (1_680.0 * square)) / square) / square) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + tail - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found}, expected {expected}");
    }

    #[test]
    fn the_gamma_function_is_a_factorial() {
        near(ln_gamma(5.0), 24_f64.ln());
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
    }

    #[test]
    fn shapes_with_a_closed_form_are_met() {
        // Shape 1 is exponential, shape 2 is 1 - (1 + x) e^-x, shape 1/2 is the square of a normal: 95 % of it below 1.96²/2.
        near(quantile(3.0, 1.0, 0.9), 3.0 * 10_f64.ln());
        let x = quantile(2.0, 0.5, 0.9);
        near(1.0 - (1.0 + x) * (-x).exp(), 0.9);
        near(quantile(0.5, 2.0, 0.95), 1.959_963_984_540_054_f64.powi(2) / 2.0);
        near(below(1.0, 1.0 + 1e-12), 1.0 - (-1.0_f64).exp());
    }

    #[test]
    fn quantiles_rise_with_the_probability() {
        for cv2 in [0.35, 0.9, 1.5, 13.0] {
            let values: Vec<f64> = [0.01, 0.1, 0.5, 0.9, 0.99, 0.9999].map(|p| quantile(1.0, cv2, p)).into();
            assert!(values.is_sorted_by(|left, right| left < right), "{values:?}");
        }
    }
}
