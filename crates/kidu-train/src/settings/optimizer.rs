//! The settings of the optimizer and of the learning rate's schedule.

use serde::{Deserialize, Serialize};

use super::Problems;

/// The known optimizers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>; weight decay is added to the gradient.
    Adam,
    /// Loshchilov and Hutter 2017, <https://arxiv.org/abs/1711.05101>; weight decay shrinks the weights directly.
    #[default]
    AdamW,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Hinton's RMSprop, as PyTorch has it.
    RmsProp,
}

/// The optimizer; numbers that it does not use are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Which one.
    pub name: OptimizerName,
    /// Weight decay, at least 0. One-dimensional parameters (norms and biases) have none.
    pub weight_decay: f64,
    /// Momentum of sgd and rmsprop, in [0, 1). PyTorch's own default is 0.
    pub momentum: Option<f64>,
    /// Decay of the first and second moment of adam and adamw, each in [0, 1).
    pub betas: [f64; 2],
    /// Added to the denominator of adam, adamw and rmsprop; null stands for PyTorch's 1e-8.
    pub eps: Option<f64>,
    /// Decay of rmsprop's squared gradients, in [0, 1).
    pub alpha: f64,
    /// Nesterov's momentum for sgd.
    pub nesterov: bool,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            name: OptimizerName::AdamW,
            weight_decay: 0.01,
            momentum: None,
            betas: [0.9, 0.999],
            eps: None,
            alpha: 0.99,
            nesterov: false,
        }
    }
}

impl OptimizerSettings {
    /// The momentum as given, or the optimizer's own: 0.9 for sgd, 0 (PyTorch's default) for rmsprop.
    pub fn momentum(&self) -> f64 {
        self.momentum.unwrap_or(if self.name == OptimizerName::Sgd { 0.9 } else { 0.0 })
    }

    pub(super) fn validate(&self, p: &mut Problems) {
        let unit = 0.0..1.0;
        let decay = self.weight_decay;
        p.check(decay >= 0.0 && decay.is_finite(), "model.optimizer.weight_decay", "must be >= 0");
        p.check(self.momentum.is_none_or(|m| unit.contains(&m)), "model.optimizer.momentum", "must be in [0, 1)");
        p.check(self.betas.iter().all(|b| unit.contains(b)), "model.optimizer.betas", "must both be in [0, 1)");
        p.check(self.eps.is_none_or(|e| e > 0.0 && e < 1.0), "model.optimizer.eps", "must be in (0, 1)");
        p.check(unit.contains(&self.alpha), "model.optimizer.alpha", "must be in [0, 1)");
        // Other optimizers ignore it, as they ignore momentum: an override of the name alone must work.
        let nesterov = !self.nesterov || self.name != OptimizerName::Sgd || self.momentum() > 0.0;
        p.check(nesterov, "model.optimizer.nesterov", "needs a momentum > 0");
    }
}

/// The known schedules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerName {
    /// Always the same rate.
    Constant,
    /// Up and down once (Smith and Topin 2017, <https://arxiv.org/abs/1708.07120>), PyTorch's cosine form.
    #[default]
    OneCycle,
    /// Half a cosine to `min_lr` (Loshchilov and Hutter 2016, <https://arxiv.org/abs/1608.03983>).
    Cosine,
    /// Times `gamma` every `step_size` epochs.
    Step,
    /// Times `factor` when the validation loss has not improved for more than `patience` validations.
    Plateau,
}

/// How the learning rate changes; numbers that the schedule does not use are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerSettings {
    /// Which one.
    pub name: SchedulerName,
    /// Epochs over which the rate first grows linearly; not for one_cycle, which warms up by itself.
    pub warmup_epochs: usize,
    /// one_cycle: share of the steps in which the rate grows, in (0, 1).
    pub pct_start: f64,
    /// one_cycle: the highest rate over the first, at least 1.
    pub div_factor: f64,
    /// one_cycle: the first rate over the last, at least 1.
    pub final_div_factor: f64,
    /// step: epochs between two changes, at least 1.
    pub step_size: usize,
    /// step: what the rate is multiplied with, in (0, 1].
    pub gamma: f64,
    /// plateau: validations without improvement that are tolerated.
    pub patience: usize,
    /// plateau: what the rate is multiplied with, in (0, 1).
    pub factor: f64,
    /// cosine and plateau: the lowest rate, at least 0.
    pub min_lr: f64,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            name: SchedulerName::OneCycle,
            warmup_epochs: 0,
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            step_size: 10,
            gamma: 0.1,
            patience: 3,
            factor: 0.1,
            min_lr: 0.0,
        }
    }
}

impl SchedulerSettings {
    pub(super) fn validate(&self, p: &mut Problems) {
        p.check(
            self.warmup_epochs == 0 || self.name != SchedulerName::OneCycle,
            "model.scheduler.warmup_epochs",
            "must be 0 with one_cycle, which warms up by itself (model.scheduler.pct_start)",
        );
        p.check(self.pct_start > 0.0 && self.pct_start < 1.0, "model.scheduler.pct_start", "must be in (0, 1)");
        let at_least_one = |v: f64| v >= 1.0 && v.is_finite();
        p.check(at_least_one(self.div_factor), "model.scheduler.div_factor", "must be >= 1");
        p.check(at_least_one(self.final_div_factor), "model.scheduler.final_div_factor", "must be >= 1");
        p.check(self.step_size > 0, "model.scheduler.step_size", "must be >= 1");
        p.check(self.gamma > 0.0 && self.gamma <= 1.0, "model.scheduler.gamma", "must be in (0, 1]");
        p.check(self.factor > 0.0 && self.factor < 1.0, "model.scheduler.factor", "must be in (0, 1)");
        p.check(self.min_lr >= 0.0 && self.min_lr.is_finite(), "model.scheduler.min_lr", "must be >= 0");
    }
}
