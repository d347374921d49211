//! From the command line's configuration arguments to typed, validated settings.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use kidu_config::{Composed, ConfigError, ConfigSources, compose};
use kidu_data::{DataError, DataSettings};
use kidu_deploy::DeploySettings;
use kidu_eval::GateRules;
use kidu_models::WeightsSpec;
use kidu_search::SearchSettings;
use kidu_train::{CallbackSettings, LoggerSettings, LrFinderSettings, ModelSettings, TrainerSettings};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Outcome, cli::ConfigArgs, failure::Failure, stores};

/// Every key that a configuration may have. Sections that an entry leaves out are `None`.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    pub(crate) task_name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) train: Option<bool>,
    #[serde(default)]
    pub(crate) test: Option<bool>,
    #[serde(default)]
    pub(crate) ckpt_path: Option<PathBuf>,
    #[serde(default)]
    pub(crate) optimized_metric: Option<String>,
    #[serde(default)]
    pub(crate) data: Option<DataSettings>,
    #[serde(default)]
    pub(crate) model: Option<ModelSettings>,
    #[serde(default)]
    pub(crate) trainer: Option<TrainerSettings>,
    #[serde(default)]
    pub(crate) callbacks: Option<CallbackSettings>,
    #[serde(default)]
    pub(crate) logger: Option<LoggerSettings>,
    #[serde(default)]
    pub(crate) tune_lr: Option<LrFinderSettings>,
    #[serde(default)]
    pub(crate) hparams_search: Option<SearchSettings>,
    pub(crate) paths: PathSettings,
    #[serde(default)]
    pub(crate) extras: Option<ExtraSettings>,
    #[serde(default)]
    pub(crate) gate: Option<GateSettings>,
    #[serde(default)]
    pub(crate) registry: Option<RegistrySettings>,
    #[serde(default)]
    pub(crate) deploy: Option<DeploySettings>,
}

/// Group `paths`.
#[derive(Debug, Deserialize)]
pub(crate) struct PathSettings {
    #[allow(dead_code, reason = "a key that other keys refer to")]
    root_dir: PathBuf,
    #[allow(dead_code, reason = "a key that other keys refer to")]
    data_dir: PathBuf,
    pub(crate) log_dir: PathBuf,
    pub(crate) output_dir: Option<PathBuf>,
}

/// Group `extras`.
#[derive(Debug, Deserialize)]
pub(crate) struct ExtraSettings {
    pub(crate) print_config: bool,
}

/// Group `gate`.
#[derive(Debug, Deserialize)]
pub(crate) struct GateSettings {
    min_accuracy: f64,
    compare_with_incumbent: bool,
    confidence: f64,
    bootstrap_samples: usize,
}

impl GateSettings {
    pub(crate) fn rules(&self, seed: u64) -> GateRules {
        let Self { min_accuracy, compare_with_incumbent, confidence, bootstrap_samples } = *self;
        GateRules { min_accuracy, compare_with_incumbent, confidence, bootstrap_samples, seed }
    }
}

/// Group `registry`.
#[derive(Debug, Deserialize)]
pub(crate) struct RegistrySettings {
    pub(crate) dir: PathBuf,
    pub(crate) group: String,
    #[allow(dead_code, reason = "checked here; the pipeline takes it as its parameter ModelApprovalStatus")]
    approval_status: kidu_pipeline::Status,
}

/// A composed configuration and what it means.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) composed: Composed,
    pub(crate) settings: Settings,
}

/// The shipped files, overlaid by `./configs` and by `--config-dir`.
pub(crate) fn sources(arguments: &ConfigArgs) -> Outcome<ConfigSources> {
    let mut sources = ConfigSources::embedded();
    let here = Path::new("configs");
    if here.join("train.yaml").is_file() {
        sources = sources.overlay(here)?;
    }
    for dir in &arguments.config_dir {
        sources = sources.overlay(dir)?;
    }
    Ok(sources)
}

/// Composes without checking types: for `config show`.
pub(crate) fn compose_only(arguments: &ConfigArgs, entry: &str) -> Outcome<Composed> {
    if let Some(file) = &arguments.config {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the configuration {}", file.display()))
            .map_err(Failure::Usage)?;
        let sources = ConfigSources::from_texts([("config.yaml", text.as_str())])?;
        return Ok(compose(&sources, "config", &arguments.overrides)?);
    }
    Ok(compose(&sources(arguments)?, entry, &arguments.overrides)?)
}

/// Composes, types and validates everything before anything runs.
pub(crate) fn load(arguments: &ConfigArgs, entry: &str) -> Outcome<Configuration> {
    check(compose_only(arguments, entry)?)
}

/// Types and validates a composed configuration.
pub(crate) fn check(composed: Composed) -> Outcome<Configuration> {
    let settings: Settings = composed.to()?;
    let mut problems = Vec::new();
    problems.extend(settings.model.iter().flat_map(ModelSettings::validate));
    problems.extend(settings.trainer.iter().flat_map(TrainerSettings::validate));
    problems.extend(settings.callbacks.iter().flat_map(CallbackSettings::validate));
    problems.extend(settings.logger.iter().flat_map(LoggerSettings::validate));
    problems.extend(settings.hparams_search.iter().flat_map(SearchSettings::validate));
    problems.extend(settings.deploy.iter().flat_map(DeploySettings::validate));
    if let Some((key, reason)) = problems.first() {
        return Err(ConfigError::invalid(&composed, key, reason.clone()).into());
    }
    if let Some(Err(error)) = settings.data.as_ref().map(DataSettings::validate) {
        return Err(match error {
            DataError::Setting { key, reason } => ConfigError::invalid(&composed, &key, reason).into(),
            other => other.into(),
        });
    }
    let root = settings.data.as_ref().and_then(|data| data.root.as_deref());
    let weights = settings.model.as_ref().and_then(|model| match &model.weights {
        WeightsSpec::File(path) => Some(path.as_path()),
        _ => None,
    });
    for (key, path) in [("data.root", root), ("model.weights", weights)] {
        if let Some(Err(error)) = path.map(stores::s3_uri) {
            return Err(ConfigError::invalid(&composed, key, error.to_string()).into());
        }
    }
    if let Some(Err(error)) = settings.gate.as_ref().map(|g| g.rules(settings.seed).validate()) {
        return Err(match error {
            kidu_eval::Error::Option { name, reason } => {
                let key = if name.starts_with("gate.") { name.into() } else { format!("gate.{name}") };
                ConfigError::invalid(&composed, &key, reason).into()
            }
            other => Failure::Usage(other.into()),
        });
    }
    if let Some(name) = settings.model.as_ref().map(|m| &m.name) {
        let found = kidu_core::model::find(name);
        found.map_err(|e| ConfigError::invalid(&composed, "model.name", e.to_string()))?;
    }
    if let Some(metric) = settings.optimized_metric.as_ref().filter(|m| m.starts_with("test/")) {
        let reason = format!("'{metric}' belongs to the test split, which is never searched on; use a val/ metric");
        return Err(ConfigError::invalid(&composed, "optimized_metric", reason).into());
    }
    Ok(Configuration { composed, settings })
}

/// The images' place, which the verb needs.
pub(crate) fn need_root(data: &Option<DataSettings>) -> Outcome<&Path> {
    let data = need(data, "data")?;
    // A version needs no folder, only the store.
    let store = data.store.as_deref().filter(|_| data.version.is_some());
    data.root.as_deref().or(store).ok_or_else(|| {
        Failure::usage("data.root is not set: give a folder, an archive or a CSV list, as in data.root=photos")
    })
}

/// A section that the verb needs.
pub(crate) fn need<'a, T: DeserializeOwned>(section: &'a Option<T>, name: &str) -> Outcome<&'a T> {
    section.as_ref().ok_or_else(|| {
        Failure::usage(format!("the configuration has no section '{name}'; start from the entry that has one"))
    })
}
