//! What is decided before the first step and stays.

use std::{collections::BTreeSet, time::Instant};

use burn::tensor::Device;
use kidu_core::files;
use kidu_models::Freeze;

use super::{FitRequest, run::Run};
use crate::{
    checkpoint::CheckpointDir,
    error::{Result, TrainError},
    evaluate::device_of,
    history::{LR, TRAIN_ACC, TRAIN_LOSS, VAL_ACC, VAL_LOSS},
    loss::CrossEntropy,
    schedule::Schedule,
    settings::TrainerSettings,
    source::BatchSource,
    strategy::check_monitors,
};

/// The plan of a run.
pub(super) struct Setup<'a> {
    pub(super) request: &'a FitRequest<'a>,
    /// The trainer's settings, with those of `fast_dev_run` over them.
    pub(super) trainer: TrainerSettings,
    /// Without autodiff.
    pub(super) device: Device,
    pub(super) criterion: CrossEntropy,
    pub(super) schedule: Schedule,
    /// Batches of an epoch at most.
    pub(super) batches: usize,
    /// Where checkpoints go; none in `fast_dev_run`.
    pub(super) dir: Option<CheckpointDir>,
    pub(super) start: Instant,
}

impl<'a> Setup<'a> {
    pub(super) fn new(request: &'a FitRequest<'a>) -> Result<Self> {
        let mut problems = request.model.validate();
        problems.extend(request.trainer.validate());
        problems.extend(request.callbacks.validate());
        problems.extend(request.logger.validate());
        if !problems.is_empty() {
            return Err(TrainError::Settings(problems));
        }
        let measured: BTreeSet<&str> = match request.val {
            Some(_) => [TRAIN_LOSS, TRAIN_ACC, LR, VAL_LOSS, VAL_ACC].into(),
            None => [TRAIN_LOSS, TRAIN_ACC, LR].into(),
        };
        check_monitors(&request.callbacks, &measured)?;
        check_data(request)?;
        let mut trainer = request.trainer.clone();
        if trainer.fast_dev_run {
            (trainer.min_epochs, trainer.max_epochs) = (1, 1);
        }
        let batches = if trainer.fast_dev_run { 1 } else { whole_batches(request.train.as_ref()) };
        let steps_per_epoch = batches.div_ceil(trainer.accumulate_grad_batches) as u64;
        let total = steps_per_epoch * trainer.max_epochs as u64;
        let model = &request.model;
        let Some(learning_rate) = model.learning_rate.value() else {
            let message = "is auto: find it with find_learning_rate first, then fit with what it suggests";
            return Err(TrainError::Settings(vec![("model.learning_rate".into(), message.into())]));
        };
        Ok(Self {
            device: device_of(&request.network),
            criterion: CrossEntropy::new(&model.class_weights, model.label_smoothing, &request.class_counts)?,
            schedule: Schedule::new(&model.scheduler, learning_rate, total, steps_per_epoch),
            batches,
            dir: (!trainer.fast_dev_run).then(|| CheckpointDir::of_run(&request.run_dir)),
            trainer,
            start: Instant::now(),
            request,
        })
    }

    /// What is frozen in an epoch.
    pub(super) fn freeze_at(&self, epoch: usize) -> Freeze {
        match self.request.model.unfreeze_epoch {
            Some(from) if epoch >= from => Freeze::None,
            _ => self.request.model.freeze.resolve(self.request.network.num_stages()),
        }
    }

    /// Whether an epoch is followed by validation.
    pub(super) fn validates(&self, epoch: usize) -> bool {
        let due = (epoch + 1).is_multiple_of(self.trainer.check_val_every_n_epoch);
        self.request.val.is_some() && (due || epoch + 1 == self.trainer.max_epochs)
    }

    /// Which epoch of the source is trained on: always the first one to learn it by heart.
    pub(super) fn source_epoch(&self, epoch: usize) -> u64 {
        if self.trainer.overfit_batches > 0 { 0 } else { epoch as u64 }
    }

    /// Whether features of frozen parts are computed once: only when whole splits are used.
    pub(super) fn wants_cache(&self) -> bool {
        let t = &self.trainer;
        let whole = t.limit_train_batches.is_none() && t.limit_val_batches.is_none() && t.overfit_batches == 0;
        t.cache_features && whole && !t.fast_dev_run
    }

    /// Writes where the time went, if that is wanted.
    pub(super) fn report_profile(&self, run: &Run) {
        if self.trainer.profiler.is_none() {
            return;
        }
        let table = run.profile.table();
        let path = self.request.run_dir.join("profile.txt");
        let written = files::write_atomic(&path, table.as_bytes());
        self.request.progress.note(table.trim_end());
        if let Err(e) = written {
            self.request.progress.note(&format!("the profile is not kept: {e}"));
        }
    }
}

/// Batches of an epoch, without a last one of a single image: batch norm has nothing to average over there.
pub(super) fn whole_batches(source: &dyn BatchSource) -> usize {
    without_single(source.images(), source.batch_size(), source.batches())
}

/// See [`whole_batches`].
pub(super) fn without_single(images: usize, batch_size: usize, batches: usize) -> usize {
    if batches > 1 && batch_size > 1 && images % batch_size == 1 { batches - 1 } else { batches }
}

fn check_data(request: &FitRequest<'_>) -> Result<()> {
    let empty = |what: &str| {
        Err(TrainError::NoData(format!(
            "the {what} split has no images; check data.root and data.train_val_test_split"
        )))
    };
    if request.train.images() == 0 || request.train.batches() == 0 {
        return empty("training");
    }
    if request.val.as_ref().is_some_and(|v| v.images() == 0) {
        return empty("validation");
    }
    let classes = request.network.num_classes();
    if request.class_counts.len() != classes {
        let found = request.class_counts.len();
        return Err(TrainError::NoData(format!(
            "the data have {found} classes, the network {classes}; build the network for the data's classes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_last_batch_of_one_image_is_left_out() {
        for (images, batch_size, expected) in [(9, 4, 2), (8, 4, 2), (10, 4, 3), (1, 4, 1), (3, 1, 3)] {
            assert_eq!(super::without_single(images, batch_size, images.div_ceil(batch_size)), expected);
        }
    }
}
