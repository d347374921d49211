//! The trackers that need to know more than the fit loop: TensorBoard's folder, an MLflow server, and what became of
//! the run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kidu_core::{Bundle, DatasetItem, Sha256Hex, files};
use kidu_eval::{Evaluation, Predictions, Scores, plots};
use kidu_image::{Limits, Preprocessor};
use kidu_track::{
    ParamValue, flatten,
    mlflow::{Credentials, Recorder, RunIdentity, Server, now_ms},
};
use kidu_train::{
    MlflowSettings, RunEnd, RunResult, SharedTracker, Tracker,
    trackers::{MlflowTracker, TensorBoardTracker},
};
use serde_json::Value;

use super::{
    super::data::preview::sheet::{self, Cell, Row, Sheet},
    Job,
};
use crate::{Outcome, cli::Background, failure::Failure, settings::need};

/// Pictures of a run for its trackers, in the run's folder.
const CONFUSION_MATRIX: &str = "plots/confusion_matrix.png";
const SAMPLES: &str = "plots/samples.png";
/// Side of a sample in pixels.
const TILE: u32 = 112;
/// Files of a run's folder that go to the trackers as they are.
const ARTIFACTS: [&str; 7] =
    ["config.yaml", "metrics.csv", "curves.png", "summary.json", "bundle/bundle.json", CONFUSION_MATRIX, SAMPLES];

/// Sections of the configuration that make a run what it is.
const SECTIONS: [&str; 5] = ["seed", "model", "data", "trainer", "callbacks"];

/// The trackers that the settings ask for.
pub(super) fn open(job: &Job<'_>) -> Outcome<Vec<SharedTracker>> {
    let logger = need(&job.configuration.settings.logger, "logger")?;
    let mut all: Vec<SharedTracker> = Vec::new();
    let name = job.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let params = params(job);
    if let Some(board) = &logger.tensorboard {
        let dir = board.dir.clone().unwrap_or_else(|| job.dir.join("tensorboard"));
        let tracker = TensorBoardTracker::new(dir, name.clone(), params.clone(), board.log_every_n_steps);
        all.push(SharedTracker::new(Box::new(tracker)));
    }
    if let Some(settings) = &logger.mlflow
        && let Some(tracker) = mlflow(job, settings, name, &params)?
    {
        all.push(SharedTracker::new(Box::new(tracker)));
    }
    Ok(all)
}

fn params(job: &Job<'_>) -> Vec<(String, ParamValue)> {
    let composed = &job.configuration.composed;
    let sections = SECTIONS.iter().filter_map(|key| Some(((*key).to_string(), composed.get(key)?.to_json())));
    flatten(&Value::Object(sections.collect()))
}

fn mlflow(
    job: &Job<'_>,
    settings: &MlflowSettings,
    folder: String,
    params: &[(String, ParamValue)],
) -> Outcome<Option<MlflowTracker>> {
    let uri = settings.tracking_uri.clone().or_else(|| std::env::var("MLFLOW_TRACKING_URI").ok());
    let Some(uri) = uri.filter(|uri| !uri.trim().is_empty()) else {
        job.console
            .note("mlflow: left out, since neither logger.mlflow.tracking_uri nor MLFLOW_TRACKING_URI names a server");
        return Ok(None);
    };
    let server = Server::new(&uri, Credentials::from_env())
        .map_err(|e| Failure::Usage(anyhow::Error::from(e).context("logger.mlflow.tracking_uri")))?;
    let started = now_ms();
    let key = Sha256Hex::of_bytes(format!("{}\n{started}\n{}", job.dir.display(), std::process::id()).as_bytes());
    let identity = RunIdentity {
        key: key.to_string(),
        experiment: settings.experiment_name.clone(),
        run_name: settings.run_name.clone().unwrap_or(folder),
        start_time: started,
    };
    let limit = settings.max_waiting_mb << 20;
    let recorder = Recorder::open(&job.dir, identity, server, limit).map_err(anyhow::Error::from)?;
    let tags = [
        ("kidu.version".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("kidu.dataset".to_string(), job.manifest.version.clone()),
        ("kidu.model".to_string(), job.record.name.to_string()),
    ];
    let wait = Duration::from_secs_f64(settings.wait_at_end);
    let every = settings.log_every_n_steps;
    Ok(Some(MlflowTracker::new(recorder, params, &tags, every, wait).map_err(anyhow::Error::from)?))
}

/// Tells the trackers what became of the run. A tracker that fails is noted, and changes nothing about the run.
pub(super) fn finish(job: &Job<'_>, trackers: &[SharedTracker], outcome: &Outcome<Value>, steps: u64) {
    if trackers.is_empty() {
        return;
    }
    let mut result = RunResult {
        end: match outcome {
            Ok(_) => RunEnd::Finished,
            Err(Failure::Interrupted(_)) => RunEnd::Interrupted,
            Err(_) => RunEnd::Failed,
        },
        step: steps,
        metrics: BTreeMap::new(),
        figures: Vec::new(),
        artifacts: Vec::new(),
    };
    if let Ok(summary) = outcome {
        let metrics = summary["metrics"].as_object().into_iter().flatten();
        result.metrics = metrics.filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        let figures = [("confusion matrix", CONFUSION_MATRIX), ("samples", SAMPLES)];
        let there = figures.into_iter().map(|(title, file)| (title.to_string(), job.dir.join(file)));
        result.figures = there.filter(|(_, file)| file.is_file()).collect();
        let mut artifacts = ARTIFACTS.to_vec();
        let mlflow = job.configuration.settings.logger.as_ref().and_then(|l| l.mlflow.as_ref());
        let weights = format!("bundle/{}", Bundle::WEIGHTS);
        if mlflow.is_some_and(|m| m.log_model) {
            artifacts.push(&weights);
        }
        let there = artifacts.into_iter().filter(|name| job.dir.join(name).is_file());
        result.artifacts = there.map(|name| (PathBuf::from(name), name.to_string())).collect();
    }
    for tracker in trackers {
        let mut tracker = tracker.clone();
        if let Err(reason) = tracker.on_result(&result) {
            job.console.note(&format!("the {} log is incomplete: {reason}", tracker.name()));
        }
        for line in tracker.notes() {
            job.console.note(&format!("{}: {line}", tracker.name()));
        }
    }
}

/// Draws what the trackers show of the judged images.
pub(super) fn draw(
    job: &Job<'_>,
    predictions: &Predictions,
    evaluation: &Evaluation,
    items: &[DatasetItem],
) -> Outcome {
    if job.trackers.is_empty() {
        return Ok(());
    }
    let svg = plots::confusion_matrix(evaluation.confusion(), evaluation.classes());
    let picture = kidu_plot::png(&svg, 1.5).map_err(anyhow::Error::from)?;
    files::write_atomic(&job.dir.join(CONFUSION_MATRIX), &picture)?;
    let board = job.configuration.settings.logger.as_ref().and_then(|l| l.tensorboard.as_ref());
    let count = board.map_or(0, |b| b.sample_images).min(items.len());
    if count == 0 {
        return Ok(());
    }
    let scores = Scores::new(predictions, evaluation.details.calibration.temperature)?;
    let preprocessor = Preprocessor::new(&job.image);
    // Spread over the classes, which the items are sorted by.
    let chosen = (0..count).map(|i| i * items.len() / count);
    let rows: anyhow::Result<Vec<Row>> = chosen
        .map(|i| {
            let (score, classes) = (scores.image(i), predictions.classes());
            let predicted = format!("{} {:.0} %", &classes[score.predicted], 100.0 * score.confidence);
            let label = match score.label_rank {
                0 => predicted,
                _ => format!("{predicted} (is {})", &classes[predictions.labels()[i]]),
            };
            let image = sample(&job.manifest.file_of(&items[i]), &preprocessor)?;
            Ok(Row { label, cells: vec![Cell { caption: String::new(), image }] })
        })
        .collect();
    let title = format!("{}, test images", job.record.name);
    let page = Sheet { title, columns: 0, tile: TILE, rows: rows? }.draw(Background::Light);
    Ok(files::write_atomic(&job.dir.join(SAMPLES), &sheet::png(&page)?)?)
}

fn sample(path: &Path, preprocessor: &Preprocessor) -> anyhow::Result<image::RgbImage> {
    let image = kidu_image::decode(&fs::read(path)?, &Limits::default())?;
    let pixels = preprocessor.resize(&image);
    Ok(image::imageops::resize(&pixels, TILE, TILE, image::imageops::FilterType::Triangle))
}
