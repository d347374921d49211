//! What a network says of the images: features of a bundle, or predictions that were made before.

use std::{collections::HashMap, path::Path};

use kidu_core::{Bundle, Progress};
use kidu_data::{
    DataSettings,
    check::{Evidence, Facts, Features, FilePredictions, Survey},
    load_one,
};
use kidu_engine::{Plan, Point, Predictor};
use kidu_eval::{Predictions, Scores};
use kidu_image::{Layout, Preprocessor};
use rayon::prelude::*;

use crate::{Outcome, cli::CheckArgs, failure::Failure, stop};

/// Images whose features are computed together.
const BATCH: usize = 32;

/// Reads or computes what the command line asks for.
pub(super) fn gather(
    arguments: &CheckArgs,
    survey: &Survey,
    facts: &[Facts],
    data: &DataSettings,
    progress: &dyn Progress,
) -> Outcome<Evidence> {
    let features = arguments.bundle.as_deref().map(|dir| features(dir, survey, facts, data, progress)).transpose()?;
    let predictions = arguments.predictions.as_deref().map(|path| predictions(path, survey, progress)).transpose()?;
    Ok(Evidence { features, predictions })
}

/// Features of every image that can be read: what stands before the classifier.
fn features(
    dir: &Path,
    survey: &Survey,
    facts: &[Facts],
    data: &DataSettings,
    progress: &dyn Progress,
) -> Outcome<Features> {
    stop::on_signals()?;
    let bundle = Bundle::open(dir)?;
    let predictor = Predictor::open(&bundle, 1).map_err(|e| Failure::Failed(e.into()))?;
    let plan: &Plan = predictor.plan();
    let preprocessor = Preprocessor::new(&predictor.manifest().image);
    let limits = data.limits();
    let wanted: Vec<usize> = (0..facts.len()).filter(|i| facts[*i].pixels.is_some()).collect();
    let dimensions = plan.shape(Point::Features)[0];
    let (mut images, mut values) = (Vec::new(), Vec::new());
    progress.begin("compute features", "images", Some(wanted.len() as u64));
    for chunk in wanted.chunks(BATCH) {
        if stop::is_asked_for() {
            return Err(Failure::Interrupted("run the same command again to check the data".into()));
        }
        let of_image = |i: &usize| -> Outcome<Option<Vec<f32>>> {
            // One that can no longer be read is told of the next time.
            let Ok(image) = load_one(&survey.root.join(&survey.files[*i].path), &limits) else { return Ok(None) };
            let mut input = vec![0.0; preprocessor.spec().values()];
            preprocessor.normalize_into(&preprocessor.resize(&image), Layout::Chw, &mut input);
            let features = plan.run_between(&input, Point::Image, Point::Features, 1);
            Ok(Some(features.map_err(|e| Failure::Failed(e.into()))?))
        };
        let rows = chunk.par_iter().map(of_image).collect::<Outcome<Vec<_>>>()?;
        for (i, row) in chunk.iter().zip(rows) {
            if let Some(row) = row {
                images.push(*i);
                values.extend(row);
            }
        }
        progress.advance(chunk.len() as u64);
    }
    progress.end();
    let manifest = predictor.manifest();
    let source = format!("logistic regression on the features of {} {}", manifest.model, manifest.version());
    Ok(Features { images, dimensions, values, source })
}

/// Predictions by path, with the classes of the data.
fn predictions(path: &Path, survey: &Survey, progress: &dyn Progress) -> Outcome<FilePredictions> {
    let loaded = Predictions::load(path)?;
    let mut columns = Vec::with_capacity(survey.classes.len());
    for class in &survey.classes {
        columns.push(loaded.classes().index_of(class).ok_or_else(|| {
            Failure::usage(format!(
                "{} has no predictions of the class '{class}' of the data, only of {}",
                path.display(),
                loaded.classes().as_slice().join(", ")
            ))
        })?);
    }
    let places: HashMap<&str, usize> = survey.files.iter().enumerate().map(|(i, f)| (f.path.as_str(), i)).collect();
    let scores = Scores::new(&loaded, 1.0)?;
    let (mut files, mut probabilities) = (Vec::new(), Vec::new());
    for (row, name) in loaded.paths().iter().enumerate() {
        let Some(place) = places.get(name.as_str()) else { continue };
        files.push(*place);
        probabilities.extend(columns.iter().map(|c| scores.probability(row, *c)));
    }
    if files.is_empty() {
        return Err(Failure::usage(format!(
            "{} names none of the files of the data: its paths must be relative to {}",
            path.display(),
            survey.root.display()
        )));
    }
    progress.note(&format!("{} of {} predictions belong to files of the data", files.len(), loaded.len()));
    Ok(FilePredictions { files, probabilities, source: format!("predictions of {}", path.display()) })
}
