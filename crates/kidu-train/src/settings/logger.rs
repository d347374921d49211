//! The group `logger`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Problem, Problems};

/// The group `logger`: who is told of the metrics. Any number of them at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoggerSettings {
    /// `metrics.csv`.
    pub csv: bool,
    /// `metrics.jsonl`.
    pub jsonl: bool,
    /// `curves.svg`.
    pub plots: bool,
    /// Event files for TensorBoard; null for none.
    pub tensorboard: Option<TensorBoardSettings>,
    /// A run of an MLflow server; null for none.
    pub mlflow: Option<MlflowSettings>,
}

impl Default for LoggerSettings {
    fn default() -> Self {
        Self { csv: true, jsonl: true, plots: true, tensorboard: None, mlflow: None }
    }
}

impl LoggerSettings {
    /// All settings outside their ranges.
    pub fn validate(&self) -> Vec<Problem> {
        let mut p = Problems::default();
        if let Some(board) = &self.tensorboard {
            p.check(board.log_every_n_steps > 0, "logger.tensorboard.log_every_n_steps", "must be >= 1");
            p.check(board.sample_images <= 64, "logger.tensorboard.sample_images", "must be in 0..=64");
        }
        if let Some(mlflow) = &self.mlflow {
            p.check(mlflow.log_every_n_steps > 0, "logger.mlflow.log_every_n_steps", "must be >= 1");
            p.check(!mlflow.experiment_name.trim().is_empty(), "logger.mlflow.experiment_name", "must not be empty");
            let wait = (0.0..=3600.0).contains(&mlflow.wait_at_end);
            p.check(wait, "logger.mlflow.wait_at_end", "must be in 0..=3600 seconds");
            p.check(mlflow.max_waiting_mb > 0, "logger.mlflow.max_waiting_mb", "must be >= 1");
        }
        p.0
    }
}

/// Event files for TensorBoard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TensorBoardSettings {
    /// The folder of event files; null for `tensorboard` in the run's folder.
    pub dir: Option<PathBuf>,
    /// Loss and learning rate are written every so many optimizer steps.
    pub log_every_n_steps: u64,
    /// Images that are shown with their predictions at the end, at most 64.
    pub sample_images: usize,
}

impl Default for TensorBoardSettings {
    fn default() -> Self {
        Self { dir: None, log_every_n_steps: 1, sample_images: 12 }
    }
}

/// A run of an MLflow server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlflowSettings {
    /// The server's address; null for that of `MLFLOW_TRACKING_URI`, and without either nothing is recorded.
    pub tracking_uri: Option<String>,
    /// The experiment, made if it is missing.
    pub experiment_name: String,
    /// The run's name; null for that of its folder.
    pub run_name: Option<String>,
    /// Loss and learning rate are recorded every so many optimizer steps.
    pub log_every_n_steps: u64,
    /// Whether the weights are uploaded too; `bundle.json`, plots and tables are in any case.
    pub log_model: bool,
    /// Seconds that the end of a run waits for a slow server.
    pub wait_at_end: f64,
    /// Megabytes that may wait in the run's folder before values of single steps are no longer kept.
    pub max_waiting_mb: u64,
}

impl Default for MlflowSettings {
    fn default() -> Self {
        Self {
            tracking_uri: None,
            experiment_name: "kidu".into(),
            run_name: None,
            log_every_n_steps: 10,
            log_model: false,
            wait_at_end: 10.0,
            max_waiting_mb: 64,
        }
    }
}
