//! Parameters of a pipeline: what a person or a scheduler may set for one execution.

use std::collections::BTreeMap;

use kidu_core::suggest::nearest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    config_keys,
    error::{Error, Result},
    graph::Pipeline,
};

/// The kind of a parameter's value, under the names that cloud pipelines use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
}

/// A parameter of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, as it is set.
    pub name: String,
    /// What its value is.
    pub kind: ParameterKind,
    /// The value when none is given; `None` means that one must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The values it may have; empty means any of its kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Value>,
    /// The configuration key it stands for: without an explicit value, the resolved configuration's counts, so that
    /// the parameter and the configuration cannot disagree by accident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_key: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl Parameter {
    /// A parameter without default, allowed values or configuration key.
    pub fn new(name: impl Into<String>, kind: ParameterKind, help: impl Into<String>) -> Self {
        Self { name: name.into(), kind, default: None, allowed: Vec::new(), config_key: None, help: help.into() }
    }

    /// With a default value.
    #[must_use]
    pub fn with_default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// With these values allowed and no others.
    #[must_use]
    pub fn with_allowed<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.allowed = values.into_iter().map(Into::into).collect();
        self
    }

    /// Standing for a configuration key.
    #[must_use]
    pub fn with_config_key(mut self, key: impl Into<String>) -> Self {
        self.config_key = Some(key.into());
        self
    }

    /// Checks a value and brings it to the parameter's kind: text that reads as the kind is taken (command lines and
    /// cloud APIs carry text only), and a number or truth value given for text becomes text.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn accept(&self, value: &Value) -> Result<Value> {
        let bad = |reason: String| Error::BadParameter { name: self.name.clone(), value: value.to_string(), reason };
        let made = coerce(self.kind, value).ok_or_else(|| {
            bad(match self.kind {
                ParameterKind::String => "is not text; give a string".into(),
                ParameterKind::Integer => "is not a whole number; give one such as 32".into(),
                ParameterKind::Float => "is not a finite number; give one such as 0.001".into(),
                ParameterKind::Boolean => "is not a truth value; give true or false".into(),
            })
        })?;
        if self.allowed.is_empty() || self.allowed.contains(&made) {
            return Ok(made);
        }
        let allowed: Vec<String> = self.allowed.iter().map(text_of).collect();
        let near = nearest(&text_of(&made), allowed.iter().map(String::as_str));
        let hint = kidu_core::suggest::did_you_mean(near);
        Err(bad(format!("is not allowed{hint}; allowed: {}", allowed.join(", "))))
    }
}

fn coerce(kind: ParameterKind, value: &Value) -> Option<Value> {
    match (kind, value) {
        (ParameterKind::String, Value::String(_)) | (ParameterKind::Boolean, Value::Bool(_)) => Some(value.clone()),
        (ParameterKind::String, Value::Number(_) | Value::Bool(_)) => Some(text_of(value).into()),
        (ParameterKind::Integer, Value::Number(n)) => whole(n.as_f64()?).or_else(|| n.as_i64().map(Into::into)),
        (ParameterKind::Integer, Value::String(s)) => s.trim().parse::<i64>().ok().map(Into::into),
        (ParameterKind::Float, Value::Number(n)) => number(n.as_f64()?),
        (ParameterKind::Float, Value::String(s)) => number(s.trim().parse::<f64>().ok()?),
        (ParameterKind::Boolean, Value::String(s)) => s.trim().parse::<bool>().ok().map(Into::into),
        _ => None,
    }
}

/// 2^53: up to here every whole number is a float exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn whole(x: f64) -> Option<Value> {
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and within the exact range")]
    (x.fract() == 0.0 && x.abs() <= EXACT).then(|| (x as i64).into())
}

fn number(x: f64) -> Option<Value> {
    serde_json::Number::from_f64(x).map(Value::Number)
}

/// A value as it stands in an argument: text without quotes, everything else as JSON.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The values of all parameters: those given, else the configuration's, else the defaults.
///
/// # Errors
/// [`Error::UnknownParameter`], [`Error::BadParameter`] or [`Error::MissingParameter`].
pub fn resolve_parameters(
    pipeline: &Pipeline,
    given: &BTreeMap<String, Value>,
    config: &Value,
) -> Result<BTreeMap<String, Value>> {
    let names = || pipeline.parameters.iter().map(|p| p.name.as_str());
    if let Some(name) = given.keys().find(|g| !names().any(|n| n == g.as_str())) {
        return Err(Error::UnknownParameter {
            pipeline: pipeline.name.clone(),
            name: name.clone(),
            nearest: nearest(name, names()).map(Into::into),
            known: names().collect::<Vec<_>>().join(", "),
        });
    }
    let resolve = |p: &Parameter| {
        let of_config = || p.config_key.as_deref().and_then(|k| config_keys::get(config, k)).filter(|v| !v.is_null());
        let value = given.get(&p.name).or_else(of_config).or(p.default.as_ref());
        let value =
            value.ok_or_else(|| Error::MissingParameter { name: p.name.clone(), config_key: p.config_key.clone() })?;
        Ok((p.name.clone(), p.accept(value)?))
    };
    pipeline.parameters.iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_from_command_lines_becomes_the_kind() {
        let p = |kind| Parameter::new("P", kind, "");
        assert_eq!(p(ParameterKind::Integer).accept(&json!("128")).unwrap(), json!(128));
        assert_eq!(p(ParameterKind::Integer).accept(&json!(128.0)).unwrap(), json!(128));
        assert_eq!(p(ParameterKind::Float).accept(&json!(1)).unwrap(), json!(1.0));
        assert_eq!(p(ParameterKind::String).accept(&json!(0)).unwrap(), json!("0"));
        assert_eq!(p(ParameterKind::Boolean).accept(&json!("true")).unwrap(), json!(true));
        for (kind, value) in [
            (ParameterKind::Integer, json!(1.5)),
            (ParameterKind::Float, json!("nan")),
            (ParameterKind::String, json!([1])),
            (ParameterKind::Boolean, json!(1)),
        ] {
            assert!(matches!(p(kind).accept(&value), Err(Error::BadParameter { .. })), "{kind:?} {value}");
        }
    }

    #[test]
    fn a_value_that_is_not_allowed_names_the_nearest() {
        let p = Parameter::new("Optimizer", ParameterKind::String, "").with_allowed(["adam", "sgd", "rmsprop"]);
        let error = p.accept(&json!("rmsprob")).unwrap_err().to_string();
        assert!(error.contains("did you mean 'rmsprop'?") && error.contains("adam, sgd"), "{error}");
    }

    #[test]
    fn given_beats_configuration_beats_default() {
        let pipeline = Pipeline {
            name: "p".into(),
            parameters: vec![
                Parameter::new("A", ParameterKind::Integer, "").with_default(1).with_config_key("x.a"),
                Parameter::new("B", ParameterKind::Integer, "").with_default(1).with_config_key("x.b"),
                Parameter::new("C", ParameterKind::Integer, "").with_default(1).with_config_key("x.c"),
            ],
            steps: vec![],
        };
        let given = BTreeMap::from([("A".to_string(), json!(3))]);
        let values = resolve_parameters(&pipeline, &given, &json!({"x": {"a": 2, "b": 2, "c": null}})).unwrap();
        assert_eq!(values.into_values().collect::<Vec<_>>(), [json!(3), json!(2), json!(1)]);
        let typo = BTreeMap::from([("a".to_string(), json!(3))]);
        let error = resolve_parameters(&pipeline, &typo, &json!({})).unwrap_err().to_string();
        assert!(error.contains("did you mean 'A'?"), "{error}");
    }
}
