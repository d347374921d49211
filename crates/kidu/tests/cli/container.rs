//! SageMaker's training contract with the very command: the image's entry in a folder tree laid out as SageMaker lays it
//! out, keys of the configuration in `hyperparameters.json`, an interruption, and a failure.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kidu_core::Sha256Hex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    command::{Ended, Running, end_of, isolate, run},
    fixture::{SCENES, TRAINED, copy, scratch, set},
};

struct Container {
    dir: TempDir,
}

impl Container {
    /// With the scenes as channel and the keys of the shared training as hyperparameters.
    fn new() -> Self {
        let container = Self { dir: scratch() };
        copy(&SCENES, &container.ml().join("input/data/dataset"));
        container.hyperparameters(json!({
            "model": "resnet18",
            "data.image_size": "32",
            "data.batch_size": "8",
            "trainer.max_epochs": "2",
            "trainer.limit_train_batches": "3",
            "trainer.checkpoint_every_n_steps": "1",
            "callbacks.model_checkpoint.save_top_k": "\"0\"",
            "_tuning_objective_metric": "val/acc",
        }));
        container
    }

    fn ml(&self) -> PathBuf {
        self.dir.path().join("ml")
    }

    fn hyperparameters(&self, values: Value) {
        let path = self.ml().join("input/config/hyperparameters.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, values.to_string()).unwrap();
    }

    /// The entry as SageMaker calls it: `docker run IMAGE train`.
    fn command(&self) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/kidu-sagemaker"));
        isolate(&mut command, self.dir.path());
        let bin = Path::new(env!("CARGO_BIN_EXE_kidu")).parent().unwrap().display().to_string();
        command.arg("train").env("KIDU_ML", self.ml()).env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()));
        command
    }

    fn run(&self) -> Ended {
        end_of(self.command())
    }

    fn failure(&self) -> String {
        fs::read_to_string(self.ml().join("output/failure")).unwrap()
    }
}

#[test]
fn an_interrupted_job_goes_on_to_the_result_of_one_that_nothing_ended() {
    let of = |container: &Container| container.ml().join("checkpoints/run");
    let interrupted = |_| {
        let container = Container::new();
        let mut job = Running::start(container.command(), &container.dir.path().join("err.txt"));
        let last = of(&container).join("checkpoints/last.ckpt");
        let status = job.interrupt("TERM", "a checkpoint", |_| last.is_file())?;
        assert_eq!(status.code(), Some(130), "{}", job.err());
        Some(container)
    };
    let container = (0..crate::resume::TRIES).find_map(interrupted).expect("a job that the signal ends");
    let folder = of(&container);
    assert!(container.failure().contains("interrupted: at epoch"), "{}", container.failure());
    assert!(!container.ml().join("model").exists(), "no model of half a training");

    // The spot instance comes back with the checkpoints; other hyperparameters would change nothing.
    let ended = container.run().ok();
    assert!(ended.err.contains("resumed from"), "{ended:#?}");
    let weights = |dir: &Path| Sha256Hex::of_file(&dir.join("weights.safetensors")).unwrap();
    assert_eq!(weights(&container.ml().join("model")), weights(&TRAINED.join("bundle")));
    let metrics = |dir: &Path| fs::read_to_string(dir.join("metrics.csv")).unwrap();
    assert_eq!(metrics(&folder), metrics(&TRAINED));
    assert!(container.ml().join("output/data/summary.json").is_file());
}

#[test]
fn a_hyperparameter_that_is_no_key_fails_with_the_nearest_one() {
    let container = Container::new();
    container.hyperparameters(json!({"model": "resnet18", "trainer.max_epoch": "2"}));
    let ended = container.run().code(2);
    assert!(ended.err.contains("trainer.max_epochs"), "{ended:#?}");
    assert!(container.failure().contains("trainer.max_epochs"), "{}", container.failure());
    container.hyperparameters(json!(["model"]));
    assert!(container.run().code(2).err.contains("no JSON object of names and values"));
}

/// What `preprocess` has written is used as it was divided, and the channels `train` and `test` are a dataset.
#[test]
fn the_data_is_what_the_channels_hold() {
    let container = Container::new();
    let data = container.ml().join("input/data");
    fs::remove_dir_all(data.join("dataset")).unwrap();
    copy(&SCENES, &data);
    container.hyperparameters(json!({
        "model": "resnet18", "data.image_size": "32", "trainer.max_epochs": "1", "trainer.limit_train_batches": "1",
    }));
    container.run().ok();
    let config = fs::read_to_string(container.ml().join("checkpoints/run/config.yaml")).unwrap();
    assert!(config.contains(&data.display().to_string()), "{config}");

    let divided = Container::new();
    let dataset = divided.ml().join("input/data/dataset");
    fs::remove_dir_all(&dataset).unwrap();
    let out = divided.dir.path().join("split");
    let root = set("data.root", &SCENES);
    let arguments =
        ["data", "split", &root, "--out", &out.display().to_string(), "--materialize", &dataset.display().to_string()];
    run(divided.dir.path(), &arguments).ok();
    divided.hyperparameters(json!({
        "model": "resnet18", "data.image_size": "32", "trainer.max_epochs": "1", "trainer.limit_train_batches": "1",
    }));
    divided.run().ok();
    let read = |path: PathBuf| -> Value { serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() };
    let bundle = read(divided.ml().join("model/bundle.json"));
    assert_eq!(bundle["dataset_version"], read(dataset.join("manifest.json"))["version"]);
}
