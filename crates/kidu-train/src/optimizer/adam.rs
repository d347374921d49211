//! Adam and AdamW.

use burn::tensor::Tensor;
use kidu_models::fused::{self, AdamStep};

use super::{ParameterState, Rate, UpdateRule, decayed};

/// Adam (<https://arxiv.org/abs/1412.6980>), or with `decoupled` AdamW (<https://arxiv.org/abs/1711.05101>).
pub(super) struct Adam {
    pub(super) betas: [f64; 2],
    pub(super) eps: f64,
    pub(super) decoupled: bool,
}

impl UpdateRule for Adam {
    fn update(&self, value: Tensor<1>, gradient: Tensor<1>, state: &mut ParameterState, rate: Rate) -> Tensor<1> {
        let mut take = |name| state.slots.remove(name).unwrap_or_else(|| gradient.zeros_like());
        let moments = (take("exp_avg"), take("exp_avg_sq"));
        let (steps, [beta1, beta2]) = (state.step as f64, self.betas);
        let step = AdamStep {
            beta1,
            beta2,
            eps: self.eps,
            rate: rate.lr / (1.0 - beta1.powf(steps)),
            root_correction: (1.0 - beta2.powf(steps)).sqrt(),
            decay: if self.decoupled { 0.0 } else { rate.weight_decay },
            keep: if self.decoupled { 1.0 - rate.lr * rate.weight_decay } else { 1.0 },
        };
        let (new, first, second) = match fused::supports(&value.device()) {
            true => fused::adam_step(value, gradient, moments, step),
            false => by_tensors(value, gradient, moments, &step),
        };
        state.slots.insert("exp_avg".into(), first);
        state.slots.insert("exp_avg_sq".into(), second);
        new
    }
}

/// The same step by operations that every backend has.
fn by_tensors(
    value: Tensor<1>,
    gradient: Tensor<1>,
    (first, second): (Tensor<1>, Tensor<1>),
    step: &AdamStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let gradient = decayed(gradient, &value, step.decay);
    let value = if step.keep == 1.0 { value } else { value * step.keep };
    // PyTorch interpolates the first moment: m + (1 - beta1) (g - m).
    let first = first.clone() + (gradient.clone() - first) * (1.0 - step.beta1);
    let second = second * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let denominator = second.clone().sqrt() / step.root_correction + step.eps;
    (value - first.clone() / denominator * step.rate, first, second)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kidu_models::fused::with_reference_ops;

    use super::*;

    #[test]
    fn the_fused_step_is_the_chain_of_operations() {
        let device = Device::flex();
        let tensor = |seed: usize| {
            let values: Vec<f32> =
                (0..999).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect();
            Tensor::<1>::from_data(values.as_slice(), &device)
        };
        for decoupled in [false, true] {
            let adam = Adam { betas: [0.9, 0.999], eps: 1e-8, decoupled };
            let run = || {
                let (mut state, mut value) = (ParameterState::default(), tensor(0));
                for step in 1..4 {
                    state.step += 1;
                    value = adam.update(value, tensor(step), &mut state, Rate { lr: 0.01, weight_decay: 0.1 });
                }
                let moments = ["exp_avg", "exp_avg_sq"].map(|slot| state.slots[slot].clone());
                [value]
                    .into_iter()
                    .chain(moments)
                    .map(|t| t.into_data().try_to_vec::<f32>().unwrap())
                    .collect::<Vec<_>>()
            };
            for (fused, reference) in run().iter().zip(with_reference_ops(run)) {
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1e-3);
                assert!(fused.iter().zip(&reference).all(close));
            }
        }
    }
}
