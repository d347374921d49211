//! What every registry of models can do, wherever it is: the folder of [`Registry`], or a cloud's model package group.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    ledger::{ModelVersion, Status},
    lineage::Lineage,
    registry::{Receipt, Registration, Registry},
};

/// A group of a registry: versions of one classifier, each with a status that people decide.
pub trait ModelRegistry {
    /// The group's name.
    fn group(&self) -> &str;

    /// Registers a bundle as the next version. The same model judged on the same test set is not registered twice: the
    /// receipt then is that of the version there is.
    ///
    /// # Errors
    /// [`Error`](crate::Error) for a bundle that cannot be used, or a registry that cannot be reached.
    fn register(&self, what: &Registration<'_>) -> Result<Receipt>;

    /// All versions, oldest first.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the registry cannot be read.
    fn records(&self) -> Result<Vec<ModelRecord>>;

    /// One version.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`](crate::Error::UnknownVersion), or if the registry cannot be read.
    fn record(&self, version: u32) -> Result<ModelRecord>;

    /// Approves a version. A rejected one can be approved with a reason.
    ///
    /// # Errors
    /// [`Error::Transition`](crate::Error::Transition) and the others of [`Registry::approve`].
    fn approve(&self, version: u32, actor: &str, reason: Option<&str>) -> Result<ModelRecord>;

    /// Rejects a version, or withdraws an approved one.
    ///
    /// # Errors
    /// [`Error::Transition`](crate::Error::Transition) and the others of [`Registry::reject`].
    fn reject(&self, version: u32, actor: &str, reason: &str) -> Result<ModelRecord>;

    /// The newest approved version: the one to beat, and the one that is deployed.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the registry cannot be read.
    fn latest_approved(&self) -> Result<Option<ModelRecord>>;
}

/// What any registry tells of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The group it belongs to.
    pub group: String,
    /// Its number: 1, 2, 3, ...
    pub version: u32,
    /// Its status now.
    pub status: Status,
    /// When it was registered, RFC 3339.
    pub created: String,
    /// The name by which the registry's owner knows it (an ARN), if it has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where its bundle is: a folder, or `s3://bucket/key/model.tar.gz`.
    pub bundle: String,
    /// Where its evaluation is, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<String>,
    /// The image that serves it, if the registry holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where it comes from, under the names of [`facts_of`] and those that a pipeline adds.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// Metrics by name, `test/acc` from the evaluation.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Who decided on it last, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// timm's name of the architecture.
pub const MODEL: &str = "model";
/// SHA-256 of what the model's answers depend on.
pub const MODEL_HASH: &str = "model-hash";
/// SHA-256 of the evaluation.
pub const EVALUATION_HASH: &str = "evaluation-hash";
/// Content version of the dataset.
pub const DATASET: &str = "dataset-version";
/// Content version of the test split.
pub const TEST_SET: &str = "test-version";
/// SHA-256 of the configuration.
pub const CONFIG_HASH: &str = "config-hash";
/// Commit of the working tree.
pub const COMMIT: &str = "commit";

/// A lineage as facts that a registry of names and texts can hold. What is not known is left out.
pub fn facts_of(lineage: &Lineage) -> BTreeMap<String, String> {
    let run = lineage.run.as_ref();
    let facts = [
        (DATASET, Some(lineage.dataset_version.clone())),
        ("data-snapshot", lineage.data_snapshot.clone()),
        (TEST_SET, lineage.test_version.clone()),
        (CONFIG_HASH, Some(lineage.config_hash.clone())),
        (COMMIT, lineage.git_commit.clone()),
        ("kidu-version", Some(lineage.kidu_version.clone())),
        ("initial-weights", Some(lineage.initial_weights.clone())),
        ("run", run.map(|r| r.id.clone())),
        ("pipeline", run.map(|r| r.pipeline.clone())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
}

/// A decision in one line: `by ana: better on glaciers`.
pub fn decision_text(actor: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| format!("by {actor}"), |reason| format!("by {actor}: {reason}"))
}

impl From<&ModelVersion> for ModelRecord {
    fn from(version: &ModelVersion) -> Self {
        let registered = &version.registered;
        let mut facts = facts_of(&registered.lineage);
        facts.insert(MODEL.into(), registered.model.clone());
        facts.insert(MODEL_HASH.into(), registered.model_hash.to_string());
        facts.insert(EVALUATION_HASH.into(), registered.evaluation_hash.to_string());
        let decided = version.history.iter().rfind(|e| e.from.is_some());
        Self {
            group: version.group.clone(),
            version: version.version,
            status: version.status,
            created: version.created.clone(),
            id: None,
            bundle: version.bundle_dir.display().to_string(),
            evaluation: Some(version.evaluation.display().to_string()),
            image: None,
            facts,
            metrics: registered.lineage.metrics.clone(),
            decision: decided.map(|e| decision_text(&e.actor, e.reason.as_deref())),
        }
    }
}

impl ModelRegistry for Registry {
    fn group(&self) -> &str {
        self.group()
    }

    fn register(&self, what: &Registration<'_>) -> Result<Receipt> {
        self.register(what)
    }

    fn records(&self) -> Result<Vec<ModelRecord>> {
        Ok(self.list()?.iter().map(ModelRecord::from).collect())
    }

    fn record(&self, version: u32) -> Result<ModelRecord> {
        Ok(ModelRecord::from(&self.show(version)?))
    }

    fn approve(&self, version: u32, actor: &str, reason: Option<&str>) -> Result<ModelRecord> {
        Ok(ModelRecord::from(&self.approve(version, actor, reason)?))
    }

    fn reject(&self, version: u32, actor: &str, reason: &str) -> Result<ModelRecord> {
        Ok(ModelRecord::from(&self.reject(version, actor, reason)?))
    }

    fn latest_approved(&self) -> Result<Option<ModelRecord>> {
        Ok(self.incumbent()?.as_ref().map(ModelRecord::from))
    }
}
