//! Intervals: normal quantiles, Wilson's interval of a proportion, percentiles.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An interval that holds the true value with the given confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Confidence, in (0, 1): 0.95 for a 95 % interval.
    pub confidence: f64,
}

/// Checks a confidence level.
///
/// # Errors
/// [`Error::Option`] unless it is between 0.5 and 0.999999.
pub fn check_confidence(confidence: f64) -> Result<()> {
    if (0.5..=0.999_999).contains(&confidence) {
        return Ok(());
    }
    Err(Error::option("confidence", format!("{confidence} is not between 0.5 and 0.999999; 0.95 is usual")))
}

/// Standard deviation of a proportion seen on `n` images, `sqrt(p (1 - p) / n)`.
pub fn proportion_std(p: f64, n: usize) -> f64 {
    (p * (1.0 - p) / n as f64).sqrt()
}

/// Wilson's score interval (Wilson 1927) of `successes` of `n`: unlike the normal interval it stays inside [0, 1] and
/// is honest for few images and for proportions near 0 or 1.
///
/// # Errors
/// [`Error::Option`] for a confidence out of range.
pub fn wilson(successes: u64, n: u64, confidence: f64) -> Result<Interval> {
    check_confidence(confidence)?;
    if n == 0 {
        return Ok(Interval { lower: 0.0, upper: 1.0, confidence });
    }
    let (z, count) = (two_sided_z(confidence), n as f64);
    let p = successes as f64 / count;
    let scale = 1.0 + z * z / count;
    let centre = (p + z * z / (2.0 * count)) / scale;
    let half = z * (p * (1.0 - p) / count + z * z / (4.0 * count * count)).sqrt() / scale;
    Ok(Interval { lower: (centre - half).max(0.0), upper: (centre + half).min(1.0), confidence })
}

/// The `z` with a probability of `confidence` between `-z` and `z` under the standard normal distribution.
fn two_sided_z(confidence: f64) -> f64 {
    // The probability grows with z; bisection ends at the last bit.
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if central_probability(middle) < confidence { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Probability of `[-z, z]`: `2 φ(z) Σ z^(2k+1) / (1·3·…·(2k+1))`, a series of positive terms.
fn central_probability(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (mut term, mut sum, mut k) = (z, z, 1.0);
    while term > sum * 1e-17 {
        k += 2.0;
        term *= z * z / k;
        sum += term;
    }
    2.0 * density * sum
}

/// The two ends of the central `confidence` share of `values`, interpolated linearly as NumPy's `percentile`. The
/// values are sorted in place; there must be at least one.
pub(crate) fn percentile_interval(values: &mut [f64], confidence: f64) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| {
        let position = q * (values.len() - 1) as f64;
        let below = position.floor() as usize;
        let above = (below + 1).min(values.len() - 1);
        values[below] + (values[above] - values[below]) * (position - below as f64)
    };
    let tail = (1.0 - confidence) / 2.0;
    Interval { lower: quantile(tail), upper: quantile(1.0 - tail), confidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles() {
        for (confidence, z) in
            [(0.5, 0.674_489_750_196_081_7), (0.95, 1.959_963_984_540_054), (0.99, 2.575_829_303_548_900_4)]
        {
            assert!((two_sided_z(confidence) - z).abs() < 1e-13, "{confidence}");
        }
    }

    #[test]
    fn wilson_stays_inside_and_matches_known_values() {
        // scipy.stats.binomtest(81, 263).proportion_ci(method="wilson")
        let w = wilson(81, 263, 0.95).unwrap();
        assert!(
            (w.lower - 0.255_288_519_878_274_2).abs() < 1e-12 && (w.upper - 0.366_209_576_982_800_04).abs() < 1e-12
        );
        let none = wilson(0, 10, 0.95).unwrap();
        assert_eq!(none.lower, 0.0);
        assert!(none.upper > 0.2 && none.upper < 0.35);
        assert!((wilson(10, 10, 0.95).unwrap().lower - (1.0 - none.upper)).abs() < 1e-12);
        assert!(wilson(1, 2, 1.0).is_err());
    }

    #[test]
    fn percentiles_interpolate() {
        let i = percentile_interval(&mut [4.0, 1.0, 3.0, 2.0, 5.0], 0.5);
        assert_eq!((i.lower, i.upper), (2.0, 4.0));
        let i = percentile_interval(&mut [7.0], 0.95);
        assert_eq!((i.lower, i.upper), (7.0, 7.0));
    }
}
