//! Which part of the resolved configuration a step depends on.

use std::collections::BTreeMap;

use kidu_core::suggest::nearest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Keys of the resolved configuration, in dotted form; a key stands for the whole tree below it. What changes only
/// speed or display is excluded, so that it reruns nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigKeys {
    /// Trees that count. Each must be in the configuration.
    #[serde(default)]
    pub include: Vec<String>,
    /// Trees inside them that do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl ConfigKeys {
    /// These keys without exceptions.
    pub fn of<S: Into<String>>(include: impl IntoIterator<Item = S>) -> Self {
        Self { include: include.into_iter().map(Into::into).collect(), exclude: Vec::new() }
    }

    /// Except these.
    #[must_use]
    pub fn except<S: Into<String>>(mut self, exclude: impl IntoIterator<Item = S>) -> Self {
        self.exclude = exclude.into_iter().map(Into::into).collect();
        self
    }

    /// The leaves that count, by dotted key. Lists are leaves, as are empty mappings.
    ///
    /// # Errors
    /// [`Error::UnknownConfigKey`] for an included key that the configuration does not have: a misspelt key would
    /// otherwise make a change go unnoticed.
    pub fn select(&self, step: &str, config: &Value) -> Result<BTreeMap<String, Value>> {
        let mut leaves = BTreeMap::new();
        for key in &self.include {
            let tree = get(config, key).ok_or_else(|| Error::UnknownConfigKey {
                step: step.into(),
                key: key.clone(),
                nearest: near(key, config),
            })?;
            flatten(key, tree, &mut leaves);
        }
        leaves.retain(|key, _| !self.exclude.iter().any(|e| is_below(key, e)));
        Ok(leaves)
    }
}

fn is_below(key: &str, tree: &str) -> bool {
    key.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn near(key: &str, config: &Value) -> Option<String> {
    let mut known = Vec::new();
    branches("", config, &mut known);
    nearest(key, known.iter().map(String::as_str)).map(Into::into)
}

fn branches(prefix: &str, tree: &Value, known: &mut Vec<String>) {
    for (name, value) in tree.as_object().into_iter().flatten() {
        let key = join(prefix, name);
        branches(&key, value, known);
        known.push(key);
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.into() } else { format!("{prefix}.{name}") }
}

fn flatten(prefix: &str, tree: &Value, leaves: &mut BTreeMap<String, Value>) {
    match tree.as_object().filter(|m| !m.is_empty()) {
        Some(map) => map.iter().for_each(|(name, value)| flatten(&join(prefix, name), value, leaves)),
        None => {
            leaves.insert(prefix.into(), tree.clone());
        }
    }
}

/// The value at a dotted key.
pub fn get<'a>(config: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(config, |tree, name| tree.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_leaves_and_leaves_out_exceptions() {
        let config =
            json!({"data": {"root": "x", "augmentation": {"flip": 0.5, "crop": null}, "split": [1, 2]}, "b": 1});
        let keys = ConfigKeys::of(["data"]).except(["data.root", "data.aug"]);
        let leaves = keys.select("s", &config).unwrap();
        let names: Vec<_> = leaves.keys().map(String::as_str).collect();
        assert_eq!(names, ["data.augmentation.crop", "data.augmentation.flip", "data.split"]);
        let scalar = ConfigKeys::of(["b"]).select("s", &config).unwrap();
        assert_eq!(scalar["b"], json!(1));
    }

    #[test]
    fn a_misspelt_key_is_an_error_with_the_nearest() {
        let error = ConfigKeys::of(["data.augmentatoin"]).select("train", &json!({"data": {"augmentation": 1}}));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("step 'train'") && error.contains("did you mean 'data.augmentation'?"), "{error}");
    }
}
