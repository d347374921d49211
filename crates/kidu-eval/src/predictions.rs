//! The logits of a model on a labelled set of images.

use std::path::Path;

use kidu_core::ClassNames;

use crate::{
    error::{Error, Result},
    predictions_csv,
};

/// What a model said about each image of a labelled set: at least one image, one finite logit per class, labels that
/// are class indices. Checked when made, so that no metric has to check again.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    classes: ClassNames,
    labels: Vec<usize>,
    logits: Vec<Vec<f32>>,
    paths: Vec<String>,
}

impl Predictions {
    /// The usual file name.
    pub const FILE: &'static str = "predictions.csv";

    /// Checks and takes the arrays: `labels[i]` is the true class, `logits[i]` the model's outputs (one per class, in
    /// the order of `classes`) and `paths[i]` the name of image `i`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Lengths`], [`Error::Label`], [`Error::LogitCount`], or [`Error::NotFinite`] naming
    /// the first image at fault.
    pub fn new(classes: ClassNames, labels: Vec<usize>, logits: Vec<Vec<f32>>, paths: Vec<String>) -> Result<Self> {
        if labels.len() != logits.len() || labels.len() != paths.len() {
            return Err(Error::Lengths { labels: labels.len(), logits: logits.len(), paths: paths.len() });
        }
        if labels.is_empty() {
            return Err(Error::Empty);
        }
        for ((&label, row), image) in labels.iter().zip(&logits).zip(&paths) {
            check_image(&classes, label, row, image)?;
        }
        Ok(Self { classes, labels, logits, paths })
    }

    /// Number of images.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Class names, in the order of the logits.
    pub fn classes(&self) -> &ClassNames {
        &self.classes
    }

    /// True class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Logits, one row per image, one column per class.
    pub fn logits(&self) -> &[Vec<f32>] {
        &self.logits
    }

    /// Path of each image.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Writes `predictions.csv`, atomically. Columns: `path`, `label` and `predicted` (class names), `score`
    /// (probability of the predicted class), then `prob_<class>` (probabilities at `temperature`; left out for more
    /// than [`Predictions::MAX_PROBABILITY_COLUMNS`] classes) and `logit_<class>`. The logits are written so that
    /// [`Predictions::load`] gives back the very same numbers.
    ///
    /// # Errors
    /// [`Error::Option`] for a temperature that is not positive, [`Error::Core`] if the file cannot be written.
    pub fn save(&self, path: &Path, temperature: f64) -> Result<()> {
        predictions_csv::save(self, path, temperature)
    }

    /// Reads `predictions.csv`; classes and logits come from the `logit_` columns.
    ///
    /// # Errors
    /// [`Error::Csv`] naming the line, [`Error::Core`] if the file cannot be read, or what [`Predictions::new`] finds.
    pub fn load(path: &Path) -> Result<Self> {
        predictions_csv::load(path)
    }

    /// Up to this many classes, the file holds the probabilities beside the logits.
    pub const MAX_PROBABILITY_COLUMNS: usize = 100;
}

fn check_image(classes: &ClassNames, label: usize, row: &[f32], image: &str) -> Result<()> {
    if label >= classes.len() {
        return Err(Error::Label { image: image.into(), label, classes: classes.len() });
    }
    if row.len() != classes.len() {
        return Err(Error::LogitCount { image: image.into(), found: row.len(), classes: classes.len() });
    }
    match row.iter().position(|v| !v.is_finite()) {
        Some(c) => Err(Error::NotFinite { image: image.into(), class: classes[c].into(), value: row[c] }),
        None => Ok(()),
    }
}

/// Index of the greatest logit; the first of equal ones, as NumPy's `argmax`.
pub(crate) fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (c, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = c;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> ClassNames {
        ClassNames::new(["a", "b"]).unwrap()
    }

    #[test]
    fn refuses_what_does_not_fit_and_names_the_image() {
        let new = |labels: Vec<usize>, logits: Vec<Vec<f32>>, paths: &[&str]| {
            Predictions::new(two(), labels, logits, paths.iter().map(|p| p.to_string()).collect())
        };
        assert!(matches!(new(vec![], vec![], &[]), Err(Error::Empty)));
        assert!(matches!(new(vec![0], vec![], &["x"]), Err(Error::Lengths { .. })));
        let text = |r: Result<Predictions>| r.unwrap_err().to_string();
        assert!(text(new(vec![2], vec![vec![0.0, 0.0]], &["x.jpg"])).contains("'x.jpg' has label 2"));
        assert!(text(new(vec![1], vec![vec![0.0]], &["x.jpg"])).contains("1 logits for 2 classes"));
        let nan = text(new(vec![0, 1], vec![vec![0.0, 1.0], vec![0.0, f32::NAN]], &["x", "y.jpg"]));
        assert!(nan.contains("'y.jpg'") && nan.contains("'b'"), "{nan}");
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[-1.0]), 0);
    }
}
