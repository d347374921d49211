//! Values of parameters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value of a parameter: what Optuna's journal can hold of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// `null`, as a choice.
    Null,
    /// A choice.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number, finite.
    Float(f64),
    /// A choice.
    Text(String),
}

impl ParamValue {
    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// As YAML on one line, read back as the same value by YAML 1.1 and 1.2: also the right-hand side of an override of
    /// the configuration, save for texts, which [`ParamValue::to_override`] quotes.
    pub fn to_yaml(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => kidu_config::format_float(*value),
            Self::Text(text) => kidu_config::format_text(text),
        }
    }

    /// As the right-hand side of an override: `key=` and this is read as the same value, whatever the text holds.
    pub fn to_override(&self) -> String {
        match self {
            Self::Text(text) => kidu_config::quote(text),
            other => other.to_yaml(),
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            other => f.write_str(&other.to_yaml()),
        }
    }
}

impl From<f64> for ParamValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for ParamValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for ParamValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for ParamValue {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}
