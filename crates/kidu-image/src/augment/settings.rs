//! The keys below `data.augmentation`.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    pipeline,
    zoo::{Check, Transform, check_list},
};

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A value is out of its range.
    #[error("data.augmentation.{key} is {value}; {rule}")]
    Setting {
        /// The key below `data.augmentation`.
        key: String,
        /// The value.
        value: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// The image specification is unusable.
    #[error("the network's input cannot be made: {0}; check data.image_size, data.mean and data.std")]
    ImageSpec(String),
}

/// Which list of changes is used: `0`, `1` or `none` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AugmentationPipeline {
    /// `none` or `null`: nothing random, whatever the other keys say.
    Off,
    /// `0`: random resized crop, horizontal flip and RandAugment, as the other keys say, then `transforms`.
    #[default]
    Standard,
    /// `1`: the whole image, resized, then `transforms`; without them the list of [`pipeline::albumentations`].
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
    /// A list of transforms of one's own: after the others in pipeline 0, instead of the list of pipeline 1. `null` is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transforms: Option<Vec<Transform>>,
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
            transforms: None,
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
        Self {
            pipeline: AugmentationPipeline::Off,
            horizontal_flip: 0.0,
            random_resized_crop: None,
            randaugment: None,
            transforms: None,
        }
    }

    /// The list that is run at the end: one's own, or that of pipeline 1.
    pub fn list(&self) -> Cow<'_, [Transform]> {
        match (self.pipeline, &self.transforms) {
            (AugmentationPipeline::Off, _) | (AugmentationPipeline::Standard, None) => Cow::Borrowed(&[]),
            (AugmentationPipeline::Albumentations, None) => Cow::Owned(pipeline::albumentations()),
            (_, Some(transforms)) => Cow::Borrowed(transforms),
        }
    }

    /// Whether nothing random is done: every copy of an image is the same.
    pub fn is_none(&self) -> bool {
        let idle = self.horizontal_flip == 0.0 && self.random_resized_crop.is_none() && self.randaugment.is_none();
        let empty = self.list().iter().all(|transform| transform.p() == 0.0);
        match self.pipeline {
            AugmentationPipeline::Off => true,
            AugmentationPipeline::Standard => idle && empty,
            AugmentationPipeline::Albumentations => empty,
        }
    }

    /// The same changes in one spelling: settings that do nothing become [`AugmentSettings::none`], the list of pipeline
    /// 1 is written out, and keys that it does not use are cleared.
    #[must_use]
    pub fn canonical(&self) -> Self {
        if self.is_none() {
            return Self::none();
        }
        match self.pipeline {
            AugmentationPipeline::Albumentations => {
                Self { pipeline: self.pipeline, transforms: Some(self.list().into_owned()), ..Self::none() }
            }
            AugmentationPipeline::Standard | AugmentationPipeline::Off => {
                let transforms = self.transforms.clone().filter(|list| !list.is_empty());
                Self { transforms, ..self.clone() }
            }
        }
    }

    /// Checks all ranges, those of the list too.
    ///
    /// # Errors
    /// [`AugmentError::Setting`] for the first key out of range.
    pub fn validate(&self) -> Result<(), AugmentError> {
        let broken = |key: &str, value: String, rule| Err(AugmentError::Setting { key: key.to_string(), value, rule });
        if !(0.0..=1.0).contains(&self.horizontal_flip) {
            return broken("horizontal_flip", self.horizontal_flip.to_string(), "it is a probability, in [0, 1]");
        }
        let mut check = Check::at("random_resized_crop");
        self.random_resized_crop.iter().for_each(|crop| crop.check(&mut check));
        check.finish()?;
        let mut check = Check::at("randaugment");
        self.randaugment.iter().for_each(|settings| settings.check(&mut check));
        check.finish()?;
        let mut check = Check::at("");
        check_list("transforms", self.transforms.as_deref().unwrap_or_default(), &mut check);
        check.finish()
    }
}

impl RandomResizedCropSettings {
    pub(super) fn check(&self, check: &mut Check) {
        let [low, high] = self.scale;
        let rule = "it is [least, greatest] share of the area, both in (0, 1]";
        check.rule(low > 0.0 && low <= high && high <= 1.0, "scale", &self.scale, rule);
        let [low, high] = self.ratio;
        let rule = "it is [least, greatest] width / height, both positive";
        check.rule(low > 0.0 && low <= high && high.is_finite(), "ratio", &self.ratio, rule);
    }
}

impl RandAugmentSettings {
    pub(super) fn check(&self, check: &mut Check) {
        check.rule((1..=16).contains(&self.num_ops), "num_ops", &self.num_ops, "use 1 to 16");
        check.rule(self.magnitude <= 30, "magnitude", &self.magnitude, "use 0 to 30");
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
        f.write_str("0 (crop, flip, RandAugment), 1 (albumentations' list) or none for data.augmentation.pipeline")
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
            (r#"{"transforms": [{"blur": {"blur_limit": [2, 5]}}]}"#, "transforms.0.blur.blur_limit is [2, 5]"),
            (
                r#"{"transforms": ["flip", {"one_of": {"transforms": [{"blur": {"p": 1.5}}]}}]}"#,
                "data.augmentation.transforms.1.one_of.transforms.0.blur.p is 1.5",
            ),
            (r#"{"transforms": [{"one_of": {"transforms": []}}]}"#, "transforms.0.one_of.transforms is 0; it needs"),
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
