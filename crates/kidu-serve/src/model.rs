//! What predicts: a bundle in service.

use std::path::Path;

use kidu_core::{Bundle, BundleManifest, Prediction};
use kidu_engine::Predictor;
use kidu_image::Preprocessor;

use crate::error::{Result, ServeError};

/// Computes logits. The engine's [`Predictor`] is one; tests have slower ones.
pub trait Classifier: Send + Sync + 'static {
    /// Names, classes and preprocessing.
    fn manifest(&self) -> &BundleManifest;

    /// Logits of each image, in order, from preprocessed images one after another, `[N, 3, H, W]`.
    ///
    /// # Errors
    /// Why there are none. That is never the client's fault: the images have the right shape.
    fn logits(&self, images: &[f32]) -> std::result::Result<Vec<Vec<f32>>, String>;
}

impl Classifier for Predictor {
    fn manifest(&self) -> &BundleManifest {
        self.manifest()
    }

    fn logits(&self, images: &[f32]) -> std::result::Result<Vec<Vec<f32>>, String> {
        self.logits(images).map_err(|e| e.to_string())
    }
}

/// A classifier with its preprocessing, ready for requests.
pub struct Model {
    classifier: Box<dyn Classifier>,
    preprocessor: Preprocessor,
    loaded: String,
    tag: String,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("tag", &self.tag).field("loaded", &self.loaded).finish_non_exhaustive()
    }
}

impl Model {
    /// Opens a bundle, checks its hashes and builds its plan. One image uses up to `threads` threads.
    ///
    /// # Errors
    /// [`ServeError::Bundle`] or [`ServeError::Engine`].
    pub fn open(dir: &Path, threads: usize) -> Result<Self> {
        // A link that is moved to another bundle meanwhile must not mix two of them.
        let dir = dir.canonicalize().map_err(|e| kidu_core::Error::io("open bundle", dir, e))?;
        let predictor = Bundle::open_with(&dir, |bundle| Predictor::open(bundle, threads))?;
        let predictor = predictor.map_err(|source| ServeError::Engine { path: dir, source })?;
        Ok(Self::new(Box::new(predictor)))
    }

    /// Takes any classifier into service.
    pub fn new(classifier: Box<dyn Classifier>) -> Self {
        let manifest = classifier.manifest();
        let preprocessor = Preprocessor::new(&manifest.image);
        let tag = format!("{}@{}", manifest.model, manifest.version());
        Self { preprocessor, loaded: kidu_core::run::timestamp(), tag, classifier }
    }

    /// The bundle's manifest.
    pub fn manifest(&self) -> &BundleManifest {
        self.classifier.manifest()
    }

    /// `name@version`, the value of the header `x-kidu-model`.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// When it was taken into service, RFC 3339.
    pub fn loaded(&self) -> &str {
        &self.loaded
    }

    /// The preprocessing that the bundle states.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Predictions of preprocessed images, one after another.
    ///
    /// # Errors
    /// The classifier's reason.
    pub fn predict(&self, inputs: &[f32]) -> std::result::Result<Vec<Prediction>, String> {
        let manifest = self.manifest();
        let logits = self.classifier.logits(inputs)?;
        Ok(logits.iter().map(|l| Prediction::from_logits(l, manifest.temperature, &manifest.classes)).collect())
    }
}
