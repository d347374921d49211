//! The keys below `data.augmentation`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A value is out of its range.
    #[error("data.augmentation.{key} is {value}; {rule}")]
    Setting {
        /// The key below `data.augmentation`.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// Pipeline 1 (the albumentations-style one) does not exist yet.
    #[error(
        "data.augmentation.pipeline=1 (blur, noise and colour in the style of albumentations) is not built yet; use \
         data.augmentation.pipeline=0, with data.augmentation.randaugment for stronger changes, or \
         data.augmentation.pipeline=none"
    )]
    PipelineNotBuilt,
    /// The image specification is unusable.
    #[error("the network's input cannot be made: {0}; check data.image_size, data.mean and data.std")]
    ImageSpec(String),
}

/// Which list of changes is used: `0`, `1` or `none` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AugmentationPipeline {
    /// `none` or `null`: nothing random, whatever the other keys say.
    Off,
    /// `0`: random resized crop, horizontal flip and RandAugment, as the other keys say.
    #[default]
    Standard,
    /// `1`: the albumentations-style one; refused by [`super::Augmenter::new`] for now.
    Albumentations,
}

/// What is done to training images. Its JSON text is stable and goes into cache keys: take the
/// [`canonical`](AugmentSettings::canonical) form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentSettings {
    /// Which list of changes is used.
    pub pipeline: AugmentationPipeline,
    /// Probability of a mirror image, in [0, 1].
    pub horizontal_flip: f64,
    /// Random part of the image that is resized to the input; `null` resizes the whole.
    pub random_resized_crop: Option<RandomResizedCropSettings>,
    /// RandAugment; `null` is off.
    pub randaugment: Option<RandAugmentSettings>,
}

/// A random part of the image (Szegedy et al. 2014, arXiv 1409.4842, section 6; torchvision's `RandomResizedCrop`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCropSettings {
    /// Least and greatest share of the image's area, in (0, 1].
    pub scale: [f64; 2],
    /// Least and greatest width / height of the part, positive.
    pub ratio: [f64; 2],
}

/// RandAugment (Cubuk et al. 2019, arXiv 1909.13719).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugmentSettings {
    /// Number of operations, one after another, 1..=16.
    pub num_ops: u32,
    /// Strength of all of them, 0..=30.
    pub magnitude: u32,
}

impl Default for AugmentSettings {
    /// Pipeline 0: flip with probability 0.5, crop of 35 to 100 % of the area, no RandAugment.
    fn default() -> Self {
        Self {
            pipeline: AugmentationPipeline::Standard,
            horizontal_flip: 0.5,
            random_resized_crop: Some(RandomResizedCropSettings::default()),
            randaugment: None,
        }
    }
}

impl Default for RandomResizedCropSettings {
    fn default() -> Self {
        Self { scale: [0.35, 1.0], ratio: [0.75, 1.3333] }
    }
}

impl Default for RandAugmentSettings {
    fn default() -> Self {
        Self { num_ops: 2, magnitude: 9 }
    }
}

impl AugmentSettings {
    /// Nothing random.
    pub fn none() -> Self {
        Self { pipeline: AugmentationPipeline::Off, horizontal_flip: 0.0, random_resized_crop: None, randaugment: None }
    }

    /// Whether nothing random is done: every copy of an image is the same.
    pub fn is_none(&self) -> bool {
        let idle = self.horizontal_flip == 0.0 && self.random_resized_crop.is_none() && self.randaugment.is_none();
        match self.pipeline {
            AugmentationPipeline::Off => true,
            AugmentationPipeline::Standard => idle,
            AugmentationPipeline::Albumentations => false,
        }
    }

    /// The same changes in one spelling: settings that do nothing become [`AugmentSettings::none`].
    #[must_use]
    pub fn canonical(&self) -> Self {
        if self.is_none() { Self::none() } else { self.clone() }
    }

    /// Checks all ranges.
    ///
    /// # Errors
    /// [`AugmentError::Setting`] for the first key out of range, [`AugmentError::PipelineNotBuilt`] for pipeline 1.
    pub fn validate(&self) -> Result<(), AugmentError> {
        let fail = |key, value: String, rule| Err(AugmentError::Setting { key, value, rule });
        if !(0.0..=1.0).contains(&self.horizontal_flip) {
            return fail("horizontal_flip", self.horizontal_flip.to_string(), "it is a probability, in [0, 1]");
        }
        if let Some(crop) = &self.random_resized_crop {
            let [low, high] = crop.scale;
            if !(low > 0.0 && low <= high && high <= 1.0) {
                let rule = "it is [least, greatest] share of the area, both in (0, 1]";
                return fail("random_resized_crop.scale", format!("{:?}", crop.scale), rule);
            }
            let [low, high] = crop.ratio;
            if !(low > 0.0 && low <= high && high.is_finite()) {
                let rule = "it is [least, greatest] width / height, both positive";
                return fail("random_resized_crop.ratio", format!("{:?}", crop.ratio), rule);
            }
        }
        if let Some(settings) = &self.randaugment {
            if !(1..=16).contains(&settings.num_ops) {
                let rule = "use 1 to 16, or randaugment=null for none";
                return fail("randaugment.num_ops", settings.num_ops.to_string(), rule);
            }
            if settings.magnitude > 30 {
                return fail("randaugment.magnitude", settings.magnitude.to_string(), "use 0 to 30");
            }
        }
        match self.pipeline {
            AugmentationPipeline::Albumentations => Err(AugmentError::PipelineNotBuilt),
            AugmentationPipeline::Off | AugmentationPipeline::Standard => Ok(()),
        }
    }
}

impl Serialize for AugmentationPipeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("none"),
            Self::Standard => serializer.serialize_u8(0),
            Self::Albumentations => serializer.serialize_u8(1),
        }
    }
}

impl<'de> Deserialize<'de> for AugmentationPipeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PipelineVisitor)
    }
}

struct PipelineVisitor;

impl de::Visitor<'_> for PipelineVisitor {
    type Value = AugmentationPipeline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0 (crop, flip, RandAugment) or none for data.augmentation.pipeline")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        match value {
            0 => Ok(AugmentationPipeline::Standard),
            1 => Ok(AugmentationPipeline::Albumentations),
            other => Err(E::invalid_value(de::Unexpected::Unsigned(other), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        match value {
            "none" => Ok(AugmentationPipeline::Off),
            "0" => Ok(AugmentationPipeline::Standard),
            "1" => Ok(AugmentationPipeline::Albumentations),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(AugmentationPipeline::Off)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(AugmentationPipeline::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> AugmentSettings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_configured_keys_are_read() {
        let json = r#"{"pipeline": 0, "horizontal_flip": 0.5, "randaugment": null,
            "random_resized_crop": {"scale": [0.35, 1.0], "ratio": [0.75, 1.3333]}}"#;
        assert_eq!(read(json), AugmentSettings::default());
        assert_eq!(read("{}"), AugmentSettings::default());
        for off in ["null", "\"none\""] {
            let settings = read(&format!(r#"{{"pipeline": {off}}}"#));
            assert!(settings.is_none());
            assert_eq!(settings.canonical(), AugmentSettings::none());
        }
        assert_eq!(read(r#"{"randaugment": {}}"#).randaugment, Some(RandAugmentSettings { num_ops: 2, magnitude: 9 }));
        let wrong = |json| serde_json::from_str::<AugmentSettings>(json).unwrap_err().to_string();
        assert!(wrong(r#"{"pipeline": 2}"#).contains("data.augmentation.pipeline"));
        assert!(wrong(r#"{"flip": 1}"#).contains("horizontal_flip"));
    }

    #[test]
    fn the_text_is_stable() {
        let text = serde_json::to_string(&AugmentSettings::default()).unwrap();
        assert_eq!(
            text,
            r#"{"pipeline":0,"horizontal_flip":0.5,"random_resized_crop":{"scale":[0.35,1.0],"ratio":[0.75,1.3333]},"randaugment":null}"#
        );
        assert_eq!(read(&text), AugmentSettings::default());
        let none = serde_json::to_string(&AugmentSettings::none()).unwrap();
        assert!(none.starts_with(r#"{"pipeline":"none""#));
        assert_eq!(read(&none), AugmentSettings::none());
    }

    #[test]
    fn ranges_are_checked_and_named() {
        let cases = [
            (r#"{"horizontal_flip": -0.1}"#, "data.augmentation.horizontal_flip is -0.1"),
            (r#"{"random_resized_crop": {"scale": [0.0, 1.0]}}"#, "random_resized_crop.scale is [0.0, 1.0]"),
            (r#"{"random_resized_crop": {"scale": [0.9, 0.5]}}"#, "random_resized_crop.scale"),
            (r#"{"random_resized_crop": {"scale": [0.5, 1.5]}}"#, "random_resized_crop.scale"),
            (r#"{"random_resized_crop": {"ratio": [0, 1]}}"#, "random_resized_crop.ratio"),
            (r#"{"randaugment": {"num_ops": 0}}"#, "randaugment.num_ops is 0"),
            (r#"{"randaugment": {"magnitude": 31}}"#, "randaugment.magnitude is 31"),
            (r#"{"pipeline": 1}"#, "is not built yet"),
        ];
        for (json, part) in cases {
            let error = read(json).validate().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("data.augmentation."), "{error}");
        }
        let nan = AugmentSettings { horizontal_flip: f64::NAN, ..AugmentSettings::default() };
        assert!(nan.validate().is_err());
        assert!(AugmentSettings::default().validate().is_ok() && AugmentSettings::none().validate().is_ok());
    }
}
