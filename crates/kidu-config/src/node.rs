//! The tree of values, each with where it came from.

use std::{fmt, sync::Arc};

use kidu_core::Sha256Hex;

use crate::emit;

/// The deepest nesting of maps and lists, in a file and in the result.
pub(crate) const MAX_DEPTH: usize = 64;

/// The name of a file of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    /// The path as messages show it.
    pub shown: String,
    /// Whether it is embedded in the program.
    pub built_in: bool,
}

/// Where a value or key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A place in a file; line and column count from 1, the column in characters.
    File {
        /// The file.
        file: Arc<SourceName>,
        /// The line.
        line: u32,
        /// The column.
        column: u32,
    },
    /// An override, with its text.
    Override(Arc<str>),
    /// An environment variable that a value names.
    Environment {
        /// The name of the variable.
        name: Arc<str>,
        /// Where it is named.
        at: Box<Origin>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => {
                write!(f, "{}:{line}:{column}{}", file.shown, if file.built_in { " (built in)" } else { "" })
            }
            Self::Override(text) => write!(f, "override '{text}'"),
            Self::Environment { name, at } => write!(f, "environment variable {name}, named at {at}"),
        }
    }
}

/// A value that was replaced by a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The value as YAML on one line, shortened when it is long.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// A value with where it came from and what it replaced. Equality compares values only.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    pub(crate) history: Vec<Setting>,
    pub(crate) expression: Option<String>,
}

/// A YAML value of the core schema.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits a signed or an unsigned 64-bit integer.
    Int(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of its keys.
    Map(Vec<Entry>),
}

/// A key of a map with its value. Equality compares key and value only.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_origin: Origin,
    /// Its value.
    pub node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Node {
    pub(crate) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, history: Vec::new(), expression: None }
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where the value was set.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The values that this one replaced, oldest first.
    pub fn history(&self) -> &[Setting] {
        &self.history
    }

    /// The text with `${...}` from which the value was computed, if it was.
    pub fn expression(&self) -> Option<&str> {
        self.expression.as_deref()
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The direct child of that key, or of that index in a list.
    pub fn child(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.node),
            Value::List(items) => items.get(index(key)?),
            _ => None,
        }
    }

    /// The value below keys joined with dots; the empty key is the node itself.
    pub fn get(&self, key: &str) -> Option<&Node> {
        if key.is_empty() {
            return Some(self);
        }
        key.split('.').try_fold(self, |node, part| node.child(part))
    }

    /// As JSON, keys in order. Infinities and NaN, which JSON lacks, become the texts `.inf`, `-.inf` and `.nan`.
    pub fn to_json(&self) -> serde_json::Value {
        emit::json(self)
    }

    /// SHA-256 of the JSON with sorted keys: the same for any order of keys and any origin.
    pub fn hash(&self) -> Sha256Hex {
        Sha256Hex::of_bytes(emit::canonical_json(self).as_bytes())
    }

    /// A few words that describe the value: "the text 'x'", "a list".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(b) => b.to_string(),
            Value::Int(_) | Value::Float(_) => format!("the number {}", emit::flow(self)),
            Value::String(text) => format!("the text '{}'", emit::shorten(text)),
            Value::List(_) => format!("the list {}", emit::shorten(&emit::flow(self))),
            Value::Map(_) => "a map".into(),
        }
    }
}

/// A list index: digits only, so that `+1` or `01x` are no index.
pub(crate) fn index(part: &str) -> Option<usize> {
    part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
}

/// `parent.key`, or the key alone at the root.
pub(crate) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_string() } else { format!("{parent}.{key}") }
}
