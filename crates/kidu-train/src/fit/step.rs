//! One batch: forward, loss, backward.

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::rng;
use kidu_models::{Cut, parameters};
use rand::Rng;

use super::{
    phase::{Input, Phase},
    run::Run,
    setup::Setup,
};
use crate::{
    error::{Result, TrainError},
    evaluate::host,
    feature_cache::unit,
    loss::{count_correct, count_correct_mixed},
    optimizer::Gradients,
};

/// What a batch gave.
pub(super) struct StepResult {
    pub(super) loss: f64,
    /// Fractions where images were mixed.
    pub(super) correct: f64,
    pub(super) images: usize,
    /// Divided by the number of batches of a step.
    pub(super) gradients: Gradients,
}

/// Runs one batch forward and backward. The running statistics of the trained part move.
pub(super) fn forward_backward(setup: &Setup<'_>, phase: &Phase, run: &mut Run, input: Input) -> Result<StepResult> {
    let Input { number, x, at, labels, mixed } = input;
    let cut = phase.cut;
    let x = if at < cut { run.profile.time("frozen part", || phase.at_cut(x, at))? } else { x };
    let (network, state) = (&run.network, &run.state);
    let (loss, correct) = run.profile.time("forward", || {
        let x = Tensor::from_inner(x);
        let features = network.forward_between(x, cut, Cut::Features);
        let features = match setup.request.model.drop_rate {
            rate if rate > 0.0 => {
                let keys = [setup.source_epoch(state.epoch), number as u64];
                features.clone() * dropout_mask(features.dims(), rate, (setup.request.seed, keys), &setup.device)
            }
            _ => features,
        };
        let logits = network.classify(features);
        let on_host = host(logits.clone());
        match &mixed {
            None => (setup.criterion.forward(logits, &labels), count_correct(&on_host, &labels) as f64),
            Some(mixed) => {
                let correct = count_correct_mixed(&on_host, &labels, mixed);
                (setup.criterion.forward_mixed(logits, &labels, mixed), correct)
            }
        }
    });
    let value = f64::from(loss.clone().into_scalar::<f32>());
    if !value.is_finite() {
        let kept = setup.dir.as_ref().and_then(|d| d.existing(crate::checkpoint::CheckpointDir::LAST));
        let (epoch, step) = (state.epoch, state.step);
        return Err(TrainError::NonFinite { what: "training", value, epoch, step, kept });
    }
    let gradients = run.profile.time("backward", || {
        let accumulate = setup.trainer.accumulate_grad_batches;
        let loss = if accumulate > 1 { loss / accumulate as f64 } else { loss };
        parameters::take_gradients(network, &mut loss.backward())
    });
    Ok(StepResult { loss: value, correct, images: labels.len(), gradients })
}

/// 0 with probability `rate`, else 1 / (1 - rate) (Srivastava et al. 2014), drawn on the host from a stream of its own.
fn dropout_mask(shape: [usize; 4], rate: f64, (seed, keys): (u64, [u64; 2]), device: &Device) -> Tensor<4> {
    let mut rng = rng::stream(seed, "dropout", &keys);
    let scale = (1.0 / (1.0 - rate)) as f32;
    let values: Vec<f32> =
        (0..shape.iter().product::<usize>()).map(|_| if unit(rng.next_u64()) < rate { 0.0 } else { scale }).collect();
    Tensor::from_inner(Tensor::from_data(TensorData::new(values, shape), device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_mean_and_repeats() {
        let mask = |batch| {
            let mask = dropout_mask([4, 500, 1, 1], 0.25, (3, [0, batch]), &Device::flex());
            host(mask.inner())
        };
        let values = mask(1);
        assert_eq!(values, mask(1));
        assert_ne!(values, mask(2));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.04, "{mean}");
        assert!(values.iter().all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6));
    }
}
