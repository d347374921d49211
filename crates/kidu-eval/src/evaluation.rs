//! `evaluation.json`: SageMaker's model-quality shape, and beside it all that Kidu knows of a model's performance.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use kidu_core::{ClassNames, files};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    bootstrap,
    confusion::{Averages, ClassCounts, ConfusionMatrix},
    error::{Error, Result},
    interval::{self, Interval},
    model_quality::ModelQuality,
    predictions::Predictions,
    ranking::Ranking,
    reliability::Reliability,
    scores::Scores,
};

/// How to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateOptions {
    /// The logits are divided by it; 1 leaves them as they are.
    pub temperature: f64,
    /// The `k` of the top-k accuracies. Those above the number of classes are left out.
    pub top_k: Vec<usize>,
    /// Bins of the reliability curve.
    pub bins: usize,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Number of bootstrap resamples.
    pub bootstrap_samples: usize,
    /// Seed of the resampling.
    pub seed: u64,
    /// Content version of the dataset.
    pub dataset_version: Option<String>,
    /// Content version of the split that was evaluated.
    pub test_split_version: Option<String>,
    /// Which images were chosen, and why.
    pub judged: Option<Judged>,
    /// [`kidu_core::Bundle::digest`] of the bundle that was judged. With it the registry refuses another one.
    pub bundle_sha256: Option<String>,
    /// Content hash of each image, in order. With them the gate can compare this model with another image by image.
    pub item_hashes: Option<Vec<String>>,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: vec![1, 2, 3, 5],
            bins: 15,
            confidence: 0.95,
            bootstrap_samples: 1000,
            seed: 42,
            dataset_version: None,
            test_split_version: None,
            judged: None,
            bundle_sha256: None,
            item_hashes: None,
        }
    }
}

/// `evaluation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// SageMaker's part.
    #[serde(rename = "multiclass_classification_metrics")]
    pub quality: ModelQuality,
    /// Kidu's part.
    #[serde(rename = "kidu")]
    pub details: Details,
}

/// All that SageMaker's shape has no place for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Version of this format, [`Evaluation::FORMAT`].
    pub format_version: u32,
    /// Class names; the confusion matrix names classes by their index here.
    pub classes: ClassNames,
    /// Number of images.
    pub images: usize,
    /// Content version of the dataset, if known.
    pub dataset_version: Option<String>,
    /// Content version of the evaluated split, if known.
    pub test_split_version: Option<String>,
    /// Which images were judged, and why these, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// SHA-256 of the `bundle.json` that was judged, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_sha256: Option<String>,
    /// Wilson's interval of the accuracy.
    pub accuracy_wilson: Interval,
    /// Percentile bootstrap interval of the accuracy.
    pub accuracy_bootstrap: Interval,
    /// Top-k accuracies, rising `k`.
    pub top_k: Vec<TopK>,
    /// Mean over the classes; absent classes count with 0.
    pub macro_average: Averages,
    /// Mean over the classes weighted by support.
    pub weighted_average: Averages,
    /// Over all decisions: the accuracy.
    pub micro_average: Averages,
    /// Mean recall of the classes that occur.
    pub balanced_accuracy: f64,
    /// Cohen's kappa; `null` if one class is all labels and all predictions.
    pub cohen_kappa: Option<f64>,
    /// Matthews' correlation coefficient.
    pub matthews_corrcoef: f64,
    /// Area under the ROC curve, one class against the rest.
    pub roc_auc: AreaAverages,
    /// Area under the precision-recall curve (average precision), one class against the rest.
    pub average_precision: AreaAverages,
    /// Calibration at [`Calibration::temperature`].
    pub calibration: Calibration,
    /// One row per class, in order.
    pub per_class: Vec<ClassMetrics>,
    /// Whether each image was predicted right, by content hash; an image that occurs again has `#2`, `#3`, ... after
    /// its hash. Empty if the hashes are unknown.
    pub correct: BTreeMap<String, bool>,
}

/// Which images of a dataset were judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// `train`, `val`, `test` or `all`.
    pub split: String,
    /// Why these, as a clause.
    pub reason: String,
}

/// A top-k accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopK {
    /// How many classes are looked at.
    pub k: usize,
    /// Share of the images whose class is among them.
    pub accuracy: f64,
}

/// Averages of an area over the classes for which it is defined; `null` if there are none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AreaAverages {
    /// Each class with the same weight.
    #[serde(rename = "macro")]
    pub macro_average: Option<f64>,
    /// Weighted by the number of images.
    pub weighted: Option<f64>,
}

/// How far the probabilities can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The logits were divided by it.
    pub temperature: f64,
    /// Mean negative log likelihood.
    pub log_loss: f64,
    /// Brier score.
    pub brier_score: f64,
    /// Calibration errors and the reliability curve.
    #[serde(flatten)]
    pub reliability: Reliability,
    /// Log loss at temperature 1.
    pub uncalibrated_log_loss: f64,
    /// Expected calibration error at temperature 1.
    pub uncalibrated_expected_calibration_error: f64,
}

/// One class against the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Name of the class.
    pub class: String,
    /// Images of the class.
    pub support: u64,
    /// Images predicted as the class.
    pub predicted: u64,
    /// Precision; 0 if nothing was predicted as the class.
    pub precision: f64,
    /// Recall; 0 if there are no images of the class.
    pub recall: f64,
    /// F1; 0 if the class neither occurs nor was predicted.
    pub f1: f64,
    /// Area under the ROC curve; `null` without images of the class or of the others.
    pub roc_auc: Option<f64>,
    /// Average precision; `null` without images of the class.
    pub average_precision: Option<f64>,
}

impl Evaluation {
    /// The version of the format that this code writes and reads.
    pub const FORMAT: u32 = 1;
    /// The usual file name.
    pub const FILE: &'static str = "evaluation.json";

    /// Share of right predictions.
    pub fn accuracy(&self) -> f64 {
        self.quality.accuracy.value
    }

    /// The confusion matrix.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.quality.confusion_matrix
    }

    /// Class names.
    pub fn classes(&self) -> &ClassNames {
        &self.details.classes
    }

    /// Headline metrics by name, for a bundle's manifest, a registry entry or a tracker: `test/acc`, `test/f1_macro`,
    /// ... with `prefix` (here `test`) before the slash. Undefined ones are left out.
    pub fn headline(&self, prefix: &str) -> BTreeMap<String, f64> {
        let d = &self.details;
        let always = [
            ("acc", self.accuracy()),
            ("loss", d.calibration.log_loss),
            ("balanced_acc", d.balanced_accuracy),
            ("precision_macro", d.macro_average.precision),
            ("recall_macro", d.macro_average.recall),
            ("f1_macro", d.macro_average.f1),
            ("f1_weighted", d.weighted_average.f1),
            ("mcc", d.matthews_corrcoef),
            ("brier", d.calibration.brier_score),
            ("ece", d.calibration.reliability.expected_calibration_error),
        ];
        let sometimes =
            [("roc_auc_macro", d.roc_auc.macro_average), ("pr_auc_macro", d.average_precision.macro_average)];
        let defined = sometimes.into_iter().filter_map(|(name, value)| value.map(|v| (name, v)));
        always.into_iter().chain(defined).map(|(name, value)| (format!("{prefix}/{name}"), value)).collect()
    }

    /// Writes `evaluation.json`, atomically.
    ///
    /// # Errors
    /// [`Error::Core`].
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(files::write_json(path, self)?)
    }

    /// Reads `evaluation.json` as written by [`Evaluation::save`].
    ///
    /// # Errors
    /// [`Error::Core`] if it cannot be read, is of another format version, or its parts disagree on the classes.
    pub fn load(path: &Path) -> Result<Self> {
        let evaluation: Self = files::read_json(path, "evaluation written by `kidu evaluate`")?;
        let d = &evaluation.details;
        let fail = |reason: String| Err(Error::Core(kidu_core::Error::format(path, reason)));
        if d.format_version != Self::FORMAT {
            return fail(format!(
                "format version {} is not {}; write it again with `kidu evaluate`",
                d.format_version,
                Self::FORMAT
            ));
        }
        let sizes = [d.classes.len(), d.per_class.len(), evaluation.confusion().classes()];
        if sizes.iter().any(|s| *s != sizes[0]) {
            return fail(format!(
                "has {} classes, {} rows per class and a confusion matrix of {}; write it again with `kidu evaluate`",
                sizes[0], sizes[1], sizes[2]
            ));
        }
        Ok(evaluation)
    }
}

/// Computes every metric of a set of predictions. The same predictions and options give the same numbers, bit for bit,
/// on any number of threads.
///
/// # Errors
/// [`Error::Option`] for an option out of its range, or hashes that are not one per image.
pub fn evaluate(predictions: &Predictions, options: &EvaluateOptions) -> Result<Evaluation> {
    let scores = Scores::new(predictions, options.temperature)?;
    let classes = predictions.classes();
    let predicted = scores.images().iter().map(|s| s.predicted);
    let pairs: Vec<(usize, usize)> = predictions.labels().iter().copied().zip(predicted).collect();
    let confusion = ConfusionMatrix::from_pairs(classes.len(), pairs.iter().copied())?;
    let counts = confusion.class_counts();
    let correct = scores.correct();
    let right = correct.iter().filter(|c| **c).count() as u64;
    let (confidence, samples) = (options.confidence, options.bootstrap_samples);
    let accuracy_bootstrap = bootstrap::accuracy_interval(&correct, confidence, samples, options.seed)?;
    let per_class = per_class(&scores, &counts);

    let details = Details {
        format_version: Evaluation::FORMAT,
        classes: classes.clone(),
        images: predictions.len(),
        dataset_version: options.dataset_version.clone(),
        test_split_version: options.test_split_version.clone(),
        judged: options.judged.clone(),
        bundle_sha256: options.bundle_sha256.clone(),
        accuracy_wilson: interval::wilson(right, predictions.len() as u64, confidence)?,
        accuracy_bootstrap,
        top_k: top_k(&scores, &options.top_k)?,
        macro_average: counts.macro_average(),
        weighted_average: counts.weighted_average(),
        micro_average: counts.micro_average(),
        balanced_accuracy: counts.balanced_accuracy(),
        cohen_kappa: counts.cohen_kappa(),
        matthews_corrcoef: counts.matthews_corrcoef(),
        roc_auc: average_area(&per_class, |c| c.roc_auc),
        average_precision: average_area(&per_class, |c| c.average_precision),
        calibration: calibration(&scores, options.bins)?,
        per_class,
        correct: match &options.item_hashes {
            Some(hashes) => by_hash(predictions, hashes, &correct)?,
            None => BTreeMap::new(),
        },
    };
    let quality = ModelQuality::new(&pairs, confusion, samples, options.seed);
    Ok(Evaluation { quality, details })
}

fn top_k(scores: &Scores<'_>, ks: &[usize]) -> Result<Vec<TopK>> {
    if ks.contains(&0) {
        return Err(Error::option("top_k", "0 classes hold no label; the least k is 1"));
    }
    let mut ks: Vec<usize> = ks.iter().copied().filter(|k| *k <= scores.predictions().classes().len()).collect();
    ks.sort_unstable();
    ks.dedup();
    Ok(ks.into_iter().map(|k| TopK { k, accuracy: scores.top_k_accuracy(k) }).collect())
}

fn per_class(scores: &Scores<'_>, counts: &ClassCounts) -> Vec<ClassMetrics> {
    let classes = scores.predictions().classes();
    (0..classes.len())
        .into_par_iter()
        .map(|c| {
            let ranking = ranking_of(scores, c);
            ClassMetrics {
                class: classes[c].to_string(),
                support: counts.support[c],
                predicted: counts.predicted[c],
                precision: counts.precision(c),
                recall: counts.recall(c),
                f1: counts.f_beta(c, 1.0),
                roc_auc: ranking.roc_auc(),
                average_precision: ranking.average_precision(),
            }
        })
        .collect()
}

/// One class against the rest, by its probability.
pub fn ranking_of(scores: &Scores<'_>, class: usize) -> Ranking {
    let labels = scores.predictions().labels();
    Ranking::new(scores.of_class(class).into_iter().zip(labels).map(|(p, label)| (p, *label == class)))
}

fn average_area(classes: &[ClassMetrics], area: impl Fn(&ClassMetrics) -> Option<f64>) -> AreaAverages {
    let mean = |weight: &dyn Fn(&ClassMetrics) -> f64| {
        let defined = classes.iter().filter_map(|c| area(c).map(|a| (a, weight(c))));
        let (sum, total) = defined.fold((0.0, 0.0), |s, (a, w)| (s.0 + a * w, s.1 + w));
        (total > 0.0).then(|| sum / total)
    };
    AreaAverages { macro_average: mean(&|_| 1.0), weighted: mean(&|c| c.support as f64) }
}

fn calibration(scores: &Scores<'_>, bins: usize) -> Result<Calibration> {
    let plain = Scores::new(scores.predictions(), 1.0)?;
    Ok(Calibration {
        temperature: scores.temperature(),
        log_loss: scores.log_loss(),
        brier_score: scores.brier_score(),
        reliability: Reliability::new(scores, bins)?,
        uncalibrated_log_loss: plain.log_loss(),
        uncalibrated_expected_calibration_error: Reliability::new(&plain, bins)?.expected_calibration_error,
    })
}

/// The same bytes may stand in a split twice, even under different labels: the copies are told apart by the order of
/// their labels, which does not depend on the order of the images.
fn by_hash(predictions: &Predictions, hashes: &[String], correct: &[bool]) -> Result<BTreeMap<String, bool>> {
    if hashes.len() != predictions.len() {
        let reason = format!("{} hashes for {} images; pass one per image", hashes.len(), predictions.len());
        return Err(Error::option("item_hashes", reason));
    }
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_by_key(|i| (&hashes[*i], predictions.labels()[*i]));
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let keyed = order.into_iter().map(|i| {
        let count = seen.entry(&hashes[i]).or_insert(0);
        *count += 1;
        let key = if *count == 1 { hashes[i].clone() } else { format!("{}#{count}", hashes[i]) };
        (key, correct[i])
    });
    Ok(keyed.collect())
}
