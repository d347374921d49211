//! Metrics for CloudWatch in its Embedded Metric Format: a log line that CloudWatch reads numbers from.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use kidu_core::serving::{self, Metric};
use serde_json::{Map, Value, json};

use crate::contract::{self, Code, Response};

/// The line of one answer. `model` is the one in service, for answers that name none; `cold` the time from the start of the
/// process until it was ready, for the first answer.
/// It holds numbers, the model and the request's id; nothing of what was sent.
pub fn line(response: &Response, model: &str, request_id: &str, cold: Option<Duration>, now: SystemTime) -> Value {
    let ms = |d: Duration| json!((d.as_secs_f64() * 1e6).round() / 1e3);
    let report = &response.report;
    let status = response.status;
    let answered_by = response.headers.get(contract::MODEL).and_then(|v| v.to_str().ok());
    let refused = report.code.is_some_and(Code::is_about_the_input);
    let mut numbers: Vec<(Metric, Value)> = vec![
        (serving::LATENCY, ms(report.total)),
        (serving::CLIENT_ERRORS, json!(u8::from(status.is_client_error()))),
        (serving::SERVER_ERRORS, json!(u8::from(status.is_server_error()))),
        (serving::REJECTED_INPUTS, json!(u8::from(refused))),
    ];
    if let Some(timing) = report.timing {
        numbers.push((serving::DECODE, ms(timing.decode)));
        numbers.push((serving::PREDICT, ms(timing.predict)));
        numbers.push((serving::IMAGES, json!(timing.batch)));
    }
    if let Some(confidence) = report.confidence {
        numbers.push((serving::CONFIDENCE, json!((confidence * 1e6).round() / 1e6)));
    }
    if let Some(cold) = cold {
        numbers.push((serving::COLD_START, ms(cold)));
    }
    let metrics: Vec<Value> = numbers.iter().map(|(m, _)| json!({"Name": m.name, "Unit": m.unit})).collect();
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    let directive = json!({"Namespace": serving::NAMESPACE, "Dimensions": [[serving::MODEL]], "Metrics": metrics});
    let mut line = Map::new();
    line.insert("_aws".into(), json!({"Timestamp": millis, "CloudWatchMetrics": [directive]}));
    line.insert(serving::MODEL.into(), json!(answered_by.unwrap_or(model)));
    line.insert("RequestId".into(), json!(request_id));
    line.insert("Status".into(), json!(status.as_u16()));
    line.extend(numbers.into_iter().map(|(metric, value)| (metric.name.to_owned(), value)));
    Value::Object(line)
}

/// Writes a line to standard output. A closed one is not the request's fault.
pub fn write(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::{contract::Problem, queue::Timing};

    /// Units that CloudWatch knows.
    const UNITS: [&str; 5] = ["Milliseconds", "Count", "None", "Percent", "Seconds"];

    /// What the specification asks of a line.
    fn check(line: &Value) {
        let aws = line["_aws"].as_object().unwrap();
        assert!(aws["Timestamp"].is_u64(), "milliseconds since 1970, a whole number: {line}");
        let directives = aws["CloudWatchMetrics"].as_array().unwrap();
        assert_eq!(directives.len(), 1);
        let namespace = directives[0]["Namespace"].as_str().unwrap();
        assert!((1..=255).contains(&namespace.len()) && !namespace.starts_with("AWS/"), "{namespace}");
        for dimension in directives[0]["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap())
        {
            let value = line[dimension.as_str().unwrap()].as_str().unwrap();
            assert!((1..=1024).contains(&value.len()), "a dimension's value is a text that is not empty: {line}");
        }
        let metrics = directives[0]["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric} in {line}");
            assert!(UNITS.contains(&metric["Unit"].as_str().unwrap()), "{metric}");
        }
    }

    fn numbers(line: &Value) -> Vec<&str> {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        metrics.iter().map(|m| m["Name"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_prediction_tells_how_sure_and_how_long() {
        let mut response = Response::new(StatusCode::OK, "application/json", "[{\"sea\": 0.91}]");
        response.report.total = Duration::from_micros(21_500);
        response.report.confidence = Some(0.912_345_678);
        let (decode, predict) = (Duration::from_millis(2), Duration::from_millis(18));
        response.report.timing = Some(Timing { decode, predict, batch: 1, ..Timing::default() });
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let line = line(&response, "resnet18@3f2a", "id", Some(Duration::from_millis(40)), now);
        check(&line);
        let all = [
            "Latency",
            "ClientErrors",
            "ServerErrors",
            "RejectedInputs",
            "Decode",
            "Predict",
            "Images",
            "Confidence",
            "ColdStart",
        ];
        assert_eq!(numbers(&line), all);
        assert_eq!(line["_aws"]["Timestamp"], 1_700_000_000_123_u64);
        assert_eq!((&line["Model"], &line["Confidence"]), (&json!("resnet18@3f2a"), &json!(0.912_346)));
        assert_eq!((&line["Latency"], &line["ColdStart"]), (&json!(21.5), &json!(40.0)));
        // Answers are not repeated.
        assert!(!line.to_string().contains("sea"), "{line}");
    }

    #[test]
    fn inputs_are_told_apart_from_overload_and_wrong_paths() {
        for code in Code::ALL {
            let mut response = Problem::new(code, "no").response();
            response.report.code = Some(code);
            let line = line(&response, "none", "id", None, SystemTime::now());
            check(&line);
            let about = ["malformed", "too_large", "unsupported_media_type", "undecodable"].contains(&code.name());
            assert_eq!(line["RejectedInputs"], json!(u8::from(about)), "{}", code.name());
            assert_eq!(line["ServerErrors"], json!(u8::from(code.status().is_server_error())));
            assert!(!numbers(&line).contains(&"Confidence"), "a refusal has no confidence");
        }
    }
}
