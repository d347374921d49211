//! The fit loop.
//!
//! A run moves from one optimizer step to the next; between two steps everything it knows is in the network, the
//! optimizer, the weight average and a [`RunState`](crate::checkpoint::RunState), all of which a checkpoint holds.
//! Random numbers are functions of the seed, the epoch and the batch, so nothing else needs to be remembered.

mod epoch;
pub mod lr_finder;
mod phase;
mod run;
mod setup;
mod step;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use kidu_core::Progress;
use kidu_models::{Cut, Freeze, Network, StateDict, parameters::Location};

use self::{epoch::EpochEnd, phase::Phase, run::Run, setup::Setup};
use crate::{
    checkpoint::{Checkpoint, CheckpointDir},
    error::Result,
    history::EpochRow,
    settings::{CallbackSettings, LoggerSettings, ModelSettings, TrainerSettings},
    source::BatchSource,
    tracker::{Tracker, Trackers},
};

/// Everything that a training run needs.
pub struct FitRequest<'a> {
    /// The network with its initial weights, on the plain device of `trainer.accelerator`.
    pub network: Network,
    /// The group `model`: freezing, optimizer, schedule, loss.
    pub model: ModelSettings,
    /// The group `trainer`.
    pub trainer: TrainerSettings,
    /// The group `callbacks`.
    pub callbacks: CallbackSettings,
    /// The group `logger`.
    pub logger: LoggerSettings,
    /// Seed of everything random in the loop (dropout, order and views of cached features).
    pub seed: u64,
    /// The training split, with the limits of `trainer` already applied.
    pub train: Box<dyn BatchSource>,
    /// The validation split, likewise.
    pub val: Option<Box<dyn BatchSource>>,
    /// Training images of each class, for balanced weights.
    pub class_counts: Vec<usize>,
    /// The run's folder: gets `checkpoints/`, the files of metrics and `profile.txt`.
    pub run_dir: PathBuf,
    /// Where features of frozen networks are kept between runs; `None` keeps them in memory.
    pub cache_dir: Option<PathBuf>,
    /// Hash of the resolved configuration, compared on resuming.
    pub config_hash: String,
    /// The checkpoint to go on from.
    pub resume: Option<PathBuf>,
    /// Set from outside (Ctrl-C, SIGTERM): the run saves and ends at its next step.
    pub stop: Arc<AtomicBool>,
    /// Who is shown the progress.
    pub progress: &'a dyn Progress,
    /// Trackers besides those of `logger`.
    pub trackers: Vec<Box<dyn Tracker>>,
}

/// How a run ended.
#[derive(Debug)]
pub enum FitOutcome {
    /// It came to its end.
    Finished(Box<Fitted>),
    /// It was asked to stop.
    Interrupted {
        /// The checkpoint to go on from; none after `fast_dev_run`.
        checkpoint: Option<PathBuf>,
        /// The epoch that was under way, from 0.
        epoch: usize,
        /// Optimizer steps so far.
        step: u64,
    },
}

/// A finished run.
#[derive(Debug)]
pub struct Fitted {
    /// The best checkpoint, if any is kept.
    pub best_checkpoint: Option<PathBuf>,
    /// The newest checkpoint, if it was written.
    pub last_checkpoint: Option<PathBuf>,
    /// The best weights, averaged ones if averaging is on; the last ones if no best checkpoint is kept.
    pub best: StateDict,
    /// The epoch they come from; `None` for the last weights.
    pub best_epoch: Option<usize>,
    /// One row for each epoch.
    pub history: Vec<EpochRow>,
    /// Finished epochs.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Why it ended.
    pub stopped: StopReason,
    /// Seconds, those before an interruption included.
    pub elapsed: f64,
}

impl Fitted {
    /// Whether it ended before `max_epochs`.
    pub fn stopped_early(&self) -> bool {
        self.stopped != StopReason::MaxEpochs
    }

    /// The row of the best epoch, or else the last one.
    pub fn best_row(&self) -> Option<&EpochRow> {
        match self.best_epoch {
            Some(epoch) => self.history.iter().find(|r| r.epoch == epoch),
            None => self.history.last(),
        }
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs are done.
    MaxEpochs,
    /// The monitored metric no longer improved.
    EarlyStopping,
    /// `trainer.max_time` is over.
    MaxTime,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxEpochs => "trainer.max_epochs reached",
            Self::EarlyStopping => "early stopping: no improvement within the patience",
            Self::MaxTime => "trainer.max_time reached",
        })
    }
}

/// Whether a part of the network lies before a cut.
pub(crate) fn is_before(cut: Cut, location: Location) -> bool {
    match (cut, location) {
        (Cut::Image, _) | (_, Location::Classifier) => false,
        (Cut::Features, _) | (Cut::Stage(_), Location::Stem) => true,
        (Cut::Stage(n), Location::Stage(i)) => i < n,
        (Cut::Stage(_), Location::Head) => false,
    }
}

/// Whether a part of the network is left as it is.
pub(crate) fn is_frozen(freeze: Freeze, location: Location) -> bool {
    is_before(freeze.cut(), location)
}

/// Trains a network.
///
/// Checkpoints go to `run_dir/checkpoints`: `last.ckpt`, `best.ckpt` and the best few by name. With `resume` the run
/// goes on from a checkpoint and, given the same request otherwise, ends bit for bit as without the interruption.
///
/// # Errors
/// [`crate::TrainError`]: settings outside their ranges or a monitored metric that is not measured (before anything
/// is trained), unreadable data, a loss that is not finite, a checkpoint that cannot be read or written.
pub fn fit(mut request: FitRequest<'_>) -> Result<FitOutcome> {
    let others = std::mem::take(&mut request.trackers);
    let setup = Setup::new(&request)?;
    let dir = (!setup.trainer.fast_dev_run).then_some(request.run_dir.as_path());
    let mut trackers = Trackers::new(&request.logger, dir, others);
    let mut run = Run::new(&setup)?;
    if !run.state.history.is_empty() {
        let history = &run.state.history;
        trackers.each(request.progress, |t| t.on_epoch(history));
    }
    let mut phase: Option<Phase> = None;
    let stopped = loop {
        if let Some(reason) = run.stop_reason(&setup) {
            break reason;
        }
        let freeze = setup.freeze_at(run.state.epoch);
        let current = match phase.take().filter(|p| p.freeze == freeze) {
            Some(current) => current,
            None => {
                run.refreeze(&setup, freeze)?;
                match Phase::prepare(&setup, &mut run, freeze)? {
                    Some(prepared) => prepared,
                    None => return interrupted(&setup, &mut run),
                }
            }
        };
        match epoch::epoch(&setup, &current, &mut run, &mut trackers)? {
            EpochEnd::Done => {}
            EpochEnd::Interrupted => return interrupted(&setup, &mut run),
            EpochEnd::TimeUp => {
                run.save(&setup, &[CheckpointDir::LAST])?;
                break StopReason::MaxTime;
            }
        }
        phase = Some(current);
    };
    let history = &run.state.history;
    trackers.each(request.progress, |t| t.on_end(history));
    setup.report_profile(&run);
    finish(&setup, &run, stopped).map(|fitted| FitOutcome::Finished(Box::new(fitted)))
}

fn interrupted(setup: &Setup<'_>, run: &mut Run) -> Result<FitOutcome> {
    run.save(setup, &[CheckpointDir::LAST])?;
    Ok(FitOutcome::Interrupted {
        checkpoint: setup.dir.as_ref().and_then(|d| d.existing(CheckpointDir::LAST)),
        epoch: run.state.epoch,
        step: run.state.step,
    })
}

fn finish(setup: &Setup<'_>, run: &Run, stopped: StopReason) -> Result<Fitted> {
    let existing = |name| setup.dir.as_ref().and_then(|d| d.existing(name));
    let best_kept = run.state.top_k.kept.first();
    let best_checkpoint = best_kept.and_then(|_| existing(CheckpointDir::BEST));
    let best = match &best_checkpoint {
        Some(path) => Checkpoint::load(path)?.weights().clone(),
        None => run.weights(),
    };
    Ok(Fitted {
        best_epoch: best_kept.filter(|_| best_checkpoint.is_some()).map(|k| k.epoch),
        best_checkpoint,
        last_checkpoint: existing(CheckpointDir::LAST),
        best,
        history: run.state.history.clone(),
        epochs: run.state.epoch,
        steps: run.state.step,
        stopped,
        elapsed: run.elapsed(),
    })
}
