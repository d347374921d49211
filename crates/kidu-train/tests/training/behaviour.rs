//! What the loop does beside resuming.

use std::fs;

use burn::tensor::{Device, Tensor, TensorData};
use kidu_models::{Cut, Freeze, Inference, StateDict};
use kidu_train::{
    Augmentation, BatchSource, Checkpoint, FitOutcome, StopReason, Tracker, TrainError, fit,
    history::EpochRow,
    settings::{EarlyStoppingSettings, EmaSettings, ProfilerName, SchedulerName},
    strategy::Mode,
};

use crate::tiny::{CLASSES, SIZE, Stripes, Watcher, finished, network, request};

#[test]
fn it_learns_and_writes_everything_down() {
    let dir = tempfile::tempdir().unwrap();
    let watcher = Watcher::default();
    let mut r = request(dir.path(), Some(&watcher));
    r.train = Box::new(Stripes::new(48, 8, true));
    r.val = Some(Box::new(Stripes::new(24, 8, false)));
    r.trainer.max_epochs = 12;
    r.trainer.profiler = Some(ProfilerName::Simple);
    r.callbacks.model_checkpoint.save_top_k = 2;
    r.callbacks.model_checkpoint.monitor = "val/loss".into();
    r.callbacks.model_checkpoint.mode = Mode::Min;
    let fitted = finished(fit(r));
    let best = fitted.best_row().unwrap();
    assert!(best.get("val/acc").unwrap() > 0.9, "{:?}", fitted.history);
    assert_eq!((fitted.epochs, fitted.steps, fitted.stopped), (12, 72, StopReason::MaxEpochs));
    assert!(!fitted.stopped_early() && fitted.elapsed > 0.0);

    // The best weights give the best row's accuracy.
    let judged = fitted.best.apply(network(9), "tiny").unwrap();
    let inference = Inference::new(&judged, [3, SIZE, SIZE]).unwrap();
    let mut hits = 0;
    for batch in Stripes::new(24, 8, false).plain().map(Result::unwrap) {
        let shape = [batch.labels.len(), 3, SIZE, SIZE];
        let images = Tensor::<4>::from_data(TensorData::new(batch.images, shape), &Device::flex());
        let logits = inference.logits(images, Cut::Image).unwrap();
        let class = |row: &[f32]| (0..CLASSES).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        hits += logits.chunks(CLASSES).zip(&batch.labels).filter(|(row, label)| class(row) == **label).count();
    }
    assert_eq!(hits as f64 / 24.0, best.get("val/acc").unwrap());

    let mut names: Vec<String> = fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[0] == "best.ckpt" && names[1].starts_with("epoch=") && names[3] == "last.ckpt");
    assert_eq!(fs::read_to_string(dir.path().join("metrics.csv")).unwrap().lines().count(), 13);
    assert!(fs::read_to_string(dir.path().join("curves.svg")).unwrap().contains("accuracy"));
    assert!(fs::read_to_string(dir.path().join("profile.txt")).unwrap().contains("backward"));
    let notes = watcher.notes();
    assert!(notes.contains("epoch 12/12: train loss") && notes.contains("(best so far)"), "{notes}");
}

#[test]
fn features_are_cached_reused_and_leave_the_backbone_alone() {
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |change: &dyn Fn(&mut kidu_train::FitRequest<'_>)| {
        let watcher = Watcher::default();
        let mut r = request(dir.path(), Some(&watcher));
        r.model.freeze = Freeze::Backbone;
        r.cache_dir = Some(cache.path().to_path_buf());
        r.train = Box::new(Stripes {
            augmentation: Augmentation { horizontal_flip: 0.5, others: vec!["random_resized_crop".into()] },
            ..Stripes::new(22, 4, true)
        });
        change(&mut r);
        (finished(fit(r)), watcher.notes())
    };
    let (first, notes) = run(&|_| ());
    assert!(notes.contains("random_resized_crop cannot apply (the horizontal flip does)"), "{notes}");
    assert!(notes.contains("features of train: kept in") && notes.contains("features of val: kept in"), "{notes}");
    let (second, notes) = run(&|_| ());
    assert!(notes.contains("features of train: reused from"), "{notes}");
    assert_eq!((&first.best, &first.history), (&second.best, &second.history));
    let before = StateDict::of(&network(1));
    let changed: Vec<&String> = before.0.keys().filter(|k| first.best.0[*k] != before.0[*k]).collect();
    assert_eq!(changed, ["classifier.bias", "classifier.weight"]);

    // Other weights, another cut: other keys. Without the cache nothing is computed beforehand.
    let (_, notes) = run(&|r| r.network = network(2));
    assert!(notes.contains("features of train: kept in"), "{notes}");
    let (_, notes) = run(&|r| r.model.freeze = Freeze::Stages(1));
    assert!(notes.contains("features of train: kept in"), "{notes}");
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 6);
    let (_, notes) = run(&|r| r.trainer.cache_features = false);
    assert!(!notes.contains("features of"), "{notes}");
}

#[test]
fn cached_features_give_what_the_pixels_give() {
    let run = |cached: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mut r = request(dir.path(), None);
        r.model.freeze = Freeze::Backbone;
        r.trainer.cache_features = cached;
        r.trainer.max_epochs = 1;
        finished(fit(r)).history[0].get("val/loss").unwrap()
    };
    // Training differs by the views that are drawn, so only the validation of nearly equal heads is compared.
    assert!((run(true) - run(false)).abs() < 0.2, "{} {}", run(true), run(false));
}

#[test]
fn averaged_weights_are_what_is_judged_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    r.callbacks.ema = Some(EmaSettings { decay: 0.99 });
    let fitted = finished(fit(r));
    let checkpoint = Checkpoint::load(&fitted.best_checkpoint.unwrap()).unwrap();
    assert_eq!(&fitted.best, checkpoint.ema.as_ref().unwrap());
    assert_ne!(fitted.best, checkpoint.network);
}

#[test]
fn early_stopping_and_time_end_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    r.trainer.max_epochs = 50;
    r.trainer.min_epochs = 4;
    r.model.scheduler.name = SchedulerName::Plateau;
    let monitor = "lr".to_string();
    r.callbacks.early_stopping = Some(EarlyStoppingSettings { monitor, patience: 2, ..Default::default() });
    let fitted = finished(fit(r));
    assert_eq!((fitted.stopped, fitted.epochs), (StopReason::EarlyStopping, 4));

    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    r.trainer.max_epochs = 50;
    r.trainer.max_time = serde_json::from_value(serde_json::json!("0.001s")).unwrap();
    let fitted = finished(fit(r));
    assert_eq!((fitted.stopped, fitted.epochs), (StopReason::MaxTime, 1));
    assert!(fitted.stopped_early() && fitted.best_epoch == Some(0));
}

#[test]
fn a_dry_run_writes_nothing_and_overfitting_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    r.trainer.fast_dev_run = true;
    let fitted = finished(fit(r));
    assert_eq!((fitted.epochs, fitted.steps, fitted.best_checkpoint), (1, 1, None));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let mut r = request(dir.path(), None);
    r.train = Box::new(Stripes::new(4, 4, true));
    r.trainer.overfit_batches = 1;
    r.trainer.max_epochs = 30;
    let fitted = finished(fit(r));
    assert!(fitted.history[29].get("train/loss").unwrap() < 0.1, "{:?}", fitted.history[29]);
}

#[test]
fn divergence_is_named_and_the_last_checkpoint_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    r.model.learning_rate = 1e30.into();
    r.model.scheduler.name = SchedulerName::Constant;
    r.trainer.checkpoint_every_n_steps = Some(1);
    let error = fit(r).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TrainError::NonFinite { .. }), "{message}");
    assert!(message.contains("Lower model.learning_rate") && message.contains("epoch 0"), "{message}");
    assert!(message.contains("last.ckpt"), "{message}");
}

#[test]
fn mistakes_are_found_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |change: &dyn Fn(&mut kidu_train::FitRequest<'_>)| {
        let mut r = request(dir.path(), None);
        change(&mut r);
        fit(r).unwrap_err().to_string()
    };
    let message = fails(&|r| r.callbacks.model_checkpoint.monitor = "val/accuracy".into());
    assert!(message.contains("callbacks.model_checkpoint.monitor") && message.contains("'val/acc'"), "{message}");
    let message = fails(&|r| {
        r.model.learning_rate = (-1.0).into();
        r.trainer.max_epochs = 0;
    });
    assert!(
        message.contains("model.learning_rate: must be > 0") && message.contains("trainer.max_epochs"),
        "{message}"
    );
    assert!(fails(&|r| r.val = None).contains("val/acc"));
    assert!(fails(&|r| r.class_counts = vec![1, 2]).contains("2 classes, the network 3"));
    assert!(fails(&|r| r.train = Box::new(Stripes::new(0, 4, true))).contains("no images"));
    assert!(fails(&|r| r.model.freeze = Freeze::Stages(7)).contains("the network has 2"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_disk_that_takes_no_more_stops_the_run_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // A folder in the way of the second epoch's file stands for a full disk.
    let mut r = request(dir.path(), None);
    r.callbacks.model_checkpoint.save_top_k = -1;
    r.callbacks.model_checkpoint.monitor = "lr".into();
    r.trainer.max_epochs = 2;
    let lr = finished(fit(r)).history[1].get("lr").unwrap();
    fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    fs::create_dir_all(dir.path().join(format!("checkpoints/epoch=001-lr={lr:.3}.ckpt"))).unwrap();
    let mut r = request(dir.path(), None);
    r.callbacks.model_checkpoint.save_top_k = -1;
    r.callbacks.model_checkpoint.monitor = "lr".into();
    let message = fit(r).unwrap_err().to_string();
    assert!(message.contains("cannot write the checkpoint") && message.contains("last.ckpt; resume with"), "{message}");
    assert_eq!(Checkpoint::load(&dir.path().join("checkpoints/last.ckpt")).unwrap().state.epoch, 1);
}

struct Broken;

impl Tracker for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    fn on_epoch(&mut self, _: &[EpochRow]) -> Result<(), String> {
        Err("no connection".into())
    }
}

#[test]
fn a_failing_tracker_is_reported_once_and_does_not_stop_training() {
    let dir = tempfile::tempdir().unwrap();
    let watcher = Watcher::default();
    let mut r = request(dir.path(), Some(&watcher));
    r.trackers.push(Box::new(Broken));
    assert_eq!(finished(fit(r)).epochs, 2);
    assert_eq!(watcher.notes().matches("the broken log is incomplete").count(), 1);
}

#[test]
fn without_a_validation_split_the_training_metrics_decide() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = request(dir.path(), None);
    r.val = None;
    r.callbacks.model_checkpoint.monitor = "train/loss".into();
    r.callbacks.model_checkpoint.mode = Mode::Min;
    // 21 images in batches of 4: the last one alone is left out.
    r.train = Box::new(Stripes::new(21, 4, true));
    let FitOutcome::Finished(fitted) = fit(r).unwrap() else { panic!("not interrupted") };
    assert_eq!((fitted.steps, fitted.best_epoch.is_some()), (10, true));
}
