//! The confusion matrix and every metric that follows from it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};

use crate::error::{Error, Result};

/// Counts of images by true class (row) and predicted class (column), for any number of classes.
///
/// As JSON it is SageMaker's nested object, `{"0": {"0": 8, "1": 2}, "1": {...}}`: the outer key is the true class,
/// the inner one the predicted class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

/// Per-class counts: all that precision, recall and F-scores need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassCounts {
    /// Images of the class that were predicted as it.
    pub true_positives: Vec<u64>,
    /// Images predicted as the class.
    pub predicted: Vec<u64>,
    /// Images of the class.
    pub support: Vec<u64>,
}

/// Precision, recall and F1 over all classes, each in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Precision.
    pub precision: f64,
    /// Recall.
    pub recall: f64,
    /// Harmonic mean of precision and recall (of each class, then averaged).
    pub f1: f64,
}

impl ConfusionMatrix {
    /// A matrix of zeros.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts pairs of (true, predicted) class.
    ///
    /// # Errors
    /// [`Error::Option`] for an index that is not below `classes`.
    pub fn from_pairs(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Result<Self> {
        let mut matrix = Self::new(classes);
        for (label, predicted) in pairs {
            if label >= classes || predicted >= classes {
                let reason = format!("class ({label}, {predicted}) is outside a matrix of {classes} classes");
                return Err(Error::option("confusion matrix", reason));
            }
            matrix.counts[label * classes + predicted] += 1;
        }
        Ok(matrix)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of images.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Images of class `label` predicted as `predicted`; 0 outside the matrix.
    pub fn get(&self, label: usize, predicted: usize) -> u64 {
        if label < self.classes && predicted < self.classes { self.row(label)[predicted] } else { 0 }
    }

    /// The images of one true class by prediction.
    ///
    /// # Panics
    /// If `label` is not a class.
    pub fn row(&self, label: usize) -> &[u64] {
        &self.counts[label * self.classes..(label + 1) * self.classes]
    }

    /// Sums by class.
    pub fn class_counts(&self) -> ClassCounts {
        let range = || 0..self.classes;
        ClassCounts {
            true_positives: range().map(|c| self.row(c)[c]).collect(),
            predicted: range().map(|c| range().map(|r| self.row(r)[c]).sum()).collect(),
            support: range().map(|r| self.row(r).iter().sum()).collect(),
        }
    }

    /// Images that are not on the diagonal, most frequent confusion first, as (true, predicted, count). Equal counts
    /// are ordered by index.
    pub fn confusions(&self) -> Vec<(usize, usize, u64)> {
        let cells = self.counts.iter().enumerate().map(|(i, n)| (i / self.classes, i % self.classes, *n));
        let mut all: Vec<_> = cells.filter(|(r, c, n)| r != c && *n > 0).collect();
        all.sort_by_key(|(r, c, n)| (std::cmp::Reverse(*n), *r, *c));
        all
    }
}

impl ClassCounts {
    /// Number of images.
    pub fn total(&self) -> u64 {
        self.support.iter().sum()
    }

    /// Share of the images predicted as the class that are of it; 0 where nothing was predicted as it.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.true_positives[class] as f64, self.predicted[class] as f64)
    }

    /// Share of the images of the class that were predicted as it; 0 where there are none.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.true_positives[class] as f64, self.support[class] as f64)
    }

    /// F-score, `(1 + β²) P R / (β² P + R)`; 0 where the class neither occurs nor was predicted.
    pub fn f_beta(&self, class: usize, beta: f64) -> f64 {
        let square = beta * beta;
        let hits = (1.0 + square) * self.true_positives[class] as f64;
        ratio(hits, square * self.support[class] as f64 + self.predicted[class] as f64)
    }

    /// Share of right predictions.
    pub fn accuracy(&self) -> f64 {
        ratio(self.true_positives.iter().sum::<u64>() as f64, self.total() as f64)
    }

    /// Mean over all classes, each with the same weight. A class without images counts with 0, as scikit-learn does
    /// for `average="macro", labels=range(k), zero_division=0`.
    pub fn macro_average(&self) -> Averages {
        let n = self.support.len() as f64;
        self.average(|_| 1.0 / n)
    }

    /// Mean over the classes weighted by their number of images.
    pub fn weighted_average(&self) -> Averages {
        let n = self.total() as f64;
        self.average(|c| ratio(self.support[c] as f64, n))
    }

    /// Precision, recall and F1 of all decisions together. With one label per image all three are the accuracy.
    pub fn micro_average(&self) -> Averages {
        let accuracy = self.accuracy();
        Averages { precision: accuracy, recall: accuracy, f1: accuracy }
    }

    /// F-score averaged over the classes, weighted by their number of images.
    pub fn weighted_f_beta(&self, beta: f64) -> f64 {
        let n = self.total() as f64;
        self.sum(|c| ratio(self.support[c] as f64, n) * self.f_beta(c, beta))
    }

    /// Mean recall of the classes that occur.
    pub fn balanced_accuracy(&self) -> f64 {
        let present = self.support.iter().filter(|s| **s > 0).count();
        ratio(self.sum(|c| self.recall(c)), present as f64)
    }

    /// Cohen's kappa, agreement beyond chance, in [-1, 1] (Cohen 1960). `None` where chance alone agrees always: one
    /// class is both all labels and all predictions.
    pub fn cohen_kappa(&self) -> Option<f64> {
        let n = self.total() as f64;
        let chance = self.sum(|c| self.support[c] as f64 * self.predicted[c] as f64) / (n * n);
        (chance < 1.0).then(|| (self.accuracy() - chance) / (1.0 - chance))
    }

    /// Matthews' correlation coefficient for several classes, in [-1, 1] (Gorodkin 2004). 0 where labels or
    /// predictions are all one class, as scikit-learn.
    pub fn matthews_corrcoef(&self) -> f64 {
        let n = self.total() as f64;
        let product = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum::<f64>();
        let hits = self.true_positives.iter().sum::<u64>() as f64;
        let both = hits * n - product(&self.support, &self.predicted);
        let labels = n * n - product(&self.support, &self.support);
        let predictions = n * n - product(&self.predicted, &self.predicted);
        ratio(both, (labels * predictions).sqrt())
    }

    fn average(&self, weight: impl Fn(usize) -> f64) -> Averages {
        Averages {
            precision: self.sum(|c| weight(c) * self.precision(c)),
            recall: self.sum(|c| weight(c) * self.recall(c)),
            f1: self.sum(|c| weight(c) * self.f_beta(c, 1.0)),
        }
    }

    fn sum(&self, of: impl Fn(usize) -> f64) -> f64 {
        (0..self.support.len()).map(of).sum()
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

struct Row<'a>(&'a [u64]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (c, count) in self.0.iter().enumerate() {
            map.serialize_entry(&c.to_string(), count)?;
        }
        map.end()
    }
}

impl Serialize for ConfusionMatrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.classes))?;
        for r in 0..self.classes {
            map.serialize_entry(&r.to_string(), &Row(self.row(r)))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ConfusionMatrix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        type Map<V> = std::collections::HashMap<String, V>;
        let rows = Map::<Map<u64>>::deserialize(deserializer)?;
        let mut matrix = Self::new(rows.len());
        let index = |key: &str| {
            let found = key.parse().ok().filter(|i: &usize| *i < rows.len());
            found.ok_or_else(|| D::Error::custom(format!("'{key}' is not a class index below {}", rows.len())))
        };
        for (r, row) in &rows {
            if row.len() != rows.len() {
                let text = format!("row '{r}' of the confusion matrix has {} of {} columns", row.len(), rows.len());
                return Err(D::Error::custom(text));
            }
            for (c, count) in row {
                let at = index(r)? * matrix.classes + index(c)?;
                matrix.counts[at] = *count;
            }
        }
        Ok(matrix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn the_example_of_sagemakers_documentation() {
        // Rows are the true classes: only then do its accuracy, precision and F-scores follow from its matrix.
        let m: ConfusionMatrix =
            serde_json::from_str(r#"{"0": {"0": 1180, "1": 510}, "1": {"0": 268, "1": 138}}"#).unwrap();
        let c = m.class_counts();
        close(c.accuracy(), 0.628_816_793_893_129_7);
        close(c.weighted_average().precision, 0.698_317_226_962_950_5);
        close(c.weighted_average().recall, 0.628_816_793_893_129_7);
        close(c.weighted_f_beta(0.5), 0.680_394_731_717_877_1);
        close(c.weighted_f_beta(1.0), 0.657_116_234_666_490_4);
        close(c.weighted_f_beta(2.0), 0.638_402_435_439_460_1);
    }

    #[test]
    fn undefined_values_are_zero_or_none() {
        // Class 1 occurs but is never predicted, class 2 is predicted but never occurs, class 3 neither.
        let m = ConfusionMatrix::from_pairs(4, [(0, 0), (1, 2), (1, 0)]).unwrap();
        let c = m.class_counts();
        assert_eq!((c.precision(1), c.recall(2), c.f_beta(3, 1.0)), (0.0, 0.0, 0.0));
        close(c.balanced_accuracy(), 0.5);
        close(c.macro_average().recall, 0.25);
        let one = ConfusionMatrix::from_pairs(2, [(0, 0), (0, 0)]).unwrap().class_counts();
        assert_eq!((one.cohen_kappa(), one.matthews_corrcoef()), (None, 0.0));
        assert!(ConfusionMatrix::from_pairs(2, [(0, 2)]).is_err());
    }

    #[test]
    fn perfect_and_opposite() {
        let c = ConfusionMatrix::from_pairs(3, [(0, 0), (1, 1), (2, 2)]).unwrap().class_counts();
        assert_eq!((c.cohen_kappa(), c.accuracy()), (Some(1.0), 1.0));
        close(c.matthews_corrcoef(), 1.0);
        let c = ConfusionMatrix::from_pairs(2, [(0, 1), (1, 0)]).unwrap().class_counts();
        close(c.matthews_corrcoef(), -1.0);
        close(c.cohen_kappa().unwrap(), -1.0);
    }

    #[test]
    fn json_keeps_more_than_ten_classes_apart() {
        let m = ConfusionMatrix::from_pairs(12, [(1, 11), (11, 1), (11, 11), (1, 1), (1, 11)]).unwrap();
        let text = serde_json::to_string(&m).unwrap();
        assert!(text.starts_with(r#"{"0":{"0":0,"1":0,"2":0"#) && text.contains(r#""11":2"#));
        assert_eq!(serde_json::from_str::<ConfusionMatrix>(&text).unwrap(), m);
        for bad in [r#"{"0":{"0":1,"1":2}}"#, r#"{"1":{"1":1}}"#, r#"{"0":{"0":-1}}"#] {
            assert!(serde_json::from_str::<ConfusionMatrix>(bad).is_err(), "{bad}");
        }
        assert_eq!(m.confusions(), [(1, 11, 2), (11, 1, 1)]);
    }
}
