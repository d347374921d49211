//! The space as a setting.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::json;

use super::{Condition, Distribution, Param, Space, parse::parse};
use crate::{
    error::{Error, Result},
    value::ParamValue,
};

/// The deepest nesting of keys.
const MAX_DEPTH: usize = 16;

/// A value of a configuration, keys in order.
enum Written {
    One(ParamValue),
    List(Vec<Written>),
    Map(Vec<(String, Written)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range of values such as choice(a, b) or interval(0.1, 1.0)")
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::One(ParamValue::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written::One(ParamValue::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
        Ok(Written::One(ParamValue::Int(value)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Written, E> {
        i64::try_from(value).map(|n| Written::One(ParamValue::Int(n))).map_err(|_| E::custom("the number is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
        Ok(Written::One(ParamValue::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Written, E> {
        Ok(Written::One(ParamValue::Text(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Written, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Written::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Written::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = match Written::deserialize(deserializer)? {
            Written::Map(entries) => entries,
            Written::One(ParamValue::Null) => Vec::new(),
            _ => return Err(D::Error::custom("the search space is a map of keys to ranges of values")),
        };
        let mut params = Vec::new();
        collect("", entries, 0, &mut params).and_then(|()| Space::new(params)).map_err(D::Error::custom)
    }
}

/// Written as it is read: conditions and all.
impl Serialize for Space {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.params.len()))?;
        for param in &self.params {
            let mut written = match &param.distribution {
                Distribution::Float { low, high, step, log } => {
                    json!({"type": "float", "low": low, "high": high, "step": step, "log": log})
                }
                Distribution::Int { low, high, step, log } => {
                    json!({"type": "int", "low": low, "high": high, "step": step, "log": log})
                }
                Distribution::Categorical { choices } => json!({"type": "categorical", "choices": choices}),
            };
            if !param.when.is_empty() {
                written["when"] = param.when.iter().map(|c| (c.key.clone(), json!(c.values))).collect();
            }
            map.serialize_entry(&param.key, &written)?;
        }
        map.end()
    }
}

fn collect(above: &str, entries: Vec<(String, Written)>, depth: usize, params: &mut Vec<Param>) -> Result<()> {
    for (name, written) in entries {
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        let fail = |reason: String| Error::space(&key, reason);
        let param = |distribution| Param { key: key.clone(), distribution, when: Vec::new() };
        match written {
            Written::One(ParamValue::Text(text)) => params.push(param(parse(&text).map_err(fail)?)),
            Written::One(value) => {
                return Err(fail(format!("{value} is one value, nothing to search; set {key}={value} instead")));
            }
            Written::List(items) => {
                params.push(param(values(items).and_then(Distribution::categorical).map_err(fail)?));
            }
            Written::Map(inner) if inner.iter().any(|(k, v)| k == "type" && matches!(v, Written::One(_))) => {
                params.push(from_map(&key, inner).map_err(fail)?);
            }
            Written::Map(_) if depth >= MAX_DEPTH => return Err(fail(format!("nested more than {MAX_DEPTH} deep"))),
            Written::Map(inner) => collect(&key, inner, depth + 1, params)?,
        }
    }
    Ok(())
}

fn values(items: Vec<Written>) -> Result<Vec<ParamValue>, String> {
    let one = |item| match item {
        Written::One(value) => Ok(value),
        _ => Err("a choice is null, a truth value, a number or a text, not a list or a map".to_string()),
    };
    items.into_iter().map(one).collect()
}

/// `{type: ..., ...}`.
fn from_map(key: &str, entries: Vec<(String, Written)>) -> Result<Param, String> {
    let (mut kind, mut choices, mut when) = (String::new(), None, Vec::new());
    let (mut low, mut high, mut step, mut log) = (None, None, None, false);
    for (name, written) in entries {
        match (name.as_str(), written) {
            ("type", Written::One(ParamValue::Text(text))) => kind = text,
            ("low", Written::One(value)) => low = Some(value),
            ("high", Written::One(value)) => high = Some(value),
            ("step", Written::One(value)) => step = (value != ParamValue::Null).then_some(value),
            ("log", Written::One(ParamValue::Bool(value))) => log = value,
            ("choices", Written::List(items)) => choices = Some(values(items)?),
            ("when", Written::Map(conditions)) => when = self::conditions(conditions)?,
            ("type" | "low" | "high" | "step" | "log" | "choices" | "when", _) => {
                return Err(format!(
                    "{name} is of the wrong kind: type is a word, low, high and step are numbers, log is true or \
                     false, choices is a list, when a map"
                ));
            }
            _ => return Err(format!("there is no '{name}'; known: type, low, high, step, log, choices, when")),
        }
    }
    let number = |name: &str, value: &Option<ParamValue>| match value {
        Some(value) => value.as_f64().map(|_| value.clone()).ok_or_else(|| format!("{name} is not a number: {value}")),
        None => Err(format!("a range of type {kind} needs {name}")),
    };
    let whole = |name: &str, value: &Option<ParamValue>| match number(name, value)? {
        ParamValue::Int(number) => Ok(number),
        ParamValue::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Ok(number as i64),
        other => Err(format!("{name} is not a whole number: {other}")),
    };
    let float = |name: &str, value: &Option<ParamValue>| Ok::<_, String>(number(name, value)?.as_f64().unwrap_or(0.0));
    let ranged = low.is_some() || high.is_some() || step.is_some() || log;
    let distribution = match kind.as_str() {
        "float" | "int" if choices.is_some() => return Err("choices belong to type categorical".into()),
        "categorical" if ranged => return Err("type categorical has choices, not low, high, step or log".into()),
        "float" => {
            let step = step.is_some().then(|| float("step", &step)).transpose()?;
            Distribution::float(float("low", &low)?, float("high", &high)?, step, log)?
        }
        "int" => {
            let step = step.is_some().then(|| whole("step", &step)).transpose()?.unwrap_or(1);
            Distribution::int(whole("low", &low)?, whole("high", &high)?, step, log)?
        }
        "categorical" => Distribution::categorical(choices.ok_or("type categorical needs choices")?)?,
        other => return Err(format!("'{other}' is no type; known: float, int, categorical")),
    };
    Ok(Param { key: key.into(), distribution, when })
}

fn conditions(entries: Vec<(String, Written)>) -> Result<Vec<Condition>, String> {
    let condition = |(key, written)| {
        let values = match written {
            Written::One(value) => vec![value],
            Written::List(items) => values(items)?,
            Written::Map(_) => return Err(format!("when: write '{key}' with its dots as one key")),
        };
        Ok(Condition { key, values })
    };
    entries.into_iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use kidu_config::Composed;

    use super::*;

    fn read(yaml: &str) -> Result<Space, String> {
        Composed::from_yaml("t.yaml", yaml).unwrap().section::<Space>("params").map_err(|e| e.to_string())
    }

    #[test]
    fn a_space_in_all_its_forms() {
        let space = read(
            "params:\n  model.name: choice(resnet18, mobilenetv2_100)\n  model:\n    optimizer: {name: [adam, sgd]}\n  \
             model.optimizer.momentum: {type: float, low: 0.5, high: 0.99, when: {model.optimizer.name: sgd}}\n  \
             data.batch_size: {type: int, low: 16, high: 128, log: true}\n",
        )
        .unwrap();
        let keys: Vec<&str> = space.params().iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["model.name", "model.optimizer.name", "model.optimizer.momentum", "data.batch_size"]);
        assert_eq!(space.params()[2].when[0].values, ["sgd".into()]);
        let json = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&json).unwrap(), space);
    }

    #[test]
    fn mistakes_are_named_with_their_key() {
        for (yaml, words) in [
            ("params: {a: 3}", "hparams_search.params.a: 3 is one value"),
            ("params: {a: {type: float, low: 0}}", "needs high"),
            ("params: {a: {type: flot}}", "'flot' is no type"),
            ("params: {a: {type: int, low: 0.5, high: 2}}", "low is not a whole number"),
            ("params: {a: {type: categorical, choices: [1, 2], low: 1}}", "not low"),
            ("params: {a: {type: float, low: 0, hihg: 1}}", "no 'hihg'"),
            ("params: {a: {type: float, low: x, high: 1}}", "low is not a number"),
            ("params: {a: [[1]]}", "not a list"),
            ("params: {a.b: [1, 2], a: {b: [1, 2]}}", "twice"),
            ("params: [1]", "a map of keys"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(words), "{yaml}: {error}");
        }
        assert!(read("params:").unwrap().is_empty());
    }
}
