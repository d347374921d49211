//! RandAugment (Cubuk et al. 2019, arXiv 1909.13719) with torchvision's operations and strengths.

use image::RgbImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{color, geometry, histogram, settings::RandAugmentSettings};

/// The greatest magnitude: strengths have 31 steps, from 0 to 30.
const GREATEST: f64 = 30.0;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Nothing.
    Identity,
    /// Rows are shifted against each other.
    ShearX,
    /// Columns are shifted against each other.
    ShearY,
    /// Moved right or left.
    TranslateX,
    /// Moved down or up.
    TranslateY,
    /// Turned about the centre.
    Rotate,
    /// Brighter or darker.
    Brightness,
    /// More or less saturated.
    Color,
    /// More or less contrast.
    Contrast,
    /// Sharper or smoother.
    Sharpness,
    /// Fewer bits a channel.
    Posterize,
    /// Values above a threshold are inverted.
    Solarize,
    /// Each channel is stretched to the whole range.
    AutoContrast,
    /// Each channel's histogram is equalised.
    Equalize,
    /// The negative; of AutoAugment only.
    Invert,
}

impl Op {
    /// All operations of RandAugment and TrivialAugment, in torchvision's order.
    pub const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// Whether the strength goes both ways, with a sign drawn at random.
    pub fn is_signed(self) -> bool {
        !matches!(
            self,
            Self::Identity | Self::Posterize | Self::Solarize | Self::AutoContrast | Self::Equalize | Self::Invert
        )
    }

    /// The strength of `magnitude` (0..=30), without sign: a shear, pixels (a share of `width` or `height`), degrees,
    /// a change of the blend factor, bits, or a threshold.
    pub fn strength(self, magnitude: u32, width: u32, height: u32) -> f64 {
        self.strength_at(f64::from(magnitude) / GREATEST, width, height)
    }

    /// The strength at a share of the greatest, in [0, 1], as RandAugment and AutoAugment have it.
    pub fn strength_at(self, share: f64, width: u32, height: u32) -> f64 {
        match self {
            Self::Identity | Self::AutoContrast | Self::Equalize | Self::Invert => 0.0,
            Self::ShearX | Self::ShearY => 0.3 * share,
            Self::TranslateX => 150.0 / 331.0 * f64::from(width) * share,
            Self::TranslateY => 150.0 / 331.0 * f64::from(height) * share,
            Self::Rotate => 30.0 * share,
            Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => 0.9 * share,
            Self::Posterize => 8.0 - (4.0 * share).round_ties_even(),
            Self::Solarize => 255.0 * (1.0 - share),
        }
    }

    /// The strength at a share of the greatest, in [0, 1], as TrivialAugment's wide space has it.
    pub fn wide_strength(self, share: f64) -> f64 {
        match self {
            Self::Identity | Self::AutoContrast | Self::Equalize | Self::Invert => 0.0,
            Self::TranslateX | Self::TranslateY => 32.0 * share,
            Self::Rotate => 135.0 * share,
            Self::ShearX | Self::ShearY | Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => {
                0.99 * share
            }
            Self::Posterize => 8.0 - (6.0 * share).round_ties_even(),
            Self::Solarize => 255.0 * (1.0 - share),
        }
    }

    /// Applies the operation with a strength as of [`Op::strength`], with its sign.
    pub fn apply(self, mut image: RgbImage, strength: f64) -> RgbImage {
        match self {
            Self::Identity => {}
            Self::ShearX => return geometry::shear_x(&image, strength),
            Self::ShearY => return geometry::shear_y(&image, strength),
            Self::TranslateX => return geometry::translate_x(&image, strength as i32),
            Self::TranslateY => return geometry::translate_y(&image, strength as i32),
            Self::Rotate => return geometry::rotate(&image, strength),
            Self::Brightness => color::brightness(&mut image, (1.0 + strength) as f32),
            Self::Color => color::saturation(&mut image, (1.0 + strength) as f32),
            Self::Contrast => color::contrast(&mut image, (1.0 + strength) as f32),
            Self::Sharpness => color::sharpness(&mut image, (1.0 + strength) as f32),
            Self::Posterize => histogram::posterize(&mut image, strength as u32),
            Self::Solarize => histogram::solarize(&mut image, strength as f32),
            Self::AutoContrast => histogram::autocontrast(&mut image),
            Self::Equalize => histogram::equalize(&mut image),
            Self::Invert => image.iter_mut().for_each(|value| *value = 255 - *value),
        }
        image
    }
}

/// Applies `num_ops` operations drawn uniformly, with replacement.
pub(super) fn apply(image: RgbImage, settings: &RandAugmentSettings, rng: &mut ChaCha8Rng) -> RgbImage {
    let (width, height) = image.dimensions();
    (0..settings.num_ops).fold(image, |image, _| {
        let op = Op::ALL[rng.random_range(0..Op::ALL.len() as u32) as usize];
        let strength = op.strength(settings.magnitude, width, height);
        let negative = op.is_signed() && rng.random::<bool>();
        op.apply(image, if negative { -strength } else { strength })
    })
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::rng;

    use super::*;

    fn image() -> RgbImage {
        RgbImage::from_fn(33, 20, |x, y| Rgb([(x * 6) as u8, (y * 9) as u8, ((x * y) % 128 + 40) as u8]))
    }

    #[test]
    fn strengths_are_torchvisions() {
        // (operation, at magnitude 9, at 30) for 331 x 662 pixels.
        let cases = [
            (Op::ShearX, 0.09, 0.3),
            (Op::TranslateX, 45.0, 150.0),
            (Op::TranslateY, 90.0, 300.0),
            (Op::Rotate, 9.0, 30.0),
            (Op::Color, 0.27, 0.9),
            (Op::Posterize, 7.0, 4.0),
            (Op::Solarize, 178.5, 0.0),
            (Op::Equalize, 0.0, 0.0),
        ];
        for (op, nine, thirty) in cases {
            for (magnitude, expected) in [(9, nine), (30, thirty)] {
                assert!((op.strength(magnitude, 331, 662) - expected).abs() < 1e-9, "{op:?} {magnitude}");
            }
        }
    }

    #[test]
    fn magnitude_zero_changes_no_pixel_by_strength() {
        for op in Op::ALL {
            let out = op.apply(image(), op.strength(0, 33, 20));
            let by_content = matches!(op, Op::AutoContrast | Op::Equalize);
            // Solarize at magnitude 0 inverts 255 only, which this image does not hold.
            assert!(by_content || out == image(), "{op:?}");
        }
    }

    #[test]
    fn every_operation_keeps_the_size_and_most_change_something() {
        for op in Op::ALL {
            let strength = op.strength(30, 33, 20);
            let out = op.apply(image(), strength);
            assert_eq!(out.dimensions(), (33, 20));
            // 660 pixels give equalize a step of 2: it changes the image too.
            assert_eq!(out == image(), op == Op::Identity, "{op:?}");
            if op.is_signed() {
                assert_ne!(op.apply(image(), -strength), out, "{op:?}");
            }
        }
    }

    #[test]
    fn all_operations_are_drawn() {
        let mut rng = rng::stream(1, "randaugment", &[]);
        let settings = RandAugmentSettings { num_ops: 1, magnitude: 20 };
        let mut seen: Vec<RgbImage> = Vec::new();
        for _ in 0..600 {
            let out = apply(image(), &settings, &mut rng);
            if !seen.contains(&out) {
                seen.push(out);
            }
        }
        // 9 signed operations give two images each, 5 others one each.
        assert_eq!(seen.len(), 23);
    }
}
