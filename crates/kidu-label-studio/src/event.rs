//! Webhook bodies: what happened, without what is nobody's business.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened in a Label Studio, as far as training is concerned. Holds ids and times only: bodies carry
/// the project's token and people's data, which are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Label Studio's name of the action.
    pub action: String,
    /// The project's id.
    #[serde(default)]
    pub project: Option<u64>,
    /// Annotations that are new, changed or gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Whether training is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub train: bool,
}

/// One annotation's change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// The annotation: its id, or `task/ID` for those that were imported with a task.
    pub annotation: String,
    /// Its state: the time of its last change, or [`DELETED`]. Later states sort after earlier ones.
    pub state: String,
}

/// The state of an annotation that is gone; sorts after every time.
pub const DELETED: &str = "deleted";

/// The most annotations of one event; Label Studio sends bulk changes whole.
const MAX_CHANGES: usize = 100_000;

/// The longest text that is taken over.
const MAX_TEXT: usize = 64;

/// Actions by which metrics tell events apart; others are counted together.
pub const ACTIONS: [&str; 10] = [
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_DELETED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
    "START_TRAINING",
    "other",
];

impl Event {
    /// Reads a body. Of unknown actions only the name is taken.
    ///
    /// # Errors
    /// A sentence where it is no event of Label Studio.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|e| format!("the body is not JSON (line {} column {})", e.line(), e.column()))?;
        let action = value.get("action").and_then(Value::as_str).ok_or("the body names no action")?;
        let usable = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if action.is_empty() || action.len() > MAX_TEXT || !action.chars().all(usable) {
            return Err("the action is no name".into());
        }
        let project = value.pointer("/project/id").or_else(|| value.get("project")).and_then(Value::as_u64);
        let changes = match action {
            "ANNOTATION_CREATED" | "ANNOTATION_UPDATED" | "ANNOTATIONS_CREATED" => {
                listed(value.get("annotation").or_else(|| value.get("annotations")))
                    .filter_map(|a| changed(a, action != "ANNOTATION_UPDATED"))
                    .collect()
            }
            "ANNOTATION_DELETED" | "ANNOTATIONS_DELETED" => {
                listed(value.get("annotations").or_else(|| value.get("annotation"))).filter_map(deleted).collect()
            }
            // Annotations that come with imported tasks have no event of their own.
            "TASKS_CREATED" => listed(value.get("tasks")).filter_map(imported).collect(),
            _ => Vec::new(),
        };
        Ok(Self { train: action == "START_TRAINING", action: action.into(), project, changes })
    }

    /// Whether Label Studio has made annotations without writing them into target storages.
    pub fn is_unwritten(&self) -> bool {
        matches!(self.action.as_str(), "ANNOTATIONS_CREATED" | "TASKS_CREATED") && !self.changes.is_empty()
    }

    /// The name that metrics count it under.
    pub fn label(&self) -> &'static str {
        ACTIONS.into_iter().find(|a| *a == self.action).unwrap_or("other")
    }
}

/// One value or a list of them.
fn listed(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let many = match value {
        Some(Value::Array(values)) => values.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    many.iter().take(MAX_CHANGES)
}

fn time<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|t| t.len() <= MAX_TEXT && t.starts_with(|c: char| c.is_ascii_digit()))
}

fn changed(annotation: &Value, new: bool) -> Option<Change> {
    let id = annotation.get("id")?.as_u64()?;
    // A skipped task teaches nothing; an answer that becomes a skip is a change.
    if new && annotation.get("was_cancelled").and_then(Value::as_bool).unwrap_or(false) {
        return None;
    }
    let state = time(annotation, "updated_at").or_else(|| time(annotation, "created_at")).unwrap_or("0");
    Some(Change { annotation: id.to_string(), state: state.into() })
}

fn deleted(annotation: &Value) -> Option<Change> {
    let id = annotation.get("id").unwrap_or(annotation).as_u64()?;
    Some(Change { annotation: id.to_string(), state: DELETED.into() })
}

fn imported(task: &Value) -> Option<Change> {
    let id = task.get("id")?.as_u64()?;
    let annotations = task.get("total_annotations").and_then(Value::as_u64).unwrap_or(0);
    let state = time(task, "updated_at").unwrap_or("0");
    (annotations > 0).then(|| Change { annotation: format!("task/{id}"), state: state.into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Event {
        Event::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn annotations_come_alone_or_in_lists() {
        let one = json!({"id": 1, "updated_at": "2026-11-23T04:19:01.756693Z", "result": [{}], "was_cancelled": false});
        let event =
            read(&json!({"action": "ANNOTATION_UPDATED", "annotation": one, "project": {"id": 7, "token": "t"}}));
        assert_eq!((event.project, event.changes.len(), event.train), (Some(7), 1, false));
        assert_eq!(event.changes[0].state, "2026-11-23T04:19:01.756693Z");
        assert!(!serde_json::to_string(&event).unwrap().contains("token"));
        assert_eq!(read(&json!({"action": "ANNOTATIONS_CREATED", "annotation": [one, one]})).changes.len(), 2);
        for (action, key) in [("ANNOTATIONS_DELETED", "annotations"), ("ANNOTATION_DELETED", "annotation")] {
            let event = read(&json!({"action": action, key: [{"id": 4}]}));
            assert_eq!(event.changes, [Change { annotation: "4".into(), state: DELETED.into() }]);
        }
        assert!(DELETED > "2026-11-23T04:19:01.756693Z");
    }

    #[test]
    fn skips_do_not_count_and_imports_with_annotations_do() {
        let skip =
            json!({"action": "ANNOTATION_CREATED", "annotation": {"id": 2, "result": [], "was_cancelled": true}});
        assert!(read(&skip).changes.is_empty());
        let tasks = json!([{"id": 5, "total_annotations": 1, "updated_at": "2026"}, {"id": 6, "total_annotations": 0}]);
        let event = read(&json!({"action": "TASKS_CREATED", "tasks": tasks}));
        assert_eq!(event.changes, [Change { annotation: "task/5".into(), state: "2026".into() }]);
        assert!(read(&json!({"action": "START_TRAINING", "project": {"id": 1}})).train);
        let unknown = read(&json!({"action": "LABEL_LINK_CREATED"}));
        assert_eq!((unknown.label(), unknown.changes.len()), ("other", 0));
    }

    #[test]
    fn what_is_no_event_is_refused_without_its_content() {
        for body in ["", "secret", "[]", "{}", r#"{"action":5}"#, r#"{"action":"a b"}"#, r#"{"action":""}"#] {
            let told = Event::read(body.as_bytes()).unwrap_err();
            assert!(!told.contains("secret"), "{told}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from)
        ];
        let key = prop_oneof![
            Just("id".to_owned()),
            Just("updated_at".to_owned()),
            Just("was_cancelled".to_owned()),
            Just("total_annotations".to_owned()),
            Just("result".to_owned()),
            "\\PC{0,6}"
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key.clone(), inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_panics_and_what_is_read_comes_back(
            action in prop::sample::select(ACTIONS.to_vec()), key in prop::sample::select(vec!["annotation", "annotations", "tasks"]),
            content in any_json(), project in any_json(),
        ) {
            let body = json!({"action": action, key: content, "project": project}).to_string();
            let event = Event::read(body.as_bytes()).unwrap();
            let kept = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&kept).unwrap(), event);
        }

        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = Event::read(&body);
        }
    }
}
