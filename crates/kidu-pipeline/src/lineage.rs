//! Where a model version comes from.

use std::{collections::BTreeMap, path::Path};

use kidu_core::{Bundle, DatasetManifest, Split, files};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    build_pipeline::ACCURACY_PATH,
    config_keys,
    error::Result,
    run::{RunRecord, StepStatus},
};

/// Where a model version comes from. Collected when a register step begins; the registry keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// Content version of the dataset.
    pub dataset_version: String,
    /// The data version (`kidu data snapshot`) that the images were read from, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_snapshot: Option<String>,
    /// Content version of the test split alone: two models are comparable if it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_version: Option<String>,
    /// SHA-256 of the configuration that the model was trained with.
    pub config_hash: String,
    /// Commit of the working tree that the model was trained from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// Version of Kidu that trained it.
    pub kidu_version: String,
    /// Where the initial weights came from.
    pub initial_weights: String,
    /// Metrics by name, `test/acc` from the evaluation.
    pub metrics: BTreeMap<String, f64>,
    /// The run that registered it; nothing for a bundle registered by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunLineage>,
}

/// The part of a lineage that the pipeline run gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLineage {
    /// The run's id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Commit of the working tree at the run; steps taken from the cache may be older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// The parameters' values.
    pub parameters: BTreeMap<String, Value>,
    /// The steps that were done, in order.
    pub steps: Vec<StepLineage>,
}

/// A step in a lineage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLineage {
    /// Its name.
    pub name: String,
    /// Its key in the step cache: everything it depends on, in one number.
    pub key: String,
    /// Whether an earlier run had made it.
    pub cached: bool,
    /// When its outputs were finished, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
}

impl Lineage {
    /// Reads what is known from the bundle, the evaluation, the dataset's manifest and the run. Without a manifest the
    /// test split's version is unknown.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) if one of them cannot be read.
    pub fn collect(bundle: &Path, evaluation: &Path, manifest: Option<&Path>, run: Option<&RunRecord>) -> Result<Self> {
        let bundle = Bundle::open(bundle)?;
        let trained = bundle.manifest();
        let evaluation: Value = files::read_json(evaluation, "evaluation")?;
        let manifest = manifest.map(DatasetManifest::load).transpose()?;
        let mut metrics = trained.metrics.clone();
        if let Some(accuracy) = config_keys::get(&evaluation, ACCURACY_PATH).and_then(Value::as_f64) {
            metrics.insert("test/acc".into(), accuracy);
        }
        Ok(Self {
            dataset_version: manifest.as_ref().map_or_else(|| trained.dataset_version.clone(), |m| m.version.clone()),
            data_snapshot: match &manifest {
                Some(manifest) => manifest.snapshot.clone(),
                None => trained.data_snapshot.clone(),
            },
            test_version: manifest.map(|m| m.split_version(Split::Test)),
            config_hash: trained.config_hash.clone(),
            git_commit: trained.git_commit.clone(),
            kidu_version: trained.kidu_version.clone(),
            initial_weights: trained.initial_weights.clone(),
            metrics,
            run: run.map(RunLineage::of),
        })
    }
}

impl RunLineage {
    fn of(record: &RunRecord) -> Self {
        let done = record.steps.iter().filter(|s| matches!(s.status, StepStatus::Cached | StepStatus::Succeeded));
        let step = |s: &crate::run::StepRecord| StepLineage {
            name: s.name.clone(),
            key: s.key.clone().unwrap_or_default(),
            cached: s.status == StepStatus::Cached,
            made: s.made.clone(),
        };
        Self {
            id: record.id.clone(),
            pipeline: record.pipeline.clone(),
            git_commit: record.git_commit.clone(),
            parameters: record.parameters.clone(),
            steps: done.map(step).collect(),
        }
    }
}
