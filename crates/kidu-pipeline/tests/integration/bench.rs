//! A workplace for tests: an executor that makes real manifests and bundles without training anything.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use kidu_core::{
    Bundle, BundleManifest, ClassNames, DatasetItem, DatasetManifest, Filter, ImageSpec, Sha256Hex, Split, files,
};
use kidu_pipeline::{
    BoxError, External, Lineage, Pipeline, Registry, ResolvedStep, RunEvent, RunObserver, RunRecord, RunRequest,
    Runner, Status, Step, StepContext, StepExecutor, StepOutcome, build_pipeline,
    build_pipeline::{ANNOTATIONS, DATASET, INCUMBENT, INITIAL_WEIGHTS},
    registry::{Receipt, Registration},
};
use serde_json::{Value, json};

/// What the executor does in a step instead of its work.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    Fail,
    Refuse,
    Panic,
    Stop,
    Hang,
}

pub(crate) struct Bench {
    pub(crate) dir: PathBuf,
    pub(crate) config: Value,
    pub(crate) version: String,
    pub(crate) trouble: Option<(&'static str, Trouble)>,
    pub(crate) executed: Mutex<Vec<String>>,
    pub(crate) resumed: Mutex<Vec<String>>,
    pub(crate) reasons: Mutex<BTreeMap<String, String>>,
    pub(crate) stop: AtomicBool,
    pub(crate) pipeline: Pipeline,
}

impl Bench {
    pub(crate) fn new(dir: &Path) -> Self {
        files::write_atomic(&dir.join("photos/sea/1.jpg"), b"sea").unwrap();
        files::write_atomic(&dir.join("photos/forest/1.jpg"), b"forest").unwrap();
        Self {
            dir: dir.to_path_buf(),
            config: config(dir),
            version: "0.1.0".into(),
            trouble: None,
            executed: Mutex::default(),
            resumed: Mutex::default(),
            reasons: Mutex::default(),
            stop: AtomicBool::new(false),
            pipeline: build_pipeline(),
        }
    }

    pub(crate) fn request(&self) -> RunRequest {
        let photos = kidu_pipeline::tree_hash::hash_path(&self.dir.join("photos")).unwrap();
        RunRequest {
            config: self.config.clone(),
            config_arguments: BTreeMap::from([("train".into(), vec!["trainer.max_epochs=1".into()])]),
            externals: BTreeMap::from([
                (DATASET.into(), External::new(photos.sha256)),
                (ANNOTATIONS.into(), External::none()),
                (INITIAL_WEIGHTS.into(), External::none()),
            ]),
            registry: self.dir.join("registry"),
            code_version: self.version.clone(),
            git_commit: Some("abc".into()),
            ..RunRequest::default()
        }
    }

    /// Runs and gives the record and the steps that were executed.
    pub(crate) fn run(&self) -> (RunRecord, Vec<String>) {
        self.run_with(&self.request())
    }

    pub(crate) fn run_with(&self, request: &RunRequest) -> (RunRecord, Vec<String>) {
        self.executed.lock().unwrap().clear();
        self.resumed.lock().unwrap().clear();
        self.reasons.lock().unwrap().clear();
        let work = self.dir.join("work");
        let runner = Runner::new(&self.pipeline, &work, self, self, &self.stop).unwrap();
        let record = runner.run(request).unwrap();
        (record, self.executed.lock().unwrap().clone())
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.dir.join("work/runs")
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::open(&self.dir.join("registry"), "scenes").unwrap()
    }

    fn preprocess(&self, step: &ResolvedStep) {
        let root = &step.inputs["dataset"];
        let items = ["forest/1.jpg", "sea/1.jpg"].into_iter().enumerate().map(|(label, path)| {
            let bytes = fs::read(root.join(path)).unwrap();
            let (sha256, bytes) = (Sha256Hex::of_bytes(&bytes), bytes.len() as u64);
            DatasetItem { path: path.into(), label, split: Split::Test, sha256, bytes }
        });
        let classes = ClassNames::new(["forest", "sea"]).unwrap();
        DatasetManifest::new(classes, root.clone(), 1, items.collect()).save(&step.outputs["dataset"]).unwrap();
    }

    fn train(&self, step: &ResolvedStep) {
        let dataset = DatasetManifest::load(&step.inputs["dataset"]).unwrap();
        make_bundle(&step.outputs["bundle"], &format!("{}{}", dataset.version, self.config), 1.0);
    }

    fn register(&self, step: &ResolvedStep) -> Receipt {
        let argument = |name: &str| {
            let at = step.arguments.iter().position(|a| a == name).unwrap();
            PathBuf::from(&step.arguments[at + 1])
        };
        let lineage: Lineage = files::read_json(&argument("--lineage"), "lineage").unwrap();
        let registration = Registration {
            bundle: &argument("--bundle"),
            evaluation: &argument("--evaluation"),
            attachments: &[],
            lineage,
            status: Status::PendingManualApproval,
            actor: "pipeline",
        };
        self.registry().register(&registration).unwrap()
    }
}

impl StepExecutor for Bench {
    fn execute(&self, step: &ResolvedStep, context: &StepContext<'_>) -> Result<StepOutcome, BoxError> {
        self.executed.lock().unwrap().push(step.name.clone());
        if context.resume {
            self.resumed.lock().unwrap().push(step.name.clone());
        }
        if let Some((_, trouble)) = self.trouble.filter(|(name, _)| *name == step.name) {
            fs::write(step.folder.join("half"), "half")?;
            match trouble {
                Trouble::Fail => return Err("the disk is full".into()),
                Trouble::Refuse => return Ok(StepOutcome::Refused { rule: "accuracy 0.5 is below 0.6".into() }),
                Trouble::Panic => panic!("simulated crash"),
                Trouble::Stop => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Ok(StepOutcome::Failed { message: "killed by a signal".into() });
                }
                Trouble::Hang => loop {
                    std::thread::sleep(std::time::Duration::from_secs(1));
                },
            }
        }
        match step.name.as_str() {
            "preprocess" => self.preprocess(step),
            "train" => self.train(step),
            "evaluate" => make_evaluation(&step.outputs["evaluation"], 0.75),
            "gate" => files::write_json(&step.outputs["decision"], &json!({"passed": true}))?,
            "register" => files::write_json(&step.outputs["registration"], &self.register(step))?,
            other => return Err(format!("no such step: {other}").into()),
        }
        Ok(StepOutcome::Done)
    }

    fn external(&self, _: &Step, name: &str, inputs: &BTreeMap<String, PathBuf>) -> Result<Option<External>, BoxError> {
        match name {
            INCUMBENT => Ok(Some(External::new(self.registry().incumbent_fingerprint(&inputs["model"])?))),
            _ => Ok(None),
        }
    }

    fn undone(&self, step: &Step, outputs: &BTreeMap<String, PathBuf>) -> Option<String> {
        let receipt =
            (step.name == "register").then(|| files::read_json(&outputs["registration"], "receipt").unwrap())?;
        self.registry().undone(&receipt).unwrap()
    }
}

impl RunObserver for Bench {
    fn event(&self, event: &RunEvent<'_>) {
        if let RunEvent::StepStarted { step, reason, .. } = event {
            self.reasons.lock().unwrap().insert((*step).to_string(), reason.to_string());
        }
    }
}

pub(crate) fn make_bundle(dir: &Path, weights: &str, temperature: f64) -> Bundle {
    let manifest = BundleManifest {
        format_version: 1,
        model: "resnet18".into(),
        pad_type: None,
        classes: ClassNames::new(["forest", "sea"]).unwrap(),
        image: ImageSpec::imagenet(64, Filter::Bilinear),
        temperature,
        metrics: BTreeMap::from([("val/acc".to_string(), 0.8)]),
        dataset_version: "d1".into(),
        data_snapshot: None,
        config_hash: "c1".into(),
        git_commit: Some("abc".into()),
        initial_weights: "none".into(),
        created: kidu_core::run::timestamp(),
        kidu_version: "0.1.0".into(),
        files: BTreeMap::new(),
    };
    Bundle::create(dir, manifest, &[(Bundle::WEIGHTS, weights.as_bytes())]).unwrap()
}

pub(crate) fn make_evaluation(path: &Path, accuracy: f64) {
    let value =
        json!({"multiclass_classification_metrics": {"accuracy": {"value": accuracy, "standard_deviation": 0}}});
    files::write_json(path, &value).unwrap();
}

fn config(dir: &Path) -> Value {
    json!({
        "seed": 42,
        "data": {
            "root": dir.join("photos"), "train_val_test_split": [0.8, 0.1, 0.1], "batch_size": 8, "num_workers": 0,
            "on_bad_image": "error", "on_duplicate": "error", "on_near_duplicate": "error", "check": {"near_distance": 10}, "max_pixels": 1000,
            "max_side": 1000, "max_bytes": 1000,
            "augmentation": {"pipeline": 0, "horizontal_flip": 0.5, "randaugment": null}
        },
        "model": {"name": "resnet18", "optimizer": {"name": "adam"}, "learning_rate": 0.01},
        "trainer": {"accelerator": "flex", "max_epochs": 1, "limit_test_batches": null, "profiler": null},
        "callbacks": {"progress_bar": true, "ema": null},
        "logger": {"csv": true},
        "gate": {"min_accuracy": 0.6, "confidence": 0.95},
        "registry": {"group": "scenes", "approval_status": "PendingManualApproval"}
    })
}
