//! Stochastic gradient descent.

use burn::tensor::Tensor;

use super::{ParameterState, Rate, UpdateRule, decayed};

/// PyTorch's SGD with dampening 0: the momentum buffer starts as the first gradient.
pub(super) struct Sgd {
    pub(super) momentum: f64,
    pub(super) nesterov: bool,
}

impl UpdateRule for Sgd {
    fn update(&self, value: Tensor<1>, gradient: Tensor<1>, state: &mut ParameterState, rate: Rate) -> Tensor<1> {
        let gradient = decayed(gradient, &value, rate.weight_decay);
        if self.momentum == 0.0 {
            return value - gradient * rate.lr;
        }
        let buffer = match state.slots.remove("momentum_buffer") {
            Some(buffer) => buffer * self.momentum + gradient.clone(),
            None => gradient.clone(),
        };
        state.slots.insert("momentum_buffer".into(), buffer.clone());
        let direction = if self.nesterov { gradient + buffer * self.momentum } else { buffer };
        value - direction * rate.lr
    }
}
