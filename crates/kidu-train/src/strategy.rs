//! Which checkpoints to keep and when to stop: decisions that touch nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, TrainError},
    history::EpochRow,
    settings::{CallbackSettings, CheckpointSettings, EarlyStoppingSettings},
};

/// Whether smaller or larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
}

impl Mode {
    /// Whether `a` is better than `b` by more than `delta`.
    pub fn is_better(self, a: f64, b: f64, delta: f64) -> bool {
        match self {
            Self::Min => a < b - delta,
            Self::Max => a > b + delta,
        }
    }
}

/// A measured checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// File name below the folder of checkpoints.
    pub file: String,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Value of the monitored metric.
    pub value: f64,
}

/// The checkpoints that are kept for their score, best first; among equals the earlier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopK {
    /// The kept ones.
    pub kept: Vec<Scored>,
}

/// What to do about checkpoint files after an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopKActions {
    /// Write this epoch under that name.
    pub save: Option<String>,
    /// It is the best so far: `best.ckpt`.
    pub best: bool,
    /// Delete these.
    pub delete: Vec<String>,
}

impl TopK {
    /// The state and the actions after an epoch. An epoch without the monitored metric changes nothing.
    pub fn after(&self, settings: &CheckpointSettings, row: &EpochRow) -> (Self, TopKActions) {
        let Some(value) = row.get(&settings.monitor).filter(|_| settings.save_top_k != 0) else {
            return (self.clone(), TopKActions::default());
        };
        let file = file_name(row.epoch, &settings.monitor, value);
        let mut kept = self.kept.clone();
        let place = kept.iter().position(|k| settings.mode.is_better(value, k.value, 0.0)).unwrap_or(kept.len());
        kept.insert(place, Scored { file: file.clone(), epoch: row.epoch, value });
        let most = usize::try_from(settings.save_top_k).unwrap_or(usize::MAX);
        let dropped = kept.split_off(most.min(kept.len()));
        let mut delete: Vec<String> = dropped.into_iter().map(|s| s.file).collect();
        let save = !delete.contains(&file);
        delete.retain(|f| *f != file);
        (Self { kept }, TopKActions { save: save.then_some(file), best: place == 0, delete })
    }
}

/// `epoch=003-val_acc=0.912.ckpt`.
fn file_name(epoch: usize, monitor: &str, value: f64) -> String {
    let metric: String = monitor.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("epoch={epoch:03}-{metric}={value:.3}.ckpt")
}

/// What early stopping remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// The best value so far.
    pub best: Option<f64>,
    /// Measurements in a row without improvement.
    pub bad: usize,
}

impl EarlyStopping {
    /// The state after an epoch. An epoch without the monitored metric changes nothing.
    #[must_use]
    pub fn after(&self, settings: &EarlyStoppingSettings, row: &EpochRow) -> Self {
        match row.get(&settings.monitor) {
            None => self.clone(),
            Some(value) if self.best.is_none_or(|b| settings.mode.is_better(value, b, settings.min_delta)) => {
                Self { best: Some(value), bad: 0 }
            }
            Some(_) => Self { best: self.best, bad: self.bad + 1 },
        }
    }

    /// Whether it is time to stop.
    pub fn should_stop(&self, settings: &EarlyStoppingSettings) -> bool {
        self.bad >= settings.patience
    }
}

/// Refuses monitored metrics that the run will not measure.
///
/// # Errors
/// [`TrainError::Settings`], naming the nearest metric.
pub fn check_monitors(callbacks: &CallbackSettings, measured: &BTreeSet<&str>) -> Result<()> {
    let mut problems = Vec::new();
    let mut check = |key: &str, name: &str| {
        if !measured.contains(name) {
            let nearest = kidu_core::suggest::nearest(name, measured.iter().copied());
            let known = measured.iter().copied().collect::<Vec<_>>().join(", ");
            let hint = kidu_core::suggest::did_you_mean(nearest);
            problems.push((key.to_string(), format!("'{name}' is not measured{hint}; measured are: {known}")));
        }
    };
    if callbacks.model_checkpoint.save_top_k != 0 {
        check("callbacks.model_checkpoint.monitor", &callbacks.model_checkpoint.monitor);
    }
    if let Some(early) = &callbacks.early_stopping {
        check("callbacks.early_stopping.monitor", &early.monitor);
    }
    if problems.is_empty() { Ok(()) } else { Err(TrainError::Settings(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, acc: f64) -> EpochRow {
        EpochRow { epoch, step: 0, metrics: [("val/acc".to_string(), acc)].into() }
    }

    #[test]
    fn the_best_two_stay_and_equals_keep_the_earlier() {
        let settings = CheckpointSettings { save_top_k: 2, ..Default::default() };
        let mut top = TopK::default();
        let mut log = Vec::new();
        for (epoch, acc) in [0.5, 0.7, 0.7, 0.6, 0.9].into_iter().enumerate() {
            let (next, actions) = top.after(&settings, &row(epoch, acc));
            log.push((actions.save.is_some(), actions.best, actions.delete));
            top = next;
        }
        let none = Vec::<String>::new();
        assert_eq!(
            log,
            [
                (true, true, none.clone()),
                (true, true, none.clone()),
                (true, false, vec!["epoch=000-val_acc=0.500.ckpt".into()]),
                (false, false, none.clone()),
                (true, true, vec!["epoch=002-val_acc=0.700.ckpt".into()]),
            ]
        );
        assert_eq!(top.kept.iter().map(|k| k.epoch).collect::<Vec<_>>(), [4, 1]);
    }

    #[test]
    fn all_or_none() {
        let all = CheckpointSettings { save_top_k: -1, ..Default::default() };
        let none = CheckpointSettings { save_top_k: 0, ..Default::default() };
        let (top, _) = TopK::default().after(&all, &row(0, 0.1));
        let (top, actions) = top.after(&all, &row(1, 0.0));
        assert!(actions.save.is_some() && !actions.best && actions.delete.is_empty() && top.kept.len() == 2);
        assert_eq!(TopK::default().after(&none, &row(0, 0.1)), (TopK::default(), TopKActions::default()));
        let unmeasured = EpochRow { epoch: 2, step: 0, metrics: Default::default() };
        assert_eq!(top.after(&all, &unmeasured), (top.clone(), TopKActions::default()));
    }

    #[test]
    fn patience_counts_measurements_without_enough_improvement() {
        let settings =
            EarlyStoppingSettings { monitor: "val/acc".into(), mode: Mode::Max, patience: 2, min_delta: 0.05 };
        let mut state = EarlyStopping::default();
        let stops: Vec<bool> = [0.5, 0.6, 0.64, 0.7, 0.7, 0.74]
            .into_iter()
            .map(|acc| {
                state = state.after(&settings, &row(0, acc));
                state.should_stop(&settings)
            })
            .collect();
        assert_eq!(stops, [false, false, false, false, false, true]);
        let unmeasured = EpochRow { epoch: 2, step: 0, metrics: Default::default() };
        assert_eq!(state.after(&settings, &unmeasured), state);
    }

    #[test]
    fn an_unknown_metric_is_refused_with_the_nearest() {
        let mut callbacks = CallbackSettings::default();
        callbacks.model_checkpoint.monitor = "val/accuracy".into();
        let message = check_monitors(&callbacks, &["val/acc", "train/loss"].into()).unwrap_err().to_string();
        assert!(message.contains("did you mean 'val/acc'"), "{message}");
        callbacks.model_checkpoint.save_top_k = 0;
        assert!(check_monitors(&callbacks, &[].into()).is_ok());
    }
}
