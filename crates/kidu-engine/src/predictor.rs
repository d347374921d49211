//! A plan with the labels and the preprocessing of a bundle: what everything that predicts goes through.

use kidu_core::{Bundle, BundleManifest};

use crate::{
    error::{EngineError, Result},
    plan::Plan,
    weights::TensorMap,
};

/// A bundle ready to predict.
#[derive(Debug)]
pub struct Predictor {
    plan: Plan,
    manifest: BundleManifest,
    threads: usize,
}

impl Predictor {
    /// Builds the plan of a verified bundle. One image uses up to `threads` threads of the Rayon pool it is predicted in.
    ///
    /// # Errors
    /// [`EngineError`] when the weights are not the described network's.
    pub fn open(bundle: &Bundle, threads: usize) -> Result<Self> {
        let manifest = bundle.manifest().clone();
        let size = (manifest.image.height as usize, manifest.image.width as usize);
        let weights = TensorMap::read(&bundle.weights())?;
        let plan = Plan::new(&manifest.architecture()?, manifest.classes.len(), size, &weights)?;
        Ok(Self { plan, manifest, threads })
    }

    /// The bundle's manifest.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// The network.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Logits of each image, in order. `images` holds preprocessed images one after another, `[N, 3, H, W]`.
    ///
    /// # Errors
    /// [`EngineError::Input`] when the length is not a whole number of images.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>> {
        let spec = &self.manifest.image;
        if !images.len().is_multiple_of(spec.values()) {
            return Err(EngineError::Input(format!(
                "{} values are not a whole number of {}x{} images",
                images.len(),
                spec.width,
                spec.height
            )));
        }
        let logits = self.plan.logits(images, self.threads)?;
        Ok(logits.chunks(self.plan.classes().max(1)).map(<[f32]>::to_vec).collect())
    }
}
