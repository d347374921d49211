//! SageMaker's model-quality report for classifiers: what a pipeline's condition step and the model registry read.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{below, replicates},
    confusion::{ClassCounts, ConfusionMatrix},
    interval::proportion_std,
};

/// A metric and how far it would vary on other images of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// The metric, in [0, 1].
    pub value: f64,
    /// Its standard deviation: `sqrt(p (1 - p) / n)` for shares of images, by the bootstrap for the others.
    pub standard_deviation: f64,
}

/// `multiclass_classification_metrics` of SageMaker Model Monitor, with its names. The "best constant classifier"
/// always answers the most frequent class of the test set: what a model must beat to be worth anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it; defined by SageMaker")]
pub struct ModelQuality {
    /// Outer key: true class, inner key: predicted class, both as index.
    pub confusion_matrix: ConfusionMatrix,
    pub accuracy: MetricValue,
    pub weighted_recall: MetricValue,
    pub weighted_precision: MetricValue,
    pub weighted_f0_5: MetricValue,
    pub weighted_f1: MetricValue,
    pub weighted_f2: MetricValue,
    pub accuracy_best_constant_classifier: MetricValue,
    pub weighted_recall_best_constant_classifier: MetricValue,
    pub weighted_precision_best_constant_classifier: MetricValue,
    pub weighted_f0_5_best_constant_classifier: MetricValue,
    pub weighted_f1_best_constant_classifier: MetricValue,
    pub weighted_f2_best_constant_classifier: MetricValue,
}

/// Weighted precision, F0.5, F1 and F2.
type Weighted = [f64; 4];

impl ModelQuality {
    /// Computes the report from pairs of (true, predicted) class and their confusion matrix. There must be at least
    /// one pair, and every class must be inside the matrix.
    pub(crate) fn new(pairs: &[(usize, usize)], confusion_matrix: ConfusionMatrix, samples: usize, seed: u64) -> Self {
        let counts = confusion_matrix.class_counts();
        let constant = most_frequent(&counts);
        let of = |counts: &ClassCounts| (weighted(counts), weighted(&always(constant, counts)));
        let resampled =
            replicates(samples, seed, "bootstrap weighted metrics", |rng| of(&resample(pairs, &counts, rng)));

        let share = |p: f64| MetricValue { value: p, standard_deviation: proportion_std(p, pairs.len()) };
        let (model, best_constant) = of(&counts);
        let spread = |i: usize, pick: fn(&(Weighted, Weighted)) -> &Weighted| {
            standard_deviation(resampled.iter().map(|r| pick(r)[i]))
        };
        let ours = |i: usize| MetricValue { value: model[i], standard_deviation: spread(i, |r| &r.0) };
        let theirs = |i: usize| MetricValue { value: best_constant[i], standard_deviation: spread(i, |r| &r.1) };
        let constant_accuracy = share(counts.support[constant] as f64 / pairs.len() as f64);
        Self {
            confusion_matrix,
            accuracy: share(counts.accuracy()),
            weighted_recall: share(counts.accuracy()),
            weighted_precision: ours(0),
            weighted_f0_5: ours(1),
            weighted_f1: ours(2),
            weighted_f2: ours(3),
            accuracy_best_constant_classifier: constant_accuracy,
            weighted_recall_best_constant_classifier: constant_accuracy,
            weighted_precision_best_constant_classifier: theirs(0),
            weighted_f0_5_best_constant_classifier: theirs(1),
            weighted_f1_best_constant_classifier: theirs(2),
            weighted_f2_best_constant_classifier: theirs(3),
        }
    }
}

fn weighted(counts: &ClassCounts) -> Weighted {
    let f = |beta| counts.weighted_f_beta(beta);
    [counts.weighted_average().precision, f(0.5), f(1.0), f(2.0)]
}

/// The class with the most images; the first of equal ones.
fn most_frequent(counts: &ClassCounts) -> usize {
    let mut best = 0;
    for (class, support) in counts.support.iter().enumerate() {
        if *support > counts.support[best] {
            best = class;
        }
    }
    best
}

/// The counts of a classifier that always answers one class.
fn always(class: usize, counts: &ClassCounts) -> ClassCounts {
    let mut constant = ClassCounts {
        true_positives: vec![0; counts.support.len()],
        predicted: vec![0; counts.support.len()],
        support: counts.support.clone(),
    };
    constant.true_positives[class] = counts.support[class];
    constant.predicted[class] = counts.total();
    constant
}

fn resample(pairs: &[(usize, usize)], like: &ClassCounts, rng: &mut kidu_core::rng::ChaCha8Rng) -> ClassCounts {
    let zeros = || vec![0; like.support.len()];
    let mut counts = ClassCounts { true_positives: zeros(), predicted: zeros(), support: zeros() };
    for _ in 0..pairs.len() {
        let (label, predicted) = pairs[below(rng, pairs.len())];
        counts.support[label] += 1;
        counts.predicted[predicted] += 1;
        counts.true_positives[label] += u64::from(label == predicted);
    }
    counts
}

fn standard_deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|v| (v - mean) * (v - mean)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_classifier_and_the_spread() {
        let pairs: Vec<(usize, usize)> = (0..400).map(|i| (usize::from(i % 4 == 0), usize::from(i % 8 == 0))).collect();
        let matrix = ConfusionMatrix::from_pairs(2, pairs.iter().copied()).unwrap();
        let q = ModelQuality::new(&pairs, matrix, 500, 1);
        assert_eq!(q.accuracy.value, 0.875);
        assert!((q.accuracy.standard_deviation - (0.875f64 * 0.125 / 400.0).sqrt()).abs() < 1e-15);
        assert_eq!(q.accuracy_best_constant_classifier.value, 0.75);
        assert!((q.weighted_precision_best_constant_classifier.value - 0.5625).abs() < 1e-15);
        // Of the constant classifier, weighted precision is the square of the share p, so its spread is 2p times as
        // wide.
        let expected = 1.5 * q.accuracy_best_constant_classifier.standard_deviation;
        let found = q.weighted_precision_best_constant_classifier.standard_deviation;
        assert!((found / expected - 1.0).abs() < 0.1, "{found} {expected}");
    }
}
