//! Plots as SVG texts: self-contained, valid XML, on a white ground. They can stand in a file or in a page.

mod confusion;
mod curves;
mod reliability;

pub(crate) use confusion::confusion_cells;
pub use confusion::confusion_matrix;
pub use curves::{precision_recall_curves, roc_curves};
pub use reliability::reliability_diagram;

use std::path::{Path, PathBuf};

use kidu_core::files;

use crate::{error::Result, evaluation::Evaluation, predictions::Predictions, scores::Scores};

/// All plots of an evaluation, as (file name, SVG). The probabilities are those at the evaluation's temperature.
///
/// # Errors
/// [`crate::Error::Option`] if the evaluation's temperature is not positive.
pub fn all(predictions: &Predictions, evaluation: &Evaluation) -> Result<Vec<(&'static str, String)>> {
    let scores = Scores::new(predictions, evaluation.details.calibration.temperature)?;
    let mut plots = of_evaluation(evaluation);
    plots.push(("roc.svg", roc_curves(&scores, &evaluation.details)));
    plots.push(("precision_recall.svg", precision_recall_curves(&scores, &evaluation.details)));
    Ok(plots)
}

/// The plots that need no predictions: confusion matrix and reliability diagram.
pub fn of_evaluation(evaluation: &Evaluation) -> Vec<(&'static str, String)> {
    vec![
        ("confusion_matrix.svg", confusion_matrix(evaluation.confusion(), evaluation.classes())),
        ("reliability.svg", reliability_diagram(&evaluation.details.calibration.reliability)),
    ]
}

/// Writes [`all`] into a folder and returns the paths.
///
/// # Errors
/// As [`all`], or [`crate::Error::Core`] if a file cannot be written.
pub fn save_all(predictions: &Predictions, evaluation: &Evaluation, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (name, svg) in all(predictions, evaluation)? {
        let path = dir.join(name);
        files::write_atomic(&path, svg.as_bytes())?;
        paths.push(path);
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{EvaluateOptions, evaluate},
        fixtures,
    };

    fn plots(predictions: &Predictions) -> Vec<(&'static str, String)> {
        let options = EvaluateOptions { bootstrap_samples: 100, ..EvaluateOptions::default() };
        all(predictions, &evaluate(predictions, &options).unwrap()).unwrap()
    }

    #[test]
    fn all_are_well_formed_for_any_number_of_classes() {
        let one = fixtures::predictions(20, 1);
        for p in [one, fixtures::predictions(300, 6), fixtures::three_labels(90, 5), fixtures::predictions(2000, 150)] {
            for (name, svg) in plots(&p) {
                fixtures::assert_well_formed(&svg);
                assert!(svg.starts_with("<svg xmlns=") && svg.len() < 2_000_000, "{name}: {} bytes", svg.len());
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
            }
        }
    }

    #[test]
    fn hostile_names_are_text() {
        let p = fixtures::predictions(30, 2);
        let classes = kidu_core::ClassNames::new(["<script>alert(1)</script>", "a&b \"c\" \u{1}"]).unwrap();
        let (labels, logits, paths) = (p.labels().to_vec(), p.logits().to_vec(), p.paths().to_vec());
        for (_, svg) in plots(&Predictions::new(classes, labels, logits, paths).unwrap()) {
            fixtures::assert_well_formed(&svg);
            assert!(!svg.contains("<script"));
        }
    }

    #[test]
    fn files_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let p = fixtures::predictions(60, 3);
        let options = EvaluateOptions { bootstrap_samples: 100, ..EvaluateOptions::default() };
        let paths = save_all(&p, &evaluate(&p, &options).unwrap(), &dir.path().join("plots")).unwrap();
        assert_eq!(paths.len(), 4);
        assert!(paths.iter().all(|p| p.is_file()));
    }
}
