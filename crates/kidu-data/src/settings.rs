//! The `data` group of the configuration.

use std::path::PathBuf;

use kidu_core::{Crop, Filter, ImageSpec};
use kidu_image::{AugmentError, AugmentSettings, Limits};
use serde::{Deserialize, Serialize};

use crate::{
    check::CheckSettings,
    error::{DataError, Result},
};

/// The `data` group. Missing keys have the values of [`DataSettings::default`]; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// A folder (class folders; `train/`, `test/`; the Intel layout), an archive or a CSV list.
    pub root: Option<PathBuf>,
    /// Where versions are kept (`kidu data snapshot`); `None` is `.kidu-data` beside `root`.
    pub store: Option<PathBuf>,
    /// Id of the version that is read instead of `root` as it is now, or the id's first digits.
    pub version: Option<String>,
    /// Shares of train, val and test, each in [0, 1], together 1. Where the data brings a test or val split of its own,
    /// that is kept and only the other shares matter.
    pub train_val_test_split: [f64; 3],
    /// Images in a batch, at least 1.
    pub batch_size: usize,
    /// Threads that load images; 0 is one for each core.
    pub num_workers: usize,
    /// Side of the network's square input in pixels; `None` is the model's own.
    pub image_size: Option<u32>,
    /// Resampling filter; `None` is the model's own.
    pub filter: Option<Filter>,
    /// What is done about the aspect ratio.
    pub crop: CropMode,
    /// Mean of each channel on the scale [0, 1]; `None` is the model's own.
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of each channel on the scale [0, 1]; `None` is the model's own.
    pub std: Option<[f32; 3]>,
    /// What is done about an image that cannot be read.
    pub on_bad_image: OnBadImage,
    /// What is done about equal files in different splits or classes.
    pub on_duplicate: OnDuplicate,
    /// What is done about images that look nearly the same in different splits.
    pub on_near_duplicate: OnNearDuplicate,
    /// The most pixels (width times height) of an image.
    pub max_pixels: u64,
    /// The most pixels of either side of an image.
    pub max_side: u32,
    /// The most bytes of an image file.
    pub max_bytes: usize,
    /// Augmentation of the training split.
    pub augmentation: AugmentSettings,
    /// Thresholds of `kidu data check`; those of near duplicates hold for training too.
    pub check: CheckSettings,
}

/// What is done about the aspect ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropMode {
    /// Both sides are resized to the input's size.
    #[default]
    Squash,
    /// The middle is cut out, as timm's evaluation does.
    Center,
}

/// What is done about an image that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadImage {
    /// The run stops and names the files.
    #[default]
    Error,
    /// The image is left out and reported by path.
    Skip,
}

/// What is done about equal files in different splits or classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// The run stops and names the files.
    #[default]
    Error,
    /// One copy is kept: that in test, else val, else train. Copies whose classes contradict each other all go.
    Drop,
    /// All copies are kept.
    Allow,
}

/// What is done about images that look nearly the same (re-encoded, resized, cropped a little, brightened) in different
/// splits. Whatever is chosen but `allow`, near duplicates among images that are still to be divided stay together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNearDuplicate {
    /// The run stops and names the pairs.
    #[default]
    Error,
    /// The pairs are named and kept.
    Warn,
    /// Only those in test are kept, else those in val.
    Drop,
    /// They are not looked for.
    Allow,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            root: None,
            store: None,
            version: None,
            train_val_test_split: [0.8, 0.1, 0.1],
            batch_size: 32,
            num_workers: 0,
            image_size: None,
            filter: None,
            crop: CropMode::default(),
            mean: None,
            std: None,
            on_bad_image: OnBadImage::default(),
            on_duplicate: OnDuplicate::default(),
            on_near_duplicate: OnNearDuplicate::default(),
            max_pixels: Limits::default().max_pixels,
            max_side: Limits::default().max_side,
            max_bytes: Limits::default().max_bytes,
            augmentation: AugmentSettings::default(),
            check: CheckSettings::default(),
        }
    }
}

impl DataSettings {
    /// Checks every range. `root` may be absent here; [`crate::prepare()`] asks for it.
    ///
    /// # Errors
    /// [`DataError::Setting`] for the first key whose value is out of range.
    pub fn validate(&self) -> Result<()> {
        let fail = |key: &str, reason: String| Err(DataError::Setting { key: key.into(), reason });
        let shares = self.train_val_test_split;
        if shares.iter().any(|s| !s.is_finite() || !(0.0..=1.0).contains(s)) || shares[0] <= 0.0 {
            let reason = format!("{shares:?} must be three numbers in [0, 1], the first (train) greater than 0");
            return fail("data.train_val_test_split", reason);
        }
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return fail("data.train_val_test_split", format!("{shares:?} must sum to 1, not to {sum}"));
        }
        if !(1..=65_536).contains(&self.batch_size) {
            return fail("data.batch_size", format!("{} is outside 1..=65536", self.batch_size));
        }
        if self.num_workers > 1024 {
            return fail("data.num_workers", format!("{} is more than 1024; 0 is one for each core", self.num_workers));
        }
        if self.max_pixels == 0 {
            return fail("data.max_pixels", "must be at least 1".into());
        }
        if self.max_side == 0 {
            return fail("data.max_side", "must be at least 1".into());
        }
        if self.max_bytes == 0 {
            return fail("data.max_bytes", "must be at least 1".into());
        }
        if let Err((key, reason)) = self.check.validate() {
            return fail(&format!("data.check.{key}"), reason);
        }
        // The rules on size, mean and std are those of the specification itself.
        let spec = self.image_spec(&ImageSpec::imagenet(224, Filter::Bicubic), 1.0);
        if let Err(reason) = spec.validate() {
            let size = self.image_size.is_some_and(|s| !(8..=4096).contains(&s));
            let mean = self.mean.is_some_and(|m| m.iter().any(|m| !m.is_finite()));
            let key = match (size, mean) {
                (true, _) => "data.image_size",
                (false, true) => "data.mean",
                (false, false) => "data.std",
            };
            return fail(key, reason);
        }
        self.augmentation.validate().map_err(|e| augmentation_error(&e))
    }

    /// How images become the network's input: the model's own specification with what is set here put over it.
    /// `crop_pct` is the model's share for a centre crop, in (0, 1].
    pub fn image_spec(&self, model: &ImageSpec, crop_pct: f32) -> ImageSpec {
        let mut spec = model.clone();
        if let Some(size) = self.image_size {
            spec = spec.with_size(size);
        }
        spec.filter = self.filter.unwrap_or(spec.filter);
        spec.mean = self.mean.unwrap_or(spec.mean);
        spec.std = self.std.unwrap_or(spec.std);
        spec.crop = match self.crop {
            CropMode::Squash => Crop::Squash,
            CropMode::Center => Crop::Center { pct: crop_pct },
        };
        spec
    }

    /// The bounds on one image.
    pub fn limits(&self) -> Limits {
        Limits { max_bytes: self.max_bytes, max_pixels: self.max_pixels, max_side: self.max_side }
    }

    /// The worker threads.
    pub(crate) fn pool(&self) -> Result<rayon::ThreadPool> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(self.workers());
        builder.build().map_err(|e| DataError::Workers(e.to_string()))
    }

    /// Number of worker threads with 0 resolved to the number of cores.
    pub fn workers(&self) -> usize {
        resolve_workers(self.num_workers)
    }
}

/// The broken rule under the key that breaks it.
pub(crate) fn augmentation_error(error: &AugmentError) -> DataError {
    let (key, reason) = match error {
        AugmentError::Setting { key, value, rule } => {
            (format!("data.augmentation.{key}"), format!("{value} is not allowed; {rule}"))
        }
        _ => ("data.augmentation".into(), error.to_string()),
    };
    DataError::Setting { key, reason }
}

/// 0 stands for one thread for each core.
pub(crate) fn resolve_workers(workers: usize) -> usize {
    match workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut DataSettings)) -> String {
        let mut settings = DataSettings::default();
        change(&mut settings);
        settings.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_valid_and_bad_values_name_their_key() {
        DataSettings::default().validate().unwrap();
        assert!(message(|s| s.train_val_test_split = [0.8, 0.1, 0.2]).starts_with("data.train_val_test_split: "));
        assert!(message(|s| s.train_val_test_split = [0.0, 0.5, 0.5]).contains("train"));
        assert!(message(|s| s.train_val_test_split[1] = f64::NAN).contains("three numbers"));
        assert!(message(|s| s.batch_size = 0).contains("data.batch_size: 0 is outside"));
        assert!(message(|s| s.image_size = Some(4)).contains("data.image_size"));
        assert!(message(|s| s.std = Some([0.0; 3])).starts_with("data.std: "));
        assert!(message(|s| s.mean = Some([f32::NAN; 3])).starts_with("data.mean: "));
        assert!(message(|s| s.max_side = 0).starts_with("data.max_side: "));
        let flip = message(|s| s.augmentation.horizontal_flip = 2.0);
        assert!(flip.starts_with("data.augmentation.horizontal_flip: 2 is not allowed"), "{flip}");
    }

    #[test]
    fn the_model_s_own_values_stay_unless_they_are_set() {
        let model = ImageSpec::imagenet(224, Filter::Bicubic);
        let mut settings = DataSettings::default();
        assert_eq!(settings.image_spec(&model, 0.9), model);
        settings.image_size = Some(64);
        settings.crop = CropMode::Center;
        settings.filter = Some(Filter::Nearest);
        settings.mean = Some([0.5; 3]);
        let spec = settings.image_spec(&model, 0.9);
        assert_eq!((spec.width, spec.height, spec.filter), (64, 64, Filter::Nearest));
        assert_eq!((spec.crop, spec.mean, spec.std), (Crop::Center { pct: 0.9 }, [0.5; 3], model.std));
    }

    #[test]
    fn reads_the_documented_keys_and_refuses_others() {
        let text = r#"{"root": "x.zip", "on_bad_image": "skip", "on_duplicate": "drop", "crop": "center", "filter": "lanczos"}"#;
        let settings: DataSettings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.on_duplicate, OnDuplicate::Drop);
        assert!(serde_json::from_str::<DataSettings>(r#"{"batchsize": 1}"#).is_err());
        let back: DataSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
        assert_eq!(back, settings);
    }
}
