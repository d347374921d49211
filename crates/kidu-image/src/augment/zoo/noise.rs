//! `gauss_noise`.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Change, Check, draw, range};
use crate::augment::functional::{self, NoiseTable};

/// Normal noise on each value; albumentations' `GaussNoise`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussNoise {
    /// Least and greatest standard deviation as a share of the range of values, in [0, 1].
    #[serde(deserialize_with = "range::exact")]
    pub std_range: [f64; 2],
    /// Least and greatest mean as a share of the range of values, in [-1, 1].
    #[serde(deserialize_with = "range::exact")]
    pub mean_range: [f64; 2],
    /// Whether the three channels have noise of their own.
    pub per_channel: bool,
    /// Probability.
    pub p: f64,
}

impl Default for GaussNoise {
    fn default() -> Self {
        Self { std_range: [0.2, 0.44], mean_range: [0.0, 0.0], per_channel: true, p: 0.5 }
    }
}

impl Change for GaussNoise {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        let rule = "it is [least, greatest] share of the range of values, both in [0, 1]";
        check.range("std_range", self.std_range, (0.0, 1.0), rule);
        check.range("mean_range", self.mean_range, (-1.0, 1.0), "it is [least, greatest], both in [-1, 1]");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let std = 255.0 * draw::uniform(self.std_range, rng);
        let mean = 255.0 * draw::uniform(self.mean_range, rng);
        functional::add_noise(
            image,
            &NoiseTable::normal(mean as f32, std as f32),
            self.per_channel,
            &mut draw::fork(rng),
        )
    }
}
