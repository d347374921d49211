//! The transforms that a list can hold, with their settings: under the names of albumentations' and torchvision's
//! classes in snake case, with the names, defaults and ranges of their parameters.

mod blurs;
mod check;
mod colours;
mod draw;
mod erasing;
mod flips;
mod group;
mod noise;
mod policies;
mod range;
mod run;
mod warps;

use std::fmt;

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::{
    blurs::{Blur, GaussianBlur, MedianBlur, MotionBlur},
    colours::{Clahe, Emboss, HueSaturationValue, RandomBrightnessContrast, Sharpen},
    erasing::{EraseValue, RandomErasing, RandomWord},
    flips::{Flip, HorizontalFlip, RandomRotate90, Transpose, VerticalFlip},
    group::{OneOf, Sequential},
    noise::GaussNoise,
    policies::{AutoAugment, AutoAugmentPolicy, IMAGENET, Step, TrivialAugmentWide},
    warps::{GridDistortion, OpticalDistortion, PiecewiseAffine, ShiftScaleRotate},
};
pub(super) use self::{check::Check, run::Canvas};
use super::settings::{RandAugmentSettings, RandomResizedCropSettings};

/// A transform that looks at pixels and keeps the size.
trait Change {
    /// How likely it is applied, in [0, 1].
    fn p(&self) -> f64;

    /// Checks the ranges of everything but `p`.
    fn check(&self, check: &mut Check);

    /// Applies it with random parameters.
    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage;
}

macro_rules! zoo {
    ($($name:literal $Transform:ident($Settings:ty),)*) => {
        /// An entry of a list of transforms. In a configuration it is its name, or its name with settings:
        /// `horizontal_flip`, `{blur: {blur_limit: 5, p: 0.2}}`. Settings that are left out have their defaults.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the settings say what each does")]
        pub enum Transform {
            $($Transform($Settings),)*
        }

        impl Transform {
            /// All names, as a configuration has them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The name in a configuration.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Transform(_) => $name,)*
                }
            }

            /// The transform of a name with its default settings.
            pub fn by_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$Transform(<$Settings>::default())),)*
                    _ => None,
                }
            }
        }

        impl Serialize for Transform {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(Some(1))?;
                match self {
                    $(Self::$Transform(settings) => map.serialize_entry($name, settings)?,)*
                }
                map.end()
            }
        }

        impl<'de> de::Visitor<'de> for Entry {
            type Value = Transform;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a transform, or {name: settings}")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Transform, E> {
                Transform::by_name(name).ok_or_else(|| E::unknown_variant(name, Transform::NAMES))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Transform, A::Error> {
                let name: String = map.next_key()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                // `- horizontal_flip:` with nothing after it is a null.
                let transform = match name.as_str() {
                    $($name => Transform::$Transform(map.next_value::<Option<$Settings>>()?.unwrap_or_default()),)*
                    _ => return Err(de::Error::unknown_variant(&name, Transform::NAMES)),
                };
                match map.next_key::<String>()? {
                    None => Ok(transform),
                    Some(more) => Err(de::Error::custom(format!(
                        "an entry is one transform; '{more}' needs an entry of its own, or to be set inside: \
                         {{{name}: {{{more}: ...}}}}"
                    ))),
                }
            }
        }
    };
}

struct Entry;

impl<'de> Deserialize<'de> for Transform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entry)
    }
}

zoo! {
    "random_resized_crop" RandomResizedCrop(RandomResizedCropSettings),
    "random_rotate90" RandomRotate90(RandomRotate90),
    "flip" Flip(Flip),
    "horizontal_flip" HorizontalFlip(HorizontalFlip),
    "vertical_flip" VerticalFlip(VerticalFlip),
    "transpose" Transpose(Transpose),
    "gauss_noise" GaussNoise(GaussNoise),
    "motion_blur" MotionBlur(MotionBlur),
    "median_blur" MedianBlur(MedianBlur),
    "blur" Blur(Blur),
    "gaussian_blur" GaussianBlur(GaussianBlur),
    "shift_scale_rotate" ShiftScaleRotate(ShiftScaleRotate),
    "optical_distortion" OpticalDistortion(OpticalDistortion),
    "grid_distortion" GridDistortion(GridDistortion),
    "piecewise_affine" PiecewiseAffine(PiecewiseAffine),
    "clahe" Clahe(Clahe),
    "sharpen" Sharpen(Sharpen),
    "emboss" Emboss(Emboss),
    "random_brightness_contrast" RandomBrightnessContrast(RandomBrightnessContrast),
    "hue_saturation_value" HueSaturationValue(HueSaturationValue),
    "random_erasing" RandomErasing(RandomErasing),
    "auto_augment" AutoAugment(AutoAugment),
    "trivial_augment_wide" TrivialAugmentWide(TrivialAugmentWide),
    "randaugment" RandAugment(RandAugmentSettings),
    "one_of" OneOf(OneOf),
    "sequential" Sequential(Sequential),
}

/// What kind of work an entry is.
enum Kind<'a> {
    /// A turn or a mirror image, drawn when it is asked for.
    Move(&'a dyn Fn(&mut ChaCha8Rng) -> super::functional::Dihedral),
    /// A part of the image.
    Crop(&'a RandomResizedCropSettings),
    /// Pixels.
    Change(&'a dyn Change),
    /// Others.
    OneOf(&'a OneOf),
    /// Others.
    Sequential(&'a Sequential),
}

impl Transform {
    /// How likely it is applied, in [0, 1].
    pub fn p(&self) -> f64 {
        match self {
            Self::RandomRotate90(t) => t.p,
            Self::Flip(t) => t.p,
            Self::HorizontalFlip(t) => t.p,
            Self::VerticalFlip(t) => t.p,
            Self::Transpose(t) => t.p,
            _ => self.kind(|kind| match kind {
                Kind::Change(change) => change.p(),
                Kind::OneOf(group) => group.p,
                Kind::Sequential(group) => group.p,
                Kind::Move(_) | Kind::Crop(_) => 1.0,
            }),
        }
    }

    /// The same with another probability, where it has one.
    #[must_use]
    pub fn with_p(mut self, probability: f64) -> Self {
        match &mut self {
            Self::RandomRotate90(t) => t.p = probability,
            Self::Flip(t) => t.p = probability,
            Self::HorizontalFlip(t) => t.p = probability,
            Self::VerticalFlip(t) => t.p = probability,
            Self::Transpose(t) => t.p = probability,
            Self::GaussNoise(t) => t.p = probability,
            Self::MotionBlur(t) => t.p = probability,
            Self::MedianBlur(t) => t.p = probability,
            Self::Blur(t) => t.p = probability,
            Self::GaussianBlur(t) => t.p = probability,
            Self::ShiftScaleRotate(t) => t.p = probability,
            Self::OpticalDistortion(t) => t.p = probability,
            Self::GridDistortion(t) => t.p = probability,
            Self::PiecewiseAffine(t) => t.p = probability,
            Self::Clahe(t) => t.p = probability,
            Self::Sharpen(t) => t.p = probability,
            Self::Emboss(t) => t.p = probability,
            Self::RandomBrightnessContrast(t) => t.p = probability,
            Self::HueSaturationValue(t) => t.p = probability,
            Self::RandomErasing(t) => t.p = probability,
            Self::AutoAugment(t) => t.p = probability,
            Self::TrivialAugmentWide(t) => t.p = probability,
            Self::OneOf(t) => t.p = probability,
            Self::Sequential(t) => t.p = probability,
            Self::RandomResizedCrop(_) | Self::RandAugment(_) => {}
        }
        self
    }

    fn kind<R>(&self, with: impl FnOnce(Kind<'_>) -> R) -> R {
        match self {
            Self::RandomRotate90(t) => with(Kind::Move(&|rng| t.draw(rng))),
            Self::Flip(t) => with(Kind::Move(&|rng| t.draw(rng))),
            Self::HorizontalFlip(t) => with(Kind::Move(&|rng| t.draw(rng))),
            Self::VerticalFlip(t) => with(Kind::Move(&|rng| t.draw(rng))),
            Self::Transpose(t) => with(Kind::Move(&|rng| t.draw(rng))),
            Self::RandomResizedCrop(t) => with(Kind::Crop(t)),
            Self::OneOf(t) => with(Kind::OneOf(t)),
            Self::Sequential(t) => with(Kind::Sequential(t)),
            Self::GaussNoise(t) => with(Kind::Change(t)),
            Self::MotionBlur(t) => with(Kind::Change(t)),
            Self::MedianBlur(t) => with(Kind::Change(t)),
            Self::Blur(t) => with(Kind::Change(t)),
            Self::GaussianBlur(t) => with(Kind::Change(t)),
            Self::ShiftScaleRotate(t) => with(Kind::Change(t)),
            Self::OpticalDistortion(t) => with(Kind::Change(t)),
            Self::GridDistortion(t) => with(Kind::Change(t)),
            Self::PiecewiseAffine(t) => with(Kind::Change(t)),
            Self::Clahe(t) => with(Kind::Change(t)),
            Self::Sharpen(t) => with(Kind::Change(t)),
            Self::Emboss(t) => with(Kind::Change(t)),
            Self::RandomBrightnessContrast(t) => with(Kind::Change(t)),
            Self::HueSaturationValue(t) => with(Kind::Change(t)),
            Self::RandomErasing(t) => with(Kind::Change(t)),
            Self::AutoAugment(t) => with(Kind::Change(t)),
            Self::TrivialAugmentWide(t) => with(Kind::Change(t)),
            Self::RandAugment(t) => with(Kind::Change(t)),
        }
    }

    /// Checks all ranges; `check` stands at the entry's place in its list.
    pub(super) fn check(&self, check: &mut Check) {
        check.inside(self.name(), |check| {
            check.probability(self.p());
            self.kind(|kind| match kind {
                Kind::Move(_) => {}
                Kind::Crop(crop) => crop.check(check),
                Kind::Change(change) => change.check(check),
                Kind::OneOf(group) => {
                    let sum: f64 = group.transforms.iter().map(Self::p).sum();
                    let rule = "it needs at least one transform with p above 0";
                    check.rule(sum > 0.0, "transforms", &group.transforms.len(), rule);
                    check_list("transforms", &group.transforms, check);
                }
                Kind::Sequential(group) => check_list("transforms", &group.transforms, check),
            });
        });
    }
}

/// Checks each entry of a list that lies at `key`.
pub(super) fn check_list(key: &str, transforms: &[Transform], check: &mut Check) {
    for (i, transform) in transforms.iter().enumerate() {
        check.inside(&format!("{key}.{i}"), |check| transform.check(check));
    }
}
