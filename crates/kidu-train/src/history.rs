//! What a run has measured so far, one row an epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name of the training loss, averaged over the images of an epoch.
pub const TRAIN_LOSS: &str = "train/loss";
/// Name of the training accuracy in [0, 1], measured while training.
pub const TRAIN_ACC: &str = "train/acc";
/// Name of the validation loss: plain cross entropy, without label smoothing or class weights.
pub const VAL_LOSS: &str = "val/loss";
/// Name of the validation accuracy in [0, 1].
pub const VAL_ACC: &str = "val/acc";
/// Name of the learning rate of the head at the epoch's last step.
pub const LR: &str = "lr";

/// The metrics of one epoch. Times are left out on purpose: rows are the same for every run of the same seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Optimizer steps taken when it ended.
    pub step: u64,
    /// Values by name; the validation metrics are missing in epochs without validation.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
}

impl EpochRow {
    /// A value by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }
}

/// Names of all metrics that occur, sorted.
pub fn metric_names(history: &[EpochRow]) -> Vec<&str> {
    let mut names: Vec<&str> = history.iter().flat_map(|row| row.metrics.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
