//! The group `callbacks`.

use serde::{Deserialize, Serialize};

use super::{Problem, Problems};
use crate::strategy::Mode;

/// What happens beside training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackSettings {
    /// Which checkpoints are kept.
    pub model_checkpoint: CheckpointSettings,
    /// When to stop for lack of progress; null for never.
    pub early_stopping: Option<EarlyStoppingSettings>,
    /// Averaging of the weights; null for none.
    pub ema: Option<EmaSettings>,
    /// Whether a bar is shown for each epoch.
    pub progress_bar: bool,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        Self { model_checkpoint: CheckpointSettings::default(), early_stopping: None, ema: None, progress_bar: true }
    }
}

impl CallbackSettings {
    /// All settings outside their ranges. Whether a monitored metric exists is known only when training begins.
    pub fn validate(&self) -> Vec<Problem> {
        let mut p = Problems::default();
        let top_k = self.model_checkpoint.save_top_k;
        p.check(top_k >= -1, "callbacks.model_checkpoint.save_top_k", "must be >= 0, or -1 for all");
        if let Some(early) = &self.early_stopping {
            p.check(early.patience > 0, "callbacks.early_stopping.patience", "must be >= 1");
            let delta = early.min_delta >= 0.0 && early.min_delta.is_finite();
            p.check(delta, "callbacks.early_stopping.min_delta", "must be >= 0");
        }
        if let Some(ema) = &self.ema {
            p.check((0.0..1.0).contains(&ema.decay), "callbacks.ema.decay", "must be in [0, 1)");
        }
        p.0
    }
}

/// Which checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// The metric that decides.
    pub monitor: String,
    /// Whether smaller or larger is better.
    pub mode: Mode,
    /// How many of the best are kept, beside `last.ckpt`; 0 for none, -1 for all.
    pub save_top_k: i64,
    /// Whether `last.ckpt` is written after each epoch. An interruption writes it in any case.
    pub save_last: bool,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { monitor: "val/acc".into(), mode: Mode::Max, save_top_k: 1, save_last: true }
    }
}

/// When to stop for lack of progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingSettings {
    /// The metric that decides.
    pub monitor: String,
    /// Whether smaller or larger is better.
    pub mode: Mode,
    /// Measurements in a row without improvement after which training stops.
    pub patience: usize,
    /// The least change that counts as an improvement.
    pub min_delta: f64,
}

impl Default for EarlyStoppingSettings {
    fn default() -> Self {
        Self { monitor: "val/loss".into(), mode: Mode::Min, patience: 5, min_delta: 0.0 }
    }
}

/// Averaging of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmaSettings {
    /// Share of the old average at each step, in [0, 1).
    pub decay: f64,
}

impl Default for EmaSettings {
    fn default() -> Self {
        Self { decay: 0.999 }
    }
}
