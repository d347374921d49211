//! How good a classifier is: metrics, calibration, comparison of two models, the gate, plots and the report.
//!
//! Everything here works on plain arrays: [`Predictions`] holds the logits of a model on a labelled set of images, and
//! [`evaluate`] turns them into an [`Evaluation`], which is `evaluation.json` and the source of the terminal summary
//! ([`text::summary`]), the plots ([`plots`]) and the page ([`report::html`]). Numbers equal scikit-learn's on the
//! same predictions; where scikit-learn warns about an undefined value, the documentation of the item says what is
//! done here.

pub mod bootstrap;
pub mod calibration;
pub mod confusion;
pub mod error;
pub mod evaluation;
pub mod gate;
pub mod interval;
pub mod model_card;
pub mod model_quality;
pub mod plots;
pub mod predictions;
mod predictions_csv;
pub mod ranking;
pub mod reliability;
pub mod report;
pub mod robustness;
pub mod scores;
pub mod text;

pub use bootstrap::PairedComparison;
pub use calibration::{TemperatureFit, fit_temperature};
pub use confusion::{Averages, ClassCounts, ConfusionMatrix};
pub use error::{Error, Result};
pub use evaluation::{EvaluateOptions, Evaluation, Judged, evaluate};
pub use gate::{Candidate, GateDecision, GateRules, RuleOutcome, decide};
pub use interval::Interval;
pub use predictions::Predictions;
pub use robustness::{Robustness, RobustnessRules};
pub use scores::Scores;

#[cfg(test)]
mod evaluation_tests;
#[cfg(test)]
mod fixtures;
