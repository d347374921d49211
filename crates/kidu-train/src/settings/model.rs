//! The group `model`.

use kidu_core::PadType;
use kidu_models::{Freeze, WeightsSpec};
use serde::{Deserialize, Serialize};

use super::{
    ClassWeights, LearningRate, OptimizerSettings, Problem, Problems, SchedulerSettings, values::weights_text,
};

/// Which network, from which weights, and how it is optimised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// timm's name of the architecture.
    pub name: String,
    /// timm's `pad_type`; null stands for the architecture's own.
    pub pad_type: Option<PadType>,
    /// Initial weights: `none`, a file, `hub` or `hub:TAG`.
    #[serde(with = "weights_text")]
    pub weights: WeightsSpec,
    /// Probability with which a pooled feature is dropped in training, in [0, 1).
    pub drop_rate: f64,
    /// Which part is not trained: `none`, `backbone`, or the stem and the first N stages.
    pub freeze: Freeze,
    /// From this epoch on (counted from 0) everything is trained.
    pub unfreeze_epoch: Option<usize>,
    /// Whether every batch norm keeps its running statistics and affine parameters.
    pub freeze_bn: bool,
    /// Learning rate of the backbone relative to the head's, in (0, 10].
    pub backbone_lr_factor: f64,
    /// The optimizer.
    pub optimizer: OptimizerSettings,
    /// Learning rate of the head: the highest one of `one_cycle` and `cosine`; `auto` is found by a range test.
    pub learning_rate: LearningRate,
    /// How the learning rate changes.
    pub scheduler: SchedulerSettings,
    /// Share of the target spread over all classes, in [0, 1).
    pub label_smoothing: f64,
    /// Weights of the classes in the loss.
    pub class_weights: ClassWeights,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            name: "tf_efficientnet_lite0".into(),
            pad_type: None,
            weights: WeightsSpec::None,
            drop_rate: 0.0,
            freeze: Freeze::None,
            unfreeze_epoch: None,
            freeze_bn: false,
            backbone_lr_factor: 1.0,
            optimizer: OptimizerSettings::default(),
            learning_rate: LearningRate::Value(0.001),
            scheduler: SchedulerSettings::default(),
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
        }
    }
}

impl ModelSettings {
    /// All settings outside their ranges.
    pub fn validate(&self) -> Vec<Problem> {
        let mut p = Problems::default();
        if let Err(e) = kidu_core::model::find(&self.name) {
            p.check(false, "model.name", e.to_string());
        }
        p.check((0.0..1.0).contains(&self.drop_rate), "model.drop_rate", "must be in [0, 1)");
        let factor = self.backbone_lr_factor;
        p.check(factor > 0.0 && factor <= 10.0, "model.backbone_lr_factor", "must be in (0, 10]");
        let good = self.learning_rate.value().is_none_or(|rate| rate > 0.0 && rate.is_finite());
        p.check(good, "model.learning_rate", "must be > 0, or auto");
        p.check((0.0..1.0).contains(&self.label_smoothing), "model.label_smoothing", "must be in [0, 1)");
        if let ClassWeights::Given(weights) = &self.class_weights {
            let good = weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().any(|w| *w > 0.0);
            p.check(good, "model.class_weights", "must be numbers >= 0, at least one of them > 0");
        }
        p.check(
            self.unfreeze_epoch.is_none() || self.freeze != Freeze::None,
            "model.unfreeze_epoch",
            "needs model.freeze=backbone or a number of stages: nothing is frozen",
        );
        self.optimizer.validate(&mut p);
        self.scheduler.validate(&mut p);
        p.0
    }
}
