//! Gradients of one logit with respect to the input or to a feature map.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use kidu_models::{Freeze, Inference, Network};

use crate::error::{ExplainError, Result};

/// A network that predicts and tells the gradient of what it predicts. Running statistics normalise, as in prediction,
/// and weights get no gradient.
pub struct Differentiable {
    tracked: Network,
    plain: Network,
    inference: Inference,
    shape: [usize; 3],
    device: Device,
}

impl Differentiable {
    /// For images `[3, height, width]` and a network on a plain device.
    ///
    /// # Errors
    /// [`ExplainError::Model`].
    pub fn new(network: &Network, shape: [usize; 3], device: &Device) -> Result<Self> {
        let tracked = network.clone().freeze(Freeze::None, true)?.train().no_grad();
        let inference = Inference::new(network, shape)?;
        Ok(Self { tracked, plain: network.clone(), inference, shape, device: device.clone() })
    }

    /// `[3, height, width]` of an image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Values of an image.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether images have no values; never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.plain.num_classes()
    }

    /// Logits of images that lie one after another, row by row.
    ///
    /// # Errors
    /// [`ExplainError::Model`], [`ExplainError::Data`].
    pub fn logits(&self, images: Vec<f32>) -> Result<Vec<f32>> {
        Ok(self.inference.predict(&images, self.shape)?)
    }

    /// The gradients of the logit `target` of each image with respect to the image, and these logits.
    ///
    /// # Errors
    /// [`ExplainError::Data`].
    pub fn input_gradients(&self, images: Vec<f32>, target: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let x = Tensor::<4>::from_inner(self.tensor(images)).require_grad();
        self.gradients(x, |x| self.tracked.forward(x), target)
    }

    /// The last feature map of one image, `[channels, height, width]` with its shape, and the gradient of the logit
    /// `target` with respect to it.
    ///
    /// # Errors
    /// [`ExplainError::Data`].
    pub fn feature_map(&self, image: Vec<f32>, target: usize) -> Result<FeatureMap> {
        let map = self.plain.forward_features(self.tensor(image));
        let [_, channels, height, width] = map.dims();
        let x = Tensor::<4>::from_inner(map.clone()).require_grad();
        let (gradient, _) = self.gradients(x, |x| self.tracked.classify_map(x), target)?;
        Ok(FeatureMap { values: values(map)?, gradient, shape: [channels, height, width] })
    }

    fn gradients(
        &self,
        x: Tensor<4>,
        forward: impl Fn(Tensor<4>) -> Tensor<2>,
        target: usize,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let logits = forward(x.clone());
        let images = logits.dims()[0];
        // Images do not touch each other: the gradient of the sum holds each one's own.
        let chosen = logits.slice([0..images, target..target + 1]);
        let gradients = chosen.clone().sum().backward();
        let gradient = x.grad(&gradients).ok_or_else(|| ExplainError::Data("the input has no gradient".into()))?;
        Ok((values(gradient)?, values(chosen.inner())?))
    }

    fn tensor(&self, images: Vec<f32>) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let count = images.len() / self.len().max(1);
        Tensor::from_data(TensorData::new(images, [count, channels, height, width]), &self.device)
    }
}

/// The last feature map of an image with its gradient, both `shape`, channels first.
#[derive(Clone, Debug)]
pub struct FeatureMap {
    /// Activations.
    pub values: Vec<f32>,
    /// Gradient of the chosen logit.
    pub gradient: Vec<f32>,
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
}

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.into_data().try_into_vec().map_err(|e| ExplainError::Data(format!("{e:?}")))
}
