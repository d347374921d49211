//! Gaussian noise.

use std::sync::LazyLock;

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::Rng;

use super::{
    pool,
    simd::{round_i32, vectorize},
};

/// Equally likely values of a standard normal variable: the middles of so many equal shares of its probability, stretched
/// so that their variance is exactly 1. They reach to 3.7 standard deviations.
const LEVELS: usize = 4096;
/// Draws that are made together.
const LANES: usize = 64;

static NORMAL: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let values: Vec<f64> = (0..LEVELS).map(|i| quantile((i as f64 + 0.5) / LEVELS as f64)).collect();
    let variance = values.iter().map(|v| v * v).sum::<f64>() / LEVELS as f64;
    values.iter().map(|v| (v / variance.sqrt()) as f32).collect()
});

/// What is added for each of 4,096 equally likely numbers, in whole grey levels: one look-up for each value.
pub struct NoiseTable(Box<[i16; LEVELS]>);

impl NoiseTable {
    /// Of a normal distribution, in grey levels.
    pub fn normal(mean: f32, std: f32) -> Self {
        let mut table = Box::new([0; LEVELS]);
        for (level, z) in table.iter_mut().zip(NORMAL.iter()) {
            *level = round_i32((mean + std * z).clamp(-300.0, 300.0)) as i16;
        }
        Self(table)
    }
}

/// Adds noise to each value, or with `per_channel` false the same to the three of a pixel.
pub fn add_noise(image: &RgbImage, table: &NoiseTable, per_channel: bool, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut out = pool::image(image.width(), image.height());
    let key = [rng.next_u32(), rng.next_u32()];
    let values = if per_channel { LANES } else { 3 * LANES };
    vectorize(
        #[inline(always)]
        || {
            let blocks = out.chunks_mut(values).zip(image.as_raw().chunks(values));
            for (block, (out, image)) in blocks.enumerate() {
                let noise = draw(&table.0, key, block as u32);
                if per_channel {
                    add(image, noise.iter().copied(), out);
                } else {
                    let mut thrice = [0; 3 * LANES];
                    thrice.as_chunks_mut::<3>().0.iter_mut().zip(noise).for_each(|(pixel, noise)| *pixel = [noise; 3]);
                    add(image, thrice.iter().copied(), out);
                }
            }
        },
    );
    out
}

#[inline(always)]
fn add(image: &[u8], noise: impl Iterator<Item = i16>, out: &mut [u8]) {
    for ((out, value), noise) in out.iter_mut().zip(image).zip(noise) {
        *out = (i16::from(*value) + noise).clamp(0, 255) as u8;
    }
}

/// The noise of one block: each random number makes two.
#[inline(always)]
fn draw(table: &[i16; LEVELS], key: [u32; 2], block: u32) -> [i16; LANES] {
    let mut random = [0; LANES / 2];
    for (i, random) in random.iter_mut().enumerate() {
        *random = mix(block.wrapping_mul(LANES as u32 / 2).wrapping_add(i as u32), key);
    }
    let mut noise = [0; LANES];
    let (first, second) = noise.split_at_mut(LANES / 2);
    for ((first, second), random) in first.iter_mut().zip(second).zip(random) {
        *first = table[random as usize % LEVELS];
        *second = table[(random >> 16) as usize % LEVELS];
    }
    noise
}

/// A random number for each counter: the multiplications and shifts of Wellons' `lowbias32` (2018), once for each half of
/// the key. Noise needs no cipher, and this takes a few instructions for a whole vector.
#[inline(always)]
fn mix(counter: u32, key: [u32; 2]) -> u32 {
    let round = |x: u32| {
        let x = (x ^ x >> 16).wrapping_mul(0x7FEB_352D);
        let x = (x ^ x >> 15).wrapping_mul(0x846C_A68B);
        x ^ x >> 16
    };
    round(round(counter ^ key[0]).wrapping_add(key[1]))
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

    /// Neighbours, in the image and between images, have nothing to do with each other.
    #[test]
    fn draws_are_not_correlated() {
        let table = NoiseTable::normal(0.0, 40.0);
        let grey = RgbImage::from_pixel(256, 256, Rgb([128; 3]));
        let noise = |index| -> Vec<f64> {
            let out = add_noise(&grey, &table, true, &mut rng::stream(1, "noise", &[index]));
            out.iter().map(|v| f64::from(*v) - 128.0).collect()
        };
        let (one, other) = (noise(0), noise(1));
        let n = one.len() as f64;
        let correlation = |a: &[f64], b: &[f64]| {
            let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            product / (a.iter().map(|a| a * a).sum::<f64>() * b.iter().map(|b| b * b).sum::<f64>()).sqrt()
        };
        // Five standard errors.
        let bound = 5.0 / n.sqrt();
        for lag in [1, 2, 3, 16, 32, 64, 96, 128, 192, 256, 768] {
            let found = correlation(&one[lag..], &one[..one.len() - lag]);
            assert!(found.abs() < bound, "lag {lag}: {found}");
        }
        assert!(correlation(&one, &other).abs() < bound);
    }
}
