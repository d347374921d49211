//! Mixup (Zhang et al. 2017, <https://arxiv.org/abs/1710.09412>) and CutMix (Yun et al. 2019,
//! <https://arxiv.org/abs/1905.04899>) of the images of a batch, with timm's semantics: image i is mixed with image
//! n - 1 - i, and its target is mixed in the same shares.

use kidu_core::rng::{self, ChaCha8Rng};
use rand::RngExt;

use crate::{
    settings::{MixSettings, MixupMode},
    source::Batch,
};

/// What the labels of a mixed batch mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The class of the other image in each.
    pub partners: Vec<usize>,
    /// The share of each image's own class, in [0, 1]; the rest is the partner's.
    pub shares: Vec<f64>,
}

/// How two images become one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Recipe {
    /// Both are seen through each other: the share of the first.
    Mixup(f64),
    /// A box of the second lies in the first.
    Cutmix(Cut),
}

/// Rows `top..bottom` and columns `left..right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

impl Cut {
    fn area(&self) -> usize {
        (self.bottom - self.top) * (self.right - self.left)
    }
}

/// Mixes the images of a batch of the shape [N, 3, H, W] in place. `None` when the batch is left as it is. What is drawn
/// depends on the seed, the epoch and the number of the batch only.
pub fn mix(batch: &mut Batch, shape: [usize; 3], settings: &MixSettings, seed: u64, epoch: u64) -> Option<Mixed> {
    let images = batch.labels.len();
    if !settings.is_on() || images == 0 {
        return None;
    }
    let mut rng = rng::stream(seed, "mixup", &[epoch, batch.number as u64]);
    let recipes = draw(images, shape, settings, &mut rng)?;
    let values = shape.iter().product::<usize>();
    for first in 0..images / 2 {
        let second = images - 1 - first;
        let (before, after) = batch.images.split_at_mut(second * values);
        let (a, b) = (&mut before[first * values..(first + 1) * values], &mut after[..values]);
        let original = a.to_vec();
        apply(a, b, recipes[first], shape);
        apply(b, &original, recipes[second], shape);
    }
    // The middle one of an odd number would be mixed with itself.
    let shares = recipes.iter().map(|recipe| recipe.share(shape)).collect();
    Some(Mixed { partners: batch.labels.iter().rev().copied().collect(), shares })
}

impl Recipe {
    fn share(&self, [_, height, width]: [usize; 3]) -> f64 {
        match self {
            Self::Mixup(share) => *share,
            Self::Cutmix(cut) => 1.0 - cut.area() as f64 / (height * width).max(1) as f64,
        }
    }
}

/// A recipe for each image; `None` for none at all.
fn draw(images: usize, shape: [usize; 3], settings: &MixSettings, rng: &mut ChaCha8Rng) -> Option<Vec<Recipe>> {
    let nothing = Recipe::Mixup(1.0);
    let mut one = || draw_one(shape, settings, rng);
    let recipes: Vec<Recipe> = match settings.mixup_mode {
        MixupMode::Batch => vec![one()?; images],
        MixupMode::Elem => (0..images).map(|_| one().unwrap_or(nothing)).collect(),
        MixupMode::Pair => {
            let half: Vec<Recipe> = (0..images.div_ceil(2)).map(|_| one().unwrap_or(nothing)).collect();
            (0..images).map(|i| half[i.min(images - 1 - i)]).collect()
        }
    };
    recipes.iter().any(|recipe| *recipe != nothing).then_some(recipes)
}

fn draw_one([_, height, width]: [usize; 3], settings: &MixSettings, rng: &mut ChaCha8Rng) -> Option<Recipe> {
    if rng.random::<f64>() >= settings.mixup_prob {
        return None;
    }
    let (mixup, cutmix) = (settings.mixup_alpha > 0.0, settings.cutmix_alpha > 0.0);
    let cuts = cutmix && (!mixup || rng.random::<f64>() < settings.mixup_switch_prob);
    if !cuts {
        return Some(Recipe::Mixup(symmetric_beta(settings.mixup_alpha, rng)));
    }
    // A box of that share of the area about a point of the image; what lies outside is cut off.
    let side = (1.0 - symmetric_beta(settings.cutmix_alpha, rng)).sqrt();
    let mut part = |length: usize| {
        let half = (length as f64 * side) as usize / 2;
        let middle = rng.random_range(0..length.max(1) as u64) as usize;
        (middle.saturating_sub(half), (middle + half).min(length))
    };
    let ((top, bottom), (left, right)) = (part(height), part(width));
    Some(Recipe::Cutmix(Cut { top, bottom, left, right }))
}

fn apply(image: &mut [f32], other: &[f32], recipe: Recipe, [_, height, width]: [usize; 3]) {
    match recipe {
        Recipe::Mixup(share) => {
            let (own, others) = (share as f32, (1.0 - share) as f32);
            image.iter_mut().zip(other).for_each(|(a, b)| *a = own * *a + others * b);
        }
        Recipe::Cutmix(cut) => {
            let plane = (height * width).max(1);
            for (image, other) in image.chunks_exact_mut(plane).zip(other.chunks_exact(plane)) {
                for row in cut.top..cut.bottom {
                    let part = row * width + cut.left..row * width + cut.right;
                    image[part.clone()].copy_from_slice(&other[part]);
                }
            }
        }
    }
}

/// A number of the distribution Beta(alpha, alpha), as a share of two gamma distributed ones.
fn symmetric_beta(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    let (a, b) = (log_gamma_draw(alpha, rng), log_gamma_draw(alpha, rng));
    // Logarithms: with a small alpha both numbers may be too small to be told from 0.
    1.0 / (1.0 + (b - a).exp())
}

/// The logarithm of a number of the distribution Gamma(alpha, 1) (Marsaglia and Tsang 2000, ACM TOMS 26): one for
/// alpha + 1 times a power of a uniform number where alpha is below 1.
fn log_gamma_draw(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    // In (0, 1].
    let mut uniform = || 1.0 - rng.random::<f64>();
    let boost = if alpha < 1.0 { uniform().ln() / alpha } else { 0.0 };
    let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = (-2.0 * uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * uniform()).cos();
        let v = (1.0 + c * normal).powi(3);
        if v > 0.0 && uniform().ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return boost + (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [3, 16, 12];

    /// Image i holds i everywhere.
    fn batch(images: usize, number: usize) -> Batch {
        let values = SHAPE.iter().product();
        Batch {
            number,
            images: (0..images).flat_map(|i| std::iter::repeat_n(i as f32, values)).collect(),
            labels: (0..images).collect(),
            indices: (0..images).collect(),
        }
    }

    fn settings(mixup: f64, cutmix: f64) -> MixSettings {
        MixSettings { mixup_alpha: mixup, cutmix_alpha: cutmix, ..Default::default() }
    }

    #[test]
    fn pixels_and_targets_have_the_same_shares() {
        for mode in [MixupMode::Batch, MixupMode::Pair, MixupMode::Elem] {
            for (mixup, cutmix) in [(0.4, 0.0), (0.0, 1.0), (0.8, 1.0)] {
                for number in 0..20 {
                    let mut mixed = batch(7, number);
                    let settings = MixSettings { mixup_mode: mode, ..settings(mixup, cutmix) };
                    let Some(Mixed { partners, shares }) = mix(&mut mixed, SHAPE, &settings, 1, 0) else { continue };
                    assert_eq!(partners, [6, 5, 4, 3, 2, 1, 0]);
                    for (i, image) in mixed.images.chunks(SHAPE.iter().product()).enumerate() {
                        let mean = image.iter().map(|v| f64::from(*v)).sum::<f64>() / image.len() as f64;
                        let expected = shares[i] * i as f64 + (1.0 - shares[i]) * (6 - i) as f64;
                        assert!((mean - expected).abs() < 1e-5, "{mode:?} {i}: {mean} {expected}");
                    }
                    match mode {
                        MixupMode::Batch => assert!(shares.iter().all(|s| *s == shares[0])),
                        MixupMode::Pair => assert!((0..7).all(|i| shares[i] == shares[6 - i])),
                        MixupMode::Elem => {}
                    }
                }
            }
        }
    }

    #[test]
    fn the_draw_depends_on_seed_epoch_and_number_alone() {
        let drawn = |seed, epoch, number| {
            let mut mixed = batch(4, number);
            (mix(&mut mixed, SHAPE, &settings(1.0, 1.0), seed, epoch), mixed.images)
        };
        assert_eq!(drawn(1, 2, 3), drawn(1, 2, 3));
        for other in [drawn(2, 2, 3), drawn(1, 3, 3), drawn(1, 2, 4)] {
            assert_ne!(drawn(1, 2, 3).0, other.0);
        }
    }

    #[test]
    fn off_and_improbable_leave_the_batch_alone() {
        let mut same = batch(5, 0);
        assert_eq!(mix(&mut same, SHAPE, &settings(0.0, 0.0), 1, 0), None);
        let never = MixSettings { mixup_prob: 0.0, ..settings(0.5, 0.5) };
        assert_eq!(mix(&mut same, SHAPE, &never, 1, 0), None);
        assert_eq!(same, batch(5, 0));
        let half = MixSettings { mixup_prob: 0.5, ..settings(0.5, 0.5) };
        let mixed = (0..400).filter(|number| mix(&mut batch(2, *number), SHAPE, &half, 1, 0).is_some()).count();
        assert!((160..240).contains(&mixed), "{mixed}");
    }

    #[test]
    fn beta_has_its_mean_and_variance() {
        let mut rng = rng::stream(4, "beta", &[]);
        for alpha in [0.1, 0.4, 1.0, 3.0] {
            let draws: Vec<f64> = (0..20_000).map(|_| symmetric_beta(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / 2e4;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2e4;
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!(
                (mean - 0.5).abs() < 0.01 && (variance / expected - 1.0).abs() < 0.05,
                "{alpha}: {mean} {variance}"
            );
        }
        assert!((0.0..=1.0).contains(&symmetric_beta(1e-6, &mut rng)));
    }
}
