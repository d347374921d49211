//! From a bundle to logits with the Burn network.

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::{Bundle, BundleManifest};

use crate::{
    device::Accelerator,
    error::{ModelError, Result},
    network::Network,
    state_dict::to_host,
    weights,
};

/// A network with a bundle's weights, ready to predict.
#[derive(Debug)]
pub struct Predictor {
    network: Network,
    device: Device,
    manifest: BundleManifest,
}

impl Predictor {
    /// Builds the network that a verified bundle describes and loads its weights.
    ///
    /// # Errors
    /// [`ModelError::Device`], or [`ModelError::StateDict`] when the weights are not the described network's.
    pub fn open(bundle: &Bundle, accelerator: Accelerator) -> Result<Self> {
        let manifest = bundle.manifest().clone();
        let device = accelerator.device()?;
        let network = Network::new(&manifest.architecture()?, manifest.classes.len(), 0, &device);
        let network = weights::read(&bundle.weights())?.apply(network, &manifest.model)?;
        Ok(Self { network, device, manifest })
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
        let shape = [count, 3, spec.height as usize, spec.width as usize];
        let logits = self.network.predict(Tensor::from_data(TensorData::new(images.to_vec(), shape), &self.device));
        let classes = self.manifest.classes.len();
        Ok(to_host(logits.reshape([count * classes])).chunks(classes).map(<[f32]>::to_vec).collect())
    }
}
