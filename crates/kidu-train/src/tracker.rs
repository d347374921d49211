//! Who is told of the metrics while they come in.

use std::path::Path;

use kidu_core::Progress;

use crate::{
    history::EpochRow,
    settings::LoggerSettings,
    trackers::{CsvTracker, JsonlTracker, PlotTracker},
};

/// One optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRow {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Optimizer steps so far, this one counted.
    pub step: u64,
    /// Loss of its last batch.
    pub loss: f64,
    /// Learning rate of the head.
    pub lr: f64,
}

/// Receives metrics. A tracker that fails is reported once and never stops training.
pub trait Tracker: Send {
    /// A name for messages.
    fn name(&self) -> &str;

    /// After an optimizer step.
    ///
    /// # Errors
    /// A sentence that says what could not be recorded.
    fn on_step(&mut self, step: &StepRow) -> Result<(), String> {
        let _ = step;
        Ok(())
    }

    /// After an epoch, and when a run is resumed: `history` is everything so far. What was recorded of later epochs,
    /// before a crash, must be replaced.
    ///
    /// # Errors
    /// A sentence that says what could not be recorded.
    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String>;

    /// At the end of a run that was not interrupted.
    ///
    /// # Errors
    /// A sentence that says what could not be recorded.
    fn on_end(&mut self, history: &[EpochRow]) -> Result<(), String> {
        let _ = history;
        Ok(())
    }
}

/// Several trackers, each with whether it has failed before.
pub(crate) struct Trackers(Vec<(Box<dyn Tracker>, bool)>);

impl Trackers {
    /// The files that the settings ask for, in `dir`, and `others`.
    pub(crate) fn new(settings: &LoggerSettings, dir: Option<&Path>, others: Vec<Box<dyn Tracker>>) -> Self {
        let mut all: Vec<Box<dyn Tracker>> = Vec::new();
        if let Some(dir) = dir {
            if settings.csv {
                all.push(Box::new(CsvTracker::new(dir.join("metrics.csv"))));
            }
            if settings.jsonl {
                all.push(Box::new(JsonlTracker::new(dir.join("metrics.jsonl"))));
            }
            if settings.plots {
                all.push(Box::new(PlotTracker::new(dir.join("curves.svg"))));
            }
        }
        all.extend(others);
        Self(all.into_iter().map(|tracker| (tracker, false)).collect())
    }

    /// Calls `f` with each tracker; the first failure of each is noted.
    pub(crate) fn each(&mut self, progress: &dyn Progress, mut f: impl FnMut(&mut dyn Tracker) -> Result<(), String>) {
        for (tracker, failed) in &mut self.0 {
            if let Err(reason) = f(tracker.as_mut())
                && !std::mem::replace(failed, true)
            {
                progress.note(&format!("the {} log is incomplete, training goes on: {reason}", tracker.name()));
            }
        }
    }
}
