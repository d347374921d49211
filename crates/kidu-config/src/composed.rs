//! The composed configuration and what it can tell about itself.

use std::{fmt, path::Path, sync::Arc};

use kidu_core::{Sha256Hex, suggest::nearest};
use serde::de::DeserializeOwned;

use crate::{
    de, emit,
    error::{ConfigError, Place, Result},
    node::{Node, Origin, Setting, SourceName, Value, join},
    sources, yaml,
};

/// A configuration after composition: every value is final and knows where it came from.
#[derive(Clone, Debug)]
pub struct Composed {
    entry: String,
    root: Node,
    overrides: Vec<String>,
    choices: Vec<Choice>,
    listings: Vec<Listing>,
}

/// The options that were chosen for a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The group.
    pub group: String,
    /// The options; none for `null`.
    pub options: Vec<String>,
    /// The entry of a defaults list, or the override.
    pub origin: Origin,
    /// What the defaults list said, when something else chose.
    pub replaced: Option<(Vec<String>, Origin)>,
}

/// A file that was merged, and what asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) file: Arc<SourceName>,
    pub(crate) at: Origin,
}

/// Where a value came from. Its `Display` is a few lines for a terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The full key.
    pub key: String,
    /// The value as YAML on one line.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
    /// The text with `${...}` from which it was computed.
    pub expression: Option<String>,
    /// What asked for the file in which it was set: an entry of a defaults list or an override.
    pub listed_by: Option<Origin>,
    /// The values it replaced, the latest first.
    pub replaced: Vec<Setting>,
}

/// A key whose value differs between two configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The full key.
    pub key: String,
    /// The value before as YAML, if the key existed.
    pub before: Option<String>,
    /// The value after as YAML, if the key exists.
    pub after: Option<String>,
}

impl Composed {
    pub(crate) fn new(
        entry: &str,
        root: Node,
        overrides: Vec<String>,
        choices: Vec<Choice>,
        listings: Vec<Listing>,
    ) -> Self {
        Self { entry: entry.to_string(), root, overrides, choices, listings }
    }

    /// Reads a resolved configuration that [`Composed::to_yaml`] wrote: no defaults lists, no interpolation.
    ///
    /// # Errors
    /// [`ConfigError::Io`], or [`ConfigError::Syntax`] if it is not YAML or not a map.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_yaml(&path.display().to_string(), &sources::read(path)?)
    }

    /// The same from a text; `name` stands for the file in messages.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] if it is not YAML or not a map.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self> {
        let file = Arc::new(SourceName { shown: name.to_string(), built_in: false });
        let start = Origin::File { file: Arc::clone(&file), line: 1, column: 1 };
        let root = yaml::parse(text, &file)?.unwrap_or_else(|| Node::new(Value::Map(Vec::new()), start));
        if !matches!(root.value, Value::Map(_)) {
            let reason = format!("a configuration is a map of keys to values, not {}", root.describe());
            return Err(ConfigError::syntax(&root.origin, reason));
        }
        Ok(Self::new(name, root, Vec::new(), Vec::new(), Vec::new()))
    }

    /// The entry it was composed from.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// The whole tree.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The overrides it was composed with.
    pub fn overrides(&self) -> &[String] {
        &self.overrides
    }

    /// The chosen options of every group, in the order of merging.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The value of a key such as `trainer.max_epochs`; an index reaches into a list.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.root.get(key)
    }

    /// Everything as a typed value. Structs refuse unknown keys whether or not they say `deny_unknown_fields`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`], [`ConfigError::MissingKey`], [`ConfigError::WrongType`],
    /// [`ConfigError::BadVariant`] or [`ConfigError::Invalid`], with the key and its place.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        de::from_node(&self.root, "")
    }

    /// One section as a typed value: `section::<TrainerSettings>("trainer")`.
    ///
    /// # Errors
    /// As for [`Composed::to`], and [`ConfigError::MissingKey`] if there is no such section.
    pub fn section<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        match self.get(key) {
            Some(node) => de::from_node(node, key),
            None => Err(ConfigError::MissingKey { place: Place::new(key, &self.root.origin) }),
        }
    }

    /// Where the value of a key came from and what it replaced.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] with the nearest key.
    pub fn explain(&self, key: &str) -> Result<Explanation> {
        let Some(node) = self.get(key) else {
            let keys = self.keys();
            let near = nearest(key, keys.iter().map(String::as_str)).map(String::from);
            let place = Place::new(key, &self.root.origin);
            return Err(ConfigError::UnknownKey { place, nearest: near, hint: String::new() });
        };
        let file = match &node.origin {
            Origin::File { file, .. } => Some(file),
            _ => None,
        };
        Ok(Explanation {
            key: key.to_string(),
            value: emit::flow(node),
            origin: node.origin.clone(),
            expression: node.expression.clone(),
            listed_by: self.listings.iter().find(|l| Some(&l.file) == file).map(|l| l.at.clone()),
            replaced: node.history.iter().rev().cloned().collect(),
        })
    }

    /// Every key that holds a value, in order: maps are descended into, unless they are empty, lists are values.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        collect_keys(&self.root, "", &mut keys);
        keys
    }

    /// The keys that differ from `before`, in order: compose without overrides to see what the overrides changed.
    pub fn changes_since(&self, before: &Composed) -> Vec<Change> {
        let (old, new) = (before.keys(), self.keys());
        let gone = old.iter().filter(|k| !new.contains(k));
        let change = |key: &String| {
            let value = |of: &Composed| of.get(key).map(emit::flow);
            let (before, after) = (value(before), value(self));
            (before != after).then(|| Change { key: key.clone(), before, after })
        };
        new.iter().chain(gone).filter_map(change).collect()
    }

    /// As YAML that reads back to the same values (see [`Composed::load`]), keys in the order of merging.
    pub fn to_yaml(&self) -> String {
        emit::document(&self.root)
    }

    /// As JSON, keys in the order of merging.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    /// SHA-256 of the values, whatever the order of the keys; one section's is `get(key)` and [`Node::hash`].
    pub fn hash(&self) -> Sha256Hex {
        self.root.hash()
    }
}

fn collect_keys(node: &Node, path: &str, keys: &mut Vec<String>) {
    for entry in node.entries() {
        let key = join(path, &entry.key);
        if entry.node.entries().is_empty() {
            keys.push(key);
        } else {
            collect_keys(&entry.node, &key, keys);
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} = {}", self.key, self.value)?;
        if let Some(expression) = &self.expression {
            writeln!(f, "  computed from {}", emit::shorten(expression))?;
        }
        writeln!(f, "  set by        {}", self.origin)?;
        if let Some(listed_by) = &self.listed_by {
            writeln!(f, "  file chosen   {listed_by}")?;
        }
        for past in &self.replaced {
            writeln!(f, "  replaced      {} from {}", past.value, past.origin)?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".into());
        write!(f, "{}: {} -> {}", self.key, shown(&self.before), shown(&self.after))
    }
}
