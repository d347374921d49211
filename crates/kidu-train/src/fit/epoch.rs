//! One epoch: training, validation, and what follows from the metrics.

use std::{sync::atomic::Ordering, time::Instant};

use kidu_models::Inference;

use super::{phase::Phase, run::Run, setup::Setup, step};
use crate::{
    checkpoint::CheckpointDir,
    error::{Result, TrainError},
    evaluate::Score,
    history::{EpochRow, LR, TRAIN_ACC, TRAIN_LOSS, VAL_ACC, VAL_LOSS},
    optimizer::Accumulator,
    tracker::{StepRow, Trackers},
};

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpochEnd {
    Done,
    /// The stop flag was set; nothing is saved yet.
    Interrupted,
    /// `trainer.max_time` is over; nothing is saved yet.
    TimeUp,
}

/// Trains for the rest of the present epoch, validates, saves and reports.
pub(super) fn epoch(setup: &Setup<'_>, phase: &Phase, run: &mut Run, trackers: &mut Trackers) -> Result<EpochEnd> {
    let (progress, shown) = (setup.request.progress, setup.request.callbacks.progress_bar);
    let (start, before) = (Instant::now(), run.state.images);
    if shown {
        let title = format!("epoch {}/{}", run.state.epoch + 1, setup.trainer.max_epochs);
        let left = phase.train_batches(setup).saturating_sub(run.state.batch) * setup.request.train.batch_size();
        progress.begin(&title, "images", Some(left.min(setup.request.train.images()) as u64));
    }
    let end = train(setup, phase, run, trackers);
    if shown {
        progress.end();
    }
    run.report_skipped(setup);
    match end? {
        EpochEnd::Done => {}
        other => return Ok(other),
    }
    let speed = (run.state.images - before) as f64 / start.elapsed().as_secs_f64().max(1e-9);
    let validated = setup.validates(run.state.epoch);
    let Some(score) = (if validated { validate(setup, phase, run)?.map(Some) } else { Some(None) }) else {
        return Ok(EpochEnd::Interrupted);
    };
    conclude(setup, run, trackers, score, speed)?;
    Ok(EpochEnd::Done)
}

/// The training steps of an epoch, from the batch where the state stands.
fn train(setup: &Setup<'_>, phase: &Phase, run: &mut Run, trackers: &mut Trackers) -> Result<EpochEnd> {
    let batches = phase.train_batches(setup);
    let mut pending = Accumulator::default();
    let mut inputs = phase.train_inputs(setup, run.state.epoch, run.state.batch);
    let mut loss = 0.0;
    while run.state.batch < batches {
        let Some(input) = run.profile.time("data", || inputs.next()).transpose()? else { break };
        if input.number >= batches {
            break;
        }
        let number = input.number;
        let result = step::forward_backward(setup, phase, run, input)?;
        let state = &mut run.state;
        state.batch = number + 1;
        state.loss_sum += result.loss * result.images as f64;
        state.correct += result.correct;
        state.images += result.images;
        loss = result.loss;
        pending.add(result.gradients);
        show(setup, run, result.images);
        if pending.batches() == setup.trainer.accumulate_grad_batches || run.state.batch == batches {
            match optimizer_step(setup, phase, run, trackers, (&mut pending, loss))? {
                EpochEnd::Done => {}
                other => return Ok(other),
            }
        }
    }
    run.state.batch = batches;
    if pending.batches() > 0 {
        // Images were skipped and the epoch ended before its planned last batch.
        return optimizer_step(setup, phase, run, trackers, (&mut pending, loss));
    }
    Ok(EpochEnd::Done)
}

/// Applies the gradients, then looks whether to save or to stop.
fn optimizer_step(
    setup: &Setup<'_>,
    phase: &Phase,
    run: &mut Run,
    trackers: &mut Trackers,
    (pending, loss): (&mut Accumulator, f64),
) -> Result<EpochEnd> {
    let before = Instant::now();
    run.optimizer_step(setup, phase.freeze, pending.take());
    run.profile.add("optimizer", before.elapsed());
    let row = StepRow { epoch: run.state.epoch, step: run.state.step, loss, lr: run.state.lr };
    trackers.each(setup.request.progress, |t| t.on_step(&row));
    if setup.request.stop.load(Ordering::Relaxed) {
        return Ok(EpochEnd::Interrupted);
    }
    // A whole epoch is worth its validation; the loop looks at the time again after it.
    if run.is_time_up(setup) && run.state.batch < phase.train_batches(setup) {
        return Ok(EpochEnd::TimeUp);
    }
    if setup.trainer.checkpoint_every_n_steps.is_some_and(|n| run.state.step.is_multiple_of(n)) {
        run.save(setup, &[CheckpointDir::LAST])?;
    }
    Ok(EpochEnd::Done)
}

fn show(setup: &Setup<'_>, run: &Run, images: usize) {
    if setup.request.callbacks.progress_bar {
        let state = &run.state;
        let lr = setup.schedule.rate(state.step, state.epoch, &state.plateau);
        let n = state.images.max(1) as f64;
        let (loss, acc) = (state.loss_sum / n, state.correct / n);
        setup.request.progress.set_message(&format!("loss {loss:.3} acc {acc:.3} lr {lr:.1e}"));
        setup.request.progress.advance(images as u64);
    }
}

/// Scores the validation split. `None` when the stop flag was set meanwhile.
fn validate(setup: &Setup<'_>, phase: &Phase, run: &mut Run) -> Result<Option<Score>> {
    let Some(source) = setup.request.val.as_deref() else { return Ok(Some(Score::default())) };
    let (progress, shown) = (setup.request.progress, setup.request.callbacks.progress_bar);
    if shown {
        progress.begin("validate", "images", Some(phase.val_images(source) as u64));
    }
    let start = Instant::now();
    let score = score(setup, phase, run, source);
    run.profile.add("validation", start.elapsed());
    if shown {
        progress.end();
    }
    run.report_skipped(setup);
    let Some(score) = score? else { return Ok(None) };
    if score.images == 0 {
        return Err(TrainError::NoData(
            "every validation image was skipped; check the files that were left out".into(),
        ));
    }
    if !score.loss().is_finite() {
        let kept = setup.dir.as_ref().and_then(|d| d.existing(CheckpointDir::LAST));
        let (epoch, step) = (run.state.epoch, run.state.step);
        return Err(TrainError::NonFinite { what: "validation", value: score.loss(), epoch, step, kept });
    }
    Ok(Some(score))
}

fn score(
    setup: &Setup<'_>,
    phase: &Phase,
    run: &Run,
    source: &dyn crate::source::BatchSource,
) -> Result<Option<Score>> {
    let inference = Inference::new(&run.evaluation_network(), source.image_shape())?;
    let mut score = Score::default();
    for input in phase.val_inputs(setup, source) {
        let input = input?;
        // One batch is enough to see whether it runs.
        if setup.trainer.fast_dev_run && input.number > 0 {
            break;
        }
        if setup.request.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        score.add(&inference.logits(input.x, input.at)?, &input.labels);
        if setup.request.callbacks.progress_bar {
            setup.request.progress.advance(input.labels.len() as u64);
        }
    }
    Ok(Some(score))
}

/// Adds the row, decides what to keep, writes checkpoints, then tells everyone.
fn conclude(setup: &Setup<'_>, run: &mut Run, trackers: &mut Trackers, score: Option<Score>, speed: f64) -> Result<()> {
    let callbacks = &setup.request.callbacks;
    let state = &mut run.state;
    if state.images == 0 {
        return Err(TrainError::NoData("every training image was skipped; check the files that were left out".into()));
    }
    let n = state.images as f64;
    let mut row = EpochRow {
        epoch: state.epoch,
        step: state.step,
        metrics: [
            (TRAIN_LOSS.to_string(), state.loss_sum / n),
            (TRAIN_ACC.to_string(), state.correct / n),
            (LR.to_string(), state.lr),
        ]
        .into(),
    };
    if let Some(score) = &score {
        row.metrics.insert(VAL_LOSS.into(), score.loss());
        row.metrics.insert(VAL_ACC.into(), score.accuracy());
    }
    // Without a validation split the plateau is one of the training loss.
    let watched = if setup.request.val.is_some() { row.get(VAL_LOSS) } else { row.get(TRAIN_LOSS) };
    if let Some(loss) = watched {
        state.plateau = setup.schedule.after_validation(&state.plateau, loss);
    }
    if let Some(early) = &callbacks.early_stopping {
        state.early_stopping = state.early_stopping.after(early, &row);
    }
    let (top_k, actions) = state.top_k.after(&callbacks.model_checkpoint, &row);
    (state.top_k, state.superseded) = (top_k, actions.delete.clone());
    (state.epoch, state.batch) = (state.epoch + 1, 0);
    (state.loss_sum, state.correct, state.images) = (0.0, 0.0, 0);
    state.history.push(row.clone());
    // last.ckpt comes after what it speaks of, and deletions after it: a crash in between loses nothing.
    let last = callbacks.model_checkpoint.save_last.then_some(CheckpointDir::LAST);
    let best = actions.best.then_some(CheckpointDir::BEST);
    let names: Vec<&str> = actions.save.as_deref().into_iter().chain(best).chain(last).collect();
    run.save(setup, &names)?;
    if let Some(dir) = &setup.dir {
        dir.delete(&actions.delete).iter().for_each(|line| setup.request.progress.note(line));
    }
    let history = &run.state.history;
    trackers.each(setup.request.progress, |t| t.on_epoch(history));
    setup.request.progress.note(&line(setup, &row, actions.best, speed));
    Ok(())
}

/// `epoch 3/10: train loss 0.312 acc 0.890, val loss 0.401 acc 0.871, lr 1.0e-3, 312 images/s (best so far)`.
fn line(setup: &Setup<'_>, row: &EpochRow, best: bool, speed: f64) -> String {
    let value = |name| row.get(name).unwrap_or(f64::NAN);
    let mut text = format!(
        "epoch {}/{}: train loss {:.4} acc {:.4}",
        row.epoch + 1,
        setup.trainer.max_epochs,
        value(TRAIN_LOSS),
        value(TRAIN_ACC)
    );
    if row.get(VAL_LOSS).is_some() {
        text += &format!(", val loss {:.4} acc {:.4}", value(VAL_LOSS), value(VAL_ACC));
    }
    text += &format!(", lr {:.1e}, {speed:.0} images/s", value(LR));
    if best {
        text += " (best so far)";
    }
    text
}
