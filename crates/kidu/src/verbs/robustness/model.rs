//! What is asked: a bundle here, or an endpoint.

use kidu_core::{Bundle, ClassNames, Prediction};
use kidu_eval::robustness::Answer;
use kidu_image::{Preprocessor, RgbImage};
use kidu_models::{Accelerator, Predictor};
use rayon::prelude::*;

use crate::{Outcome, failure::Failure};

/// A classifier of images.
pub(super) trait Model: Sync {
    /// Its classes.
    fn classes(&self) -> &ClassNames;
    /// Name and version.
    fn name(&self) -> (String, String);
    /// Where it answers, if not here.
    fn endpoint(&self) -> Option<String>;
    /// The shorter side of its input, in pixels.
    fn side(&self) -> u32;
    /// The most probable class of each image, in order.
    fn answer(&self, images: &[RgbImage]) -> Outcome<Vec<Answer>>;
}

/// The answer in a prediction.
pub(super) fn answer_of(prediction: &Prediction, classes: &ClassNames) -> Outcome<Answer> {
    let class = classes.index_of(&prediction.label).ok_or_else(|| {
        Failure::Failed(anyhow::anyhow!("the model answers '{}', which is none of its classes", prediction.label))
    })?;
    Ok(Answer { class, confidence: f64::from(prediction.score) })
}

/// A bundle, by the inference plan.
pub(super) struct BundleModel {
    predictor: Predictor,
    preprocessor: Preprocessor,
}

impl BundleModel {
    pub(super) fn open(bundle: &Bundle) -> Outcome<Self> {
        let predictor = Predictor::open(bundle, Accelerator::Flex)?;
        let preprocessor = Preprocessor::new(&bundle.manifest().image);
        Ok(Self { predictor, preprocessor })
    }
}

impl Model for BundleModel {
    fn classes(&self) -> &ClassNames {
        &self.predictor.manifest().classes
    }

    fn name(&self) -> (String, String) {
        let manifest = self.predictor.manifest();
        (manifest.model.clone(), manifest.version().to_string())
    }

    fn endpoint(&self) -> Option<String> {
        None
    }

    fn side(&self) -> u32 {
        let image = &self.predictor.manifest().image;
        image.width.min(image.height)
    }

    fn answer(&self, images: &[RgbImage]) -> Outcome<Vec<Answer>> {
        let input = |image: &RgbImage| self.preprocessor.input(image);
        let inputs: Vec<Vec<f32>> = images.par_iter().map(input).collect();
        let manifest = self.predictor.manifest();
        let logits = self.predictor.logits(&inputs.concat())?;
        let predictions = logits.iter().map(|l| Prediction::from_logits(l, manifest.temperature, &manifest.classes));
        predictions.map(|prediction| answer_of(&prediction, &manifest.classes)).collect()
    }
}
