//! Small readings of JSON values that several formats share. An error is the reason, without the place.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

/// A JSON object.
pub(super) type Object = Map<String, Value>;
/// The reason why a record cannot be used.
pub(super) type Reason = String;

/// Longest part of a foreign text that a message shows.
const SHOWN: usize = 60;

/// Foreign text for a message.
pub(super) fn shown(text: &str) -> String {
    let head: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if head.len() < text.len() { format!("{head}...") } else { head }
}

/// A number or text as text; null and empty are none.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(s)) if !s.trim().is_empty() => Some(s.trim().to_string()),
        Some(Value::Number(n)) => Some(n.to_string()),
        _ => None,
    }
}

/// A whole number, also where it is written as text.
pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    text(value)?.parse().ok()
}

/// A number or text, or an object with `id` (and perhaps `email`), as Label Studio names users.
pub(super) fn user(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::Object(user)) => text(user.get("id")).or_else(|| text(user.get("email"))),
        other => text(other),
    }
}

/// A boolean; absent or null is none.
pub(super) fn flag(value: Option<&Value>) -> Option<bool> {
    match value {
        Some(Value::Bool(b)) => Some(*b),
        Some(Value::Number(n)) => Some(n.as_u64() != Some(0)),
        Some(Value::String(s)) => s.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

/// A moment: RFC 3339, or a date and time without a zone, which is taken as UTC. Absent, null and empty are none.
pub(super) fn moment(key: &str, value: Option<&Value>) -> Result<Option<Timestamp>, Reason> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(s)) if s.trim().is_empty() => return Ok(None),
        Some(Value::String(s)) => s.trim(),
        Some(_) => return Err(format!("{key} is not a date and time")),
    };
    let civil = || text.parse::<DateTime>().ok().and_then(|d| d.to_zoned(TimeZone::UTC).ok()).map(|z| z.timestamp());
    text.parse().ok().or_else(civil).map(Some).ok_or_else(|| format!("{key} '{}' is not a date and time", shown(text)))
}

/// Choices as Label Studio's exports write them: a text, a list of texts, or `{"choices": [..]}`, also as JSON in a text.
/// `None` for anything else: another kind of answer.
pub(super) fn choices(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(s) if s.trim_start().starts_with("{\"choices\"") => {
            serde_json::from_str::<Value>(s).ok().and_then(|v| choices(&v))
        }
        Value::String(s) if s.trim().is_empty() => Some(Vec::new()),
        Value::String(s) => Some(vec![s.trim().to_string()]),
        Value::Array(list) => list.iter().map(|v| v.as_str().map(|s| s.trim().to_string())).collect(),
        Value::Object(object) => object.get("choices").filter(|v| v.is_array()).and_then(choices),
        _ => None,
    }
}

/// The image's address in a task's data or a flat record, and the key that holds it.
pub(super) fn image<'a>(data: &'a Object, key: Option<&str>) -> Result<(&'a str, String), Reason> {
    let names = || shown(&data.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    let take = |key: &'a str, value: &'a Value| match value {
        Value::String(s) if !s.trim().is_empty() => Ok((key, s.trim().to_string())),
        Value::Array(_) => Err(format!("'{key}' holds a list; tasks with several images are not read")),
        _ => Err(format!("'{key}' holds no image address")),
    };
    if let Some(key) = key {
        let (key, value) =
            data.get_key_value(key).ok_or_else(|| format!("there is no '{key}' (--image-key) among: {}", names()))?;
        return take(key, value);
    }
    if let Some((key, value)) = data.get_key_value("image") {
        return take(key, value);
    }
    let mut found = data.iter().filter(|(_, v)| v.as_str().is_some_and(looks_like_image));
    match (found.next(), found.next()) {
        (Some((key, value)), None) => take(key, value),
        (None, _) => Err(format!("none of these holds an image address: {}; name it with --image-key", names())),
        _ => Err(format!("several of these hold an image address: {}; name it with --image-key", names())),
    }
}

fn looks_like_image(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    let path = lower.split(['?', '#']).next().unwrap_or_default();
    ["data:image/", "http://", "https://", "s3://", "/data/upload/", "/data/local-files/"]
        .iter()
        .any(|p| lower.starts_with(p))
        || [".jpg", ".jpeg", ".png", ".webp"].iter().any(|e| path.ends_with(e))
}

/// What a `result` list of Label Studio chose, by control. Answers of other kinds (boxes, texts) are left aside.
pub(super) fn results(result: Option<&Value>) -> Result<BTreeMap<String, Vec<String>>, Reason> {
    let list = match result {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("result is not a list".into()),
    };
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (i, item) in list.iter().enumerate() {
        let Some(item) = item.as_object() else { return Err(format!("result[{i}] is not an object")) };
        if item.get("type").and_then(Value::as_str) != Some("choices") {
            continue;
        }
        let control = text(item.get("from_name")).ok_or_else(|| format!("result[{i}] has no from_name"))?;
        let chosen = item.get("value").and_then(Value::as_object).and_then(|v| v.get("choices")).and_then(choices);
        let chosen = chosen.ok_or_else(|| format!("result[{i}].value.choices is not a list of texts"))?;
        let answer = answers.entry(control).or_default();
        for choice in chosen.into_iter().filter(|c| !c.is_empty()) {
            if !answer.contains(&choice) {
                answer.push(choice);
            }
        }
    }
    answers.retain(|_, chosen| !chosen.is_empty());
    Ok(answers)
}
