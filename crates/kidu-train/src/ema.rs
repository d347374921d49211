//! Exponential moving average of the weights.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use kidu_models::{Array, Network, StateDict, parameters, state_dict};

use crate::{error::Result, fit::is_frozen};

/// Averages of parameters and running statistics. The n-th update (from 0) uses the decay
/// min(decay, (1 + n) / (10 + n)), so that the random beginning is soon forgotten.
#[derive(Clone)]
pub struct Ema {
    decay: f64,
    updates: u64,
    averages: BTreeMap<String, (Vec<usize>, Tensor<1>)>,
}

impl Ema {
    /// Starts from the network's present weights.
    pub fn new(network: &Network, decay: f64) -> Self {
        let mut averages = BTreeMap::new();
        parameters::visit(network, |info, value| {
            averages.insert(info.key.clone(), (info.shape.clone(), value));
        });
        Self { decay, updates: 0, averages }
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the averages do not fit the network.
    pub fn restore(network: &Network, decay: f64, updates: u64, saved: &StateDict) -> Result<Self> {
        let mut ema = Self::new(network, decay);
        ema.updates = updates;
        for (key, (shape, average)) in &mut ema.averages {
            if let Some(array) = saved.0.get(key).filter(|a| a.shape == *shape) {
                let data = TensorData::new(array.values.clone(), [array.values.len()]);
                *average = Tensor::from_data(data, &average.device());
            }
        }
        Ok(ema)
    }

    /// Takes in the network's weights after a step. What `freeze` fixes is skipped: it is its own average.
    pub fn update(&mut self, network: &Network, freeze: kidu_models::Freeze) {
        let n = self.updates as f64;
        let decay = self.decay.min((1.0 + n) / (10.0 + n));
        parameters::visit(network, |info, value| {
            if !is_frozen(freeze, info.location)
                && let Some((_, average)) = self.averages.get_mut(&info.key)
            {
                let old = average.clone();
                *average = old.clone() + (value - old) * (1.0 - decay);
            }
        });
        self.updates += 1;
    }

    /// Number of updates.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// A network on the plain device with the averages for weights.
    pub fn apply(&self, network: Network) -> Network {
        parameters::map(network, |info, _| self.averages.get(&info.key).map(|(_, average)| average.clone()))
    }

    /// Copies the averages to the host.
    pub fn state(&self) -> StateDict {
        let array = |(key, (shape, average)): (&String, &(Vec<usize>, Tensor<1>))| {
            (key.clone(), Array { shape: shape.clone(), values: state_dict::to_host(average.clone()) })
        };
        StateDict(self.averages.iter().map(array).collect())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kidu_models::Freeze;

    use super::*;

    fn network(bias: f32) -> Network {
        let record = kidu_core::model::find("resnet18").unwrap();
        let network = Network::new(&record.architecture, 2, 0, &Device::flex());
        parameters::map(network, |i, old| (i.key == "fc.bias" || i.key == "bn1.bias").then(|| old * 0.0 + bias))
    }

    #[test]
    fn warms_up_and_leaves_the_frozen_part() {
        let mut ema = Ema::new(&network(0.0), 0.5);
        let mut expected = 0.0;
        for (n, bias) in [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0].into_iter().enumerate() {
            ema.update(&network(bias), Freeze::Backbone);
            let decay = (0.5f64).min((1.0 + n as f64) / (10.0 + n as f64));
            expected = decay * expected + (1.0 - decay) * f64::from(bias);
        }
        let state = ema.state();
        assert!((f64::from(state.0["fc.bias"].values[0]) - expected).abs() < 1e-5);
        assert_eq!(state.0["bn1.bias"].values[0], 0.0);
        assert_eq!(StateDict::of(&ema.apply(network(5.0))), state);
        let back = Ema::restore(&network(1.0), 0.5, ema.updates(), &state).unwrap();
        assert_eq!((back.state(), back.updates()), (state, 10));
    }
}
