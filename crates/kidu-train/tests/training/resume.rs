//! Interrupted or killed anywhere and resumed, a run ends bit for bit as if nothing had happened.

use std::{fs, path::Path};

use kidu_models::Freeze;
use kidu_train::{
    Checkpoint, FitOutcome, FitRequest, Fitted,
    checkpoint::RunState,
    fit,
    settings::{EmaSettings, OptimizerName},
};

use crate::tiny::{Stripes, Watcher, finished, request};

/// A recipe: changes the usual request.
type Recipe = fn(&mut FitRequest<'_>);

/// Adam, one-cycle, averaging, accumulation with a short last step, dropout, clipping, label smoothing.
fn everything(r: &mut FitRequest<'_>) {
    r.model.optimizer.name = OptimizerName::Adam;
    r.model.drop_rate = 0.2;
    r.model.label_smoothing = 0.1;
    r.trainer.accumulate_grad_batches = 2;
    r.trainer.gradient_clip_val = Some(1.0);
    r.callbacks.ema = Some(EmaSettings { decay: 0.9 });
    r.callbacks.model_checkpoint.save_top_k = 2;
}

/// A head on cached features, then the whole network.
fn cached(r: &mut FitRequest<'_>) {
    r.model.freeze = Freeze::Backbone;
    r.model.unfreeze_epoch = Some(2);
    r.model.backbone_lr_factor = 0.1;
    r.trainer.max_epochs = 3;
    r.trainer.accumulate_grad_batches = 2;
    r.model.optimizer.name = OptimizerName::Sgd;
}

/// A frozen stem that runs at every step.
fn uncached(r: &mut FitRequest<'_>) {
    r.model.freeze = Freeze::Stages(1);
    r.model.freeze_bn = true;
    r.trainer.cache_features = false;
    r.model.optimizer.name = OptimizerName::RmsProp;
    r.model.learning_rate = 1e-3.into();
}

const RECIPES: [(&str, Recipe); 3] = [("everything", everything), ("cached", cached), ("uncached", uncached)];

/// What must be equal, bit for bit.
#[derive(Debug, PartialEq)]
struct Result {
    best: Vec<u8>,
    last: Vec<u8>,
    history: String,
    files: Vec<Vec<u8>>,
    checkpoints: Vec<String>,
}

impl Result {
    fn of(fitted: &Fitted, dir: &Path) -> Self {
        let mut last = Checkpoint::load(fitted.last_checkpoint.as_ref().unwrap()).unwrap();
        last.state = RunState { elapsed: 0.0, ..last.state };
        let mut checkpoints: Vec<String> = fs::read_dir(dir.join("checkpoints"))
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        checkpoints.sort();
        Self {
            best: fitted.best.to_safetensors(None).unwrap(),
            last: last.to_bytes().unwrap(),
            history: serde_json::to_string(&fitted.history).unwrap(),
            files: ["metrics.csv", "metrics.jsonl", "curves.svg"].map(|f| fs::read(dir.join(f)).unwrap()).into(),
            checkpoints,
        }
    }
}

fn whole(recipe: Recipe) -> Result {
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    recipe(&mut r);
    Result::of(&finished(fit(r)), dir.path())
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    for (name, recipe) in RECIPES {
        assert_eq!(whole(recipe), whole(recipe), "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    everything(&mut r);
    r.seed += 1;
    assert_ne!(Result::of(&finished(fit(r)), dir.path()).best, whole(everything).best);
}

#[test]
fn stopped_at_every_step_and_resumed() {
    for (name, recipe) in RECIPES {
        let expected = whole(recipe);
        let mut interruptions = 0;
        for stop_after in 1..60 {
            let dir = tempfile::tempdir().unwrap();
            let watcher = Watcher { stop_after: Some(stop_after), ..Default::default() };
            let mut r = request(dir.path(), Some(&watcher));
            recipe(&mut r);
            let resume = match fit(r).unwrap() {
                // The run was over before the flag was looked at.
                FitOutcome::Finished(fitted) => {
                    assert_eq!(Result::of(&fitted, dir.path()), expected);
                    break;
                }
                FitOutcome::Interrupted { checkpoint, .. } => checkpoint.unwrap(),
            };
            interruptions += 1;
            let mut r = request(dir.path(), None);
            recipe(&mut r);
            r.resume = Some(resume);
            assert_eq!(Result::of(&finished(fit(r)), dir.path()), expected, "{name}, stopped after {stop_after}");
        }
        assert!(interruptions >= 12, "{name}: {interruptions}");
    }
}

#[test]
fn killed_at_every_batch_and_resumed() {
    for (name, recipe, every) in [
        ("everything", everything as Recipe, Some(1)),
        ("everything", everything, None),
        ("uncached", uncached, Some(3)),
    ] {
        let expected = whole(recipe);
        for fails_after in 1..12 {
            let dir = tempfile::tempdir().unwrap();
            let mut r = request(dir.path(), None);
            recipe(&mut r);
            r.trainer.checkpoint_every_n_steps = every;
            r.train = Box::new(Stripes { fails_after: Some(fails_after), ..Stripes::new(22, 4, true) });
            assert!(fit(r).unwrap_err().to_string().contains("power was cut"));
            let last = dir.path().join("checkpoints/last.ckpt");
            let mut r = request(dir.path(), None);
            recipe(&mut r);
            r.trainer.checkpoint_every_n_steps = every;
            // Killed before the first checkpoint: the run starts anew.
            r.resume = last.is_file().then_some(last);
            assert_eq!(Result::of(&finished(fit(r)), dir.path()), expected, "{name}, killed after {fails_after}");
        }
    }
}

#[test]
fn a_crash_between_a_better_checkpoint_and_the_last_one_is_mended() {
    let expected = whole(everything);
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    everything(&mut r);
    r.train = Box::new(Stripes { fails_after: Some(6), ..Stripes::new(22, 4, true) });
    fit(r).unwrap_err();
    // The state after epoch 0, but with files of epoch 1 beside it.
    let checkpoints = dir.path().join("checkpoints");
    let first = fs::read(checkpoints.join("last.ckpt")).unwrap();
    let mut r = request(dir.path(), None);
    everything(&mut r);
    r.resume = Some(checkpoints.join("last.ckpt"));
    finished(fit(r));
    fs::write(checkpoints.join("last.ckpt"), first).unwrap();
    let mut r = request(dir.path(), None);
    everything(&mut r);
    r.resume = Some(checkpoints.join("last.ckpt"));
    assert_eq!(Result::of(&finished(fit(r)), dir.path()), expected);
}

#[test]
fn a_finished_run_resumes_to_its_result_and_can_be_prolonged_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let fitted = finished(fit(request(dir.path(), None)));
    let mut r = request(dir.path(), None);
    r.resume = fitted.last_checkpoint.clone();
    let again = finished(fit(r));
    assert_eq!((again.best, again.history), (fitted.best, fitted.history));

    let other = tempfile::tempdir().unwrap();
    let watcher = Watcher::default();
    let mut r = request(other.path(), Some(&watcher));
    r.resume = fitted.last_checkpoint;
    r.trainer.max_epochs = 3;
    r.config_hash = "another".into();
    let longer = finished(fit(r));
    assert_eq!(longer.epochs, 3);
    assert!(longer.best_checkpoint.unwrap().starts_with(other.path()));
    assert!(watcher.notes().contains("the configuration is not the checkpoint's"), "{}", watcher.notes());
}

#[test]
fn checkpoints_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fitted = finished(fit(request(dir.path(), None)));
    let last = fitted.last_checkpoint.unwrap();
    let resume = |change: &dyn Fn(&mut FitRequest<'_>)| {
        let mut r = request(dir.path(), None);
        r.resume = Some(last.clone());
        change(&mut r);
        fit(r).unwrap_err().to_string()
    };
    let message = resume(&|r| r.model.optimizer.name = OptimizerName::Sgd);
    assert!(message.contains("with the optimizer AdamW") && message.contains("last.ckpt"), "{message}");
    let message = resume(&|r| {
        let architecture = &kidu_core::model::find("resnet18").unwrap().architecture;
        r.network = kidu_models::Network::new(architecture, 3, 0, &burn::tensor::Device::flex());
    });
    assert!(message.contains("of another network") && message.contains("missing keys"), "{message}");
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    let message = resume(&|_| ());
    assert!(message.contains("last.ckpt") && message.contains("not a whole checkpoint"), "{message}");
}
