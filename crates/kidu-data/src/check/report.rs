//! From measurements to the whole result.

use std::path::PathBuf;

use kidu_core::{Progress, Split};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    alike::{self, Copies},
    classes,
    confident::{self, LabelQuality},
    facts::Facts,
    features::{self, Features},
    finding::{FileRef, Finding},
    kind::{Kind, Severity},
    logistic, near, rules,
    survey::Survey,
};
use crate::{error::Result, index::Layout, settings::DataSettings};

/// What is known of the images beside their files.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Features of a network, of the images that can be read.
    pub features: Option<Features>,
    /// Probabilities of models that were not fitted on the image, for some of the files.
    pub predictions: Option<FilePredictions>,
}

/// Probabilities for some of the files.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePredictions {
    /// Place of each row's file in the survey.
    pub files: Vec<usize>,
    /// `[rows, classes]`, with the classes of the survey.
    pub probabilities: Vec<f64>,
    /// Where they come from.
    pub source: String,
}

/// The result of a check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Version of this format.
    pub format_version: u32,
    /// Where the paths begin.
    pub root: PathBuf,
    /// How the files were found; `None` for a manifest.
    pub layout: Option<Layout>,
    /// Number of files that were looked at.
    pub images: usize,
    /// Their bytes together.
    pub bytes: u64,
    /// Files that can be trained on, of each class and split.
    pub classes: Vec<ClassRow>,
    /// How many findings there are of each kind and severity, the worst first.
    pub summary: Vec<SummaryLine>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What labels were judged by, and how well they agree.
    pub labels: Option<LabelReport>,
    /// Sentences on what was left aside.
    pub notes: Vec<String>,
}

/// One class in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassRow {
    /// Name of the class.
    pub class: String,
    /// Files to train on, or of no stated split.
    pub train: usize,
    /// Files of the stated validation split.
    pub val: usize,
    /// Files of the stated test split.
    pub test: usize,
    /// Files that have a finding of at least a warning.
    pub with_findings: usize,
}

/// How many findings there are of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SummaryLine {
    /// The kind.
    pub kind: Kind,
    /// The severity.
    pub severity: Severity,
    /// Number of findings.
    pub findings: usize,
    /// Number of files in them.
    pub files: usize,
}

/// How labels were judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelReport {
    /// What the predictions come from.
    pub source: String,
    /// Number of images whose labels were judged.
    pub images: usize,
    /// The share of them whose label is the most probable class.
    pub accuracy: f64,
    /// Mean probability of each class among the images that carry its label.
    pub thresholds: Vec<f64>,
    /// `[given, likely]`: the estimated number of images of each pair of classes.
    pub joint: Vec<Vec<usize>>,
    /// Path and score of each image in [0, 1], the most suspect first.
    pub scores: Vec<(String, f64)>,
}

impl CheckReport {
    /// The usual name of the file.
    pub const FILE: &'static str = "check.json";
    /// The version of the format that this code writes.
    pub const FORMAT: u32 = 1;

    /// The worst severity of all findings.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }

    /// Number of findings of at least a severity.
    pub fn at_least(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity >= severity).count()
    }

    /// Takes out findings, as those that a fix has settled.
    pub fn retain(&mut self, keep: impl Fn(&Finding) -> bool) {
        self.findings.retain(keep);
        self.summary = summarise(&self.findings);
    }
}

/// Applies all rules to what was measured of a survey's files.
///
/// # Errors
/// [`DataError::Workers`](crate::DataError::Workers) when threads cannot be started.
pub fn judge(
    survey: &Survey,
    facts: &[Facts],
    evidence: &Evidence,
    settings: &DataSettings,
    seed: u64,
    progress: &dyn Progress,
) -> Result<CheckReport> {
    settings.pool()?.install(|| Ok(judge_all(survey, facts, evidence, settings, seed, progress)))
}

fn judge_all(
    survey: &Survey,
    facts: &[Facts],
    evidence: &Evidence,
    settings: &DataSettings,
    seed: u64,
    progress: &dyn Progress,
) -> CheckReport {
    let check = &settings.check;
    let mut findings: Vec<Finding> =
        facts.par_iter().enumerate().flat_map_iter(|(i, f)| rules::findings(survey, i, f, check)).collect();
    let usable: Vec<bool> = facts.iter().map(|f| f.pixels.is_some()).collect();
    findings.extend(classes::findings(survey, &usable, settings));
    findings.extend(alike::exact(survey, facts));

    progress.begin("compare images", "steps", Some(2));
    let copies = Copies::of(facts);
    let mut thumbnails = vec![None; facts.len()];
    copies.first.iter().for_each(|i| thumbnails[*i] = facts[*i].thumbnail.as_ref());
    let pairs = near::pairs(&thumbnails, check);
    findings.extend(alike::near(survey, facts, &copies, &pairs, check));
    progress.advance(1);
    if let Some(features) = &evidence.features {
        let mut alike_in_features = features::similar(features, check.feature_similarity, seed);
        alike_in_features
            .retain(|p| copies.first.binary_search(&p.a).is_ok() && copies.first.binary_search(&p.b).is_ok());
        findings.extend(alike::featured(survey, facts, &copies, &alike_in_features, &pairs, check));
    }
    progress.end();

    let labels = if check.label_errors { labels(survey, facts, evidence, settings, seed, progress) } else { None };
    let labels = labels.map(|(found, report)| {
        findings.extend(found);
        report
    });
    findings.sort_by(|a, b| {
        (std::cmp::Reverse(a.severity), a.kind).cmp(&(std::cmp::Reverse(b.severity), b.kind)).then_with(|| {
            match a.kind {
                // Suspects come in the order of their scores.
                Kind::LabelError => a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0)),
                _ => a.files.cmp(&b.files),
            }
        })
    });
    CheckReport {
        format_version: CheckReport::FORMAT,
        root: survey.root.clone(),
        layout: survey.layout,
        images: survey.files.len(),
        bytes: facts.iter().map(|f| f.bytes).sum(),
        classes: class_rows(survey, &usable, &findings),
        summary: summarise(&findings),
        findings,
        labels,
        notes: survey.notes.clone(),
    }
}

/// Suspect labels. Predictions that were given are taken as they are; otherwise a logistic regression is fitted on
/// features, fold by fold.
fn labels(
    survey: &Survey,
    facts: &[Facts],
    evidence: &Evidence,
    settings: &DataSettings,
    seed: u64,
    progress: &dyn Progress,
) -> Option<(Vec<Finding>, LabelReport)> {
    let classes = survey.classes.len();
    if classes < 2 {
        return None;
    }
    let by_hand = evidence.features.is_none() && evidence.predictions.is_none();
    let predictions = match &evidence.predictions {
        Some(given) => given.clone(),
        None => {
            let described;
            let features = match &evidence.features {
                Some(features) => features,
                None => {
                    described = descriptors(facts);
                    &described
                }
            };
            let labels: Vec<usize> = features.images.iter().map(|i| survey.files[*i].class).collect();
            let folds = settings.check.label_folds;
            if labels.len() < 2 * folds.max(classes) {
                return None;
            }
            progress.begin("judge labels", "folds", None);
            let probabilities = logistic::out_of_fold(features, &labels, classes, folds, seed);
            progress.end();
            FilePredictions { files: features.images.clone(), probabilities, source: features.source.clone() }
        }
    };
    let labels: Vec<usize> = predictions.files.iter().map(|i| survey.files[*i].class).collect();
    let quality = confident::judge(&labels, &predictions.probabilities, classes);
    // Colours and edges tell scenes apart, not faces: what they say is a hint.
    let severity = if by_hand { Severity::Info } else { Kind::LabelError.severity() };
    let found = suspects(survey, &predictions, &quality, severity);
    let mut scores: Vec<(String, f64)> =
        predictions.files.iter().zip(&quality.scores).map(|(f, s)| (survey.files[*f].path.clone(), *s)).collect();
    scores.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    let LabelQuality { thresholds, joint, accuracy, .. } = quality;
    let report = LabelReport { source: predictions.source, images: labels.len(), accuracy, thresholds, joint, scores };
    Some((found, report))
}

fn descriptors(facts: &[Facts]) -> Features {
    let known: Vec<usize> = (0..facts.len()).filter(|i| facts[*i].descriptor.is_some()).collect();
    let values =
        known.iter().filter_map(|i| facts[*i].descriptor.as_ref()).flat_map(super::Descriptor::values).collect();
    Features {
        images: known,
        dimensions: super::Descriptor::LEN,
        values,
        source: "colours and edges; give --bundle for a network's features, which know far more".into(),
    }
}

fn suspects(
    survey: &Survey,
    predictions: &FilePredictions,
    quality: &LabelQuality,
    severity: Severity,
) -> Vec<Finding> {
    let finding = |s: &confident::Suspect| {
        let file = FileRef::of(survey, predictions.files[s.row]);
        let likely = survey.classes[s.likely].clone();
        let message = format!(
            "is labelled {} ({:.0} %) and looks like {likely} ({:.0} %)",
            file.class,
            100.0 * s.self_confidence,
            100.0 * s.probability
        );
        Finding {
            severity,
            value: Some(quality.scores[s.row]),
            class: Some(file.class.clone()),
            files: vec![file],
            suggested: Some(likely),
            ..Finding::new(Kind::LabelError, message)
        }
    };
    quality.suspects.iter().map(finding).collect()
}

fn class_rows(survey: &Survey, usable: &[bool], findings: &[Finding]) -> Vec<ClassRow> {
    let mut rows: Vec<ClassRow> = survey
        .classes
        .iter()
        .map(|class| ClassRow { class: class.clone(), train: 0, val: 0, test: 0, with_findings: 0 })
        .collect();
    let notable = findings.iter().filter(|f| f.severity >= Severity::Warning);
    let named: std::collections::HashSet<&str> =
        notable.flat_map(|f| f.files.iter().map(|r| r.path.as_str())).collect();
    for (file, usable) in survey.files.iter().zip(usable) {
        let row = &mut rows[file.class];
        row.with_findings += usize::from(named.contains(file.path.as_str()));
        match file.split.unwrap_or(Split::Train) {
            _ if !usable => {}
            Split::Train => row.train += 1,
            Split::Val => row.val += 1,
            Split::Test => row.test += 1,
        }
    }
    rows
}

fn summarise(findings: &[Finding]) -> Vec<SummaryLine> {
    let mut lines: Vec<SummaryLine> = Vec::new();
    for finding in findings {
        let files = finding.files.len();
        match lines.iter_mut().find(|l| l.kind == finding.kind && l.severity == finding.severity) {
            Some(line) => {
                line.findings += 1;
                line.files += files;
            }
            None => lines.push(SummaryLine { kind: finding.kind, severity: finding.severity, findings: 1, files }),
        }
    }
    lines
}
