//! `auto_augment`, `trivial_augment_wide`, `randaugment`: policies over the operations of [`Op`].

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Change, Check};
use crate::augment::{
    functional::pool,
    randaugment::{self, Op},
    settings::RandAugmentSettings,
};

/// The policies that AutoAugment found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoAugmentPolicy {
    /// The one for ImageNet.
    #[default]
    Imagenet,
}

/// One of 25 pairs of operations with a probability and a strength each (Cubuk et al. 2018, arXiv 1805.09501);
/// torchvision's `AutoAugment`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoAugment {
    /// Which policy.
    pub policy: AutoAugmentPolicy,
    /// Probability.
    pub p: f64,
}

impl Default for AutoAugment {
    fn default() -> Self {
        Self { policy: AutoAugmentPolicy::Imagenet, p: 1.0 }
    }
}

/// An operation of a policy: its probability, and its strength among ten steps from 0 to 9.
pub type Step = (Op, f64, u32);

/// AutoAugment's policy for ImageNet (table 9 of the paper, as torchvision has it). Operations without strength have 0.
pub const IMAGENET: [[Step; 2]; 25] = [
    [(Op::Posterize, 0.4, 8), (Op::Rotate, 0.6, 9)],
    [(Op::Solarize, 0.6, 5), (Op::AutoContrast, 0.6, 0)],
    [(Op::Equalize, 0.8, 0), (Op::Equalize, 0.6, 0)],
    [(Op::Posterize, 0.6, 7), (Op::Posterize, 0.6, 6)],
    [(Op::Equalize, 0.4, 0), (Op::Solarize, 0.2, 4)],
    [(Op::Equalize, 0.4, 0), (Op::Rotate, 0.8, 8)],
    [(Op::Solarize, 0.6, 3), (Op::Equalize, 0.6, 0)],
    [(Op::Posterize, 0.8, 5), (Op::Equalize, 1.0, 0)],
    [(Op::Rotate, 0.2, 3), (Op::Solarize, 0.6, 8)],
    [(Op::Equalize, 0.6, 0), (Op::Posterize, 0.4, 6)],
    [(Op::Rotate, 0.8, 8), (Op::Color, 0.4, 0)],
    [(Op::Rotate, 0.4, 9), (Op::Equalize, 0.6, 0)],
    [(Op::Equalize, 0.0, 0), (Op::Equalize, 0.8, 0)],
    [(Op::Invert, 0.6, 0), (Op::Equalize, 1.0, 0)],
    [(Op::Color, 0.6, 4), (Op::Contrast, 1.0, 8)],
    [(Op::Rotate, 0.8, 8), (Op::Color, 1.0, 2)],
    [(Op::Color, 0.8, 8), (Op::Solarize, 0.8, 7)],
    [(Op::Sharpness, 0.4, 7), (Op::Invert, 0.6, 0)],
    [(Op::ShearX, 0.6, 5), (Op::Equalize, 1.0, 0)],
    [(Op::Color, 0.4, 0), (Op::Equalize, 0.6, 0)],
    [(Op::Equalize, 0.4, 0), (Op::Solarize, 0.2, 4)],
    [(Op::Solarize, 0.6, 5), (Op::AutoContrast, 0.6, 0)],
    [(Op::Invert, 0.6, 0), (Op::Equalize, 1.0, 0)],
    [(Op::Color, 0.6, 4), (Op::Contrast, 1.0, 8)],
    [(Op::Equalize, 0.8, 0), (Op::Equalize, 0.6, 0)],
];

impl Change for AutoAugment {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, _: &mut Check) {}

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let AutoAugmentPolicy::Imagenet = self.policy;
        let steps = IMAGENET[rng.random_range(0..IMAGENET.len() as u32) as usize];
        let (width, height) = image.dimensions();
        // All is drawn before anything is done, as torchvision does.
        let drawn = steps.map(|step| (step, rng.random::<f64>()));
        drawn.map(|drawn| (drawn, rng.random::<bool>())).into_iter().fold(
            pool::copy(image),
            |image, (((op, p, magnitude), chance), negative)| {
                if chance > p {
                    return image;
                }
                let strength = op.strength_at(f64::from(magnitude) / 9.0, width, height);
                op.apply(image, if negative && op.is_signed() { -strength } else { strength })
            },
        )
    }
}

/// One operation at a random strength (Müller and Hutter 2021, arXiv 2103.10158); torchvision's `TrivialAugmentWide`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrivialAugmentWide {
    /// Number of strengths, 2 to 1000.
    pub num_magnitude_bins: u32,
    /// Probability.
    pub p: f64,
}

impl Default for TrivialAugmentWide {
    fn default() -> Self {
        Self { num_magnitude_bins: 31, p: 1.0 }
    }
}

impl Change for TrivialAugmentWide {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        let bins = self.num_magnitude_bins;
        check.rule((2..=1000).contains(&bins), "num_magnitude_bins", &bins, "use 2 to 1000");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let op = Op::ALL[rng.random_range(0..Op::ALL.len() as u32) as usize];
        let share = f64::from(rng.random_range(0..self.num_magnitude_bins)) / f64::from(self.num_magnitude_bins - 1);
        let negative = op.is_signed() && rng.random::<bool>();
        let strength = op.wide_strength(share);
        op.apply(pool::copy(image), if negative { -strength } else { strength })
    }
}

impl Change for RandAugmentSettings {
    fn p(&self) -> f64 {
        1.0
    }

    fn check(&self, check: &mut Check) {
        RandAugmentSettings::check(self, check);
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        randaugment::apply(pool::copy(image), self, rng)
    }
}
