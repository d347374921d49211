//! The group `trainer`.

use kidu_models::Accelerator;
use serde::{Deserialize, Serialize};

use super::{BatchLimit, MaxTime, Problem, Problems};

/// The known profilers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfilerName {
    /// Seconds spent in each part of the loop, written as `profile.txt`.
    Simple,
}

/// How long and on what the network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerSettings {
    /// Where tensors live.
    pub accelerator: Accelerator,
    /// Epochs before early stopping or `max_time` may end the run.
    pub min_epochs: usize,
    /// Epochs at most, at least 1.
    pub max_epochs: usize,
    /// Time after which training ends at the next step.
    pub max_time: Option<MaxTime>,
    /// Validate every so many epochs; the last epoch is always validated.
    pub check_val_every_n_epoch: usize,
    /// Batches whose gradients are averaged for one optimizer step.
    pub accumulate_grad_batches: usize,
    /// Largest norm of all gradients together; longer ones are shortened to it.
    pub gradient_clip_val: Option<f64>,
    /// Batches of an epoch that are trained on.
    pub limit_train_batches: Option<BatchLimit>,
    /// Batches that are validated on.
    pub limit_val_batches: Option<BatchLimit>,
    /// Batches that are tested on.
    pub limit_test_batches: Option<BatchLimit>,
    /// Train on the same first batches in every epoch, 0 for off: a network that works learns them by heart.
    pub overfit_batches: usize,
    /// One batch of training and one of validation, without checkpoints: does it run at all?
    pub fast_dev_run: bool,
    /// While a part of the network is frozen, compute its output once for each image and keep it.
    pub cache_features: bool,
    /// Also write `last.ckpt` every so many optimizer steps; null writes it after each epoch only.
    pub checkpoint_every_n_steps: Option<u64>,
    /// Measure where the time goes.
    pub profiler: Option<ProfilerName>,
}

impl Default for TrainerSettings {
    fn default() -> Self {
        Self {
            accelerator: Accelerator::Flex,
            min_epochs: 1,
            max_epochs: 10,
            max_time: None,
            check_val_every_n_epoch: 1,
            accumulate_grad_batches: 1,
            gradient_clip_val: None,
            limit_train_batches: None,
            limit_val_batches: None,
            limit_test_batches: None,
            overfit_batches: 0,
            fast_dev_run: false,
            cache_features: true,
            checkpoint_every_n_steps: None,
            profiler: None,
        }
    }
}

impl TrainerSettings {
    /// All settings outside their ranges.
    pub fn validate(&self) -> Vec<Problem> {
        let mut p = Problems::default();
        p.check(self.min_epochs <= self.max_epochs, "trainer.min_epochs", "must be <= trainer.max_epochs");
        p.check(self.max_epochs > 0, "trainer.max_epochs", "must be >= 1");
        p.check(self.check_val_every_n_epoch > 0, "trainer.check_val_every_n_epoch", "must be >= 1");
        p.check(self.accumulate_grad_batches > 0, "trainer.accumulate_grad_batches", "must be >= 1");
        let clip = self.gradient_clip_val.is_none_or(|v| v > 0.0 && v.is_finite());
        p.check(clip, "trainer.gradient_clip_val", "must be > 0, or null for no clipping");
        for (name, limit) in
            [("train", self.limit_train_batches), ("val", self.limit_val_batches), ("test", self.limit_test_batches)]
        {
            if let Some(Err(message)) = limit.map(|l| l.validate()) {
                p.check(false, &format!("trainer.limit_{name}_batches"), message);
            }
        }
        let every = self.checkpoint_every_n_steps != Some(0);
        p.check(every, "trainer.checkpoint_every_n_steps", "must be >= 1, or null for each epoch");
        p.0
    }
}
