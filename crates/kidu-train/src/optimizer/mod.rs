//! Optimizers on flat tensors by state-dict key, with PyTorch's semantics.
//!
//! There are two groups of rates: the classifier has the full learning rate, everything else the rate times
//! `backbone_lr_factor`. One-dimensional parameters (batch norm and biases) get no weight decay, as in timm. Moments
//! and step counts are kept for each parameter, so one that is unfrozen later starts from fresh ones.

mod adam;
mod gradients;
mod rmsprop;
mod sgd;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use kidu_models::{
    Network,
    parameters::{self, Location, ParameterInfo},
    state_dict,
};

pub use gradients::{Accumulator, clip_by_global_norm};

use crate::settings::{OptimizerName, OptimizerSettings};

/// Gradients by state-dict key, flat.
pub type Gradients = BTreeMap<String, Tensor<1>>;

/// What an optimizer remembers of one parameter.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParameterState {
    /// Steps that this parameter has made.
    pub(crate) step: u64,
    /// Moments by name (PyTorch's names).
    pub(crate) slots: BTreeMap<String, Tensor<1>>,
}

/// The arithmetic of one optimizer.
trait UpdateRule: Send {
    /// The new value of a parameter. `state.step` counts this step already.
    fn update(&self, value: Tensor<1>, gradient: Tensor<1>, state: &mut ParameterState, rate: Rate) -> Tensor<1>;
}

/// The numbers that differ between parameters and steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Learning rate.
    pub(crate) lr: f64,
    /// Weight decay.
    pub(crate) weight_decay: f64,
}

/// The state of an optimizer on the host, bit for bit, for checkpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Steps of each parameter by state-dict key.
    pub steps: BTreeMap<String, u64>,
    /// Moments by `slot/key`.
    pub moments: BTreeMap<String, Vec<f32>>,
}

/// An optimizer and its moments.
pub struct Optimizer {
    rule: Box<dyn UpdateRule>,
    weight_decay: f64,
    backbone_lr_factor: f64,
    states: BTreeMap<String, ParameterState>,
}

impl Optimizer {
    /// An optimizer without history.
    pub fn new(settings: &OptimizerSettings, backbone_lr_factor: f64) -> Self {
        let eps = settings.eps.unwrap_or(1e-8);
        let rule: Box<dyn UpdateRule> = match settings.name {
            OptimizerName::Adam => Box::new(adam::Adam { betas: settings.betas, eps, decoupled: false }),
            OptimizerName::AdamW => Box::new(adam::Adam { betas: settings.betas, eps, decoupled: true }),
            OptimizerName::Sgd => Box::new(sgd::Sgd { momentum: settings.momentum(), nesterov: settings.nesterov }),
            OptimizerName::RmsProp => {
                Box::new(rmsprop::RmsProp { alpha: settings.alpha, eps, momentum: settings.momentum() })
            }
        };
        Self { rule, weight_decay: settings.weight_decay, backbone_lr_factor, states: BTreeMap::new() }
    }

    /// Applies one step at learning rate `lr` to every parameter that has a gradient.
    pub fn step(&mut self, network: Network, mut gradients: Gradients, lr: f64) -> Network {
        parameters::map(network, |info, value| {
            let gradient = gradients.remove(&info.key)?;
            let rate = self.rate_of(info, lr);
            let state = self.states.entry(info.key.clone()).or_default();
            state.step += 1;
            Some(self.rule.update(value, gradient, state, rate))
        })
    }

    /// Copies the state to the host.
    pub fn state(&self) -> OptimizerState {
        let mut out = OptimizerState::default();
        for (key, state) in &self.states {
            out.steps.insert(key.clone(), state.step);
            for (slot, moment) in &state.slots {
                out.moments.insert(format!("{slot}/{key}"), state_dict::to_host(moment.clone()));
            }
        }
        out
    }

    /// Replaces the state by one from a checkpoint.
    pub fn restore(&mut self, saved: &OptimizerState, device: &Device) {
        self.states = saved
            .steps
            .iter()
            .map(|(key, step)| (key.clone(), ParameterState { step: *step, slots: BTreeMap::new() }))
            .collect();
        for (name, values) in &saved.moments {
            if let Some((slot, key)) = name.split_once('/')
                && let Some(state) = self.states.get_mut(key)
            {
                let moment = Tensor::from_data(TensorData::new(values.clone(), [values.len()]), device);
                state.slots.insert(slot.to_string(), moment);
            }
        }
    }

    fn rate_of(&self, info: &ParameterInfo, lr: f64) -> Rate {
        let factor = if info.location == Location::Classifier { 1.0 } else { self.backbone_lr_factor };
        let weight_decay = if info.shape.len() > 1 { self.weight_decay } else { 0.0 };
        Rate { lr: lr * factor, weight_decay }
    }
}

/// The gradient with weight decay added to it, the L2 form.
fn decayed(gradient: Tensor<1>, value: &Tensor<1>, weight_decay: f64) -> Tensor<1> {
    if weight_decay == 0.0 { gradient } else { gradient + value.clone() * weight_decay }
}

#[cfg(test)]
mod tests;
