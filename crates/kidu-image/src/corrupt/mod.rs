//! The common corruptions of ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261) that need no picture files, with
//! the paper's five severities.
//!
//! The paper corrupts images of 224 pixels. Lengths in pixels (radii, standard deviations of blurs, shifts) are scaled by
//! the image's shorter side over 224, so that a small image is not wiped out; at 224 they are the paper's.
//! `tests/peers/corruptions.py` compares them with NumPy, SciPy, scikit-image, OpenCV and Pillow.

mod blur;
mod digital;
mod float;
mod noise;
mod weather;

use std::{fmt, str::FromStr};

use image::RgbImage;
use kidu_core::{Filter, rng::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use crate::resize::{self, Rect};

/// The shorter side of the images that the paper's constants are for.
pub const REFERENCE_SIDE: u32 = 224;

/// What an image suffers. Names are those of the paper's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corruption {
    /// Normal noise.
    GaussianNoise,
    /// Poisson noise of few photons.
    ShotNoise,
    /// Salt and pepper.
    ImpulseNoise,
    /// Normal noise in proportion to the value.
    SpeckleNoise,
    /// A lens out of focus: a disc.
    DefocusBlur,
    /// Frosted glass: pixels take the places of near ones.
    GlassBlur,
    /// A moving camera, in a random direction.
    MotionBlur,
    /// A camera that comes near.
    ZoomBlur,
    /// A normal kernel.
    GaussianBlur,
    /// Plasma fractal fog (diamond-square).
    Fog,
    /// Brighter in HSV's value.
    Brightness,
    /// Less contrast, about each channel's mean.
    Contrast,
    /// Stretched and contracted in small regions.
    ElasticTransform,
    /// Coarse pixels.
    Pixelate,
    /// JPEG at low quality.
    JpegCompression,
}

/// Kinds of corruptions, as the paper groups them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Of the sensor.
    Noise,
    /// Of lens and motion.
    Blur,
    /// Of the scene.
    Weather,
    /// Of processing.
    Digital,
}

impl Category {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Blur => "blur",
            Self::Weather => "weather",
            Self::Digital => "digital",
        }
    }
}

impl Corruption {
    /// All of them, in the paper's order, those of its extra set last in their category.
    pub const ALL: [Self; 15] = [
        Self::GaussianNoise,
        Self::ShotNoise,
        Self::ImpulseNoise,
        Self::SpeckleNoise,
        Self::DefocusBlur,
        Self::GlassBlur,
        Self::MotionBlur,
        Self::ZoomBlur,
        Self::GaussianBlur,
        Self::Fog,
        Self::Brightness,
        Self::Contrast,
        Self::ElasticTransform,
        Self::Pixelate,
        Self::JpegCompression,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::GaussianNoise => "gaussian_noise",
            Self::ShotNoise => "shot_noise",
            Self::ImpulseNoise => "impulse_noise",
            Self::SpeckleNoise => "speckle_noise",
            Self::DefocusBlur => "defocus_blur",
            Self::GlassBlur => "glass_blur",
            Self::MotionBlur => "motion_blur",
            Self::ZoomBlur => "zoom_blur",
            Self::GaussianBlur => "gaussian_blur",
            Self::Fog => "fog",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
            Self::ElasticTransform => "elastic_transform",
            Self::Pixelate => "pixelate",
            Self::JpegCompression => "jpeg_compression",
        }
    }

    /// Its kind.
    pub fn category(self) -> Category {
        match self {
            Self::GaussianNoise | Self::ShotNoise | Self::ImpulseNoise | Self::SpeckleNoise => Category::Noise,
            Self::DefocusBlur | Self::GlassBlur | Self::MotionBlur | Self::ZoomBlur | Self::GaussianBlur => {
                Category::Blur
            }
            Self::Fog | Self::Brightness => Category::Weather,
            Self::Contrast | Self::ElasticTransform | Self::Pixelate | Self::JpegCompression => Category::Digital,
        }
    }

    /// The corrupted image, of the same size. Everything random comes from `rng`; the same state gives the same pixels.
    pub fn apply(self, image: &RgbImage, severity: Severity, rng: &mut ChaCha8Rng) -> RgbImage {
        if image.width() == 0 || image.height() == 0 {
            return image.clone();
        }
        let scale = f64::from(image.width().min(image.height())) / f64::from(REFERENCE_SIDE);
        match self {
            Self::GaussianNoise => noise::gaussian(image, severity, rng),
            Self::ShotNoise => noise::shot(image, severity, rng),
            Self::ImpulseNoise => noise::impulse(image, severity, rng),
            Self::SpeckleNoise => noise::speckle(image, severity, rng),
            Self::DefocusBlur => blur::defocus(image, severity, scale),
            Self::GlassBlur => blur::glass(image, severity, scale, rng),
            Self::MotionBlur => blur::motion(image, severity, scale, rng),
            Self::ZoomBlur => blur::zoom(image, severity),
            Self::GaussianBlur => blur::gaussian(image, severity, scale),
            Self::Fog => weather::fog(image, severity, rng),
            Self::Brightness => weather::brightness(image, severity),
            Self::Contrast => digital::contrast(image, severity),
            Self::ElasticTransform => digital::elastic(image, severity, scale, rng),
            Self::Pixelate => digital::pixelate(image, severity),
            Self::JpegCompression => digital::jpeg(image, severity),
        }
    }
}

/// The image with a shorter side of `side` pixels, in its own proportions; what is smaller stays.
pub fn reduce(image: RgbImage, side: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    if width.min(height) <= side.max(1) {
        return image;
    }
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(width.min(height))).max(1) as u32;
    resize::resize_rect(&image, Rect::of(&image), scaled(width), scaled(height), Filter::Bicubic)
}

/// The image as a square of `side` pixels: its middle, for looking at.
pub fn fit(image: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let square = width.min(height);
    if square == 0 || side == 0 {
        return RgbImage::new(side, side);
    }
    let rect = Rect { left: (width - square) / 2, top: (height - square) / 2, width: square, height: square };
    resize::resize_rect(image, rect, side, side, Filter::Bicubic)
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Corruption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|c| c.name()).collect();
            format!("'{text}' is no corruption; there are {}", known.join(", "))
        })
    }
}

/// How much of it: 1 (a little) to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Severity(u8);

impl Severity {
    /// All five.
    pub const ALL: [Self; 5] = [Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// The number, 1 to 5.
    pub fn get(self) -> u8 {
        self.0
    }

    /// This severity's of five constants.
    fn of<T: Copy>(self, constants: [T; 5]) -> T {
        constants[usize::from(self.0) - 1]
    }
}

impl TryFrom<u8> for Severity {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        if (1..=5).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("{number} is no severity; they are 1 to 5"))
        }
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> Self {
        severity.0
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse::<u8>().map_err(|_| format!("'{text}' is no severity; they are 1 to 5"))?.try_into()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::rng::stream;

    use super::*;

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let stripe = if (x / 7 + y / 5) % 2 == 0 { 200 } else { 40 };
            Rgb([stripe, (x * 255 / width.max(1)) as u8, (y * 255 / height.max(1)) as u8])
        })
    }

    fn corrupted(corruption: Corruption, severity: Severity, image: &RgbImage, key: u64) -> RgbImage {
        corruption.apply(image, severity, &mut stream(7, "corrupt", &[key]))
    }

    /// Root of the mean squared difference, in levels.
    fn distance(a: &RgbImage, b: &RgbImage) -> f64 {
        let sum: f64 = a.iter().zip(b.iter()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        (sum / a.len() as f64).sqrt()
    }

    #[test]
    fn every_one_keeps_the_size_repeats_and_changes_the_image() {
        for (width, height) in [(200, 150), (1, 1), (3, 40), (224, 17)] {
            let image = picture(width, height);
            for corruption in Corruption::ALL {
                for severity in Severity::ALL {
                    let once = corrupted(corruption, severity, &image, 1);
                    assert_eq!(once.dimensions(), image.dimensions(), "{corruption} {severity}");
                    assert_eq!(once, corrupted(corruption, severity, &image, 1), "{corruption} {severity}");
                    assert!(width < 64 || height < 64 || distance(&image, &once) > 0.5, "{corruption} {severity}");
                }
            }
        }
        assert_eq!(corrupted(Corruption::Fog, Severity(5), &RgbImage::new(0, 0), 1), RgbImage::new(0, 0));
    }

    #[test]
    fn a_higher_severity_is_farther_from_the_image() {
        let image = picture(224, 224);
        for corruption in Corruption::ALL {
            let [least, most] = [1, 5].map(|s| distance(&image, &corrupted(corruption, Severity(s), &image, 3)));
            // The paper's elastic severities go from wide, weak bends to narrow ones.
            assert!(most > least || corruption == Corruption::ElasticTransform, "{corruption}: {least:.1} {most:.1}");
        }
    }

    #[test]
    fn random_ones_differ_by_their_stream_and_the_others_do_not() {
        let image = picture(64, 64);
        for corruption in Corruption::ALL {
            use Corruption::*;
            let fixed = matches!(
                corruption,
                DefocusBlur | ZoomBlur | GaussianBlur | Brightness | Contrast | Pixelate | JpegCompression
            );
            let same = corrupted(corruption, Severity(5), &image, 1) == corrupted(corruption, Severity(5), &image, 2);
            assert_eq!(same, fixed, "{corruption}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for corruption in Corruption::ALL {
            assert_eq!(corruption.name().parse::<Corruption>().unwrap(), corruption);
            assert_eq!(serde_json::to_value(corruption).unwrap(), corruption.name());
        }
        assert!("rain".parse::<Corruption>().unwrap_err().contains("gaussian_noise"));
        assert!("6".parse::<Severity>().is_err() && "x".parse::<Severity>().is_err());
        assert_eq!(serde_json::from_str::<Severity>("3").unwrap(), Severity(3));
        assert!(serde_json::from_str::<Severity>("0").is_err());
    }
}
