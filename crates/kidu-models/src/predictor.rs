//! From a bundle to logits.

use kidu_core::{Bundle, BundleManifest};

use crate::{
    device::Accelerator,
    error::{ModelError, Result},
    inference::Inference,
    network::Network,
    weights,
};

/// A bundle's network on one of the backends, ready to predict: the inference plan on the CPU, Burn elsewhere.
pub struct Predictor {
    inference: Inference,
    manifest: BundleManifest,
}

impl Predictor {
    /// Builds the network that a verified bundle describes and loads its weights.
    ///
    /// # Errors
    /// [`ModelError::Device`], or [`ModelError::StateDict`] when the weights are not the described network's.
    pub fn open(bundle: &Bundle, accelerator: Accelerator) -> Result<Self> {
        let manifest = bundle.manifest().clone();
        let network = network_of(bundle, accelerator)?;
        let image = [3, manifest.image.height as usize, manifest.image.width as usize];
        Ok(Self { inference: Inference::new(&network, image)?, manifest })
    }

    /// The bundle's manifest.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Logits of each image, in order. `images` holds preprocessed images one after another, [N, 3, H, W].
    ///
    /// # Errors
    /// [`ModelError::Setting`] when the length is not a whole number of images.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>> {
        let spec = &self.manifest.image;
        let count = images.len() / spec.values();
        if count * spec.values() != images.len() {
            return Err(ModelError::Setting(format!(
                "{} values are not a whole number of {}x{} images",
                images.len(),
                spec.width,
                spec.height
            )));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let logits = self.inference.predict(images, [3, spec.height as usize, spec.width as usize])?;
        Ok(logits.chunks(self.manifest.classes.len()).map(<[f32]>::to_vec).collect())
    }
}

/// The Burn network of a verified bundle, on the plain device.
///
/// # Errors
/// As [`Predictor::open`].
pub fn network_of(bundle: &Bundle, accelerator: Accelerator) -> Result<Network> {
    let manifest = bundle.manifest();
    let network = Network::new(&manifest.architecture()?, manifest.classes.len(), 0, &accelerator.device()?);
    weights::read(&bundle.weights())?.apply(network, &manifest.model)
}
