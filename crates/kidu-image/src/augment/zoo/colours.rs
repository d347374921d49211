//! `clahe`, `sharpen`, `emboss`, `random_brightness_contrast`, `hue_saturation_value`.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Change, Check, draw, range};
use crate::augment::functional;

/// Contrast-limited adaptive histogram equalisation of the lightness; albumentations' `CLAHE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clahe {
    /// Least and greatest limit, at least 1 times the mean of a histogram; a number n is [1, n].
    #[serde(deserialize_with = "range::from_one")]
    pub clip_limit: [f64; 2],
    /// Tiles across and down, each 1 to 64.
    pub tile_grid_size: [u32; 2],
    /// Probability.
    pub p: f64,
}

impl Default for Clahe {
    fn default() -> Self {
        Self { clip_limit: [1.0, 4.0], tile_grid_size: [8, 8], p: 0.5 }
    }
}

impl Change for Clahe {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("clip_limit", self.clip_limit, (1.0, 1000.0), "it is [least, greatest], from 1 to 1000");
        let good = self.tile_grid_size.iter().all(|n| (1..=64).contains(n));
        check.rule(good, "tile_grid_size", &self.tile_grid_size, "it is [across, down], each 1 to 64");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let [across, down] = self.tile_grid_size;
        functional::clahe(image, draw::uniform(self.clip_limit, rng), (across, down))
    }
}

/// Sharper, by a Laplacian; albumentations' `Sharpen` (method `kernel`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharpen {
    /// Least and greatest share of the sharpened image, in [0, 1].
    #[serde(deserialize_with = "range::exact")]
    pub alpha: [f64; 2],
    /// Least and greatest lightness of the sharpened image, 0 to 10; 1 keeps it.
    #[serde(deserialize_with = "range::exact")]
    pub lightness: [f64; 2],
    /// Probability.
    pub p: f64,
}

impl Default for Sharpen {
    fn default() -> Self {
        Self { alpha: [0.2, 0.5], lightness: [0.5, 1.0], p: 0.5 }
    }
}

impl Change for Sharpen {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("alpha", self.alpha, (0.0, 1.0), "it is [least, greatest] share, both in [0, 1]");
        check.range("lightness", self.lightness, (0.0, 10.0), "it is [least, greatest], from 0 to 10");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let (alpha, lightness) = (draw::uniform(self.alpha, rng), draw::uniform(self.lightness, rng));
        functional::sharpen(image, alpha as f32, lightness as f32)
    }
}

/// As a relief; albumentations' `Emboss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Emboss {
    /// Least and greatest share of the relief, in [0, 1].
    #[serde(deserialize_with = "range::exact")]
    pub alpha: [f64; 2],
    /// Least and greatest strength of the relief, 0 to 10.
    #[serde(deserialize_with = "range::exact")]
    pub strength: [f64; 2],
    /// Probability.
    pub p: f64,
}

impl Default for Emboss {
    fn default() -> Self {
        Self { alpha: [0.2, 0.5], strength: [0.2, 0.7], p: 0.5 }
    }
}

impl Change for Emboss {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("alpha", self.alpha, (0.0, 1.0), "it is [least, greatest] share, both in [0, 1]");
        check.range("strength", self.strength, (0.0, 10.0), "it is [least, greatest], from 0 to 10");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let (alpha, strength) = (draw::uniform(self.alpha, rng), draw::uniform(self.strength, rng));
        functional::emboss(image, alpha as f32, strength as f32)
    }
}

/// Brighter or darker, more or less contrast; albumentations' `RandomBrightnessContrast`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomBrightnessContrast {
    /// Least and greatest change of the brightness as a share, in [-1, 1]; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub brightness_limit: [f64; 2],
    /// Least and greatest change of the contrast as a share, in [-1, 10]; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub contrast_limit: [f64; 2],
    /// Whether the brightness is a share of 255, else of the image's mean.
    pub brightness_by_max: bool,
    /// Probability.
    pub p: f64,
}

impl Default for RandomBrightnessContrast {
    fn default() -> Self {
        Self { brightness_limit: [-0.2, 0.2], contrast_limit: [-0.2, 0.2], brightness_by_max: true, p: 0.5 }
    }
}

impl Change for RandomBrightnessContrast {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("brightness_limit", self.brightness_limit, (-1.0, 1.0), "it is [least, greatest], both in [-1, 1]");
        check.range("contrast_limit", self.contrast_limit, (-1.0, 10.0), "it is [least, greatest], from -1 to 10");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let alpha = 1.0 + draw::uniform(self.contrast_limit, rng);
        let brightness = draw::uniform(self.brightness_limit, rng);
        let of = if self.brightness_by_max {
            255.0
        } else {
            let sum: u64 = image.iter().map(|v| u64::from(*v)).sum();
            sum as f64 / image.as_raw().len().max(1) as f64
        };
        functional::brightness_contrast(image, alpha as f32, (brightness * of) as f32)
    }
}

/// Other hues, more or less saturated, brighter or darker; albumentations' `HueSaturationValue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HueSaturationValue {
    /// Least and greatest shift of the hue in steps of two degrees, -180 to 180; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub hue_shift_limit: [f64; 2],
    /// Least and greatest shift of the saturation, -255 to 255; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub sat_shift_limit: [f64; 2],
    /// Least and greatest shift of the value, -255 to 255; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub val_shift_limit: [f64; 2],
    /// Probability.
    pub p: f64,
}

impl Default for HueSaturationValue {
    fn default() -> Self {
        Self { hue_shift_limit: [-20.0, 20.0], sat_shift_limit: [-30.0, 30.0], val_shift_limit: [-20.0, 20.0], p: 0.5 }
    }
}

impl Change for HueSaturationValue {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("hue_shift_limit", self.hue_shift_limit, (-180.0, 180.0), "it is [least, greatest], -180 to 180");
        let rule = "it is [least, greatest], -255 to 255";
        check.range("sat_shift_limit", self.sat_shift_limit, (-255.0, 255.0), rule);
        check.range("val_shift_limit", self.val_shift_limit, (-255.0, 255.0), rule);
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let [hue, saturation, value] = [self.hue_shift_limit, self.sat_shift_limit, self.val_shift_limit]
            .map(|limit| draw::uniform(limit, rng).round() as i32);
        functional::shift_hsv(image, hue, saturation, value)
    }
}
