//! Predicting with a network as it stands, by the fastest way its device has.

use burn::tensor::{Device, Tensor, TensorData};
use kidu_engine::{Plan, Point, Weights};

use crate::{
    error::{ModelError, Result},
    network::{Cut, Network},
    parameters,
    state_dict::{StateDict, to_host},
};

impl Weights for StateDict {
    fn tensor(&self, key: &str) -> Option<(&[usize], &[f32])> {
        self.0.get(key).map(|array| (array.shape.as_slice(), array.values.as_slice()))
    }
}

impl From<Cut> for Point {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Image => Self::Image,
            Cut::Stage(n) => Self::Stage(n),
            Cut::Features => Self::Features,
        }
    }
}

/// A network's present weights, ready to predict images of one size: an inference plan on the CPU, the Burn network on
/// other devices.
pub struct Inference {
    device: Device,
    engine: Engine,
}

enum Engine {
    Plan(Box<Plan>),
    Burn(Box<Network>),
}

impl Inference {
    /// Takes the weights of a network on a plain device, for images of `[3, height, width]`.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for a size that no image has.
    pub fn new(network: &Network, [_, height, width]: [usize; 3]) -> Result<Self> {
        let device = device_of(network);
        let engine = if device == Device::flex() {
            let state = StateDict::of(network);
            let plan = Plan::new(network.architecture(), network.num_classes(), (height, width), &state);
            Engine::Plan(Box::new(plan.map_err(|e| ModelError::Setting(e.to_string()))?))
        } else {
            Engine::Burn(Box::new(network.clone()))
        };
        Ok(Self { device, engine })
    }

    /// From one cut to a later one; `x` is what stands at `from`, on the network's device.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when `x` has another shape.
    pub fn between(&self, x: Tensor<4>, from: Cut, to: Cut) -> Result<Tensor<4>> {
        let plan = match &self.engine {
            Engine::Burn(network) => return Ok(network.forward_between(x, from, to)),
            Engine::Plan(plan) => plan,
        };
        let images = x.dims()[0];
        let [c, h, w] = plan.shape(to.into());
        let found = plan.run_between(&to_host(x), from.into(), to.into(), rayon::current_num_threads());
        let values = found.map_err(|e| ModelError::Setting(e.to_string()))?;
        Ok(Tensor::from_data(TensorData::new(values, [images, c, h, w]), &self.device))
    }

    /// Logits of normalised images, both one after another on the host; `shape` is that of one image.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when `images` is not a whole number of images.
    pub fn predict(&self, images: &[f32], [c, h, w]: [usize; 3]) -> Result<Vec<f32>> {
        match &self.engine {
            Engine::Plan(plan) => {
                plan.logits(images, rayon::current_num_threads()).map_err(|e| ModelError::Setting(e.to_string()))
            }
            Engine::Burn(network) => {
                let data = TensorData::new(images.to_vec(), [images.len() / (c * h * w), c, h, w]);
                Ok(to_host(network.forward(Tensor::from_data(data, &self.device))))
            }
        }
    }

    /// Logits, one image after another, from what stands at a cut.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when `x` has another shape.
    pub fn logits(&self, x: Tensor<4>, from: Cut) -> Result<Vec<f32>> {
        let features = self.between(x, from, Cut::Features)?;
        Ok(match &self.engine {
            Engine::Burn(network) => to_host(network.classify(features)),
            Engine::Plan(plan) => plan.classify(&to_host(features)),
        })
    }
}

/// The device of a network's parameters, without autodiff.
pub fn device_of(network: &Network) -> Device {
    let mut device = None;
    parameters::visit(network, |_, value| {
        device.get_or_insert_with(|| value.device());
    });
    device.unwrap_or_default()
}
