//! Who is told of the metrics while they come in.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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

/// How a run ended, as trackers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It came to its end.
    Finished,
    /// It failed.
    Failed,
    /// It was interrupted and can go on.
    Interrupted,
}

/// What a run has come to, told once after everything else.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// How it ended.
    pub end: RunEnd,
    /// Optimizer steps.
    pub step: u64,
    /// Metrics of the best weights, those of the test split among them.
    pub metrics: BTreeMap<String, f64>,
    /// Pictures, PNG files: a title (`confusion matrix`) and where the file is now.
    pub figures: Vec<(String, PathBuf)>,
    /// Files that belong to the result, pictures among them: the path inside the run's folder, which may move before
    /// they are delivered, and the place among the run's artifacts (`bundle/bundle.json`).
    pub artifacts: Vec<(PathBuf, String)>,
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

    /// After the last call of the fit loop, whatever the end: by whoever started the run, with what became of it.
    ///
    /// # Errors
    /// A sentence that says what could not be recorded.
    fn on_result(&mut self, result: &RunResult) -> Result<(), String> {
        let _ = result;
        Ok(())
    }

    /// Lines for people that have gathered since the last time, such as that a server is down.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A tracker that both the fit loop and whoever started it can call.
#[derive(Clone)]
pub struct SharedTracker {
    name: String,
    inner: Arc<Mutex<Box<dyn Tracker>>>,
}

impl SharedTracker {
    /// Shares a tracker.
    pub fn new(tracker: Box<dyn Tracker>) -> Self {
        Self { name: tracker.name().to_string(), inner: Arc::new(Mutex::new(tracker)) }
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Tracker>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracker for SharedTracker {
    fn name(&self) -> &str {
        &self.name
    }

    fn on_step(&mut self, step: &StepRow) -> Result<(), String> {
        self.lock().on_step(step)
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        self.lock().on_epoch(history)
    }

    fn on_end(&mut self, history: &[EpochRow]) -> Result<(), String> {
        self.lock().on_end(history)
    }

    fn on_result(&mut self, result: &RunResult) -> Result<(), String> {
        self.lock().on_result(result)
    }

    fn notes(&mut self) -> Vec<String> {
        self.lock().notes()
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
            for line in tracker.notes() {
                progress.note(&format!("{}: {line}", tracker.name()));
            }
        }
    }
}
