//! From predictions to JSON.

use http::StatusCode;
use kidu_core::Prediction;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{Form, MODEL, RequestLimits, Response, problem::Problem};
use crate::{explain::Explanation, model::Model};

/// Any value as a JSON answer.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => Response::new(status, "application/json", body),
        Err(e) => Problem::new(super::Code::Internal, format!("the answer is no JSON: {e}")).response(),
    }
}

/// Class name to probability, most probable first.
struct Ranked<'a>(&'a Prediction);

impl Serialize for Ranked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.probabilities.len()))?;
        for (name, p) in &self.0.probabilities {
            map.serialize_entry(name, p)?;
        }
        map.end()
    }
}

/// Predictions in the form that was asked for.
pub fn answer(form: Form, predictions: &[Prediction], model: &Model) -> Response {
    #[derive(Serialize)]
    struct Full<'a> {
        predictions: &'a [Prediction],
        model: Value,
    }
    let response = match form {
        Form::List => json(StatusCode::OK, &predictions.iter().map(Ranked).collect::<Vec<_>>()),
        Form::Full => json(StatusCode::OK, &Full { predictions, model: name(model) }),
    };
    response.with_header(MODEL, model.tag())
}

/// `{"label", "score", "grid", "drops", "model"}`.
pub fn explanation(explanation: &Explanation, model: &Model) -> Response {
    #[derive(Serialize)]
    struct Full<'a> {
        #[serde(flatten)]
        explanation: &'a Explanation,
        model: Value,
    }
    json(StatusCode::OK, &Full { explanation, model: name(model) }).with_header(MODEL, model.tag())
}

fn name(model: &Model) -> Value {
    json!({"name": model.manifest().model, "version": model.manifest().version()})
}

/// What `GET /v1/model` tells.
pub fn model_info(model: &Model, limits: &RequestLimits) -> Response {
    let manifest = model.manifest();
    let value = json!({
        "name": manifest.model,
        "version": manifest.version(),
        "ready": true,
        "loaded": model.loaded(),
        "classes": manifest.classes,
        "image": manifest.image,
        "temperature": manifest.temperature,
        "metrics": manifest.metrics,
        "dataset_version": manifest.dataset_version,
        "data_snapshot": manifest.data_snapshot,
        "config_hash": manifest.config_hash,
        "git_commit": manifest.git_commit,
        "initial_weights": manifest.initial_weights,
        "created": manifest.created,
        "kidu_version": manifest.kidu_version,
        "limits": {
            "max_images": limits.max_images,
            "max_body_bytes": limits.max_body,
            "max_image_bytes": limits.image.max_bytes,
            "max_pixels": limits.image.max_pixels,
            "max_side": limits.image.max_side,
        },
    });
    json(StatusCode::OK, &value).with_header(MODEL, model.tag())
}

/// `{"status": "..."}`, with the model where there is one.
pub fn state(status: StatusCode, word: &str, model: Option<&Model>) -> Response {
    let value = match model {
        Some(model) => json!({"status": word, "model": name(model)}),
        None => json!({"status": word}),
    };
    let response = json(status, &value);
    match model {
        Some(model) => response.with_header(MODEL, model.tag()),
        None => response,
    }
}
