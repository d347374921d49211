//! The search space: parameters, their values, and on which others they depend.

mod distribution;
mod parse;
mod written;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::distribution::Distribution;
use crate::{
    error::{Error, Result},
    value::ParamValue,
};

/// The most parameters of a space.
const MAX_PARAMS: usize = 200;

/// Parameters of a trial by key, inside the samplers: see [`Distribution::to_value`].
pub(crate) type Point = BTreeMap<String, f64>;

/// A parameter is part of a trial only where another has one of some values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// The other parameter.
    pub key: String,
    /// Its values that make this one part of the trial.
    pub values: Vec<ParamValue>,
}

/// A parameter: a key of the configuration and its possible values.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The full key, such as `model.learning_rate`.
    pub key: String,
    /// Its values.
    pub distribution: Distribution,
    /// All of these must hold; empty for a parameter of every trial.
    pub when: Vec<Condition>,
}

/// A search space. Parameters stand behind those on which they depend, otherwise in the order they were given.
///
/// As a setting it is a map from keys to values, each written as in Hydra's Optuna sweeper or as a map:
///
/// | Written | Values |
/// |---|---|
/// | `choice(a, b)`, `[a, b]` | one of these |
/// | `interval(0.1, 1.0)` | numbers from 0.1 to 1; whole numbers if both ends are |
/// | `range(1, 10)`, `range(0.0, 1.0, 0.25)` | on a step (1 if it is not given), the end included |
/// | `tag(log, interval(1e-5, 0.1))` | the logarithm is spread evenly |
/// | `int(...)`, `float(...)` | whole numbers, or numbers, whatever the ends look like |
/// | `{type: float, low: 1e-5, high: 0.1, log: true}` | likewise; also `step` |
/// | `{type: int, low: 1, high: 9, step: 2}` | likewise |
/// | `{type: categorical, choices: [a, b], when: {key: value}}` | only where the parameter `key` has that value |
///
/// A map without `type` holds further keys: `model: {name: ...}` is `model.name: ...`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    params: Vec<Param>,
}

impl Space {
    /// A space of these parameters.
    ///
    /// # Errors
    /// [`Error::Space`] for a key given twice, a condition on a key or value that does not exist, or conditions that
    /// wait for each other.
    pub fn new(params: Vec<Param>) -> Result<Self> {
        if params.len() > MAX_PARAMS {
            return Err(Error::space("*", format!("{} parameters are too many, at most {MAX_PARAMS}", params.len())));
        }
        for (i, param) in params.iter().enumerate() {
            if param.key.is_empty() || params[..i].iter().any(|p| p.key == param.key) {
                return Err(Error::space(&param.key, "is empty or given twice; keep one"));
            }
            for condition in &param.when {
                check_condition(&params, param, condition)?;
            }
        }
        in_order(params).map(|params| Self { params })
    }

    /// The parameters, each behind those on which it depends.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// The parameter of a key.
    pub fn get(&self, key: &str) -> Option<&Param> {
        self.params.iter().find(|p| p.key == key)
    }

    /// Whether a parameter is part of a trial that has the values of `point`.
    pub(crate) fn is_active(&self, param: &Param, point: &Point) -> bool {
        param.when.iter().all(|condition| {
            let value = self.get(&condition.key).zip(point.get(&condition.key));
            value.is_some_and(|(p, at)| condition.values.contains(&p.distribution.to_value(*at)))
        })
    }

    /// The space as JSON, by which a resumed study is compared.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let param = |p: &Param| {
            let values: serde_json::Value = serde_json::from_str(&p.distribution.to_json()).unwrap_or_default();
            serde_json::json!({"key": p.key, "values": values, "when": p.when})
        };
        self.params.iter().map(param).collect()
    }
}

fn check_condition(params: &[Param], param: &Param, condition: &Condition) -> Result<()> {
    let key = &condition.key;
    let Some(parent) = params.iter().find(|p| p.key == *key && p.key != param.key) else {
        let near = kidu_core::suggest::nearest(key, params.iter().map(|p| p.key.as_str()));
        let hint = kidu_core::suggest::did_you_mean(near);
        return Err(Error::space(&param.key, format!("when: '{key}' is no other parameter of the search{hint}")));
    };
    if condition.values.is_empty() {
        return Err(Error::space(&param.key, format!("when.{key}: give at least one value")));
    }
    for value in &condition.values {
        let number = parent.distribution.to_internal(value).filter(|n| parent.distribution.contains(*n));
        if number.is_none_or(|n| parent.distribution.to_value(n) != *value) {
            return Err(Error::space(
                &param.key,
                format!("when.{key}: '{value}' is not one of that parameter's values"),
            ));
        }
    }
    Ok(())
}

/// Each parameter behind those on which it depends.
fn in_order(mut waiting: Vec<Param>) -> Result<Vec<Param>> {
    let mut done: Vec<Param> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = |p: &Param| p.when.iter().all(|c| done.iter().any(|d| d.key == c.key));
        let Some(next) = waiting.iter().position(ready) else {
            return Err(Error::space(&waiting[0].key, "its conditions wait for each other in a circle"));
        };
        done.push(waiting.remove(next));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(key: &str, when: &[(&str, ParamValue)]) -> Param {
        let distribution = Distribution::categorical(vec!["a".into(), "b".into()]).unwrap();
        let condition =
            |(key, value): &(&str, ParamValue)| Condition { key: (*key).into(), values: vec![value.clone()] };
        Param { key: key.into(), distribution, when: when.iter().map(condition).collect() }
    }

    #[test]
    fn parameters_stand_behind_those_they_depend_on() {
        let space =
            Space::new(vec![param("z", &[("y", "a".into())]), param("y", &[("x", "b".into())]), param("x", &[])]);
        let space = space.unwrap();
        assert_eq!(space.params().iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["x", "y", "z"]);
        let active = |x: f64| space.is_active(space.get("y").unwrap(), &[("x".to_string(), x)].into());
        assert!(!active(0.0) && active(1.0));
        assert!(!space.is_active(space.get("z").unwrap(), &Point::new()));
    }

    #[test]
    fn conditions_must_make_sense() {
        for (params, words) in [
            (vec![param("x", &[("x", "a".into())])], "no other parameter"),
            (vec![param("x", &[("y", "a".into())]), param("y", &[("x", "a".into())])], "circle"),
            (vec![param("x", &[]), param("y", &[("x", "c".into())])], "not one of"),
            (vec![param("x", &[]), param("x", &[])], "twice"),
            (vec![param("model.name", &[]), param("y", &[("model.nam", "a".into())])], "did you mean 'model.name'"),
        ] {
            let error = Space::new(params).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
