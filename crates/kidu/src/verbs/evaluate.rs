//! `kidu evaluate`: judge a bundle on a dataset.

pub(super) mod selection;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kidu_core::{Bundle, BundleManifest, ClassNames, DatasetItem, DatasetManifest, Progress, Split, files};
use kidu_data::{Loader, LoaderOptions};
use kidu_eval::{
    EvaluateOptions, Evaluation, Judged, Predictions, Scores, plots,
    report::{self, Picture, Report, RunReport},
};
use kidu_models::{Accelerator, Predictor};

use self::selection::{Asked, Judge, Selection};
use super::report::pictures::{self, Wanted};
use crate::{
    Outcome,
    cli::{EvaluateArgs, HeatMaps},
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, Settings, need},
    stop,
    ui::{self, Console},
};

/// Pictures of the surest mistakes, and as many of the least certain images.
const PICTURES: usize = 12;

pub(super) fn run(arguments: &EvaluateArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "evaluate")?;
    let settings = &configuration.settings;
    let bundle = Bundle::open(&arguments.model.bundle)?;
    if arguments.dataset.manifest.is_none() && need(&settings.data, "data")?.root.is_none() {
        return Err(Failure::usage("give the images to judge on: data.root=DIR, or --manifest FILE"));
    }
    let held = run_dir::create(&configuration, Verb::Evaluate, arguments.output.out.as_deref())?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let asked = Asked { split: arguments.split, manifest: arguments.dataset.manifest.as_deref() };
    let judged = Judge { classes: &bundle.manifest().classes, bundle: Some(&bundle) };
    let selection = selection::select(&asked, &judged, settings, &dir.join("data"), &console)?;
    console.note(&selection.sentence());
    let evaluation = judge(&bundle, &selection, settings, dir, &console)?;
    if arguments.output.json {
        ui::json(&evaluation)?;
    } else {
        ui::line(kidu_eval::text::summary(&evaluation).trim_end());
        ui::place("report:", &dir.join(report::FILE));
    }
    ui::place("wrote", dir);
    Ok(())
}

/// Predicts, measures and writes everything into `dir`.
fn judge(
    bundle: &Bundle,
    selection: &Selection,
    settings: &Settings,
    dir: &Path,
    progress: &dyn Progress,
) -> Outcome<Evaluation> {
    let accelerator = settings.trainer.as_ref().map_or(Accelerator::Flex, |t| t.accelerator);
    let predictor = Predictor::open(bundle, accelerator)?;
    let (predictions, items) = predict(&predictor, &selection.manifest, &selection.which.splits(), settings, progress)?;
    let temperature = bundle.manifest().temperature;
    let options = EvaluateOptions {
        temperature,
        seed: settings.seed,
        dataset_version: Some(selection.dataset_version.clone()),
        test_split_version: Some(selection.version()),
        judged: Some(Judged { split: selection.which.name().into(), reason: selection.reason.clone() }),
        bundle_sha256: Some(bundle.digest()?.to_string()),
        item_hashes: Some(items.iter().map(|i| i.sha256.to_string()).collect()),
        ..EvaluateOptions::default()
    };
    let evaluation = kidu_eval::evaluate(&predictions, &options)?;
    predictions.save(&dir.join(Predictions::FILE), temperature)?;
    files::create_dir_all(&dir.join("plots"))?;
    plots::save_all(&predictions, &evaluation, &dir.join("plots"))?;
    let title =
        format!("{} on dataset {} ({})", bundle.manifest().model, selection.dataset_version, selection.which.name());
    let pictures = pictures_of(&predictions, &evaluation, &selection.manifest, &items, progress)?;
    let run = RunReport {
        facts: facts(bundle.manifest()),
        evaluation: Some(evaluation.clone()),
        predictions: Some(predictions),
        pictures,
        shown: PICTURES,
        ..RunReport::default()
    };
    report::save(&dir.join(report::FILE), &Report { title, runs: vec![run] })?;
    evaluation.save(&dir.join(Evaluation::FILE))?;
    Ok(evaluation)
}

/// Logits of every image of some splits, with the bundle's classes.
pub(super) fn predict(
    predictor: &Predictor,
    manifest: &Arc<DatasetManifest>,
    splits: &[Split],
    settings: &Settings,
    progress: &dyn Progress,
) -> Outcome<(Predictions, Vec<DatasetItem>)> {
    let bundle = predictor.manifest();
    let classes = map_classes(&manifest.classes, &bundle.classes)?;
    let data = need(&settings.data, "data")?;
    let (mut labels, mut logits, mut items) = (Vec::new(), Vec::new(), Vec::<DatasetItem>::new());
    for split in splits {
        let of_split: Vec<&DatasetItem> = manifest.items_of(*split).collect();
        if of_split.is_empty() {
            continue;
        }
        let mut options = LoaderOptions::evaluation(data, bundle.image.clone(), settings.seed);
        options.limit = match settings.trainer.as_ref().and_then(|t| t.limit_test_batches) {
            limit if *split == Split::Test => limit,
            _ => None,
        };
        let loader = Loader::new(Arc::clone(manifest), *split, options)?;
        progress.begin(&format!("evaluate {split}"), "images", Some(loader.num_images() as u64));
        let mut epoch = loader.epoch(0, 0);
        for batch in epoch.by_ref() {
            if stop::is_asked_for() {
                return Err(Failure::Interrupted("run the same command again to judge the images".into()));
            }
            let batch = batch?;
            logits.extend(predictor.logits(&batch.images)?);
            labels.extend(batch.labels.iter().map(|l| classes[*l]));
            items.extend(batch.indices.iter().map(|i| of_split[*i].clone()));
            progress.advance(batch.len as u64);
        }
        progress.end();
        epoch.skipped().iter().for_each(|(path, why)| progress.note(&format!("skipped {}: {why}", path.display())));
    }
    if items.is_empty() {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the dataset has no image in that split; choose another with --split"
        )));
    }
    let paths = items.iter().map(|i| i.path.clone()).collect();
    Ok((Predictions::new(bundle.classes.clone(), labels, logits, paths)?, items))
}

/// The dataset's classes as indices of the bundle's, by name.
pub(super) fn map_classes(data: &ClassNames, bundle: &ClassNames) -> Outcome<Vec<usize>> {
    data.iter()
        .map(|name| {
            bundle.index_of(name).ok_or_else(|| {
                Failure::Failed(anyhow::anyhow!(
                    "the dataset has the class '{name}', the model knows only {}: judge it on data of its own classes",
                    bundle.as_slice().join(", ")
                ))
            })
        })
        .collect()
}

/// The surest mistakes and the least certain images.
fn pictures_of(
    predictions: &Predictions,
    evaluation: &Evaluation,
    manifest: &DatasetManifest,
    items: &[DatasetItem],
    progress: &dyn Progress,
) -> Outcome<BTreeMap<usize, Picture>> {
    let scores = Scores::new(predictions, evaluation.details.calibration.temperature)?;
    let wanted =
        |index: usize| Wanted { index, path: manifest.file_of(&items[index]), class: scores.image(index).predicted };
    let images: Vec<Wanted> = pictures::worth_a_look(&scores, PICTURES).into_iter().map(wanted).collect();
    pictures::draw(&images, None, HeatMaps::None, progress)
}

/// What a bundle says of itself.
pub(super) fn facts(bundle: &BundleManifest) -> Vec<(String, String)> {
    [
        ("model", bundle.model.clone()),
        ("model version", bundle.version().to_string()),
        ("trained on dataset", bundle.dataset_version.clone()),
        ("commit", bundle.git_commit.clone().unwrap_or_else(|| "none".into())),
        ("kidu", bundle.kidu_version.clone()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}
