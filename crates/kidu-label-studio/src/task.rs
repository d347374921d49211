//! Tasks of `/predict`: where their images are.

use kidu_fetch::Address;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// The most tasks of a request. Label Studio sends all that are selected at once, and waits for 100 s.
pub const MAX_TASKS: usize = 100_000;

/// The body of `/predict`.
#[derive(Debug, Deserialize)]
pub struct PredictBody {
    /// The tasks, each answered at its place. Kept as values: one that is broken costs no other. At most one more than
    /// [`MAX_TASKS`] are read.
    #[serde(deserialize_with = "few")]
    pub tasks: Vec<Value>,
    /// The labelling configuration.
    #[serde(default)]
    pub label_config: Option<String>,
    /// `<project id>.<creation time>`.
    #[serde(default)]
    pub project: Option<Value>,
}

/// A list of which no more is taken than shows that it is too long: a task of one byte takes a hundred in memory.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    struct Few;
    impl<'de> de::Visitor<'de> for Few {
        type Value = Vec<Value>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of tasks")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Value>, A::Error> {
            let mut tasks = Vec::new();
            while tasks.len() <= MAX_TASKS {
                match list.next_element()? {
                    Some(task) => tasks.push(task),
                    None => return Ok(tasks),
                }
            }
            while list.next_element::<de::IgnoredAny>()?.is_some() {}
            Ok(tasks)
        }
    }
    deserializer.deserialize_seq(Few)
}

/// A task that can be predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its id, by which Label Studio hands out what its storages hold.
    pub id: Option<u64>,
    /// Where the image is.
    pub address: Address,
}

/// Where Label Studio puts the address of what was imported before there was a labelling configuration.
const UNDEFINED: &str = "$undefined$";

impl Task {
    /// Reads a task whose image stands under a key of its data. The key may be a path such as `photo.url`.
    ///
    /// # Errors
    /// What is wrong with the task, as a sentence without its content.
    pub fn read(task: &Value, key: &str) -> Result<Self, String> {
        let data = task.get("data").and_then(Value::as_object).ok_or("it has no data")?;
        let at_path = || key.split('.').try_fold(task.get("data")?, |value, part| value.get(part));
        let found = data.get(key).or_else(at_path).or_else(|| data.get(UNDEFINED));
        let text = match found {
            Some(Value::String(text)) => text,
            Some(_) => return Err(format!("its data under '{key}' is no text")),
            None => {
                let keys: Vec<&str> = data.keys().take(8).map(String::as_str).collect();
                return Err(format!("its data has no '{key}'; it has: {}", keys.join(", ")));
            }
        };
        let address = Address::parse(text).map_err(|e| e.to_string())?;
        Ok(Self { id: task.get("id").and_then(Value::as_u64), address })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_without_end_takes_no_memory_without_end() {
        let read = |n: usize| {
            let text = format!(r#"{{"tasks":[{}]}}"#, vec!["0"; n].join(","));
            serde_json::from_str::<PredictBody>(&text).unwrap().tasks.len()
        };
        assert_eq!((read(0), read(MAX_TASKS), read(3 * MAX_TASKS)), (0, MAX_TASKS, MAX_TASKS + 1));
        assert!(serde_json::from_str::<PredictBody>(r#"{"tasks":{"id":1}}"#).is_err());
    }

    #[test]
    fn the_address_is_found_under_the_forms_key() {
        let read = |task: Value, key: &str| Task::read(&task, key).map(|t| (t.id, t.address.to_string()));
        let url = "http://h/a.jpg";
        assert_eq!(read(json!({"id": 3, "data": {"image": url}}), "image"), Ok((Some(3), url.into())));
        assert_eq!(read(json!({"data": {"$undefined$": url}}), "image"), Ok((None, url.into())));
        assert_eq!(read(json!({"data": {"a": {"b": url}}}), "a.b"), Ok((None, url.into())));
        assert_eq!(read(json!({"data": {"a.b": url}}), "a.b"), Ok((None, url.into())));
        assert!(read(json!({"data": {"url": url, "n": 1}}), "image").unwrap_err().contains("it has: url, n"));
        assert!(read(json!({"data": {"image": 5}}), "image").unwrap_err().contains("no text"));
        assert!(read(json!({"data": {"image": "ftp://h/a"}}), "image").unwrap_err().contains("ftp"));
        for broken in [json!(null), json!(5), json!([]), json!({"id": 1}), json!({"data": "x"})] {
            assert!(read(broken, "image").is_err());
        }
    }
}
