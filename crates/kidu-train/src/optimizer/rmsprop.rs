//! RMSprop.

use burn::tensor::Tensor;

use super::{ParameterState, Rate, UpdateRule, decayed};

/// PyTorch's RMSprop, not centred: epsilon stands outside the root.
pub(super) struct RmsProp {
    pub(super) alpha: f64,
    pub(super) eps: f64,
    pub(super) momentum: f64,
}

impl UpdateRule for RmsProp {
    fn update(&self, value: Tensor<1>, gradient: Tensor<1>, state: &mut ParameterState, rate: Rate) -> Tensor<1> {
        let gradient = decayed(gradient, &value, rate.weight_decay);
        let mut take = |name| state.slots.remove(name).unwrap_or_else(|| gradient.zeros_like());
        let square = take("square_avg") * self.alpha + gradient.clone().square() * (1.0 - self.alpha);
        let buffer = (self.momentum > 0.0).then(|| take("momentum_buffer"));
        let scaled = gradient / (square.clone().sqrt() + self.eps);
        state.slots.insert("square_avg".into(), square);
        let direction = match buffer {
            Some(buffer) => {
                let buffer = buffer * self.momentum + scaled;
                state.slots.insert("momentum_buffer".into(), buffer.clone());
                buffer
            }
            None => scaled,
        };
        value - direction * rate.lr
    }
}
