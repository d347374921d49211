//! How an image becomes the input of a network.

use serde::{Deserialize, Serialize};

/// Everything between decoded pixels and a network's input. It travels in the bundle, so that training, evaluation
/// and serving cannot disagree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Width of the network's input in pixels.
    pub width: u32,
    /// Height of the network's input in pixels.
    pub height: u32,
    /// Resampling filter.
    pub filter: Filter,
    /// What is done about the aspect ratio.
    pub crop: Crop,
    /// Mean of each channel (red, green, blue) on the scale [0, 1]; subtracted.
    pub mean: [f32; 3],
    /// Standard deviation of each channel on the scale [0, 1]; divided by.
    pub std: [f32; 3],
}

/// Resampling filters by Pillow's names. Bicubic is Catmull-Rom (a = -0.5); both widen when they shrink an image
/// (antialiasing), as Pillow's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle filter, support 1.
    Bilinear,
    /// Catmull-Rom, support 2.
    Bicubic,
    /// Lanczos with support 3.
    Lanczos,
    /// Nearest pixel.
    Nearest,
}

/// What is done about the aspect ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode", deny_unknown_fields)]
pub enum Crop {
    /// Both sides are resized to the target, whatever the aspect ratio (torchvision's `Resize((h, w))`).
    Squash,
    /// The shorter side is resized to `target / pct`, then the middle is cut out (timm's evaluation crop).
    Center {
        /// Share of the resized image that is kept, in (0, 1].
        pct: f32,
    },
}

impl ImageSpec {
    /// A square input of `size` pixels, squashed, with the mean and standard deviation of ImageNet.
    pub fn imagenet(size: u32, filter: Filter) -> Self {
        Self { width: size, height: size, filter, crop: Crop::Squash, mean: IMAGENET_MEAN, std: IMAGENET_STD }
    }

    /// The same with another square size.
    #[must_use]
    pub fn with_size(mut self, size: u32) -> Self {
        (self.width, self.height) = (size, size);
        self
    }

    /// Number of values of one input: 3 * height * width.
    pub fn values(&self) -> usize {
        3 * self.width as usize * self.height as usize
    }

    /// The first rule that the numbers break, if any.
    ///
    /// # Errors
    /// A sentence that names the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        if !(8..=4096).contains(&self.width) || !(8..=4096).contains(&self.height) {
            return Err(format!("image size {}x{} is outside 8..=4096 pixels", self.width, self.height));
        }
        if let Crop::Center { pct } = self.crop
            && !(pct > 0.0 && pct <= 1.0)
        {
            return Err(format!("crop pct {pct} is outside (0, 1]"));
        }
        if self.std.iter().any(|s| !s.is_finite() || *s <= 0.0) || self.mean.iter().any(|m| !m.is_finite()) {
            return Err("mean must be finite and std must be positive, for each of the three channels".into());
        }
        Ok(())
    }
}

/// Mean of ImageNet's training set for each channel.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's training set for each channel.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Mean 0.5, used by networks that came from TensorFlow.
pub const INCEPTION_MEAN: [f32; 3] = [0.5; 3];
/// Standard deviation 0.5, used by networks that came from TensorFlow.
pub const INCEPTION_STD: [f32; 3] = [0.5; 3];
