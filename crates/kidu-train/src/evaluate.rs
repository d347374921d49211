//! Scores of a split, and batches on their way between host and device.

use burn::tensor::{Device, Tensor, TensorData};

pub(crate) use kidu_models::{inference::device_of, state_dict::to_host as host};

use crate::{loss, source::Batch};

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
