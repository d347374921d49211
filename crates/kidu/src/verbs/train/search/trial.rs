//! One trial: a training with the study's settings, watched epoch by epoch.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kidu_core::{DatasetManifest, progress::Silent};
use kidu_search::{Outcome as TrialOutcome, SearchSettings, Study, Trial, TrialState};
use kidu_train::{EpochRow, FitOutcome, LearningRate, StepRow, Tracker, fit};

use super::{
    super::{Job, train_failure, tune_lr},
    folds, search_failure,
};
use crate::{
    Outcome,
    cli::ConfigArgs,
    failure::Failure,
    settings::{self, Configuration},
    stop,
};

/// What every trial begins with.
pub(super) struct Runner {
    pub(super) base: ConfigArgs,
    pub(super) study: Arc<Study>,
    pub(super) manifest: Arc<DatasetManifest>,
    pub(super) dir: PathBuf,
}

/// What became of a trial.
pub(super) enum Ended {
    Told(TrialState, Option<f64>),
    /// The command is to end: the study asks for the trial again.
    Interrupted,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(TrialState::Complete, Some(value)) => write!(f, "{value:.4}"),
            Self::Told(state, Some(value)) => write!(f, "{} at {value:.4}", state.name()),
            Self::Told(state, None) => write!(f, "{}", state.name()),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

/// How one training ended.
enum Trained {
    /// The best value of the metric over the epochs.
    Finished(f64),
    Pruned,
    Interrupted,
}

impl Runner {
    /// Trains, tells the study, and removes the trial's checkpoints: the best settings are trained anew by `kidu train`.
    pub(super) fn run(&self, trial: &Trial) -> Outcome<Ended> {
        let settings = self.study.settings();
        let overrides = [self.base.overrides.clone(), trial.overrides()].concat();
        let configuration = settings::load(&ConfigArgs { overrides, ..self.base.clone() }, "train")?;
        let dir = self.dir.join("trials").join(trial.number.to_string());
        let outcome = match settings.folds {
            None => self.single(trial, &configuration, &dir),
            Some(folds) => self.cross_validate(trial, &configuration, &dir, folds),
        };
        let outcome = match outcome {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return Ok(Ended::Interrupted),
            // Wrong settings are wrong for every trial; a training that broke is a bad place in the space.
            Err(Failure::Failed(error)) => TrialOutcome::Failed(format!("{error:#}")),
            Err(other) => return Err(other),
        };
        let state = self.study.tell(trial.number, outcome).map_err(search_failure)?;
        remove_checkpoints(&dir);
        self.study.write_results(&self.dir).map_err(search_failure)?;
        let value = self.study.trial(trial.number).and_then(|t| t.value);
        Ok(Ended::Told(state, value))
    }

    /// The one validation split; each epoch is reported.
    fn single(&self, trial: &Trial, configuration: &Configuration, dir: &Path) -> Outcome<Option<TrialOutcome>> {
        let report = Report { study: Arc::clone(&self.study), number: trial.number };
        Ok(match self.train(configuration, &self.manifest, dir, Some(report))? {
            Trained::Finished(value) => Some(TrialOutcome::Complete(value)),
            Trained::Pruned => Some(TrialOutcome::Pruned),
            Trained::Interrupted => None,
        })
    }

    /// One training for each fold; the mean so far is reported after each.
    fn cross_validate(
        &self,
        trial: &Trial,
        configuration: &Configuration,
        dir: &Path,
        folds: usize,
    ) -> Outcome<Option<TrialOutcome>> {
        let before = self.study.trial(trial.number).and_then(|t| t.last_step());
        let mut values = Vec::new();
        for fold in 0..folds {
            let manifest = Arc::new(folds::manifest(&self.manifest, folds, fold));
            match self.train(configuration, &manifest, &dir.join(format!("fold-{fold}")), None)? {
                Trained::Finished(value) => values.push(value),
                Trained::Pruned | Trained::Interrupted => return Ok(None),
            }
            let step = fold as u64;
            if before.is_none_or(|last| step > last) {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                self.study.report(trial.number, step, mean).map_err(search_failure)?;
            }
            if fold + 1 < folds && self.study.should_prune(trial.number).map_err(search_failure)? {
                return Ok(Some(TrialOutcome::Pruned));
            }
        }
        Ok(Some(TrialOutcome::Folds(values)))
    }

    fn train(
        &self,
        configuration: &Configuration,
        manifest: &Arc<DatasetManifest>,
        dir: &Path,
        report: Option<Report>,
    ) -> Outcome<Trained> {
        let job = Job::with_manifest(configuration, dir, Arc::clone(manifest), &Silent)?;
        let (network, _) = job.network()?;
        let checkpoint = dir.join("checkpoints/last.ckpt");
        let mut request = job.request(network, checkpoint.is_file().then_some(checkpoint))?;
        if request.val.is_none() {
            return Err(Failure::usage(
                "a search needs validation images: give a share of them in data.train_val_test_split, or a val/ folder",
            ));
        }
        if request.model.learning_rate == LearningRate::Auto {
            request.model.learning_rate = tune_lr::automatic(&job, &mut request)?.into();
        }
        let (ends, pruned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        request.stop = Arc::clone(&ends);
        let settings = self.study.settings();
        let watch = Watch { metric: settings.metric.clone(), report, ends, pruned: Arc::clone(&pruned) };
        request.trackers.push(Box::new(watch));
        match fit(request).map_err(train_failure)? {
            FitOutcome::Finished(fitted) => best_of(&fitted.history, settings).map(Trained::Finished),
            FitOutcome::Interrupted { .. } if pruned.load(Ordering::SeqCst) => Ok(Trained::Pruned),
            FitOutcome::Interrupted { .. } => Ok(Trained::Interrupted),
        }
    }
}

/// The best value of the metric over the epochs.
fn best_of(history: &[EpochRow], settings: &SearchSettings) -> Outcome<f64> {
    let values = history.iter().filter_map(|row| row.get(&settings.metric)).filter(|v| v.is_finite());
    let better = |a: f64, b: f64| match settings.direction {
        kidu_search::Direction::Maximize => a.max(b),
        kidu_search::Direction::Minimize => a.min(b),
    };
    values.reduce(better).ok_or_else(|| {
        let metric = &settings.metric;
        Failure::Failed(anyhow::anyhow!(
            "no epoch had a finite {metric}: the training diverged, or measures no such metric"
        ))
    })
}

/// Where the epochs' values go.
struct Report {
    study: Arc<Study>,
    number: usize,
}

/// Reports each epoch and ends the training when the pruner or a signal says so.
struct Watch {
    metric: String,
    report: Option<Report>,
    ends: Arc<AtomicBool>,
    pruned: Arc<AtomicBool>,
}

impl Tracker for Watch {
    fn name(&self) -> &str {
        "search"
    }

    fn on_step(&mut self, _: &StepRow) -> Result<(), String> {
        if stop::is_asked_for() {
            self.ends.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        let Some(Report { study, number }) = &self.report else { return Ok(()) };
        // A trial that is run again has reported some of its epochs before.
        let last = study.trial(*number).and_then(|t| t.last_step());
        for row in history.iter().filter(|row| last.is_none_or(|last| row.epoch as u64 > last)) {
            let Some(value) = row.get(&self.metric) else { continue };
            study.report(*number, row.epoch as u64, value).map_err(|e| e.to_string())?;
        }
        if study.should_prune(*number).map_err(|e| e.to_string())? {
            self.pruned.store(true, Ordering::SeqCst);
            self.ends.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Best effort: what is left costs space and nothing else.
fn remove_checkpoints(dir: &Path) {
    let folds = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path().join("checkpoints"));
    for folder in folds.chain([dir.join("checkpoints")]).filter(|f| f.is_dir()) {
        let _ = fs::remove_dir_all(folder);
    }
}
