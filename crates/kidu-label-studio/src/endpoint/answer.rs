//! Answers of an endpoint: checked before anything is believed.

use kidu_core::Prediction;
use serde::Deserialize;
use serde_json::Value;

use super::{EndpointError, ModelInfo, ModelName, Reply};

/// The longest name of a model or version that is passed on.
const MAX_NAME: usize = 200;

/// The model and its prediction in an answer of `/v1/predict` to one image.
pub(super) fn prediction(reply: &Reply) -> Result<(ModelName, Prediction), EndpointError> {
    #[derive(Deserialize)]
    struct Body {
        predictions: Vec<Prediction>,
        model: ModelName,
    }
    let body: Body = read(reply)?;
    let [prediction] = <[Prediction; 1]>::try_from(body.predictions)
        .map_err(|p| bad(format!("it holds {} predictions of one image", p.len())))?;
    check_name(&body.model)?;
    Ok((body.model, checked(prediction)?))
}

/// The model in an answer of `/v1/model`.
pub(super) fn model(reply: &Reply) -> Result<ModelInfo, EndpointError> {
    let info: ModelInfo = read(reply)?;
    check_name(&info.model)?;
    if info.classes.is_empty() {
        return Err(bad("it names no classes"));
    }
    Ok(info)
}

fn read<T: for<'de> Deserialize<'de>>(reply: &Reply) -> Result<T, EndpointError> {
    if !(200..300).contains(&reply.status) {
        return Err(refusal(reply));
    }
    // The reason names what is missing, and may quote no more than a name: neither images nor secrets come back.
    serde_json::from_slice(&reply.body).map_err(|e| {
        let reason: String = e.to_string().chars().take(200).collect();
        bad(format!("it is not the contract's: {reason}"))
    })
}

fn bad(reason: impl std::fmt::Display) -> EndpointError {
    EndpointError::lasting("bad_answer", format!("the endpoint's answer cannot be used: {reason}"))
}

/// A status that is no success: `{"error": {"code", "message"}}` if it is Kidu's own.
fn refusal(reply: &Reply) -> EndpointError {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let told = body.pointer("/error/message").or_else(|| body.get("message")).and_then(Value::as_str);
    let told: String = told.unwrap_or("no reason given").chars().filter(|c| !c.is_control()).take(300).collect();
    let (code, transient) = match reply.status {
        408 | 425 | 429 => ("overloaded", true),
        413 => ("too_large", false),
        415 => ("not_an_image", false),
        422 => ("undecodable", false),
        401 | 403 => ("unauthorized", false),
        404 => ("no_such_endpoint", false),
        501 | 505 => ("endpoint_status", false),
        500..=599 => ("endpoint_failed", true),
        _ => ("endpoint_status", false),
    };
    let message = format!("the endpoint answered {}: {told}", reply.status);
    EndpointError { code, message, transient, retry_after: reply.retry_after }
}

fn check_name(model: &ModelName) -> Result<(), EndpointError> {
    let usable = |t: &str| !t.is_empty() && t.len() <= MAX_NAME && !t.chars().any(char::is_control);
    if usable(&model.name) && usable(&model.version) { Ok(()) } else { Err(bad("the model's name or version is none")) }
}

/// Label Studio checks neither range nor type of a score: this is the place.
fn checked(mut prediction: Prediction) -> Result<Prediction, EndpointError> {
    let slack = -1e-4..=1.0 + 1e-4;
    if prediction.probabilities.is_empty() {
        return Err(bad("it has no probabilities"));
    }
    if let Some((name, p)) = prediction.probabilities.iter().find(|(_, p)| !slack.contains(p)) {
        let name: String = name.chars().take(60).collect();
        return Err(bad(format!("the probability of '{name}' is {p}")));
    }
    let sum: f64 = prediction.probabilities.iter().map(|(_, p)| f64::from(*p)).sum();
    if (sum - 1.0).abs() > 0.02 {
        return Err(bad(format!("its probabilities add up to {sum:.3}")));
    }
    prediction.probabilities.sort_by(|a, b| b.1.total_cmp(&a.1));
    prediction.probabilities.iter_mut().for_each(|(_, p)| *p = p.clamp(0.0, 1.0));
    // What the network says of itself is the most probable class: the two must not disagree.
    let (label, score) = prediction.probabilities[0].clone();
    Ok(Prediction { label, score, probabilities: prediction.probabilities })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: Some(Duration::from_secs(2)), body: body.to_owned().into() }
    }

    fn body(probabilities: &str) -> String {
        format!(
            r#"{{"predictions":[{{"label":"sea","score":0.7,"probabilities":{probabilities}}}],"model":{{"name":"m","version":"1"}}}}"#
        )
    }

    #[test]
    fn a_good_answer_is_taken_and_ranked() {
        let (model, found) = prediction(&reply(200, &body(r#"{"forest":0.3,"sea":0.7}"#))).unwrap();
        assert_eq!((model.to_string().as_str(), found.label.as_str(), found.score), ("m@1", "sea", 0.7));
        let info = super::model(&reply(200, r#"{"name":"m","version":"2","classes":["a"],"more":1}"#)).unwrap();
        assert_eq!((info.model.to_string().as_str(), info.classes.len()), ("m@2", 1));
    }

    #[test]
    fn what_is_not_the_contract_is_refused_for_good() {
        for text in [
            "",
            "OK",
            "[]",
            "{}",
            r#"{"predictions":[],"model":{"name":"m","version":"1"}}"#,
            &body(r#"{"sea":1.7}"#),
            &body(r#"{"sea":"high"}"#),
            &body(r#"{"sea":null}"#),
            &body(r#"{"sea":0.2,"forest":0.3}"#),
            &body("{}"),
            &body("[0.1]"),
            &body(r#"{"sea":1}"#).replace(r#""version":"1""#, r#""version":7"#),
            &body(r#"{"sea":1}"#).replace(r#""version":"1""#, r#""version":"""#),
            &body(r#"{"sea":1}"#).replace(r#","model":{"name":"m","version":"1"}"#, ""),
        ] {
            let error = prediction(&reply(200, text)).unwrap_err();
            assert_eq!((error.code, error.transient), ("bad_answer", false), "{text}: {error}");
        }
        assert!(super::model(&reply(200, r#"{"name":"m","version":"2","classes":[]}"#)).is_err());
    }

    #[test]
    fn statuses_say_whether_to_try_again() {
        for (status, code, transient) in [
            (400, "endpoint_status", false),
            (404, "no_such_endpoint", false),
            (413, "too_large", false),
            (422, "undecodable", false),
            (429, "overloaded", true),
            (500, "endpoint_failed", true),
            (503, "endpoint_failed", true),
            (302, "endpoint_status", false),
        ] {
            let error = prediction(&reply(status, r#"{"error":{"code":"x","message":"why"}}"#)).unwrap_err();
            assert_eq!((error.code, error.transient), (code, transient), "{status}");
            assert!(error.message.contains("why") && error.retry_after == Some(Duration::from_secs(2)));
        }
    }
}
