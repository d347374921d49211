//! The end of training: calibration on validation, one look at the test split, the bundle.

use std::collections::BTreeMap;

use kidu_core::{Bundle, BundleManifest, DatasetItem, Split, run::timestamp};
use kidu_eval::{EvaluateOptions, Predictions, fit_temperature};
use kidu_models::Predictor;
use kidu_train::Fitted;
use serde_json::{Value, json};

use super::{Job, save_summary, tracking};
use crate::{Outcome, git, settings::need, verbs::evaluate};

/// Bins of the calibration error.
const BINS: usize = 15;

/// Writes the bundle and returns the run's summary.
pub(super) fn finish(job: &Job<'_>, fitted: &Fitted, source: &str) -> Outcome<Value> {
    let settings = &job.configuration.settings;
    if need(&settings.trainer, "trainer")?.fast_dev_run {
        job.console.note("trainer.fast_dev_run: one batch went through everything; no bundle is written");
        return save_summary(job, fitted, None, &json!({}));
    }
    let mut metrics: BTreeMap<String, f64> = BTreeMap::new();
    if let Some(row) = fitted.best_row() {
        metrics.extend(row.metrics.iter().map(|(k, v)| (k.clone(), *v)));
    }
    let manifest = BundleManifest {
        format_version: BundleManifest::FORMAT,
        model: job.record.name.into(),
        pad_type: need(&settings.model, "model")?.pad_type,
        classes: job.manifest.classes.clone(),
        image: job.image.clone(),
        temperature: 1.0,
        metrics: metrics.clone(),
        dataset_version: job.manifest.version.clone(),
        data_snapshot: job.manifest.snapshot.clone(),
        config_hash: job.configuration.composed.hash().to_string(),
        git_commit: std::env::current_dir().ok().and_then(|d| git::commit(&d)),
        initial_weights: source.into(),
        created: timestamp(),
        kidu_version: env!("CARGO_PKG_VERSION").into(),
        files: BTreeMap::new(),
    };
    let dir = job.dir.join("bundle");
    let weights = fitted.best.to_safetensors(Some(fitted.steps))?;
    let mut bundle = Bundle::create(&dir, manifest, &[(Bundle::WEIGHTS, &weights)])?;
    let predictor = Predictor::open(&bundle, need(&settings.trainer, "trainer")?.accelerator)?;
    let temperature = calibrate(job, &predictor, &mut metrics)?;
    if settings.test.unwrap_or(true) {
        test(job, &predictor, temperature, &mut metrics)?;
    }
    bundle.update(|m| {
        m.temperature = temperature;
        m.metrics.clone_from(&metrics);
    })?;
    bundle.pack(&job.dir.join("model.tar.gz"))?;
    save_summary(job, fitted, Some(&dir), &json!(metrics))
}

/// The temperature that makes the probabilities of the validation images most likely; 1 without such images.
fn calibrate(job: &Job<'_>, predictor: &Predictor, metrics: &mut BTreeMap<String, f64>) -> Outcome<f64> {
    if job.manifest.items_of(Split::Val).next().is_none() {
        job.console.note("no validation images: the probabilities are not calibrated");
        return Ok(1.0);
    }
    let (predictions, _) = predict(job, predictor, Split::Val)?;
    let fit = fit_temperature(&predictions, BINS)?;
    metrics.insert("val/ece".into(), fit.ece_after);
    if fit.at_bound {
        job.console.note(&format!(
            "calibration stopped at its bound (temperature {:.2}): {} validation images say too little about it",
            fit.temperature, fit.images
        ));
    }
    job.console.note(&format!(
        "temperature {:.3} (calibration error {:.4} -> {:.4})",
        fit.temperature, fit.ece_before, fit.ece_after
    ));
    Ok(fit.temperature)
}

fn test(job: &Job<'_>, predictor: &Predictor, temperature: f64, metrics: &mut BTreeMap<String, f64>) -> Outcome {
    if job.manifest.items_of(Split::Test).next().is_none() {
        job.console.note("no test images: nothing says how good the model is on images it has not seen");
        return Ok(());
    }
    let (predictions, items) = predict(job, predictor, Split::Test)?;
    let options = EvaluateOptions { temperature, seed: job.configuration.settings.seed, ..EvaluateOptions::default() };
    let evaluation = kidu_eval::evaluate(&predictions, &options)?;
    metrics.extend(evaluation.headline("test"));
    tracking::draw(job, &predictions, &evaluation, &items)
}

fn predict(job: &Job<'_>, predictor: &Predictor, split: Split) -> Outcome<(Predictions, Vec<DatasetItem>)> {
    evaluate::predict(predictor, &job.manifest, &[split], &job.configuration.settings, job.console)
}
