//! SageMaker's `hyperparameters.json` as overrides of the configuration.

use std::{fs::File, io::Read, path::Path};

use serde_json::{Map, Value};

use crate::{Outcome, failure::Failure};

/// The largest file that is read: SageMaker's own limit is a hundred values of 2500 characters.
const MAX_BYTES: u64 = 1 << 20;

/// The overrides `key=value` of a file.
pub(crate) fn read(path: &Path) -> Outcome<Vec<String>> {
    let unusable = |reason: String| Failure::usage(format!("--hyperparameters {}: {reason}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|e| unusable(e.to_string()))?;
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|e| unusable(e.to_string()))?;
    if read as u64 > MAX_BYTES {
        return Err(unusable("is larger than 1 MiB; is it the right file?".into()));
    }
    let values: Map<String, Value> = serde_json::from_str(&text).map_err(|e| {
        unusable(format!("is no JSON object of names and values ({e}), as {{\"trainer.max_epochs\": \"5\"}}"))
    })?;
    overrides(&values).map_err(unusable)
}

/// Values are texts in which SageMaker's own SDK for Python writes JSON: a quoted text loses its quotes. Names of SageMaker
/// itself (`_tuning_objective_metric`, `sagemaker_program`) are no keys of ours.
fn overrides(values: &Map<String, Value>) -> Result<Vec<String>, String> {
    let ours = values.iter().filter(|(name, _)| !name.starts_with('_') && !name.starts_with("sagemaker_"));
    ours.map(|(name, value)| {
        if name.is_empty() || name.contains('=') {
            return Err(format!("'{name}' is no key of the configuration"));
        }
        let text = match value {
            Value::String(text) => serde_json::from_str::<String>(text).unwrap_or_else(|_| text.clone()),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(format!("the value of '{name}' is no text; write it in quotes")),
        };
        Ok(format!("{name}={text}"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(json: serde_json::Value) -> Result<Vec<String>, String> {
        overrides(json.as_object().unwrap())
    }

    #[test]
    fn texts_become_overrides() {
        let given = json!({
            "model": "resnet18", "trainer.max_epochs": "5", "model.learning_rate": "1.2E-4", "model.optimizer.name": "\"adam\"",
            "tags": "[a, b]", "seed": 3, "_tuning_objective_metric": "val/acc", "sagemaker_program": "\"train.py\"",
        });
        let expected = [
            "model=resnet18",
            "trainer.max_epochs=5",
            "model.learning_rate=1.2E-4",
            "model.optimizer.name=adam",
            "tags=[a, b]",
            "seed=3",
        ];
        assert_eq!(of(given).unwrap(), expected);
        assert!(of(json!({})).unwrap().is_empty());
        assert!(of(json!({"a=b": "1"})).unwrap_err().contains("no key"));
        assert!(of(json!({"a": ["1"]})).unwrap_err().contains("no text"));
    }
}
