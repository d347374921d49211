//! Adam and AdamW.

use burn::tensor::Tensor;

use super::{ParameterState, Rate, UpdateRule, decayed};

/// Adam (<https://arxiv.org/abs/1412.6980>), or with `decoupled` AdamW (<https://arxiv.org/abs/1711.05101>).
pub(super) struct Adam {
    pub(super) betas: [f64; 2],
    pub(super) eps: f64,
    pub(super) decoupled: bool,
}

impl UpdateRule for Adam {
    fn update(&self, value: Tensor<1>, gradient: Tensor<1>, state: &mut ParameterState, rate: Rate) -> Tensor<1> {
        let [beta1, beta2] = self.betas;
        let (value, gradient) = match self.decoupled {
            true if rate.weight_decay > 0.0 => (value * (1.0 - rate.lr * rate.weight_decay), gradient),
            true => (value, gradient),
            false => {
                let gradient = decayed(gradient, &value, rate.weight_decay);
                (value, gradient)
            }
        };
        let mut take = |name| state.slots.remove(name).unwrap_or_else(|| gradient.zeros_like());
        let (first, second) = (take("exp_avg"), take("exp_avg_sq"));
        // PyTorch interpolates the first moment: m + (1 - beta1) (g - m).
        let first = first.clone() + (gradient.clone() - first) * (1.0 - beta1);
        let second = second * beta2 + gradient.square() * (1.0 - beta2);
        let steps = state.step as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(steps), (1.0 - beta2.powf(steps)).sqrt());
        let denominator = second.clone().sqrt() / correction2 + self.eps;
        let new = value - first.clone() / denominator * (rate.lr / correction1);
        state.slots.insert("exp_avg".into(), first);
        state.slots.insert("exp_avg_sq".into(), second);
        new
    }
}
