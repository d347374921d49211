//! Predicting a whole split.

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::Progress;
use kidu_models::{Cut, Inference, Network};

pub(crate) use kidu_models::{inference::device_of, state_dict::to_host as host};

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
    let inference = Inference::new(network, source.image_shape())?;
    let mut found = Predictions::default();
    progress.begin(what, "images", Some(source.images() as u64));
    for batch in source.epoch(0, 0) {
        // The bar ends with its work, also when that fails.
        let batch = batch.inspect_err(|_| progress.end())?;
        let images = batch.labels.len();
        found.labels.extend(&batch.labels);
        found.indices.extend(&batch.indices);
        let images_tensor = image_tensor(batch, source.image_shape(), &device);
        let logits = inference.logits(images_tensor, Cut::Image).inspect_err(|_| progress.end())?;
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

/// A batch as a tensor.
pub(crate) fn image_tensor(batch: Batch, [c, h, w]: [usize; 3], device: &Device) -> Tensor<4> {
    let shape = [batch.labels.len(), c, h, w];
    Tensor::from_data(TensorData::new(batch.images, shape), device)
}
