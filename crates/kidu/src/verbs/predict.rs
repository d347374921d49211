//! `kidu predict`: classify images.

use std::{fs, path::PathBuf};

use anyhow::Context;
use kidu_core::{Bundle, Prediction, Progress};
use kidu_image::{Limits, Preprocessor};
use kidu_models::Predictor;
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Outcome,
    cli::PredictArgs,
    failure::Failure,
    ui::{self, Console},
};

/// Images that go through the network together.
const BATCH: usize = 32;

/// One line of the answer.
#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) path: PathBuf,
    #[serde(flatten)]
    pub(super) prediction: Prediction,
}

pub(super) fn run(arguments: &PredictArgs) -> Outcome {
    let accelerator = arguments.accelerator.parse().map_err(|e: kidu_models::ModelError| Failure::Usage(e.into()))?;
    let bundle = Bundle::open(&arguments.model.bundle)?;
    let predictor = Predictor::open(&bundle, accelerator)?;
    let paths = expand(&arguments.images)?;
    let limits =
        Limits { max_bytes: arguments.max_bytes, max_pixels: arguments.max_pixels, max_side: arguments.max_side };
    let answers = classify(&predictor, &paths, &limits, &Console::new())?;
    if arguments.json {
        return ui::json(&answers);
    }
    for Answer { path, prediction } in &answers {
        let shown = prediction.probabilities.iter().take(arguments.top_k.max(1));
        let classes: Vec<String> = shown.map(|(name, p)| format!("{name} {:.1} %", 100.0 * p)).collect();
        ui::line(format!("{}: {}", path.display(), classes.join(", ")));
    }
    Ok(())
}

/// Classifies images, in order. The first that cannot be read ends it, by name.
pub(super) fn classify(
    predictor: &Predictor,
    paths: &[PathBuf],
    limits: &Limits,
    progress: &dyn Progress,
) -> Outcome<Vec<Answer>> {
    let manifest = predictor.manifest();
    let preprocessor = Preprocessor::new(&manifest.image);
    progress.begin("classify", "images", Some(paths.len() as u64));
    let mut answers = Vec::with_capacity(paths.len());
    for chunk in paths.chunks(BATCH) {
        let inputs = chunk
            .par_iter()
            .map(|path| {
                let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                let input = preprocessor.preprocess(&bytes, limits);
                input.map_err(|e| anyhow::anyhow!("{} {}", path.display(), e.explain(option)))
            })
            .collect::<anyhow::Result<Vec<Vec<f32>>>>()?;
        for (path, logits) in chunk.iter().zip(predictor.logits(&inputs.concat())?) {
            let prediction = Prediction::from_logits(&logits, manifest.temperature, &manifest.classes);
            answers.push(Answer { path: path.clone(), prediction });
        }
        progress.advance(chunk.len() as u64);
    }
    progress.end();
    Ok(answers)
}

/// The option that sets a limit: `--max-pixels` for `max_pixels`.
fn option(limit: &str) -> String {
    format!("--{}", limit.replace('_', "-"))
}

/// Files as they are; folders by their images.
pub(super) fn expand(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let inside = kidu_data::index::images_below(path)?;
        if inside.is_empty() {
            let known = kidu_data::index::EXTENSIONS.map(|e| format!(".{e}")).join(", ");
            return Err(Failure::Failed(anyhow::anyhow!("{} holds no image ({known})", path.display())));
        }
        files.extend(inside);
    }
    Ok(files)
}
