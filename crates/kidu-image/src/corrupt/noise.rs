//! Noise of the sensor.

use image::RgbImage;
use kidu_core::rng::{self, ChaCha8Rng};
use rand::RngExt;

use super::{Severity, float::Float};

/// `x + N(0, c)`.
pub(super) fn gaussian(image: &RgbImage, severity: Severity, rng: &mut ChaCha8Rng) -> RgbImage {
    let std = severity.of([0.08, 0.12, 0.18, 0.26, 0.38]);
    Float::new(image).map(|v| v + std * rng::normal(rng) as f32).finish()
}

/// `x + x N(0, c)`.
pub(super) fn speckle(image: &RgbImage, severity: Severity, rng: &mut ChaCha8Rng) -> RgbImage {
    let std = severity.of([0.15, 0.2, 0.35, 0.45, 0.6]);
    Float::new(image).map(|v| v + v * std * rng::normal(rng) as f32).finish()
}

/// `Poisson(c x) / c`, for images of `c` photons at white.
pub(super) fn shot(image: &RgbImage, severity: Severity, rng: &mut ChaCha8Rng) -> RgbImage {
    let photons = severity.of([60.0, 25.0, 12.0, 5.0, 3.0]);
    let tables: Vec<Vec<f64>> = (0..=255u8).map(|level| poisson(photons * f64::from(level) / 255.0)).collect();
    let mut out = Float::new(image);
    for (value, level) in out.data.iter_mut().zip(image.iter()) {
        let table = &tables[usize::from(*level)];
        let drawn = rng.random::<f64>();
        let count = table.partition_point(|below| *below <= drawn);
        *value = (count as f64 / photons) as f32;
    }
    out.finish()
}

/// The cumulative probabilities of 0, 1, 2 ... events, as far as they differ from 1.
fn poisson(mean: f64) -> Vec<f64> {
    let mut term = (-mean).exp();
    let mut sum = term;
    let mut table = vec![sum];
    // 60 expected events at most: 200 never happen.
    for k in 1..200 {
        if sum >= 1.0 - 1e-15 {
            break;
        }
        term *= mean / f64::from(k);
        sum += term;
        table.push(sum);
    }
    table
}

/// A share `c` of all values becomes black or white, by halves.
pub(super) fn impulse(image: &RgbImage, severity: Severity, rng: &mut ChaCha8Rng) -> RgbImage {
    let share = severity.of([0.03, 0.06, 0.09, 0.17, 0.27]);
    let mut out = image.clone();
    for value in out.iter_mut() {
        let drawn = rng.random::<f64>();
        if drawn < share {
            *value = if drawn < 0.5 * share { 0 } else { 255 };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::rng::stream;

    use super::*;

    /// Mean and standard deviation of a grey image's values after a corruption, in [0, 1].
    fn moments(corrupt: impl Fn(&RgbImage, Severity, &mut ChaCha8Rng) -> RgbImage, severity: usize) -> (f64, f64) {
        let grey = RgbImage::from_pixel(200, 200, Rgb([102; 3]));
        let noisy = corrupt(&grey, Severity::ALL[severity - 1], &mut stream(5, "noise", &[]));
        let n = noisy.len() as f64;
        let mean = noisy.iter().map(|v| f64::from(*v)).sum::<f64>() / n / 255.0;
        let variance = noisy.iter().map(|v| (f64::from(*v) / 255.0 - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt())
    }

    #[track_caller]
    fn near((mean, std): (f64, f64), expected: (f64, f64)) {
        assert!(
            (mean - expected.0).abs() < 0.004 && (std - expected.1).abs() < 0.004,
            "{mean:.4} {std:.4}, {expected:?}"
        );
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        // Values are cut to whole levels, which takes half a level from the mean.
        let half = 0.5 / 255.0;
        near(moments(gaussian, 1), (0.4 - half, 0.08));
        near(moments(speckle, 1), (0.4 - half, 0.06));
        near(moments(shot, 1), (0.4 - half, (0.4f64 / 60.0).sqrt()));
        let (share, mean) = (0.27, 0.4 * 0.73 + 0.5 * 0.27);
        let square = 0.16 * (1.0 - share) + 0.5 * share;
        near(moments(impulse, 5), (mean, (square - mean * mean).sqrt()));
    }
}
