//! A model package as a record, and a record's facts as the metadata of a model package.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sagemaker::operation::describe_model_package::DescribeModelPackageOutput;
use kidu_pipeline::ModelRecord;

use super::{Result, SageMakerError};
use crate::sagemaker::client::time;

/// What the names of our metadata begin with.
const PREFIX: &str = "kidu.";
/// What the names of metrics begin with, after that.
const METRIC: &str = "metric.";
/// The most metadata that SageMaker keeps of a version.
const MAX_ENTRIES: usize = 50;
/// The most characters of a name and of a text.
const MAX_NAME: usize = 128;
const MAX_TEXT: usize = 256;

/// Reads a version.
pub(super) fn read(group: &str, version: u32, package: &DescribeModelPackageOutput) -> Result<ModelRecord> {
    let container = package.inference_specification().and_then(|s| s.containers().first());
    let status = package.model_approval_status().map(|s| s.as_str()).unwrap_or("PendingManualApproval");
    let quality = package.model_metrics().and_then(|m| m.model_quality()).and_then(|q| q.statistics());
    let (facts, metrics) = split(package.customer_metadata_properties());
    let bundle = container.and_then(|c| c.model_data_url()).ok_or_else(|| SageMakerError::Refused {
        action: "read",
        what: format!("version {version} of model group {group}"),
        reason: "it names no model in S3 (InferenceSpecification.Containers[0].ModelDataUrl), so it was not made by \
                 Kidu; keep such versions in a group of their own"
            .into(),
    })?;
    Ok(ModelRecord {
        group: group.into(),
        version,
        status: status.parse()?,
        created: time(package.creation_time()).unwrap_or_default(),
        id: package.model_package_arn().map(str::to_owned),
        bundle: bundle.to_owned(),
        evaluation: quality.and_then(|q| q.s3_uri()).map(str::to_owned),
        image: container.and_then(|c| c.image()).map(str::to_owned),
        facts,
        metrics,
        decision: package.approval_description().filter(|d| !d.is_empty()).map(str::to_owned),
    })
}

type Texts = BTreeMap<String, String>;

/// Facts and metrics. What others have written keeps its name.
fn split(metadata: Option<&HashMap<String, String>>) -> (Texts, BTreeMap<String, f64>) {
    let (mut facts, mut metrics) = (Texts::new(), BTreeMap::new());
    for (name, value) in metadata.into_iter().flatten() {
        let own = name.strip_prefix(PREFIX);
        let metric = own.and_then(|own| Some((own.strip_prefix(METRIC)?, value.parse::<f64>().ok()?)));
        match metric {
            Some((name, value)) => drop(metrics.insert(name.to_owned(), value)),
            None => drop(facts.insert(own.unwrap_or(name).to_owned(), value.clone())),
        }
    }
    (facts, metrics)
}

/// Facts, and as many metrics as there is room for.
pub(super) fn metadata(facts: &Texts, metrics: &BTreeMap<String, f64>) -> HashMap<String, String> {
    let facts = facts.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value.clone()));
    let metrics = metrics.iter().map(|(name, value)| (format!("{PREFIX}{METRIC}{name}"), value.to_string()));
    let kept = facts.chain(metrics).map(|(name, value)| (allowed(&name, MAX_NAME), allowed(&value, MAX_TEXT)));
    kept.filter(|(_, value)| !value.is_empty()).take(MAX_ENTRIES).collect()
}

/// A text of the characters that SageMaker takes (letters, digits, spaces and `_.:/=+-@`), others as `_`.
fn allowed(text: &str, limit: usize) -> String {
    let keep = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    text.chars().map(|c| if keep(c) { c } else { '_' }).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_metrics_survive_the_metadata() {
        let facts = Texts::from([("commit".into(), "abc123".into()), ("dataset-version".into(), "d1".into())]);
        let metrics = BTreeMap::from([("test/acc".to_string(), 0.8125), ("lr".to_string(), 1e-5)]);
        let written = metadata(&facts, &metrics);
        assert_eq!(written["kidu.metric.test/acc"], "0.8125");
        assert_eq!(split(Some(&written)), (facts, metrics));
        let others = HashMap::from([("team".to_string(), "vision".to_string())]);
        assert_eq!(split(Some(&others)).0["team"], "vision");
    }

    #[test]
    fn what_sagemaker_does_not_take_is_not_sent() {
        assert_eq!(allowed("a,b(c)\n\u{e9}", 100), "a_b_c__\u{e9}");
        assert_eq!(allowed(&"x".repeat(300), MAX_TEXT).len(), MAX_TEXT);
        let many = (0..80).map(|i| (format!("m{i}"), 0.5)).collect();
        let written = metadata(&Texts::from([("commit".into(), "c".into()), ("empty".into(), String::new())]), &many);
        assert_eq!(written.len(), MAX_ENTRIES);
        assert!(written.contains_key("kidu.commit") && !written.contains_key("kidu.empty"));
    }
}
