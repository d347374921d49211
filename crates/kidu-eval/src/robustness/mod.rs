//! How a classifier bears corrupted images: accuracy for each corruption and severity, the mean corruption error of
//! Hendrycks and Dietterich 2019 (arXiv:1903.12261), and the smallest severity that flips each prediction.
//!
//! Who corrupts and predicts hands in [`Answers`]; everything here is arithmetic on them.

mod rules;
mod show;

use std::{collections::BTreeMap, path::Path};

use kidu_core::files;
use serde::{Deserialize, Serialize};

pub use self::{
    rules::RobustnessRules,
    show::{csv, figure, figures, summary, table},
};
use crate::{
    error::{Error, Result},
    gate::GateDecision,
    interval::{self, Interval},
};

/// What a model said of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The most probable class, as an index of [`Trial::classes`].
    pub class: usize,
    /// Its probability.
    pub confidence: f64,
}

/// One image of the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its path within the dataset.
    pub path: String,
    /// Hash of its content.
    pub sha256: String,
    /// Its class.
    pub label: usize,
}

/// Answers to all images under one corruption.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The corruption.
    pub corruption: String,
    /// Its kind: noise, blur, weather, digital.
    pub category: String,
    /// How much of it, 1 to 5.
    pub severity: u8,
    /// One for each image, in order.
    pub answers: Vec<Answer>,
}

/// Everything that was asked and answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The images.
    pub samples: Vec<Sample>,
    /// Answers to the images as they are.
    pub clean: Vec<Answer>,
    /// Answers to the corrupted images; those of one corruption follow each other by severity.
    pub corrupted: Vec<Answers>,
}

/// Where a result comes from; part of `robustness.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's name.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The endpoint that answered; none for a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Content version of the dataset.
    pub dataset_version: String,
    /// Seed of the choice of images and of what is random in the corruptions.
    pub seed: u64,
    /// The preset that it began with.
    pub preset: String,
    /// The shorter side of the images when they were corrupted, in pixels.
    pub image_side: u32,
}

/// Accuracy under one corruption of one severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// 1 to 5.
    pub severity: u8,
    /// Share of right answers, in [0, 1].
    pub accuracy: f64,
    /// Wilson's 95 % interval of it.
    pub interval: Interval,
    /// Share of answers that differ from the clean image's.
    pub flipped: f64,
    /// Mean probability of the answered class.
    pub mean_confidence: f64,
}

/// One corruption over its severities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorruptionResult {
    /// Its name, as `gaussian_noise`.
    pub name: String,
    /// Its kind.
    pub category: String,
    /// Mean accuracy over its severities.
    pub accuracy: f64,
    /// By severity.
    pub cells: Vec<Cell>,
    /// Corruption error: the sum of errors over that of the baseline; none without one, or if the baseline made no error.
    #[serde(default)]
    pub corruption_error: Option<f64>,
    /// The same of what the corruption adds to the clean error; none where it adds nothing to the baseline's.
    #[serde(default)]
    pub relative_corruption_error: Option<f64>,
}

/// One image and what it bears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageResult {
    /// Its path within the dataset.
    pub path: String,
    /// Hash of its content.
    pub sha256: String,
    /// Its class.
    pub label: String,
    /// What the model says of the image as it is.
    pub predicted: String,
    /// For each corruption the smallest severity that gives another answer; null if none does.
    pub flips_at: BTreeMap<String, Option<u8>>,
}

/// The model that corruption errors are relative to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its name and version.
    pub model: String,
    /// Its accuracy on clean images.
    pub clean_accuracy: f64,
    /// Whether it was judged on the same images.
    pub same_images: bool,
}

/// `robustness.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Robustness {
    /// 1.
    pub schema_version: u32,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Number of images.
    pub images: usize,
    /// Accuracy on the images as they are.
    pub clean_accuracy: f64,
    /// Wilson's 95 % interval of it.
    pub clean_interval: Interval,
    /// Mean accuracy over corruptions and severities.
    pub mean_accuracy: f64,
    /// Mean share of answers that a corruption changes.
    pub mean_flipped: f64,
    /// Mean corruption error against the baseline: 1 is as bad as it.
    #[serde(default)]
    pub mce: Option<f64>,
    /// Mean relative corruption error.
    #[serde(default)]
    pub relative_mce: Option<f64>,
    /// The baseline.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// By corruption.
    pub corruptions: Vec<CorruptionResult>,
    /// By image.
    pub per_image: Vec<ImageResult>,
    /// What the rules say; none without rules.
    #[serde(default)]
    pub gate: Option<GateDecision>,
}

impl Robustness {
    /// The usual file name.
    pub const FILE: &'static str = "robustness.json";

    /// Summarises a trial, against an earlier result if there is one.
    ///
    /// # Errors
    /// [`Error::Empty`] without images or corruptions; [`Error::Option`] for answers that do not fit the images, or a
    /// baseline without the same corruptions and severities.
    pub fn new(trial: &Trial, origin: Origin, baseline: Option<&Self>) -> Result<Self> {
        check(trial)?;
        let clean = trial.right(&trial.clean);
        let mut corruptions: Vec<CorruptionResult> = Vec::new();
        for answers in &trial.corrupted {
            let cell = trial.cell(answers)?;
            match corruptions.last_mut().filter(|c| c.name == answers.corruption) {
                Some(of_same) => of_same.cells.push(cell),
                None => corruptions.push(CorruptionResult {
                    name: answers.corruption.clone(),
                    category: answers.category.clone(),
                    accuracy: 0.0,
                    cells: vec![cell],
                    corruption_error: None,
                    relative_corruption_error: None,
                }),
            }
        }
        for corruption in &mut corruptions {
            corruption.accuracy = mean(corruption.cells.iter().map(|c| c.accuracy));
        }
        let mut result = Self {
            schema_version: 1,
            origin,
            images: trial.samples.len(),
            clean_accuracy: clean as f64 / trial.samples.len() as f64,
            clean_interval: interval::wilson(clean, trial.samples.len() as u64, CONFIDENCE)?,
            mean_accuracy: mean(corruptions.iter().map(|c| c.accuracy)),
            mean_flipped: mean(corruptions.iter().map(|c| mean(c.cells.iter().map(|cell| cell.flipped)))),
            mce: None,
            relative_mce: None,
            baseline: None,
            corruptions,
            per_image: trial.per_image(),
            gate: None,
        };
        if let Some(baseline) = baseline {
            result.compare(baseline)?;
        }
        Ok(result)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Core`] if it cannot be read or is none.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(files::read_json(path, "robustness test")?)
    }

    /// Writes it, atomically.
    ///
    /// # Errors
    /// [`Error::Core`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(files::write_json(path, self)?)
    }

    /// Corruption errors against `baseline`.
    fn compare(&mut self, baseline: &Self) -> Result<()> {
        let clean = 1.0 - self.clean_accuracy;
        let baseline_clean = 1.0 - baseline.clean_accuracy;
        for corruption in &mut self.corruptions {
            let (mut errors, mut added) = ((0.0, 0.0), (0.0, 0.0));
            for cell in &corruption.cells {
                let other = baseline.accuracy_of(&corruption.name, cell.severity).ok_or_else(|| {
                    let what = format!("severity {} of {}", cell.severity, corruption.name);
                    Error::option("baseline", format!("it was not tested with {what}; test both models alike"))
                })?;
                errors = (errors.0 + 1.0 - cell.accuracy, errors.1 + 1.0 - other);
                added = (added.0 + 1.0 - cell.accuracy - clean, added.1 + 1.0 - other - baseline_clean);
            }
            let ratio = |(own, others): (f64, f64)| (others > 1e-12).then(|| own / others);
            corruption.corruption_error = ratio(errors);
            corruption.relative_corruption_error = ratio(added);
        }
        let all = |of: fn(&CorruptionResult) -> Option<f64>| {
            let known: Vec<f64> = self.corruptions.iter().filter_map(of).collect();
            (!known.is_empty()).then(|| mean(known.into_iter()))
        };
        self.mce = all(|c| c.corruption_error);
        self.relative_mce = all(|c| c.relative_corruption_error);
        let hashes = |r: &Self| r.per_image.iter().map(|i| i.sha256.clone()).collect::<std::collections::BTreeSet<_>>();
        self.baseline = Some(Baseline {
            model: format!("{}@{}", baseline.origin.model, baseline.origin.version),
            clean_accuracy: baseline.clean_accuracy,
            same_images: hashes(self) == hashes(baseline),
        });
        Ok(())
    }

    fn accuracy_of(&self, corruption: &str, severity: u8) -> Option<f64> {
        let corruption = self.corruptions.iter().find(|c| c.name == corruption)?;
        corruption.cells.iter().find(|c| c.severity == severity).map(|c| c.accuracy)
    }
}

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

fn check(trial: &Trial) -> Result<()> {
    if trial.samples.is_empty() || trial.corrupted.is_empty() {
        return Err(Error::Empty);
    }
    let all = trial.corrupted.iter().map(|a| &a.answers).chain([&trial.clean]);
    for answers in all {
        let classes = answers.iter().map(|a| a.class).chain(trial.samples.iter().map(|s| s.label));
        if answers.len() != trial.samples.len() || classes.max() >= Some(trial.classes.len()) {
            let reason = format!(
                "{} answers to {} images of {} classes do not belong together",
                answers.len(),
                trial.samples.len(),
                trial.classes.len()
            );
            return Err(Error::option("answers", reason));
        }
    }
    Ok(())
}

impl Trial {
    fn right(&self, answers: &[Answer]) -> u64 {
        self.samples.iter().zip(answers).filter(|(sample, answer)| sample.label == answer.class).count() as u64
    }

    fn cell(&self, of: &Answers) -> Result<Cell> {
        let n = self.samples.len();
        let right = self.right(&of.answers);
        let flipped = self.clean.iter().zip(&of.answers).filter(|(clean, now)| clean.class != now.class).count();
        Ok(Cell {
            severity: of.severity,
            accuracy: right as f64 / n as f64,
            interval: interval::wilson(right, n as u64, CONFIDENCE)?,
            flipped: flipped as f64 / n as f64,
            mean_confidence: mean(of.answers.iter().map(|a| a.confidence)),
        })
    }

    fn per_image(&self) -> Vec<ImageResult> {
        let result = |(at, sample): (usize, &Sample)| {
            let mut flips_at: BTreeMap<String, Option<u8>> = BTreeMap::new();
            for answers in &self.corrupted {
                let flips = answers.answers[at].class != self.clean[at].class;
                let least = flips_at.entry(answers.corruption.clone()).or_default();
                if flips {
                    *least = Some(least.map_or(answers.severity, |l| l.min(answers.severity)));
                }
            }
            ImageResult {
                path: sample.path.clone(),
                sha256: sample.sha256.clone(),
                label: self.classes[sample.label].clone(),
                predicted: self.classes[self.clean[at].class].clone(),
                flips_at,
            }
        };
        self.samples.iter().enumerate().map(result).collect()
    }
}

#[cfg(test)]
mod tests;
