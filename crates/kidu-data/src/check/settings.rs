//! The keys `data.check.*`.

use serde::{Deserialize, Serialize};

/// Thresholds of the checks. Missing keys have the values of [`CheckSettings::default`]; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckSettings {
    /// Tiny: a side of fewer pixels.
    pub min_side: u32,
    /// Tiny: a file of fewer bytes.
    pub min_bytes: u64,
    /// Odd aspect: the longer side is more than this many times the shorter, at least 1.
    pub max_aspect: f64,
    /// Too dark: 95 % of the pixels are darker than this, in [0, 1].
    pub dark: f64,
    /// Too bright: 95 % of the pixels are brighter than this, in [0, 1].
    pub bright: f64,
    /// Low contrast: the standard deviation of the brightness is below this, in [0, 1].
    pub contrast: f64,
    /// Blurry: the variance of the Laplacian, over the variance of the brightness, is below this; at least 0.
    pub sharpness: f64,
    /// Near duplicates: the most bits of 64 in which two perceptual hashes may differ, at most 11.
    pub near_distance: u32,
    /// Near duplicates: the least correlation of two images' edges once they are laid over each other, in [0, 1].
    pub near_similarity: f64,
    /// Whether mirrored copies count as near duplicates.
    pub near_mirrored: bool,
    /// Alike in features: the least cosine between two images' features less their mean, in [0, 1].
    pub feature_similarity: f64,
    /// Imbalance: the largest class has more than this many times the images of the smallest, at least 1.
    pub max_imbalance: f64,
    /// A class of fewer images is too small.
    pub min_class_images: usize,
    /// Whether labels are looked at.
    pub label_errors: bool,
    /// Parts of the cross-validation that labels are judged by, at least 2.
    pub label_folds: usize,
    /// The most images that the gallery shows of each kind.
    pub gallery_images: usize,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            min_side: 32,
            min_bytes: 256,
            max_aspect: 3.0,
            dark: 0.22,
            bright: 0.75,
            contrast: 0.06,
            sharpness: 0.03,
            near_distance: 10,
            near_similarity: 0.65,
            near_mirrored: true,
            feature_similarity: 0.95,
            max_imbalance: 10.0,
            min_class_images: 10,
            label_errors: true,
            label_folds: 5,
            gallery_images: 120,
        }
    }
}

impl CheckSettings {
    /// Checks every range.
    ///
    /// # Errors
    /// The first key that is out of its range, without `data.check.`, and the rule.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let shares = [
            ("dark", self.dark),
            ("bright", self.bright),
            ("contrast", self.contrast),
            ("near_similarity", self.near_similarity),
            ("feature_similarity", self.feature_similarity),
        ];
        if let Some((key, value)) = shares.into_iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            return Err((key, format!("{value} is outside [0, 1]")));
        }
        for (key, value) in [("max_aspect", self.max_aspect), ("max_imbalance", self.max_imbalance)] {
            if !(value >= 1.0 && value.is_finite()) {
                return Err((key, format!("{value} is not a number of at least 1")));
            }
        }
        if !(self.sharpness >= 0.0 && self.sharpness.is_finite()) {
            return Err(("sharpness", format!("{} is not a number of at least 0", self.sharpness)));
        }
        if self.near_distance > super::HashIndex::MAX_RADIUS {
            let most = super::HashIndex::MAX_RADIUS;
            return Err(("near_distance", format!("{} is more than {most}", self.near_distance)));
        }
        if !(2..=100).contains(&self.label_folds) {
            return Err(("label_folds", format!("{} is outside 2..=100", self.label_folds)));
        }
        if !(1..=5000).contains(&self.gallery_images) {
            return Err(("gallery_images", format!("{} is outside 1..=5000", self.gallery_images)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_by_key() {
        let broken = |change: fn(&mut CheckSettings)| {
            let mut settings = CheckSettings::default();
            change(&mut settings);
            settings.validate().unwrap_err().0
        };
        CheckSettings::default().validate().unwrap();
        assert_eq!(broken(|s| s.dark = f64::NAN), "dark");
        assert_eq!(broken(|s| s.max_aspect = 0.5), "max_aspect");
        assert_eq!(broken(|s| s.sharpness = -1.0), "sharpness");
        assert_eq!(broken(|s| s.near_distance = 12), "near_distance");
        assert_eq!(broken(|s| s.label_folds = 1), "label_folds");
        assert_eq!(broken(|s| s.gallery_images = 0), "gallery_images");
        assert!(serde_json::from_str::<CheckSettings>(r#"{"darkness": 1}"#).is_err());
    }
}
