//! What is measured of one file: all that the rules need, so that a file is opened once.

use std::path::Path;

use kidu_core::Sha256Hex;
use kidu_image::{DecodeError, Format, Limits, RgbImage, Traits, decode, inspect, jpeg_scan};
use serde::{Deserialize, Serialize};

use super::{descriptor::Descriptor, kind::Kind, plane::Plane, thumbnail::Thumbnail};
use crate::image_file::{explain, read_bounded};

/// The longer side at which sharpness is measured: a large photograph is not sharper for its size.
const SHARPNESS_SIDE: usize = 256;

/// What was measured of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Hash of its bytes; `None` where they could not be read.
    pub sha256: Option<Sha256Hex>,
    /// Size in bytes.
    pub bytes: u64,
    /// What the bytes are, in words: "JPEG", "a GIF image".
    pub content: String,
    /// The type if it is one that is read.
    pub format: Option<Format>,
    /// Why it cannot be used, as the kind of the finding and the rest of a sentence that begins with the file.
    pub problem: Option<(Kind, String)>,
    /// Width and height in pixels, upright; 0 where they are not known.
    pub size: (u32, u32),
    /// The EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// Whether one grey value is stored for a pixel.
    pub grey: bool,
    /// Whether it is stored for print.
    pub cmyk: bool,
    /// Whether pixels may be transparent.
    pub alpha: bool,
    /// Whether there is more than one frame.
    pub animated: bool,
    /// What the pixels tell, where they could be decoded.
    pub pixels: Option<PixelFacts>,
    /// What it is recognised by.
    pub thumbnail: Option<Thumbnail>,
    /// What its label is judged by where there is no network.
    pub descriptor: Option<Descriptor>,
}

/// What the pixels tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelFacts {
    /// The brightness that 5 % of the pixels do not reach, in [0, 1].
    pub dark_end: f64,
    /// The brightness that 95 % of the pixels do not reach, in [0, 1].
    pub bright_end: f64,
    /// Mean brightness, in [0, 1].
    pub mean: f64,
    /// Standard deviation of the brightness, in [0, 0.5].
    pub contrast: f64,
    /// Variance of the Laplacian over the variance of the brightness, at a longer side of at most 256 pixels: 0 for one
    /// value, up to 20 + for noise. A blur of 2 pixels brings a photograph of 150 pixels below 0.03.
    pub sharpness: f64,
    /// The difference between the largest and the smallest channel that 99 % of the pixels do not reach, in [0, 1].
    pub colour: f64,
}

impl PixelFacts {
    /// Measures an image.
    pub fn of(image: &RgbImage) -> Self {
        Self::with_luma(image, &Plane::luma(image))
    }

    fn with_luma(image: &RgbImage, luma: &Plane) -> Self {
        let share = |v: f32| f64::from(v) / 255.0;
        let (mean, variance) = luma.moments();
        let small = luma.shrink_to(SHARPNESS_SIDE);
        let spread = |p: &[u8]| f32::from(p[0].max(p[1]).max(p[2]) - p[0].min(p[1]).min(p[2]));
        let colour = Plane {
            width: luma.width,
            height: luma.height,
            values: image.as_raw().chunks_exact(3).map(spread).collect(),
        };
        Self {
            dark_end: share(luma.quantile(0.05)),
            bright_end: share(luma.quantile(0.95)),
            mean: mean / 255.0,
            contrast: variance.sqrt() / 255.0,
            sharpness: small.laplacian_variance() / small.moments().1.max(1.0),
            colour: share(colour.quantile(0.99)),
        }
    }
}

impl Facts {
    /// Reads a file and measures it. Whatever the file is, there is an answer.
    pub fn of_file(path: &Path, limits: &Limits) -> Self {
        match read_bounded(path, limits) {
            Ok(bytes) => Self::of_bytes(&bytes, limits),
            Err(reason) => {
                let bytes = path.metadata().map_or(0, |m| m.len());
                let kind = if bytes > limits.max_bytes as u64 { Kind::Oversized } else { Kind::Corrupt };
                let empty = bytes == 0 && path.is_file();
                Self { sha256: empty.then(|| Sha256Hex::of_bytes(b"")), bytes, ..Self::unreadable(kind, reason) }
            }
        }
    }

    /// Measures the bytes of a file.
    pub fn of_bytes(bytes: &[u8], limits: &Limits) -> Self {
        let Traits { format, content, grey, cmyk, alpha, animated, orientation, cut_short } = inspect(bytes, limits);
        let mut facts = Self {
            sha256: Some(Sha256Hex::of_bytes(bytes)),
            bytes: bytes.len() as u64,
            content,
            format,
            problem: None,
            size: (0, 0),
            orientation,
            grey,
            cmyk,
            alpha,
            animated,
            pixels: None,
            thumbnail: None,
            descriptor: None,
        };
        match decode(bytes, limits) {
            Ok(image) => {
                facts.look_at(&image);
                facts.problem = jpeg_scan::damage(bytes).map(|reason| {
                    (Kind::Corrupt, format!("is a damaged JPEG that decodes with wrong pixels: {reason}"))
                });
            }
            Err(error) => {
                if let DecodeError::TooManyPixels { width, height, .. } = error {
                    facts.size = (width, height);
                }
                let kind = match error {
                    DecodeError::TooManyPixels { .. } | DecodeError::TooManyBytes { .. } => Kind::Oversized,
                    DecodeError::UnsupportedFormat { .. } => Kind::UnreadableType,
                    _ if cut_short => Kind::Truncated,
                    _ => Kind::Corrupt,
                };
                let mut reason = explain(&error);
                if kind == Kind::Corrupt {
                    // A marker in the middle of the data was taken for a segment that leads past the end.
                    reason = reason.replace("it is cut short, there is no end-of-image marker", "its data is broken");
                }
                facts.problem = Some((kind, reason));
            }
        }
        facts
    }

    fn look_at(&mut self, image: &RgbImage) {
        let luma = Plane::luma(image);
        self.size = image.dimensions();
        self.pixels = Some(PixelFacts::with_luma(image, &luma));
        self.thumbnail = Thumbnail::of_plane(&luma);
        self.descriptor = Some(Descriptor::of(image));
    }

    fn unreadable(kind: Kind, reason: String) -> Self {
        Self {
            sha256: None,
            bytes: 0,
            content: "not read".into(),
            format: None,
            problem: Some((kind, reason)),
            size: (0, 0),
            orientation: 1,
            grey: false,
            cmyk: false,
            alpha: false,
            animated: false,
            pixels: None,
            thumbnail: None,
            descriptor: None,
        }
    }

    /// Width times height.
    pub fn area(&self) -> u64 {
        u64::from(self.size.0) * u64::from(self.size.1)
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgb};

    use super::*;

    fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn board() -> RgbImage {
        RgbImage::from_fn(64, 64, |x, y| Rgb([if (x / 8 + y / 8) % 2 == 0 { 255 } else { 0 }; 3]))
    }

    #[test]
    fn a_board_is_sharp_and_without_colour_and_its_blur_is_not() {
        let sharp = PixelFacts::of(&board());
        assert_eq!((sharp.dark_end, sharp.bright_end, sharp.colour), (0.0, 1.0, 0.0));
        assert!((sharp.contrast - 0.5).abs() < 1e-9 && (sharp.mean - 0.5).abs() < 1e-9);
        let blurred = PixelFacts::of(&image::imageops::blur(&board(), 3.0));
        assert!(sharp.sharpness > 0.5 && blurred.sharpness < 0.05, "{sharp:?} {blurred:?}");
    }

    #[test]
    fn each_problem_has_its_kind() {
        let limits = Limits { max_pixels: 10_000, ..Limits::default() };
        let png = encoded(&board(), ImageFormat::Png);
        let kind = |bytes: &[u8]| Facts::of_bytes(bytes, &limits).problem.map(|p| p.0);
        assert_eq!(kind(&png), None);
        assert_eq!(kind(&png[..png.len() - 20]), Some(Kind::Truncated));
        assert_eq!(kind(b"GIF89a\x01\0\x01\0"), Some(Kind::UnreadableType));
        assert_eq!(kind(&encoded(&RgbImage::new(200, 200), ImageFormat::Png)), Some(Kind::Oversized));
        let mut broken = png.clone();
        broken[60] ^= 0xFF;
        assert_eq!(kind(&broken), Some(Kind::Corrupt));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jpg");
        std::fs::write(&path, b"").unwrap();
        let facts = Facts::of_file(&path, &limits);
        assert_eq!(facts.problem, Some((Kind::Corrupt, "is empty".into())));
        std::fs::write(&path, &png).unwrap();
        let facts = Facts::of_file(&path, &Limits { max_bytes: 10, ..limits });
        assert_eq!((facts.problem.unwrap().0, facts.bytes), (Kind::Oversized, png.len() as u64));
        let facts: Facts = Facts::of_file(&path, &Limits::default());
        let back: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
        assert_eq!(back, facts);
    }
}
