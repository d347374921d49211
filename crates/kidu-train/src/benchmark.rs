//! A training step on made-up images, for whoever measures it.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use kidu_core::{ModelRecord, rng};
use kidu_models::{Accelerator, Network, parameters};
use rand::Rng;

use crate::{
    error::Result,
    loss::CrossEntropy,
    optimizer::Optimizer,
    settings::{ClassWeights, OptimizerName, OptimizerSettings},
};

/// Forward, loss, backward and Adam, as the fit loop does them, on one batch again and again.
pub struct BenchmarkStep {
    network: Network,
    criterion: CrossEntropy,
    optimizer: Optimizer,
    images: Tensor<4>,
    labels: Vec<usize>,
}

impl BenchmarkStep {
    /// A network with random weights and `batch` random images of the model's own size, all drawn from `seed`.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) when this build does not have the backend.
    pub fn new(
        record: &ModelRecord,
        batch: usize,
        classes: usize,
        seed: u64,
        accelerator: Accelerator,
    ) -> Result<Self> {
        let device = accelerator.device()?;
        let spec = &record.image;
        let mut random = rng::stream(seed, "benchmark images", &[]);
        let values = (0..batch * spec.values()).map(|_| (random.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0);
        let shape = [batch, 3, spec.height as usize, spec.width as usize];
        let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
        let adam = OptimizerSettings { name: OptimizerName::Adam, weight_decay: 0.0, ..OptimizerSettings::default() };
        Ok(Self {
            network: Network::new(&record.architecture, classes, seed, &device).train(),
            criterion: CrossEntropy::new(&ClassWeights::None, 0.0, &vec![1; classes])?,
            optimizer: Optimizer::new(&adam, 1.0),
            images: Tensor::from_inner(Tensor::from_data(data, &device)),
            labels: (0..batch).map(|i| i % classes).collect(),
        })
    }

    /// One step; returns the loss.
    pub fn run(&mut self) -> f64 {
        let loss = self.criterion.forward(self.network.forward(self.images.clone()), &self.labels);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let gradients = parameters::take_gradients(&self.network, &mut loss.backward());
        self.network = self.optimizer.step(self.network.clone(), gradients, 1e-3);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_on_one_batch_lower_its_loss() {
        let mut record = kidu_core::model::find("mobilenetv2_100").unwrap().clone();
        record.image = record.image.with_size(32);
        let mut step = BenchmarkStep::new(&record, 6, 3, 0, Accelerator::Flex).unwrap();
        let first = step.run();
        let last = (0..8).map(|_| step.run()).fold(f64::INFINITY, f64::min);
        assert!(first.is_finite() && last < first, "{first} -> {last}");
    }
}
