//! Gaussian noise.

use std::sync::LazyLock;

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::Rng;

use super::{chacha, pool, simd::round_i32};

/// Equally likely values of a standard normal variable: the middles of so many equal shares of its probability, stretched
/// so that their variance is exactly 1. They reach to 3.7 standard deviations.
const LEVELS: usize = 4096;

static NORMAL: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let values: Vec<f64> = (0..LEVELS).map(|i| quantile((i as f64 + 0.5) / LEVELS as f64)).collect();
    let variance = values.iter().map(|v| v * v).sum::<f64>() / LEVELS as f64;
    values.iter().map(|v| (v / variance.sqrt()) as f32).collect()
});

/// What is added for each of 4,096 equally likely numbers, in whole grey levels: one look-up for each value.
pub struct NoiseTable(Vec<i16>);

impl NoiseTable {
    /// Of a normal distribution, in grey levels.
    pub fn normal(mean: f32, std: f32) -> Self {
        Self(NORMAL.iter().map(|z| round_i32((mean + std * z).clamp(-300.0, 300.0)) as i16).collect())
    }

    /// What the lowest 12 bits of `random` stand for.
    #[inline(always)]
    fn at(&self, random: u16) -> i16 {
        self.0[usize::from(random) % LEVELS]
    }
}

/// Adds noise to each value, or with `per_channel` false the same to the three of a pixel.
pub fn add_noise(image: &RgbImage, table: &NoiseTable, per_channel: bool, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut out = pool::image(image.width(), image.height());
    let draws = if per_channel { image.as_raw().len() } else { image.as_raw().len() / 3 };
    let mut random = pool::take(2 * draws);
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    chacha::fill(&seed, &mut random);
    let draws = random.as_chunks::<2>().0.iter().map(|bytes| table.at(u16::from_le_bytes(*bytes)));
    let add = |value: u8, noise: i16| (i16::from(value) + noise).clamp(0, 255) as u8;
    if per_channel {
        for ((out, value), noise) in out.iter_mut().zip(image.as_raw()).zip(draws) {
            *out = add(*value, noise);
        }
    } else {
        let pixels = image.as_raw().as_chunks::<3>().0;
        for ((out, pixel), noise) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels).zip(draws) {
            *out = pixel.map(|value| add(value, noise));
        }
    }
    pool::give(random);
    out
}

/// The value below which a standard normal variable lies with probability `p` in (0, 1): bisection of the distribution
/// function, which is integrated by its power series (Marsaglia 2004, Journal of Statistical Software 11).
fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if distribution(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

fn distribution(x: f64) -> f64 {
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() && odd < 400.0 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::rng;

    use super::*;

    #[test]
    fn quantiles_are_the_known_ones() {
        for (p, expected) in [(0.5, 0.0), (0.975, 1.959_964), (0.001, -3.090_232), (0.841_344_75, 1.0)] {
            assert!((quantile(p) - expected).abs() < 1e-6, "{p}");
        }
    }

    #[test]
    fn noise_has_its_mean_and_deviation() {
        let grey = RgbImage::from_pixel(200, 200, Rgb([128; 3]));
        let table = NoiseTable::normal(3.0, 12.0);
        for per_channel in [true, false] {
            let out = add_noise(&grey, &table, per_channel, &mut rng::stream(1, "noise", &[]));
            let values: Vec<f64> = out.iter().map(|v| f64::from(*v) - 128.0).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!((mean - 3.0).abs() < 0.2 && (deviation - 12.0).abs() < 0.15, "{mean} {deviation}");
            let equal = out.pixels().filter(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]).count();
            assert!(if per_channel { equal < 200 } else { equal == 40_000 });
        }
        let none = add_noise(&grey, &NoiseTable::normal(0.0, 0.0), true, &mut rng::stream(1, "noise", &[]));
        assert_eq!(none, grey);
    }
}
