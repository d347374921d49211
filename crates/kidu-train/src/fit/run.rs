//! What changes from step to step, and how it is saved and restored.

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use burn::module::Module;
use kidu_core::files;
use kidu_models::{Freeze, Network, StateDict};

use super::{StopReason, setup::Setup};
use crate::{
    checkpoint::{Checkpoint, CheckpointDir, RunState},
    ema::Ema,
    error::{Result, TrainError},
    optimizer::{Gradients, Optimizer, clip_by_global_norm},
    profile::Profile,
    strategy::TopK,
};

/// The moving parts of a run.
pub(super) struct Run {
    /// On the autodiff device, once [`Run::refreeze`] has been called.
    pub(super) network: Network,
    optimizer: Optimizer,
    ema: Option<Ema>,
    pub(super) state: RunState,
    pub(super) profile: Profile,
    start: Instant,
    /// Seconds of the parts of the run before this one.
    before: f64,
    /// Skipped images that have been reported.
    reported: BTreeSet<String>,
}

impl Run {
    /// A run at its beginning, or where its checkpoint left it.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self> {
        let request = setup.request;
        let mut run = Self {
            network: request.network.clone(),
            optimizer: Optimizer::new(&request.model.optimizer, request.model.backbone_lr_factor),
            ema: None,
            state: RunState::default(),
            profile: Profile::default(),
            start: setup.start,
            before: 0.0,
            reported: BTreeSet::new(),
        };
        match &request.resume {
            Some(path) => run.restore(setup, path)?,
            None => run.ema = request.callbacks.ema.as_ref().map(|e| Ema::new(&run.network, e.decay)),
        }
        Ok(run)
    }

    /// Freezes a part of the network and puts it on the autodiff device.
    pub(super) fn refreeze(&mut self, setup: &Setup<'_>, freeze: Freeze) -> Result<()> {
        self.network = self.network.valid().freeze(freeze, setup.request.model.freeze_bn)?.train();
        Ok(())
    }

    /// Applies gradients that are summed up over some batches.
    pub(super) fn optimizer_step(&mut self, setup: &Setup<'_>, freeze: Freeze, gradients: Gradients) {
        let lr = setup.schedule.rate(self.state.step, self.state.epoch, &self.state.plateau);
        self.optimizer_step_at(lr, setup, freeze, gradients);
    }

    /// The same at a given learning rate.
    pub(super) fn optimizer_step_at(&mut self, lr: f64, setup: &Setup<'_>, freeze: Freeze, gradients: Gradients) {
        let gradients = match setup.trainer.gradient_clip_val {
            Some(most) => clip_by_global_norm(gradients, most).0,
            None => gradients,
        };
        self.network = self.optimizer.step(self.network.clone(), gradients, lr);
        if let Some(ema) = &mut self.ema {
            ema.update(&self.network, freeze);
            self.state.ema_updates = ema.updates();
        }
        self.state.step += 1;
        self.state.lr = lr;
    }

    /// The network to predict with, on the plain device: averaged weights if averaging is on.
    pub(super) fn evaluation_network(&self) -> Network {
        let network = self.network.valid();
        match &self.ema {
            Some(ema) => ema.apply(network),
            None => network,
        }
    }

    /// The weights to predict with.
    pub(super) fn weights(&self) -> StateDict {
        self.ema.as_ref().map_or_else(|| StateDict::of(&self.network), Ema::state)
    }

    /// Seconds of the whole run.
    pub(super) fn elapsed(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Whether `trainer.max_time` is over and the least number of epochs done.
    pub(super) fn is_time_up(&self, setup: &Setup<'_>) -> bool {
        let over = setup.trainer.max_time.is_some_and(|t| self.elapsed() >= t.seconds());
        over && self.state.epoch >= setup.trainer.min_epochs
    }

    /// Whether the run is to end before the next epoch.
    pub(super) fn stop_reason(&self, setup: &Setup<'_>) -> Option<StopReason> {
        let state = &self.state;
        let early = setup.request.callbacks.early_stopping.as_ref();
        if state.epoch >= setup.trainer.max_epochs {
            return Some(StopReason::MaxEpochs);
        }
        let stuck = early.is_some_and(|e| state.early_stopping.should_stop(e));
        if stuck && state.batch == 0 && state.epoch >= setup.trainer.min_epochs {
            return Some(StopReason::EarlyStopping);
        }
        self.is_time_up(setup).then_some(StopReason::MaxTime)
    }

    /// Writes the present state under some names, if checkpoints are written at all.
    pub(super) fn save(&mut self, setup: &Setup<'_>, names: &[&str]) -> Result<()> {
        let Some(dir) = setup.dir.as_ref().filter(|_| !names.is_empty()) else { return Ok(()) };
        self.state.elapsed = self.elapsed();
        let checkpoint = Checkpoint {
            seed: setup.request.seed,
            config_hash: setup.request.config_hash.clone(),
            optimizer_name: setup.request.model.optimizer.name,
            state: self.state.clone(),
            network: StateDict::of(&self.network),
            ema: self.ema.as_ref().map(Ema::state),
            optimizer: self.optimizer.state(),
        };
        self.profile.time("checkpoint", || dir.write(&checkpoint, names))
    }

    /// Reports images that were left out since the last time.
    pub(super) fn report_skipped(&mut self, setup: &Setup<'_>) {
        let sources = [Some(setup.request.train.as_ref()), setup.request.val.as_deref()];
        for line in sources.into_iter().flatten().flat_map(|s| s.skipped()) {
            if self.reported.insert(line.clone()) {
                setup.request.progress.note(&format!("left out: {line}"));
            }
        }
    }

    fn restore(&mut self, setup: &Setup<'_>, path: &Path) -> Result<()> {
        let (request, progress) = (setup.request, setup.request.progress);
        let checkpoint = Checkpoint::load(path)?;
        let refuse = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let wanted = request.model.optimizer.name;
        if checkpoint.optimizer_name != wanted {
            return Err(refuse(format!(
                "was written with the optimizer {:?}, the configuration has {wanted:?}; use the same one, or start \
                 anew from its weights",
                checkpoint.optimizer_name
            )));
        }
        for line in differences(&checkpoint, request.seed, &request.config_hash) {
            progress.note(&line);
        }
        let name = &request.model.name;
        self.network = checkpoint
            .network
            .apply(self.network.clone(), name)
            .map_err(|e| refuse(format!("is of another network: {e}")))?;
        self.optimizer.restore(&checkpoint.optimizer, &setup.device);
        self.ema = match (&request.callbacks.ema, &checkpoint.ema) {
            (Some(e), Some(saved)) => Some(Ema::restore(&self.network, e.decay, checkpoint.state.ema_updates, saved)?),
            (Some(e), None) => {
                progress.note("the checkpoint has no averaged weights: averaging starts from its weights");
                Some(Ema::new(&self.network, e.decay))
            }
            (None, Some(_)) => {
                progress.note("callbacks.ema is off: the checkpoint's averaged weights are dropped");
                None
            }
            (None, None) => None,
        };
        self.before = checkpoint.state.elapsed;
        self.state = checkpoint.state;
        if let Some(dir) = &setup.dir {
            adopt(dir, path, &mut self.state).into_iter().for_each(|line| progress.note(&line));
        }
        let RunState { epoch, batch, step, .. } = &self.state;
        progress.note(&format!("resumed from {}: epoch {epoch}, batch {batch}, step {step}", path.display()));
        Ok(())
    }
}

/// What makes the resumed run another one than the interrupted.
fn differences(checkpoint: &Checkpoint, seed: u64, config_hash: &str) -> Vec<String> {
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_string();
    let mut lines = Vec::new();
    if checkpoint.config_hash != config_hash {
        lines.push(format!(
            "the configuration is not the checkpoint's (hash {}, now {}): the result will differ from an uninterrupted \
             run; to go on unchanged, resume with the configuration saved in the run's folder",
            short(&checkpoint.config_hash),
            short(config_hash)
        ));
    }
    if checkpoint.seed != seed {
        lines.push(format!("the seed is not the checkpoint's ({}, now {seed})", checkpoint.seed));
    }
    lines
}

/// Makes the checkpoint folder agree with a restored state: finishes deletions that a crash cut short, and brings the
/// kept checkpoints along when the run goes on in another folder. Returns what there is to say.
fn adopt(dir: &CheckpointDir, resumed: &Path, state: &mut RunState) -> Vec<String> {
    let mut lines = Vec::new();
    let from = files::parent_of(resumed);
    let here = dir.path("");
    let same = fs::canonicalize(&from).ok().is_some_and(|f| fs::canonicalize(&here).is_ok_and(|h| f == h));
    if same {
        dir.remove_links();
        lines.extend(dir.delete(&state.superseded));
    } else {
        let names = state.top_k.kept.iter().map(|k| k.file.as_str()).chain([CheckpointDir::BEST]);
        for name in names.filter(|n| dir.existing(n).is_none()) {
            if let Ok(bytes) = fs::read(from.join(name))
                && let Err(e) = files::write_atomic(&dir.path(name), &bytes)
            {
                lines.push(format!("the earlier checkpoint {name} is not brought along: {e}"));
            }
        }
    }
    if !state.top_k.kept.is_empty() && dir.existing(CheckpointDir::BEST).is_none() {
        lines.push("best.ckpt of the interrupted run is gone: the best is chosen among the epochs to come".into());
        state.top_k = TopK::default();
    }
    lines
}
