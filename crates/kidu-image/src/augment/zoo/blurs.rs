//! `blur`, `gaussian_blur`, `median_blur`, `motion_blur`.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Change, Check, draw, range};
use crate::augment::functional;

/// The mean of a square of neighbours; albumentations' `Blur`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Least and greatest odd size of the square in pixels, 3 to 255; a number is the greatest.
    #[serde(deserialize_with = "range::sizes")]
    pub blur_limit: [u32; 2],
    /// Probability.
    pub p: f64,
}

impl Default for Blur {
    fn default() -> Self {
        Self { blur_limit: [3, 7], p: 0.5 }
    }
}

impl Change for Blur {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.sizes("blur_limit", self.blur_limit);
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        functional::box_blur(image, draw::odd(self.blur_limit, rng))
    }
}

/// A Gaussian mean of neighbours; albumentations' `GaussianBlur`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianBlur {
    /// Least and greatest odd size of the kernel in pixels; 0 follows from sigma.
    #[serde(deserialize_with = "range::sizes")]
    pub blur_limit: [u32; 2],
    /// Least and greatest standard deviation in pixels, above 0 and at most 30.
    #[serde(deserialize_with = "range::exact")]
    pub sigma_limit: [f64; 2],
    /// Probability.
    pub p: f64,
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self { blur_limit: [0, 0], sigma_limit: [0.5, 3.0], p: 0.5 }
    }
}

impl Change for GaussianBlur {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        if self.blur_limit != [0, 0] {
            check.sizes("blur_limit", self.blur_limit);
        }
        let rule = "it is [least, greatest] standard deviation in pixels, above 0 and at most 30";
        check.range("sigma_limit", self.sigma_limit, (1e-3, 30.0), rule);
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let sigma = draw::uniform(self.sigma_limit, rng);
        let size = if self.blur_limit == [0, 0] { 0 } else { draw::odd(self.blur_limit, rng) };
        functional::gaussian_blur(image, &functional::gaussian_kernel(sigma, size))
    }
}

/// The median of a square of neighbours; albumentations' `MedianBlur`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MedianBlur {
    /// Least and greatest odd size of the square in pixels, 3 to 255; a number is the greatest.
    #[serde(deserialize_with = "range::sizes")]
    pub blur_limit: [u32; 2],
    /// Probability.
    pub p: f64,
}

impl Default for MedianBlur {
    fn default() -> Self {
        Self { blur_limit: [3, 7], p: 0.5 }
    }
}

impl Change for MedianBlur {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.sizes("blur_limit", self.blur_limit);
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        functional::median_blur(image, draw::odd(self.blur_limit, rng))
    }
}

/// The mean along a line, as of a moving camera; albumentations' `MotionBlur`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MotionBlur {
    /// Least and greatest odd length of the line in pixels, 3 to 255; a number is the greatest.
    #[serde(deserialize_with = "range::sizes")]
    pub blur_limit: [u32; 2],
    /// Least and greatest angle in degrees.
    #[serde(deserialize_with = "range::exact")]
    pub angle_range: [f64; 2],
    /// Least and greatest shift along the line, in [-1, 1]: 0 lies evenly about each pixel, 1 all before it.
    #[serde(deserialize_with = "range::exact")]
    pub direction_range: [f64; 2],
    /// Whether the line may lie beside the pixel.
    pub allow_shifted: bool,
    /// Probability.
    pub p: f64,
}

impl Default for MotionBlur {
    fn default() -> Self {
        Self {
            blur_limit: [3, 7],
            angle_range: [0.0, 360.0],
            direction_range: [-1.0, 1.0],
            allow_shifted: true,
            p: 0.5,
        }
    }
}

impl Change for MotionBlur {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.sizes("blur_limit", self.blur_limit);
        check.range("angle_range", self.angle_range, (-360.0, 360.0), "it is [least, greatest] angle, -360 to 360");
        check.range("direction_range", self.direction_range, (-1.0, 1.0), "it is [least, greatest], both in [-1, 1]");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let size = draw::odd(self.blur_limit, rng);
        let (angle, direction) = (draw::uniform(self.angle_range, rng), draw::uniform(self.direction_range, rng));
        let quarter = f64::from(size / 2) / 2.0;
        let mut aside = || if self.allow_shifted { (2.0 * rng.random::<f64>() - 1.0) * quarter } else { 0.0 };
        let shift = [aside(), aside()];
        functional::motion_blur(image, size, &functional::motion_kernel(size, angle, direction, shift))
    }
}
