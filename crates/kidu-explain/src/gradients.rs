//! Gradients of one logit with respect to the input or to a feature map.

use kidu_core::{Architecture, Bundle};
pub use kidu_engine::FeatureMap;
use kidu_engine::{InputGradients, Plan, TensorMap, Weights};

use crate::error::Result;

/// A network that predicts and tells the gradient of what it predicts. Running statistics normalise, as in prediction,
/// and weights get no gradient.
#[derive(Debug)]
pub struct Differentiable {
    plan: Plan,
    gradients: InputGradients,
    shape: [usize; 3],
}

impl Differentiable {
    /// For images `[3, height, width]`.
    ///
    /// # Errors
    /// [`crate::ExplainError::Engine`] when the weights are not the described network's.
    pub fn new(architecture: &Architecture, classes: usize, shape: [usize; 3], weights: &dyn Weights) -> Result<Self> {
        let size = (shape[1], shape[2]);
        Ok(Self {
            plan: Plan::new(architecture, classes, size, weights)?,
            gradients: InputGradients::new(architecture, classes, size, weights)?,
            shape,
        })
    }

    /// The network of a verified bundle, for images as its preprocessing makes them.
    ///
    /// # Errors
    /// As [`Differentiable::new`]; [`crate::ExplainError::Bundle`] for a network that is not known.
    pub fn open(bundle: &Bundle) -> Result<Self> {
        let manifest = bundle.manifest();
        let shape = [3, manifest.image.height as usize, manifest.image.width as usize];
        Self::new(&manifest.architecture()?, manifest.classes.len(), shape, &TensorMap::read(&bundle.weights())?)
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
        self.gradients.classes()
    }

    /// Logits of images that lie one after another, row by row.
    ///
    /// # Errors
    /// [`crate::ExplainError::Engine`].
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>> {
        Ok(self.plan.logits(images, rayon::current_num_threads())?)
    }

    /// The gradients of the logit `target` of each image with respect to the image, and these logits.
    ///
    /// # Errors
    /// [`crate::ExplainError::Engine`].
    pub fn input_gradients(&self, images: &[f32], target: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok(self.gradients.gradients(images, target)?)
    }

    /// The last feature map of one image with the gradient of the logit `target` with respect to it.
    ///
    /// # Errors
    /// [`crate::ExplainError::Engine`].
    pub fn feature_map(&self, image: &[f32], target: usize) -> Result<FeatureMap> {
        Ok(self.gradients.feature_map(image, target)?)
    }
}
