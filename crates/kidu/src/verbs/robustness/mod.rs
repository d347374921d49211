//! `kidu robustness`: what corruptions do to a bundle's or an endpoint's answers.

mod endpoint;
mod model;
mod plan;

use std::{path::PathBuf, sync::Arc};

use kidu_core::{Bundle, DatasetManifest, Progress, files, rng};
use kidu_data::load_one;
use kidu_eval::{
    GateDecision, Robustness,
    robustness::{self, Answers, Origin, Sample, Trial},
};
use kidu_image::{Corruption, RgbImage, Severity, corrupt};
use rayon::prelude::*;

use self::{
    endpoint::Endpoint,
    model::{BundleModel, Model},
    plan::Plan,
};
use super::{
    data::preview::sheet::{self, Cell, Row, Sheet},
    evaluate::selection::{self, Asked, Judge, Selection},
};
use crate::{
    Outcome,
    cli::{Background, RobustnessArgs},
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, Settings, need},
    stop,
    ui::{self, Console},
};

/// Images that are corrupted and predicted together.
const CHUNK: usize = 16;
/// Side of a picture on the sheet, in pixels.
const TILE: u32 = 112;

pub(super) fn run(arguments: &RobustnessArgs) -> Outcome {
    let mut configuration = settings::load(&arguments.config, "evaluate")?;
    if configuration.settings.task_name == "evaluate" {
        configuration.settings.task_name = "robustness".into();
    }
    let settings = &configuration.settings;
    if arguments.dataset.manifest.is_none() && need(&settings.data, "data")?.root.is_none() {
        return Err(Failure::usage("give the images to test with: data.root=DIR, or --manifest FILE"));
    }
    let rules = arguments.rules.rules(arguments.plan.preset);
    rules.validate(arguments.plan.baseline.is_some()).map_err(Failure::usage)?;
    let baseline = arguments.plan.baseline.as_deref().map(Robustness::load).transpose()?;
    let (model, bundle) = open(arguments)?;
    let held = run_dir::create(&configuration, Verb::Robustness, arguments.output.out.as_deref())?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let asked = Asked { split: arguments.split, manifest: arguments.dataset.manifest.as_deref() };
    let judged = Judge { classes: model.classes(), bundle: bundle.as_ref() };
    let selection = selection::select(&asked, &judged, settings, &dir.join("data"), &console)?;
    console.note(&selection.sentence());
    let plan = Plan::new(&arguments.plan, model.side());
    let test = Test { model: &*model, plan: &plan, settings, selection: &selection, progress: &console };
    let (trial, sheet) = test.run()?;
    let origin =
        Origin { dataset_version: selection.dataset_version.clone(), seed: settings.seed, ..plan.origin(&*model) };
    let mut result = Robustness::new(&trial, origin, baseline.as_ref())?;
    result.gate = rules.decide(&result);
    result.save(&dir.join(Robustness::FILE))?;
    files::write_atomic(&dir.join("robustness.csv"), robustness::csv(&result).as_bytes())?;
    let curves = robustness::figure(&result);
    files::write_atomic(&dir.join("robustness.svg"), curves.as_bytes())?;
    files::write_atomic(&dir.join("robustness.png"), &kidu_plot::png(&curves, 1.0).map_err(anyhow::Error::from)?)?;
    files::write_atomic(&dir.join("corruptions.png"), &sheet::png(&sheet.draw(Background::Light))?)?;
    if arguments.output.json {
        ui::json(&result)?;
    } else {
        ui::line(robustness::summary(&result).trim_end());
    }
    ui::place("wrote", dir);
    let refusal = result.gate.as_ref().and_then(GateDecision::refusal);
    refusal.map_or(Ok(()), |rules| Err(Failure::Refused(rules)))
}

/// The model, and its bundle if it is here.
fn open(arguments: &RobustnessArgs) -> Outcome<(Box<dyn Model>, Option<Bundle>)> {
    match (&arguments.bundle, &arguments.url) {
        (Some(dir), _) => {
            let bundle = Bundle::open(dir)?;
            Ok((Box::new(BundleModel::open(&bundle)?), Some(bundle)))
        }
        (None, Some(url)) => Ok((Box::new(Endpoint::connect(url, &arguments.endpoint)?), None)),
        (None, None) => Err(Failure::usage("give the model: --bundle DIR, or --url URL")),
    }
}

/// One test.
struct Test<'a> {
    model: &'a dyn Model,
    plan: &'a Plan,
    settings: &'a Settings,
    selection: &'a Selection,
    progress: &'a dyn Progress,
}

/// An image with its class, as an index of the model's.
struct Photo {
    path: PathBuf,
    sample: Sample,
    /// Its place among the images of the selection, on which its random numbers depend.
    key: u64,
}

impl Test<'_> {
    /// Corrupts and asks, a few images at a time: each is decoded once, and no more than those are in memory.
    fn run(&self) -> Outcome<(Trial, Sheet)> {
        let photos = self.photos()?;
        let cells: Vec<(Corruption, Severity)> = self.plan.cells();
        let mut trial = Trial {
            classes: self.model.classes().as_slice().to_vec(),
            corrupted: cells.iter().map(|(corruption, severity)| empty(*corruption, *severity)).collect(),
            ..Trial::default()
        };
        let mut sheet = None;
        self.progress.begin("test", "answers", Some((photos.len() * (cells.len() + 1)) as u64));
        for chunk in photos.chunks(CHUNK) {
            let read: Vec<(&Photo, RgbImage)> = self.read(chunk)?;
            if read.is_empty() {
                continue;
            }
            let images: Vec<RgbImage> = read.iter().map(|(_, image)| image.clone()).collect();
            sheet.get_or_insert_with(|| self.sheet(read[0].0, &images[0]));
            trial.clean.extend(self.model.answer(&images)?);
            self.progress.advance(chunk.len() as u64);
            for ((corruption, severity), answers) in cells.iter().zip(&mut trial.corrupted) {
                if stop::is_asked_for() {
                    return Err(Failure::Interrupted("run the same command again to test the model".into()));
                }
                let of = |(photo, image): &(&Photo, RgbImage)| self.corrupted(*corruption, *severity, photo, image);
                let corrupted: Vec<RgbImage> = read.par_iter().map(of).collect();
                answers.answers.extend(self.model.answer(&corrupted)?);
                self.progress.advance(chunk.len() as u64);
            }
            trial.samples.extend(read.into_iter().map(|(photo, _)| photo.sample.clone()));
        }
        self.progress.end();
        let sheet = sheet.ok_or_else(|| anyhow::anyhow!("none of the chosen images can be read"))?;
        Ok((trial, sheet))
    }

    fn corrupted(&self, corruption: Corruption, severity: Severity, photo: &Photo, image: &RgbImage) -> RgbImage {
        let keys = [u64::from(severity.get()), photo.key];
        let mut rng = rng::stream(self.settings.seed, &format!("corrupt {corruption}"), &keys);
        corruption.apply(image, severity, &mut rng)
    }

    /// The chosen images of the selection.
    fn photos(&self) -> Outcome<Vec<Photo>> {
        let manifest: &Arc<DatasetManifest> = &self.selection.manifest;
        let classes = super::evaluate::map_classes(&manifest.classes, self.model.classes())?;
        let splits = self.selection.which.splits();
        let items: Vec<_> = splits.iter().flat_map(|split| manifest.items_of(*split)).collect();
        let labels: Vec<usize> = items.iter().map(|item| item.label).collect();
        let chosen = plan::choose(&labels, self.plan.limit, self.settings.seed);
        let photo = |index: usize| Photo {
            path: manifest.file_of(items[index]),
            sample: Sample {
                path: items[index].path.clone(),
                sha256: items[index].sha256.to_string(),
                label: classes[items[index].label],
            },
            key: index as u64,
        };
        Ok(chosen.into_iter().map(photo).collect())
    }

    /// Decodes and reduces. What cannot be read is told and left out, unless the configuration says to stop.
    fn read<'p>(&self, photos: &'p [Photo]) -> Outcome<Vec<(&'p Photo, RgbImage)>> {
        let data = need(&self.settings.data, "data")?;
        let limits = data.limits();
        let load = |photo: &'p Photo| {
            (photo, load_one(&photo.path, &limits).map(|image| corrupt::reduce(image, self.plan.side)))
        };
        let loaded: Vec<_> = photos.par_iter().map(load).collect();
        let mut read = Vec::with_capacity(loaded.len());
        for (photo, image) in loaded {
            match image {
                Ok(image) => read.push((photo, image)),
                Err(error) if data.on_bad_image == kidu_data::settings::OnBadImage::Skip => {
                    self.progress.note(&format!("skipped {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(read)
    }

    /// One image under everything: a row for each corruption, a column for each severity.
    fn sheet(&self, photo: &Photo, image: &RgbImage) -> Sheet {
        let cell = |caption: String, image: &RgbImage| Cell { caption, image: corrupt::fit(image, TILE) };
        let row = |corruption: &Corruption| {
            let corrupted = self.plan.severities.iter().map(|severity| {
                cell(format!("severity {severity}"), &self.corrupted(*corruption, *severity, photo, image))
            });
            let cells = std::iter::once(cell("original".into(), image)).chain(corrupted).collect();
            Row { label: corruption.name().replace('_', " "), cells }
        };
        Sheet {
            title: format!("Corruptions of {}", photo.sample.path),
            columns: self.plan.severities.len(),
            tile: TILE,
            rows: self.plan.corruptions.iter().map(row).collect(),
        }
    }
}

fn empty(corruption: Corruption, severity: Severity) -> Answers {
    Answers {
        corruption: corruption.name().into(),
        category: corruption.category().name().into(),
        severity: severity.get(),
        answers: Vec::new(),
    }
}
