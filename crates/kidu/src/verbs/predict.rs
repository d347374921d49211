//! `kidu predict`: classify images.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
    let bundle = Bundle::open(&arguments.bundle)?;
    let predictor = Predictor::open(&bundle, accelerator)?;
    let paths = expand(&arguments.images)?;
    let answers = classify(&predictor, &paths, &Console::new())?;
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
pub(super) fn classify(predictor: &Predictor, paths: &[PathBuf], progress: &dyn Progress) -> Outcome<Vec<Answer>> {
    let manifest = predictor.manifest();
    let preprocessor = Preprocessor::new(&manifest.image);
    let limits = Limits::default();
    progress.begin("classify", "images", Some(paths.len() as u64));
    let mut answers = Vec::with_capacity(paths.len());
    for chunk in paths.chunks(BATCH) {
        let inputs = chunk
            .par_iter()
            .map(|path| {
                let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                preprocessor.preprocess(&bytes, &limits).with_context(|| path.display().to_string())
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

/// Files as they are; folders by their images, sorted, hidden ones left out.
pub(super) fn expand(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            walk(path, &mut files)?;
            if files.len() == before {
                return Err(Failure::Failed(anyhow::anyhow!("{} holds no .jpg, .png or .webp image", path.display())));
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Outcome {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if hidden || path.is_symlink() && path.is_dir() {
            continue;
        } else if path.is_dir() {
            walk(&path, files)?;
        } else if ["jpg", "jpeg", "png", "webp"].contains(&extension.as_str()) {
            files.push(path);
        }
    }
    Ok(())
}
