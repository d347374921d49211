//! `kidu train`: a dataset and a configuration become a bundle.

mod bundle;
pub(super) mod search;
mod tracking;
pub(super) mod tune_lr;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kidu_config::Composed;
use kidu_core::{ContentHasher, DatasetManifest, ModelRecord, Progress, Split, files, model};
use kidu_models::{Network, weights};
use kidu_train::{
    Checkpoint, FitOutcome, FitRequest, Fitted, LearningRate, LoaderSource, SharedTracker, StopReason, Tracker, fit,
};
use serde_json::{Value, json};

use super::dataset;
use crate::{
    Outcome,
    cli::{ConfigArgs, TrainArgs},
    failure::Failure,
    hyperparameters,
    run_dir::{self, RunDir, Verb},
    settings::{self, Configuration, need, need_root},
    stop, stores,
    ui::{self, Console, human_duration},
};

/// Everything between the configuration and the loop.
struct Job<'a> {
    configuration: &'a Configuration,
    dir: PathBuf,
    manifest: Arc<DatasetManifest>,
    record: &'static ModelRecord,
    image: kidu_core::ImageSpec,
    console: &'a dyn Progress,
    trackers: Vec<SharedTracker>,
}

pub(super) fn run(arguments: &TrainArgs) -> Outcome {
    let (configuration, resume) = match &arguments.resume {
        Some(run) => resume_configuration(arguments, run)?,
        None => {
            let configuration = settings::load(&with_hyperparameters(arguments)?, "train")?;
            let resume = configuration.settings.ckpt_path.clone();
            (configuration, resume)
        }
    };
    let settings = &configuration.settings;
    let known = arguments.dataset.manifest.clone().or_else(|| resumed_manifest(arguments.resume.as_deref()));
    if known.is_none() {
        need_root(&settings.data)?;
    }
    let held = match &arguments.resume {
        Some(run) => run_dir::resume(&configuration, run, &arguments.config.overrides)?,
        None => run_dir::create(&configuration, Verb::Train, arguments.output.out.as_deref())?,
    };
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    if settings.extras.as_ref().is_some_and(|e| e.print_config) {
        console.note(configuration.composed.to_yaml().trim_end());
    }
    let outcome = in_dir(&configuration, &held, known.as_deref(), resume, &console);
    match &outcome {
        Ok(summary) if arguments.output.json => ui::json(summary)?,
        Ok(summary) => print(summary),
        Err(failure) => {
            if !matches!(failure, Failure::Interrupted(_)) {
                held.note_failure(failure);
            }
            console.log_failure(failure);
            ui::error(failure);
        }
    }
    // Whatever happened, people look for the folder: it is the last line.
    ui::place("run folder:", dir);
    outcome.map(|_| ()).map_err(|failure| Failure::Reported(Box::new(failure)))
}

/// The configuration's arguments with those of a file of hyperparameters before them, so that the command line's win.
fn with_hyperparameters(arguments: &TrainArgs) -> Outcome<ConfigArgs> {
    let mut config = arguments.config.clone();
    if let Some(file) = &arguments.hyperparameters {
        config.overrides.splice(..0, hyperparameters::read(file)?);
    }
    Ok(config)
}

/// The configuration of an earlier run and its last checkpoint. What earlier resumed starts changed stays changed.
fn resume_configuration(arguments: &TrainArgs, run: &Path) -> Outcome<(Configuration, Option<PathBuf>)> {
    let config = run.join("config.yaml");
    let checkpoint = run.join("checkpoints/last.ckpt");
    if !config.is_file() {
        return Err(Failure::usage(format!("--resume {}: no run folder, it has no config.yaml", run.display())));
    }
    let overrides = [run_dir::later_overrides(run)?, arguments.config.overrides.clone()].concat();
    let arguments = ConfigArgs { config: Some(config), overrides, ..arguments.config.clone() };
    let configuration = settings::load(&arguments, "train")?;
    if !checkpoint.is_file() {
        ui::note(format!("{} has no checkpoint yet: the run starts anew", run.display()));
    }
    let resume = checkpoint.is_file().then_some(checkpoint);
    Ok((configuration, resume))
}

fn resumed_manifest(run: Option<&Path>) -> Option<PathBuf> {
    run.map(|r| r.join("data").join(DatasetManifest::FILE)).filter(|p| p.is_file())
}

fn in_dir(
    configuration: &Configuration,
    held: &RunDir,
    manifest: Option<&Path>,
    resume: Option<PathBuf>,
    console: &Console,
) -> Outcome<Value> {
    let dir = held.path();
    let mut job = Job::new(configuration, dir, manifest, console)?;
    held.note_data(&job.manifest);
    let (network, source) = job.network()?;
    job.trackers = tracking::open(&job)?;
    let mut steps = 0;
    let outcome = carry_out(&job, network, &source, resume, &mut steps);
    tracking::finish(&job, &job.trackers, &outcome, steps);
    outcome
}

/// Trains and makes the bundle; `steps` are told as soon as they are known.
fn carry_out(
    job: &Job<'_>,
    network: Network,
    source: &str,
    resume: Option<PathBuf>,
    steps: &mut u64,
) -> Outcome<Value> {
    let trains = job.configuration.settings.train.unwrap_or(true);
    let fitted = if trains { job.fit(network, resume)? } else { job.untrained(resume)? };
    *steps = fitted.steps;
    bundle::finish(job, &fitted, source).map_err(|failure| match failure {
        Failure::Interrupted(_) => Failure::Interrupted(format!(
            "after training, before the bundle was finished. Go on with: kidu train --resume {}",
            job.dir.display()
        )),
        other => other,
    })
}

impl<'a> Job<'a> {
    /// Opens the dataset, or splits it.
    fn new(
        configuration: &'a Configuration,
        dir: &Path,
        manifest: Option<&Path>,
        console: &'a dyn Progress,
    ) -> Outcome<Self> {
        let settings = &configuration.settings;
        let data = need(&settings.data, "data")?;
        let manifest = dataset::open(manifest, data, settings.seed, &dir.join("data"), console)?;
        Self::with_manifest(configuration, dir, manifest, console)
    }

    /// On a dataset that is there.
    fn with_manifest(
        configuration: &'a Configuration,
        dir: &Path,
        manifest: Arc<DatasetManifest>,
        console: &'a dyn Progress,
    ) -> Outcome<Self> {
        let settings = &configuration.settings;
        let data = need(&settings.data, "data")?;
        let record = model::find(&need(&settings.model, "model")?.name)?;
        let image = data.image_spec(&record.image, record.crop_pct);
        Ok(Self { configuration, dir: dir.to_path_buf(), manifest, record, image, console, trackers: Vec::new() })
    }
}

impl Job<'_> {
    /// The network with its initial weights, and where they came from.
    fn network(&self) -> Outcome<(Network, String)> {
        let settings = &self.configuration.settings;
        let model = need(&settings.model, "model")?;
        let device = need(&settings.trainer, "trainer")?.accelerator.device()?;
        let mut architecture = self.record.architecture.clone();
        if let Some(pad) = model.pad_type {
            architecture =
                architecture.with_pad_type(pad).map_err(|e| Failure::usage(format!("model.pad_type: {e}")))?;
        }
        let network = Network::new(&architecture, self.manifest.classes.len(), settings.seed, &device);
        let (network, report) =
            weights::load(network, self.record, &*stores::local_weights(&model.weights, self.console)?)?;
        if let Some(head) = &report.head_reinitialised {
            self.console.note(head);
        }
        let from = if report.source == "none" { "random weights" } else { &report.source };
        self.console.note(&format!("{} from {from}", self.record.name));
        Ok((network, report.source))
    }

    /// The weights of a checkpoint as they are, for `train=false`: judged and bundled without training.
    fn untrained(&self, checkpoint: Option<PathBuf>) -> Outcome<Fitted> {
        let path = checkpoint.ok_or_else(|| {
            Failure::usage("train=false judges a checkpoint without training: name it with ckpt_path=FILE.ckpt")
        })?;
        let best = Checkpoint::load(&path).map_err(train_failure)?.weights().clone();
        self.console.note(&format!("train=false: the weights of {} as they are", path.display()));
        Ok(Fitted {
            best_checkpoint: Some(path),
            last_checkpoint: None,
            best,
            best_epoch: None,
            history: Vec::new(),
            epochs: 0,
            steps: 0,
            stopped: StopReason::MaxEpochs,
            elapsed: 0.0,
        })
    }

    /// What the fit loop and the learning-rate finder need.
    fn request(&self, network: Network, resume: Option<PathBuf>) -> Outcome<FitRequest<'_>> {
        let settings = &self.configuration.settings;
        let trainer = need(&settings.trainer, "trainer")?.clone();
        let data = need(&settings.data, "data")?;
        let source = |split| {
            LoaderSource::new(&self.manifest, split, data, &trainer, &self.image, settings.seed).map_err(train_failure)
        };
        let has_val = self.manifest.items_of(Split::Val).next().is_some();
        let val = if has_val { Some(Box::new(source(Split::Val)?) as Box<dyn kidu_train::BatchSource>) } else { None };
        let mut model = need(&settings.model, "model")?.clone();
        model.freeze = model.freeze.resolve(self.record.architecture.num_stages());
        Ok(FitRequest {
            network,
            model,
            callbacks: need(&settings.callbacks, "callbacks")?.clone(),
            logger: need(&settings.logger, "logger")?.clone(),
            seed: settings.seed,
            train: Box::new(source(Split::Train)?),
            val,
            class_counts: self.manifest.counts(Split::Train),
            run_dir: self.dir.clone(),
            cache_dir: Some(kidu_models::hub::cache_dir().join("features")),
            config_hash: self.training_hash(),
            resume,
            stop: stop::on_signals()?,
            progress: self.console,
            trackers: self.trackers.iter().map(|t| Box::new(t.clone()) as Box<dyn Tracker>).collect(),
            trainer,
        })
    }

    fn fit(&self, network: Network, resume: Option<PathBuf>) -> Outcome<Fitted> {
        let mut request = self.request(network, resume)?;
        if request.model.learning_rate == LearningRate::Auto {
            request.model.learning_rate = tune_lr::automatic(self, &mut request)?.into();
        }
        match fit(request).map_err(train_failure)? {
            FitOutcome::Finished(fitted) => {
                let took = human_duration(Duration::from_secs_f64(fitted.elapsed));
                self.console.note(&format!("trained {} epochs in {took}: {}", fitted.epochs, fitted.stopped));
                Ok(*fitted)
            }
            FitOutcome::Interrupted { checkpoint: Some(checkpoint), epoch, step } => {
                Err(Failure::Interrupted(format!(
                    "at epoch {epoch}, step {step}; saved {}. Go on with: kidu train --resume {}",
                    checkpoint.display(),
                    self.dir.display()
                )))
            }
            FitOutcome::Interrupted { checkpoint: None, .. } => Err(Failure::Interrupted("nothing was kept".into())),
        }
    }

    /// Hash of what decides the result of training; paths, names and displays do not.
    fn training_hash(&self) -> String {
        let composed = &self.configuration.composed;
        let hasher = ContentHasher::new("kidu training").field("dataset", &self.manifest.version);
        let hasher = with_training_settings(hasher, composed);
        hasher.field("image", serde_json::to_string(&self.image).unwrap_or_default()).finish().to_string()
    }
}

/// Adds the settings that decide the result of training on given images.
fn with_training_settings(mut hasher: ContentHasher, composed: &Composed) -> ContentHasher {
    for section in ["seed", "model", "trainer", "callbacks", "data.batch_size", "data.augmentation"] {
        if let Some(node) = composed.get(section) {
            hasher = hasher.field(section, node.to_json().to_string());
        }
    }
    hasher
}

/// The command that trains with a run's configuration and other settings, in a folder of its own. A division into splits
/// that was given is given again; one that was made follows from the configuration.
fn train_with(dir: &Path, divided: bool, words: &[String]) -> String {
    let manifest = dir.join("data").join(DatasetManifest::FILE);
    let given = if divided { format!(" --manifest {}", in_shell(manifest.display())) } else { String::new() };
    let config = dir.join("config.yaml");
    let config = in_shell(config.display());
    let command = format!("kidu train --config {config}{given} task_name=train");
    words.iter().fold(command, |command, word| command + " " + &in_shell(word))
}

/// A path or a setting as a word of a shell's command.
pub(super) fn in_shell(word: impl std::fmt::Display) -> String {
    let text = word.to_string();
    let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+@,=:".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// A wrong setting is a usage error.
fn train_failure(error: kidu_train::TrainError) -> Failure {
    use kidu_models::ModelError::{Device, Setting};
    use kidu_train::TrainError;
    match error {
        TrainError::Settings(_) | TrainError::Model(Setting(_) | Device(_)) => Failure::Usage(error.into()),
        other => Failure::Failed(other.into()),
    }
}

fn print(summary: &Value) {
    let metrics = summary["metrics"].as_object().into_iter().flatten();
    let shown: Vec<String> = metrics
        .filter(|(name, _)| ["val/acc", "val/loss", "test/acc"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name} {:.4}", value.as_f64().unwrap_or(f64::NAN)))
        .collect();
    ui::line(shown.join("  "));
    for what in ["bundle", "curves"] {
        if let Some(path) = summary[what].as_str() {
            ui::line(format!("{what}: {path}"));
        }
    }
}

/// Writes `summary.json`.
fn save_summary(job: &Job<'_>, fitted: &Fitted, bundle: Option<&Path>, metrics: &Value) -> Outcome<Value> {
    let curves = job.dir.join("curves.svg");
    let summary = json!({
        "run": job.dir,
        "bundle": bundle,
        "curves": curves.is_file().then_some(curves),
        "model": job.record.name,
        "dataset_version": job.manifest.version,
        "data_snapshot": job.manifest.snapshot,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "seconds": fitted.elapsed,
        "stopped": fitted.stopped.to_string(),
        "metrics": metrics,
    });
    files::write_json(&job.dir.join("summary.json"), &summary)?;
    Ok(summary)
}
