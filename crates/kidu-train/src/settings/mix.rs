//! Mixing the images of a batch.

use serde::{Deserialize, Serialize};

use super::Problems;

/// For whom mixing is drawn anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixupMode {
    /// For each batch.
    #[default]
    Batch,
    /// For each pair of images.
    Pair,
    /// For each image.
    Elem,
}

/// The keys `mixup_*` and `cutmix_*` of the group `model`, under timm's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixSettings {
    /// Mixup's alpha: shares are drawn from Beta(alpha, alpha); 0 is no mixup.
    pub mixup_alpha: f64,
    /// CutMix's alpha; 0 is no CutMix.
    pub cutmix_alpha: f64,
    /// Probability that a batch is mixed at all.
    pub mixup_prob: f64,
    /// Probability of CutMix rather than mixup where both are on.
    pub mixup_switch_prob: f64,
    /// For whom it is drawn anew.
    pub mixup_mode: MixupMode,
}

impl Default for MixSettings {
    fn default() -> Self {
        Self {
            mixup_alpha: 0.0,
            cutmix_alpha: 0.0,
            mixup_prob: 1.0,
            mixup_switch_prob: 0.5,
            mixup_mode: MixupMode::Batch,
        }
    }
}

impl MixSettings {
    /// Whether images may be mixed.
    pub fn is_on(&self) -> bool {
        (self.mixup_alpha > 0.0 || self.cutmix_alpha > 0.0) && self.mixup_prob > 0.0
    }

    /// What is on, for messages: `mixup`, `cutmix`.
    pub fn names(&self) -> Vec<String> {
        let on = |name: &str, alpha: f64| (alpha > 0.0 && self.is_on()).then(|| name.to_string());
        [on("mixup", self.mixup_alpha), on("cutmix", self.cutmix_alpha)].into_iter().flatten().collect()
    }

    pub(super) fn validate(&self, p: &mut Problems) {
        let alpha = |value: f64| value == 0.0 || (1e-6..=100.0).contains(&value);
        let rule = "must be 0 for off, or in [0.000001, 100]";
        p.check(alpha(self.mixup_alpha), "model.mixup_alpha", rule);
        p.check(alpha(self.cutmix_alpha), "model.cutmix_alpha", rule);
        let unit = 0.0..=1.0;
        p.check(unit.contains(&self.mixup_prob), "model.mixup_prob", "must be a probability, in [0, 1]");
        p.check(unit.contains(&self.mixup_switch_prob), "model.mixup_switch_prob", "must be a probability, in [0, 1]");
    }
}
