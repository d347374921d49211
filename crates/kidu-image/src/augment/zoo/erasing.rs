//! `random_erasing`.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Change, Check, draw, range};
use crate::{augment::functional, resize::Rect};

/// What an erased rectangle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EraseValue {
    /// The word `random`: uniform values of their own for each pixel and channel.
    Random(RandomWord),
    /// One grey value.
    Grey(u8),
    /// One colour.
    Colour([u8; 3]),
}

/// The word `random`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RandomWord {
    /// Random values.
    Random,
}

/// A rectangle without the image (Zhong et al. 2017, arXiv 1708.04896); torchvision's `RandomErasing`, on pixels before
/// they are normalised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// Least and greatest share of the area, in (0, 1].
    #[serde(deserialize_with = "range::exact")]
    pub scale: [f64; 2],
    /// Least and greatest height / width, positive.
    #[serde(deserialize_with = "range::exact")]
    pub ratio: [f64; 2],
    /// `random`, a grey value or a colour, 0 to 255.
    pub value: EraseValue,
    /// Probability.
    pub p: f64,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { scale: [0.02, 0.33], ratio: [0.3, 3.3], value: EraseValue::Grey(0), p: 0.5 }
    }
}

impl RandomErasing {
    /// torchvision's draw: ten tries to find a rectangle that is smaller than the image both ways.
    fn draw(&self, width: u32, height: u32, rng: &mut ChaCha8Rng) -> Option<Rect> {
        let area = f64::from(width) * f64::from(height);
        let log_ratio = self.ratio.map(f64::ln);
        (0..10).find_map(|_| {
            let erased = area * draw::uniform(self.scale, rng);
            let ratio = draw::uniform(log_ratio, rng).exp();
            let h = (erased * ratio).sqrt().round_ties_even() as u32;
            let w = (erased / ratio).sqrt().round_ties_even() as u32;
            (h > 0 && w > 0 && h < height && w < width).then(|| Rect {
                top: rng.random_range(0..=height - h),
                left: rng.random_range(0..=width - w),
                width: w,
                height: h,
            })
        })
    }
}

impl Change for RandomErasing {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("scale", self.scale, (1e-6, 1.0), "it is [least, greatest] share of the area, both in (0, 1]");
        check.range("ratio", self.ratio, (1e-3, 1e3), "it is [least, greatest] height / width, both positive");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let Some(rect) = self.draw(image.width(), image.height(), rng) else { return functional::pool::copy(image) };
        match self.value {
            EraseValue::Random(_) => functional::erase_noise(image, rect, &mut draw::fork(rng)),
            EraseValue::Grey(grey) => functional::erase_value(image, rect, [grey; 3]),
            EraseValue::Colour(colour) => functional::erase_value(image, rect, colour),
        }
    }
}
