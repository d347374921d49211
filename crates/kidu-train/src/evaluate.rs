//! Predicting a whole split.

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::Progress;
use kidu_models::{Cut, Network, parameters};

use crate::{
    error::Result,
    loss,
    source::{Batch, BatchSource},
};

/// Logits of a split with what they should have been.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Logits, one row for each image in the order of the source.
    pub logits: Vec<Vec<f32>>,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Index of each image in its split; images that were skipped are missing.
    pub indices: Vec<usize>,
}

/// Predicts every image of `source` with a network on the plain device (running statistics, no augmentation: give a
/// validation or test source). One bar, `what`.
///
/// # Errors
/// What the source reports.
pub fn predict_logits(
    network: &Network,
    source: &dyn BatchSource,
    what: &str,
    progress: &dyn Progress,
) -> Result<Predictions> {
    let device = device_of(network);
    let mut found = Predictions::default();
    progress.begin(what, "images", Some(source.images() as u64));
    for batch in source.epoch(0, 0) {
        // The bar ends with its work, also when that fails.
        let batch = batch.inspect_err(|_| progress.end())?;
        let images = batch.labels.len();
        found.labels.extend(&batch.labels);
        found.indices.extend(&batch.indices);
        let logits = host(network.predict(image_tensor(batch, source.image_shape(), &device)));
        found.logits.extend(logits.chunks(network.num_classes()).map(<[f32]>::to_vec));
        progress.advance(images as u64);
    }
    progress.end();
    Ok(found)
}

/// Loss and accuracy of a split, summed up batch by batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    loss_sum: f64,
    correct: usize,
    pub(crate) images: usize,
}

impl Score {
    pub(crate) fn add(&mut self, logits: &[f32], labels: &[usize]) {
        self.loss_sum += loss::cross_entropy_sum(logits, labels);
        self.correct += loss::count_correct(logits, labels);
        self.images += labels.len();
    }

    pub(crate) fn loss(&self) -> f64 {
        self.loss_sum / self.images.max(1) as f64
    }

    pub(crate) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

/// Logits of what stands at a cut, on the host.
pub(crate) fn logits_from(network: &Network, x: Tensor<4>, from: Cut) -> Vec<f32> {
    host(network.classify(network.predict_between(x, from, Cut::Features)))
}

/// The device of a network's parameters, without autodiff.
pub(crate) fn device_of(network: &Network) -> Device {
    let mut device = None;
    parameters::visit(network, |_, value| {
        device.get_or_insert_with(|| value.device());
    });
    device.unwrap_or_default()
}

/// A batch as a tensor.
pub(crate) fn image_tensor(batch: Batch, [c, h, w]: [usize; 3], device: &Device) -> Tensor<4> {
    let shape = [batch.labels.len(), c, h, w];
    Tensor::from_data(TensorData::new(batch.images, shape), device)
}

/// Copies a tensor to the host.
#[allow(clippy::expect_used, reason = "activations are float32 on every backend that is offered")]
pub(crate) fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec::<f32>().expect("float32 data")
}
