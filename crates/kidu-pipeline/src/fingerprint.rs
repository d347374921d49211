//! What goes into a step's key, and what changed between two keys in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use kidu_core::{ContentHasher, Sha256Hex};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{graph::Step, parameter::text_of};

/// Everything that a step's outputs depend on, by a name that says what it is: `code`, `definition.*`, `parameter.*`,
/// `config.*`, `input.STEP.OUTPUT`, `external.*`, and `run` for steps that are never cached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parts(BTreeMap<String, Value>);

impl Parts {
    /// The parts that the step's definition and the code give.
    pub fn of_definition(step: &Step, code_version: &str) -> Self {
        let outputs: BTreeMap<&str, &str> = step.outputs.iter().map(|o| (o.name.as_str(), o.path.as_str())).collect();
        let mut parts = Self::default();
        parts.insert("code", "", json!(code_version));
        parts.insert("definition.", "kind", json!(step.kind));
        parts.insert("definition.", "verb", json!(step.verb));
        parts.insert("definition.", "environment", json!(step.environment));
        parts.insert("definition.", "outputs", json!(outputs));
        parts
    }

    /// Adds a parameter's value.
    pub fn parameter(&mut self, name: &str, value: &Value) {
        self.insert("parameter.", name, value.clone());
    }

    /// Adds the value of a configuration key.
    pub fn config(&mut self, key: &str, value: &Value) {
        self.insert("config.", key, value.clone());
    }

    /// Adds the content of an earlier step's output, named `step.output`.
    pub fn input(&mut self, output: &str, hash: &Sha256Hex) {
        self.insert("input.", output, json!(hash));
    }

    /// Adds the content of an external input.
    pub fn external(&mut self, name: &str, hash: &Sha256Hex) {
        self.insert("external.", name, json!(hash));
    }

    /// Makes the key unique to a run, for a step that is never cached.
    pub fn only_for_run(&mut self, id: &str) {
        self.insert("run", "", json!(id));
    }

    fn insert(&mut self, prefix: &str, name: &str, value: Value) {
        self.0.insert(format!("{prefix}{name}"), value);
    }

    /// The parts by name.
    pub fn as_map(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The key: the hash of the step's name and all parts.
    pub fn key(&self, step: &str) -> Sha256Hex {
        let start = ContentHasher::new("kidu step 1").field("step", step);
        self.0.iter().fold(start, |hasher, (name, value)| hasher.field(name, value.to_string())).finish()
    }

    /// What is different from an earlier time, one phrase for each part: "data.augmentation.horizontal_flip changed
    /// from 0.5 to 0.3".
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        let change = |name: &String| match (before.0.get(name), self.0.get(name)) {
            (old, new) if old == new => None,
            (old, new) => Some(phrase(name, old, new)),
        };
        // What the user most likely did comes first.
        let mut phrases: Vec<(u8, String)> = names.into_iter().filter_map(|n| Some((rank(n), change(n)?))).collect();
        phrases.sort_by_key(|(rank, _)| *rank);
        phrases.into_iter().map(|(_, p)| p).collect()
    }
}

fn rank(name: &str) -> u8 {
    let kinds = ["config.", "parameter.", "external.", "input.", "code", "definition."];
    kinds.iter().position(|k| name.starts_with(k)).map_or(u8::MAX, |i| i as u8)
}

fn phrase(name: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    if let Some((step, output)) = name.strip_prefix("input.").and_then(|n| n.split_once('.')) {
        return format!("output '{output}' of step '{step}' changed");
    }
    if let Some(what) = name.strip_prefix("definition.") {
        return format!("the step's definition ({what}) changed");
    }
    let what = if let Some(key) = name.strip_prefix("config.") {
        key.to_string()
    } else if let Some(parameter) = name.strip_prefix("parameter.") {
        format!("parameter {parameter}")
    } else if let Some(external) = name.strip_prefix("external.") {
        format!("the external input '{external}'")
    } else if name == "code" {
        "the version of Kidu".into()
    } else {
        name.to_string()
    };
    let show = |v: &Value| short(name, v);
    match (old, new) {
        (Some(old), Some(new)) => format!("{what} changed from {} to {}", show(old), show(new)),
        (None, Some(new)) => format!("{what} is new ({})", show(new)),
        (Some(old), None) => format!("{what} is gone (it was {})", show(old)),
        (None, None) => what,
    }
}

/// Hashes are cut to what can be compared by eye, long values to a line.
fn short(name: &str, value: &Value) -> String {
    let text = text_of(value);
    let limit = if name.starts_with("external.") { 12 } else { 60 };
    match text.char_indices().nth(limit) {
        Some((at, _)) if name.starts_with("external.") => text[..at].to_string(),
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Why a step runs instead of being taken from the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RerunReason {
    /// The step has not run before.
    First,
    /// What it depends on changed, one phrase for each part.
    Changed(Vec<String>),
    /// Nothing changed, but the outputs are no longer in the cache.
    Gone,
    /// Nothing changed, but the cached outputs cannot be used.
    Damaged(String),
    /// The step is never cached.
    NeverCached,
    /// It was asked for.
    Forced,
}

impl fmt::Display for RerunReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("runs for the first time"),
            Self::Changed(changes) => {
                write!(f, "reruns because {}", changes.iter().take(3).cloned().collect::<Vec<_>>().join(", "))?;
                match changes.len().saturating_sub(3) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more changed"),
                }
            }
            Self::Gone => f.write_str("reruns because its outputs are no longer in the cache"),
            Self::Damaged(why) => write!(f, "reruns because {why}"),
            Self::NeverCached => f.write_str("runs because it is never cached"),
            Self::Forced => f.write_str("reruns because it was asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_pipeline;

    fn parts() -> Parts {
        let mut parts = Parts::of_definition(build_pipeline().step("train").unwrap(), "0.1.0");
        parts.config("data.augmentation.horizontal_flip", &json!(0.5));
        parts.parameter("Model", &json!("resnet18"));
        parts.input("preprocess.dataset", &Sha256Hex::of_bytes(b"1"));
        parts
    }

    #[test]
    fn a_change_is_said_in_words() {
        let mut new = parts();
        new.config("data.augmentation.horizontal_flip", &json!(0.3));
        let changes = new.changes_since(&parts());
        assert_eq!(changes, ["data.augmentation.horizontal_flip changed from 0.5 to 0.3"]);
        assert_eq!(
            RerunReason::Changed(changes).to_string(),
            "reruns because data.augmentation.horizontal_flip changed from 0.5 to 0.3"
        );
        assert_ne!(new.key("train"), parts().key("train"));
    }

    #[test]
    fn all_kinds_of_change_are_named_likeliest_first() {
        let mut new = Parts::of_definition(build_pipeline().step("train").unwrap(), "0.2.0");
        new.input("preprocess.dataset", &Sha256Hex::of_bytes(b"2"));
        new.parameter("Model", &json!("resnet18"));
        new.external("initial-weights", &Sha256Hex::of_bytes(b""));
        let changes = new.changes_since(&parts());
        assert_eq!(
            changes,
            [
                "data.augmentation.horizontal_flip is gone (it was 0.5)",
                "the external input 'initial-weights' is new (e3b0c44298fc)",
                "output 'dataset' of step 'preprocess' changed",
                "the version of Kidu changed from 0.1.0 to 0.2.0",
            ]
        );
        assert!(RerunReason::Changed(changes).to_string().ends_with("and 1 more changed"));
    }

    #[test]
    fn equal_parts_have_equal_keys_and_the_step_counts() {
        assert_eq!(parts().key("train"), parts().key("train"));
        assert_ne!(parts().key("train"), parts().key("evaluate"));
    }
}
