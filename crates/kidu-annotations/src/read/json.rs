//! Label Studio's JSON: annotations with their task, tasks with their annotations, flat records; and COCO's detection.

use std::collections::BTreeMap;

use serde_json::{Deserializer, Value};

use super::{
    Format, ReadOptions, Reading, coco,
    value::{Object, Reason, choices, flag, image, moment, number, results, text, user},
};
use crate::annotation::{Annotation, Origin, System};

/// Keys of flat records that are not answers.
const ADMINISTRATION: [&str; 8] =
    ["id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "comments"];
/// What the control that asks for the class is usually called.
const USUAL: [&str; 5] = ["choice", "choices", "label", "class", "category"];

/// One value, or one after another (JSON lines).
pub(super) fn read(file: &str, bytes: &[u8], options: &ReadOptions) -> Reading {
    let mut reading = Reading::default();
    let mut values = 0;
    for (n, value) in Deserializer::from_slice(bytes).into_iter::<Value>().enumerate() {
        values += 1;
        match value {
            Ok(Value::Array(items)) => {
                values += items.len().max(1);
                for (i, item) in items.iter().enumerate() {
                    element(&mut reading, file, &format!("[{i}]"), item, options);
                }
                if items.is_empty() {
                    reading.formats.push(Format::LabelStudioTasks);
                }
            }
            Ok(Value::Object(object)) if is_coco(&object) => {
                if reading.expects(file, "", Format::Coco, options) {
                    coco::read(&mut reading, file, &object);
                }
            }
            Ok(value) => {
                element(&mut reading, file, &if n == 0 { String::new() } else { format!("[{n}]") }, &value, options)
            }
            Err(e) => {
                let cut = e.is_eof();
                let reason = format!("is not valid JSON: {e}{}", if cut { "; the file is cut short" } else { "" });
                reading.problem(file, "", reason);
                break;
            }
        }
    }
    reading.piece = reading.formats.iter().all(|f| f.is_piece(values));
    reading
}

fn is_coco(object: &Object) -> bool {
    ["images", "annotations", "categories"].iter().all(|k| object.get(*k).is_some_and(Value::is_array))
}

fn element(reading: &mut Reading, file: &str, place: &str, value: &Value, options: &ReadOptions) {
    let Some(object) = value.as_object() else {
        return reading.problem(file, place, "is not an object");
    };
    if object.contains_key("task") && object.contains_key("result") {
        if reading.expects(file, place, Format::LabelStudioAnnotation, options) {
            let made = with_task(object, file, place, options);
            keep(reading, file, place, made);
        }
    } else if object.contains_key("data") {
        if reading.expects(file, place, Format::LabelStudioTasks, options) {
            task(reading, file, place, object, options);
        }
    } else if object.contains_key("annotation_id") || object.contains_key("annotator") {
        if reading.expects(file, place, Format::JsonMin, options) {
            keep(reading, file, place, flat(object, file, place, options));
        }
    } else {
        let reason = "is neither an annotation, a task, a record of JSON_MIN nor COCO; see docs/data-import.md";
        reading.problem(file, place, reason);
    }
}

fn keep(reading: &mut Reading, file: &str, place: &str, made: Result<Annotation, Reason>) {
    match made {
        Ok(annotation) => reading.annotations.push(annotation),
        Err(reason) => reading.problem(file, place, reason),
    }
}

/// An annotation of the target storage.
fn with_task(object: &Object, file: &str, place: &str, options: &ReadOptions) -> Result<Annotation, Reason> {
    let task = match object.get("task") {
        Some(Value::Object(task)) => task,
        _ => return Err("holds only the number of its task; export the tasks, or annotations with their task".into()),
    };
    let data = task.get("data").and_then(Value::as_object).ok_or("its task has no data")?;
    let (_, address) = image(data, options.image_key.as_deref())?;
    let mut made = annotation(object, address, Origin::new(file, place))?;
    made.task = number(task.get("id"));
    made.project = made.project.or_else(|| text(task.get("project")));
    Ok(made)
}

/// A task and its annotations.
fn task(reading: &mut Reading, file: &str, place: &str, task: &Object, options: &ReadOptions) {
    let empty = Vec::new();
    // `completions` was the name before Label Studio 1.0.
    let annotations = match task.get("annotations").or_else(|| task.get("completions")) {
        None | Some(Value::Null) => &empty,
        Some(Value::Array(list)) => list,
        Some(_) => return reading.problem(file, place, "annotations is not a list"),
    };
    if annotations.is_empty() {
        reading.unannotated += 1;
        return;
    }
    let data = task.get("data").and_then(Value::as_object).ok_or("data is not an object".to_string());
    let address = match data.and_then(|d| image(d, options.image_key.as_deref())) {
        Ok((_, address)) => address,
        Err(reason) => return reading.problem(file, place, reason),
    };
    for (i, one) in annotations.iter().enumerate() {
        let place = format!("{place}.annotations[{i}]");
        let place = place.trim_start_matches('.');
        let Some(object) = one.as_object() else {
            reading.problem(file, place, "is not an object");
            continue;
        };
        let made = annotation(object, address.clone(), Origin::new(file, place)).map(|mut made| {
            made.task = number(task.get("id"));
            made.project = made.project.or_else(|| text(task.get("project")));
            made
        });
        keep(reading, file, place, made);
    }
}

/// What annotations of both shapes share.
fn annotation(object: &Object, address: String, origin: Origin) -> Result<Annotation, Reason> {
    Ok(Annotation {
        address,
        task: None,
        project: text(object.get("project")),
        system: System::LabelStudio,
        id: text(object.get("id")),
        annotator: user(object.get("completed_by")),
        answers: results(object.get("result"))?,
        created: moment("created_at", object.get("created_at"))?,
        updated: moment("updated_at", object.get("updated_at"))?,
        skipped: flag(object.get("was_cancelled")).or_else(|| flag(object.get("skipped"))).unwrap_or(false),
        ground_truth: Some(flag(object.get("ground_truth")).unwrap_or(false)),
        split: None,
        origin,
    })
}

/// A record of JSON_MIN, or a line of the CSV export, which has the same columns.
pub(super) fn flat(object: &Object, file: &str, place: &str, options: &ReadOptions) -> Result<Annotation, Reason> {
    let (image_key, address) = image(object, options.image_key.as_deref())?;
    let mut answers: BTreeMap<String, Vec<String>> = object
        .iter()
        .filter(|(key, _)| *key != image_key && !ADMINISTRATION.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), choices(value)?)))
        .filter(|(_, chosen)| !chosen.is_empty())
        .collect();
    // Fields of the task's data stand beside the answers and look like them.
    if options.from_name.is_none() && answers.len() > 1 {
        let usual: Vec<String> = answers.keys().filter(|k| USUAL.contains(&k.as_str())).cloned().collect();
        if let [only] = usual.as_slice() {
            answers.retain(|k, _| k == only);
        }
    }
    Ok(Annotation {
        address,
        task: number(object.get("id")),
        project: None,
        system: System::LabelStudio,
        id: text(object.get("annotation_id")),
        annotator: user(object.get("annotator")),
        answers,
        created: moment("created_at", object.get("created_at"))?,
        updated: moment("updated_at", object.get("updated_at"))?,
        skipped: false,
        ground_truth: None,
        split: None,
        origin: Origin::new(file, place),
    })
}
