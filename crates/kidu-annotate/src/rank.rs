//! An order of images as Label Studio takes it: an import file, predictions, and data that its tabs can sort by.

use kidu_core::Prediction;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{form::Form, result};

/// The key of a task's data that holds its place, from 1: what is to be labelled first.
pub const RANK: &str = "kidu_rank";
/// The title of the tab that shows what is to be labelled next.
pub const TAB: &str = "Label next (Kidu)";

/// An image in its place.
#[derive(Clone, Debug, Serialize)]
pub struct Ranked {
    /// Its place, from 1.
    pub rank: usize,
    /// Its task, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// What it is called.
    pub name: String,
    /// The most probable class.
    pub label: String,
    /// Its probability.
    pub score: f32,
    /// The entropy over its maximum.
    pub entropy: f32,
    /// The best class less the second best.
    pub margin: f32,
}

impl Ranked {
    /// An image's place by what the model says of it.
    pub fn new(rank: usize, task: Option<u64>, name: String, prediction: &Prediction) -> Self {
        Self {
            rank,
            task,
            name,
            label: prediction.label.clone(),
            score: prediction.score,
            entropy: prediction.entropy(),
            margin: prediction.margin(),
        }
    }
}

/// A task of an import file: its data with its place, and the prediction if the form has a choice for it.
pub fn import_task(data: &Value, rank: usize, prediction: &Prediction, form: &Form, version: &str) -> Value {
    let mut task = json!({"data": with_rank(data, rank)});
    if let Some(predicted) = result::answer(prediction, form, version) {
        task["predictions"] = json!([predicted]);
    }
    task
}

/// A prediction for a task that is there; `None` if the form has no choice for it.
pub fn task_prediction(task: u64, prediction: &Prediction, form: &Form, version: &str) -> Option<Value> {
    let mut value = json!(result::answer(prediction, form, version)?);
    value["task"] = task.into();
    Some(value)
}

/// A task's data with its place.
pub fn with_rank(data: &Value, rank: usize) -> Value {
    let mut fields: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
    fields.insert(RANK.into(), rank.into());
    Value::Object(fields)
}

/// The tab of the data manager that shows tasks without annotations by their place.
pub fn tab() -> Value {
    let column = format!("tasks:data.{RANK}");
    let none = |what: &str| json!({"filter": format!("filter:tasks:{what}"), "operator": "equal", "type": "Number", "value": 0});
    json!({
        "title": TAB,
        "type": "list",
        "target": "tasks",
        "ordering": [column.as_str()],
        // Else the places would be sorted as words: 10 before 2.
        "columnsDisplayType": {column.as_str(): "Number"},
        // Skipped tasks have been looked at.
        "filters": {"conjunction": "and", "items": [none("total_annotations"), none("cancelled_annotations")]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form_xml;

    fn prediction() -> Prediction {
        Prediction {
            label: "sea".into(),
            score: 0.75,
            probabilities: vec![("sea".into(), 0.75), ("forest".into(), 0.25)],
        }
    }

    #[test]
    fn a_task_has_its_place_and_its_prediction() {
        let form = Form::parse(&form_xml::of_classes(&["sea", "forest"]), None).unwrap();
        let data = json!({"image": "s3://b/a.jpg", "kidu_rank": 9});
        let task = import_task(&data, 3, &prediction(), &form, "m@1");
        assert_eq!(task["data"], json!({"image": "s3://b/a.jpg", "kidu_rank": 3}));
        assert_eq!(task["predictions"][0]["model_version"], "m@1");
        assert_eq!(task["predictions"][0]["result"][0]["value"]["choices"][0], "sea");
        let there = task_prediction(7, &prediction(), &form, "m@1").unwrap();
        assert_eq!((there["task"].as_u64(), there["score"].as_f64()), (Some(7), Some(0.75)));
    }

    #[test]
    fn a_form_without_a_choice_gets_no_prediction() {
        let form = Form::parse(&form_xml::of_classes(&["lake"]), None).unwrap();
        let task = import_task(&json!({"image": "x"}), 1, &prediction(), &form, "m@1");
        assert!(task.get("predictions").is_none());
        assert!(task_prediction(7, &prediction(), &form, "m@1").is_none());
    }

    #[test]
    fn the_tab_sorts_by_number() {
        let tab = tab();
        assert_eq!(tab["ordering"][0], "tasks:data.kidu_rank");
        assert_eq!(tab["columnsDisplayType"]["tasks:data.kidu_rank"], "Number");
    }
}
