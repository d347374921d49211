//! The operations of Optuna's journal (`optuna/storages/journal/_storage.py`, `JournalOperation`).

use std::{collections::BTreeMap, process, sync::LazyLock};

use serde_json::{Map, Value, json};

use super::python::{from_number, to_number};
use crate::{
    settings::Direction,
    space::Distribution,
    trial::{Assigned, TrialState},
};

/// What this project's lines are signed with begins so.
pub(super) const WORKER: &str = "kidu-";

/// Optuna tells its own lines by this, so it must be unique to the process.
static WORKER_ID: LazyLock<String> = LazyLock::new(|| {
    let began = jiff::Timestamp::now().as_nanosecond();
    format!("{WORKER}{}-{began:x}", process::id())
});

/// An operation as read.
#[derive(Debug)]
pub(crate) enum Operation {
    CreateStudy {
        name: String,
        directions: Vec<Direction>,
    },
    DeleteStudy {
        study: usize,
    },
    StudyAttr {
        study: usize,
        system: bool,
        entry: Map<String, Value>,
    },
    CreateTrial(Box<NewTrial>),
    TrialParam {
        trial: usize,
        key: String,
        assigned: Assigned,
    },
    TrialState {
        trial: usize,
        state: TrialState,
        value: Option<f64>,
        time: Option<String>,
        ours: bool,
    },
    TrialValue {
        trial: usize,
        step: u64,
        value: f64,
    },
    TrialAttr {
        trial: usize,
        system: bool,
        entry: Map<String, Value>,
    },
    /// What this project has no use for.
    Other,
}

/// A trial as it is begun, or put into the journal as a whole.
#[derive(Debug)]
pub(crate) struct NewTrial {
    pub(crate) study: usize,
    pub(crate) state: TrialState,
    pub(crate) params: BTreeMap<String, Assigned>,
    pub(crate) value: Option<f64>,
    pub(crate) intermediate: BTreeMap<u64, f64>,
    pub(crate) user_attrs: Map<String, Value>,
    pub(crate) system_attrs: Map<String, Value>,
    pub(crate) started: Option<String>,
    pub(crate) completed: Option<String>,
    pub(crate) ours: bool,
}

/// Reads an operation.
pub(super) fn read(json: &Value) -> Result<Operation, String> {
    let code = json["op_code"].as_u64().ok_or("it has no op_code, so it is no line of an Optuna journal")?;
    let ours = json["worker_id"].as_str().is_some_and(|id| id.starts_with(WORKER));
    let study = || index(json, "study_id");
    let trial = || index(json, "trial_id");
    Ok(match code {
        0 => {
            let name = text(json, "study_name")?.to_string();
            let directions = json["directions"].as_array().ok_or("it lacks 'directions'")?;
            let direction = |d: &Value| if d.as_u64() == Some(2) { Direction::Maximize } else { Direction::Minimize };
            Operation::CreateStudy { name, directions: directions.iter().map(direction).collect() }
        }
        1 => Operation::DeleteStudy { study: study()? },
        2 => Operation::StudyAttr { study: study()?, system: false, entry: object(json, "user_attr")? },
        3 => Operation::StudyAttr { study: study()?, system: true, entry: object(json, "system_attr")? },
        4 => Operation::CreateTrial(Box::new(read_new_trial(json, ours)?)),
        5 => {
            let distribution = Distribution::from_json(text(json, "distribution")?)?;
            let internal = number(json, "param_value_internal")?;
            let key = text(json, "param_name")?.to_string();
            Operation::TrialParam { trial: trial()?, key, assigned: Assigned { distribution, internal } }
        }
        6 => {
            let value = json["values"].as_array().and_then(|v| to_number(v.first()?));
            let time = ["datetime_complete", "datetime_start"].iter().find_map(|k| json[*k].as_str());
            Operation::TrialState { trial: trial()?, state: state(json)?, value, time: time.map(String::from), ours }
        }
        7 => {
            let step = json["step"].as_u64().ok_or("'step' is no whole number")?;
            Operation::TrialValue { trial: trial()?, step, value: number(json, "intermediate_value")? }
        }
        8 => Operation::TrialAttr { trial: trial()?, system: false, entry: object(json, "user_attr")? },
        9 => Operation::TrialAttr { trial: trial()?, system: true, entry: object(json, "system_attr")? },
        10 => Operation::Other,
        other => return Err(format!("there is no operation {other} in the Optuna journals known here")),
    })
}

fn read_new_trial(json: &Value, ours: bool) -> Result<NewTrial, String> {
    let empty = Map::new();
    let map = |key: &str| json[key].as_object().unwrap_or(&empty);
    let mut params = BTreeMap::new();
    for (key, internal) in map("params") {
        let text = map("distributions").get(key).and_then(Value::as_str);
        let distribution = Distribution::from_json(text.ok_or_else(|| format!("'{key}' has no distribution"))?)?;
        let internal = to_number(internal).ok_or_else(|| format!("the value of '{key}' is no number"))?;
        params.insert(key.clone(), Assigned { distribution, internal });
    }
    let mut intermediate = BTreeMap::new();
    for (step, value) in map("intermediate_values") {
        let step = step.parse().map_err(|_| format!("the step '{step}' is no whole number"))?;
        intermediate.insert(step, to_number(value).ok_or("an intermediate value is no number")?);
    }
    let value = to_number(&json["value"]).or_else(|| to_number(json["values"].as_array()?.first()?));
    let time = |key: &str| json[key].as_str().map(String::from);
    Ok(NewTrial {
        study: index(json, "study_id")?,
        state: if json["state"].is_null() { TrialState::Running } else { state(json)? },
        params,
        value,
        intermediate,
        user_attrs: map("user_attrs").clone(),
        system_attrs: map("system_attrs").clone(),
        started: time("datetime_start"),
        completed: time("datetime_complete"),
        ours,
    })
}

fn index(json: &Value, key: &str) -> Result<usize, String> {
    json[key].as_u64().map(|n| n as usize).ok_or_else(|| format!("'{key}' is no whole number"))
}

fn text<'a>(json: &'a Value, key: &str) -> Result<&'a str, String> {
    json[key].as_str().ok_or_else(|| format!("'{key}' is no text"))
}

fn number(json: &Value, key: &str) -> Result<f64, String> {
    to_number(&json[key]).ok_or_else(|| format!("'{key}' is no number"))
}

fn object(json: &Value, key: &str) -> Result<Map<String, Value>, String> {
    json[key].as_object().cloned().ok_or_else(|| format!("'{key}' is no map"))
}

fn state(json: &Value) -> Result<TrialState, String> {
    json["state"].as_u64().and_then(TrialState::from_code).ok_or_else(|| "'state' is no state of a trial".into())
}

fn line(code: u64, fields: Value) -> Value {
    let mut line = json!({"op_code": code, "worker_id": *WORKER_ID});
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
        line.extend(fields);
    }
    line
}

fn now() -> String {
    // As Python's isoformat in UTC, which all its releases read.
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// A new study.
pub(crate) fn create_study(name: &str, direction: Direction) -> Value {
    let code = if direction == Direction::Maximize { 2 } else { 1 };
    line(0, json!({"study_name": name, "directions": [code]}))
}

/// A note on a study.
pub(crate) fn set_study_user_attr(study: usize, key: &str, value: Value) -> Value {
    line(2, json!({"study_id": study, "user_attr": {key: value}}))
}

/// A note on a study by which Optuna knows something.
pub(crate) fn set_study_system_attr(study: usize, key: &str, value: Value) -> Value {
    line(3, json!({"study_id": study, "system_attr": {key: value}}))
}

/// A new running trial with all its parameters, in one line.
pub(crate) fn create_trial(study: usize, params: &BTreeMap<String, Assigned>) -> Value {
    let distributions: Map<String, Value> =
        params.iter().map(|(key, a)| (key.clone(), a.distribution.to_json().into())).collect();
    let internal = |a: &Assigned| match a.distribution {
        Distribution::Categorical { .. } => json!(a.internal as u64),
        _ => json!(a.internal),
    };
    let values: Map<String, Value> = params.iter().map(|(key, a)| (key.clone(), internal(a))).collect();
    let fields = json!({
        "study_id": study, "datetime_start": now(), "state": TrialState::Running.code(), "value": null, "values": null,
        "distributions": distributions, "params": values, "user_attrs": {}, "system_attrs": {},
        "intermediate_values": {},
    });
    line(4, fields)
}

/// The end of a trial.
pub(crate) fn finish_trial(trial: usize, state: TrialState, value: Option<f64>) -> Value {
    let values = value.map(|v| vec![from_number(v)]);
    line(6, json!({"trial_id": trial, "state": state.code(), "values": values, "datetime_complete": now()}))
}

/// A value on the way.
pub(crate) fn set_intermediate(trial: usize, step: u64, value: f64) -> Value {
    line(7, json!({"trial_id": trial, "step": step, "intermediate_value": from_number(value)}))
}

/// A note on a trial.
pub(crate) fn set_user_attr(trial: usize, key: &str, value: Value) -> Value {
    line(8, json!({"trial_id": trial, "user_attr": {key: value}}))
}

/// A note of a sampler or pruner on a trial.
pub(crate) fn set_system_attr(trial: usize, key: &str, value: Value) -> Value {
    line(9, json!({"trial_id": trial, "system_attr": {key: value}}))
}
