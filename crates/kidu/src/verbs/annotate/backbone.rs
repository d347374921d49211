//! What a network sees in images: the features before its classifier.

use std::{path::Path, path::PathBuf};

use kidu_core::{Bundle, BundleManifest, Progress, model};
use kidu_data::load_one;
use kidu_engine::{Plan, Point, TensorMap, Weights};
use kidu_image::{Layout, Limits, Preprocessor, RgbImage};
use rayon::prelude::*;

use crate::{Outcome, failure::Failure, stop};

/// Images that go through the network together.
const BATCH: usize = 32;

/// A network up to its classifier, and how images get into it.
pub(super) struct Backbone {
    plan: Plan,
    preprocessor: Preprocessor,
    /// Numbers of an image.
    pub(super) dimensions: usize,
    /// For messages: the network and its version.
    pub(super) name: String,
}

impl Backbone {
    /// That of a bundle.
    pub(super) fn of_bundle(bundle: &Bundle) -> Outcome<Self> {
        let manifest: &BundleManifest = bundle.manifest();
        let weights = TensorMap::read(&bundle.weights()).map_err(failed)?;
        let size = (manifest.image.height as usize, manifest.image.width as usize);
        let plan = Plan::new(&manifest.architecture()?, manifest.classes.len(), size, &weights).map_err(failed)?;
        Ok(Self::new(plan, Preprocessor::new(&manifest.image), version_of(manifest)))
    }

    /// That of a file of weights under timm's names, whatever it classifies.
    pub(super) fn of_weights(name: &str, path: &Path) -> Outcome<Self> {
        let record = model::find(name)?;
        let weights = TensorMap::read(path).map_err(failed)?;
        let classifier = ["classifier.weight", "fc.weight"].into_iter().find_map(|key| weights.tensor(key));
        let Some(([classes, _], _)) = classifier else {
            return Err(Failure::usage(format!(
                "{} holds no classifier of {name}; are these its weights?",
                path.display()
            )));
        };
        let size = (record.image.height as usize, record.image.width as usize);
        let plan = Plan::new(&record.architecture, *classes, size, &weights).map_err(failed)?;
        Ok(Self::new(plan, Preprocessor::new(&record.image), name.to_owned()))
    }

    fn new(plan: Plan, preprocessor: Preprocessor, name: String) -> Self {
        let dimensions = plan.shape(Point::Features)[0];
        Self { plan, preprocessor, dimensions, name }
    }

    /// The features of an image.
    pub(super) fn features(&self, image: &RgbImage) -> Outcome<Vec<f32>> {
        let mut input = vec![0.0; self.preprocessor.spec().values()];
        self.preprocessor.normalize_into(&self.preprocessor.resize(image), Layout::Chw, &mut input);
        self.plan.run_between(&input, Point::Image, Point::Features, 1).map_err(failed)
    }

    /// What the bundle's own classifier says of features.
    pub(super) fn logits(&self, features: &[f32]) -> Vec<f32> {
        self.plan.classify(features)
    }

    /// The features of files, in order; `None` for those that cannot be read, which are told.
    pub(super) fn features_of(
        &self,
        paths: &[PathBuf],
        limits: &Limits,
        progress: &dyn Progress,
    ) -> Outcome<Vec<Option<Vec<f32>>>> {
        stop::on_signals()?;
        let mut all = Vec::with_capacity(paths.len());
        progress.begin("compute features", "images", Some(paths.len() as u64));
        for chunk in paths.chunks(BATCH) {
            if stop::is_asked_for() {
                return Err(Failure::Interrupted("nothing was written; run the same command again".into()));
            }
            let one = |path: &PathBuf| match load_one(path, limits) {
                Ok(image) => Ok(Ok(self.features(&image)?)),
                Err(reason) => Ok(Err(reason.to_string())),
            };
            for row in chunk.par_iter().map(one).collect::<Outcome<Vec<Result<Vec<f32>, String>>>>()? {
                match row {
                    Ok(row) => all.push(Some(row)),
                    Err(reason) => {
                        progress.note(&format!("left out: {reason}"));
                        all.push(None);
                    }
                }
            }
            progress.advance(chunk.len() as u64);
        }
        progress.end();
        Ok(all)
    }
}

/// What Label Studio knows a bundle's predictions by, as `kidu-label-studio` names them.
pub(super) fn version_of(manifest: &BundleManifest) -> String {
    format!("{}@{}", manifest.model, manifest.version())
}

fn failed(error: kidu_engine::EngineError) -> Failure {
    Failure::Failed(error.into())
}
