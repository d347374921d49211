//! Events of every kind, and events that are none.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kidu_core::rng;
use rand::RngExt;
use serde_json::{Value, json};

use crate::runtime_api::{Lambda, Reply, bundle, expected, jpeg};

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

fn v2(path: &str, kind: &str, body: &str, base64: bool) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {"content-type": kind},
        "requestContext": {"http": {"method": "POST", "path": path}, "stage": "$default", "requestId": "id"},
        "body": body, "isBase64Encoded": base64,
    })
}

#[test]
fn every_kind_of_event_gives_the_probabilities_of_the_engine_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle(&dir.path().join("bundle"));
    let lambda = Lambda::start(dir.path(), &[("KIDU_BUNDLE", bundle.dir().to_str().unwrap())]);
    let image = jpeg(1);
    let want = expected(&bundle, &image);
    let list = json!([want["probabilities"]]);
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(&image));
    let json = json!({"image": uri}).to_string();
    let legacy = json!(json!({"body": [uri]}).to_string()).to_string();

    // HTTP API and function URL: JSON as text or in base64, and the image itself.
    for event in [
        v2("/", "application/json", &json, false),
        v2("/", "application/json", &STANDARD.encode(&json), true),
        v2("/", "application/json", &legacy, false),
        v2("/", "image/jpeg", &STANDARD.encode(&image), true),
    ] {
        let answer = lambda.invoke(&event);
        assert_eq!((answer["statusCode"].as_u64(), body(&answer)), (Some(200), list.clone()), "{answer}");
        assert_eq!(answer["headers"]["content-type"], "application/json");
    }
    let answer = lambda.invoke(&v2("/v1/predict", "application/json", &json, false));
    assert_eq!(body(&answer)["predictions"], json!([want]));
    assert_eq!(answer["headers"]["x-kidu-model"], format!("mobilenetv2_100@{}", bundle.manifest().version()));
    // The invocation's own id.
    assert_eq!(answer["headers"]["x-request-id"], "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
    // REST API.
    let v1 = json!({
        "resource": "/", "path": "/", "httpMethod": "POST", "headers": {"Content-Type": "application/json"},
        "queryStringParameters": null, "requestContext": {"stage": "prod", "path": "/prod/"}, "body": json, "isBase64Encoded": false,
    });
    assert_eq!(body(&lambda.invoke(&v1)), list);
    // Direct: the contract's JSON in, its JSON out.
    for direct in [
        json!({"image": uri}),
        json!({"images": [uri]}),
        json!({"body": [uri]}),
        json!(json!({"body": [uri]}).to_string()),
    ] {
        assert_eq!(lambda.invoke(&direct), list);
    }
    // The page and the state are there as well.
    let mut get = v2("/", "", "", false);
    get["requestContext"]["http"]["method"] = json!("GET");
    let page = lambda.invoke(&get);
    assert_eq!(page["headers"]["content-type"], "text/html; charset=utf-8");
    get["rawPath"] = json!("/ready");
    assert_eq!(body(&lambda.invoke(&get))["status"], "ready");
}

#[test]
fn the_recorded_events_are_answered() {
    let Some(shared) = kidu_testing::shared("the_recorded_events_are_answered") else { return };
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle(&dir.path().join("bundle"));
    let lambda = Lambda::start(dir.path(), &[("KIDU_BUNDLE", bundle.dir().to_str().unwrap())]);
    let event = |name: &str| -> Value { serde_json::from_slice(&fs::read(shared.join(name)).unwrap()).unwrap() };
    let answer = lambda.invoke(&event("contracts/http/legacy-event-http-v2.json"));
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let request: Value = event("contracts/http/request-image.json");
    let image = STANDARD.decode(request["image"].as_str().unwrap().split_once(',').unwrap().1).unwrap();
    let want = expected(&bundle, &image);
    assert_eq!(body(&answer), json!([want["probabilities"]]));
    assert_eq!(lambda.invoke(&request), json!([want["probabilities"]]));
    // Whole events whose bodies hold no image: an empty list, and another object.
    for name in ["contracts/aws/event-http-v2.json", "contracts/aws/event-rest-v1.json"] {
        let answer = lambda.invoke(&event(name));
        assert_eq!(
            (answer["statusCode"].as_u64(), body(&answer)["error"]["code"].as_str()),
            (Some(400), Some("malformed"))
        );
    }
}

#[test]
fn no_event_kills_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle(&dir.path().join("bundle"));
    let mut lambda = Lambda::start(dir.path(), &[("KIDU_BUNDLE", bundle.dir().to_str().unwrap())]);
    let direct = lambda.invoke(&json!({"image": "!"}));
    assert_eq!((direct["error"]["code"].as_str(), direct["status"].as_u64()), (Some("malformed"), Some(400)));
    let answer = lambda.invoke(&v2("/", "image/jpeg", &STANDARD.encode(b"GIF89a"), true));
    assert_eq!(
        (answer["statusCode"].as_u64(), body(&answer)["error"]["code"].as_str()),
        (Some(415), Some("unsupported_media_type"))
    );
    for broken in [
        json!({"requestContext": {}}),
        v2("/", "image/jpeg", "not base64", true),
        json!({"requestContext": {"http": 1}}),
    ] {
        assert_eq!(lambda.invoke(&broken)["statusCode"], 400, "{broken}");
    }
    assert_eq!(lambda.invoke(&v2("/nowhere", "", "", false))["statusCode"], 404);
    // Not even JSON: the runtime answers with an error of the invocation, and goes on.
    for bytes in [&b"{"[..], b"", b"\xFF\xFE", b"{\"a\": nope}"] {
        assert!(matches!(lambda.invoke_raw(bytes), Reply::Error(_)), "{bytes:?}");
    }
    let event = v2("/", "application/json", &json!({"image": STANDARD.encode(jpeg(1))}).to_string(), false).to_string();
    for i in 0..400u64 {
        let mut r = rng::stream(3, "events", &[i]);
        let mut bytes = event.clone().into_bytes();
        for _ in 0..r.random_range(1..5) {
            let at = r.random_range(0..bytes.len());
            match r.random_range(0..3) {
                0 => bytes[at] = r.random(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes[at] = b"\"{}[]:,"[r.random_range(0..7)],
            }
        }
        if let Reply::Response(body) = lambda.invoke_raw(bytes) {
            let answer: Value = serde_json::from_slice(&body).unwrap();
            let status = answer["statusCode"].as_u64().or(answer["status"].as_u64()).unwrap_or(200);
            assert!(status < 500, "event {i}: {answer}");
        }
    }
    assert!(lambda.is_alive());
    assert_eq!(lambda.invoke(&v2("/", "image/jpeg", &STANDARD.encode(jpeg(1)), true))["statusCode"], 200);
}

#[test]
fn metrics_and_logs_are_lines_of_json_without_images() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle(&dir.path().join("bundle"));
    let lambda = Lambda::start(dir.path(), &[("KIDU_BUNDLE", bundle.dir().to_str().unwrap())]);
    lambda.invoke(&v2("/", "image/jpeg", &STANDARD.encode(jpeg(1)), true));
    lambda.invoke(&v2("/", "application/json", "{\"image\": \"c2VjcmV0c2VjcmV0\", \"c2VjcmV0c2VjcmV0\": 1}", false));
    let logged = lambda.logged();
    assert!(!logged.contains("c2VjcmV0"), "{logged}");
    let lines: Vec<Value> = logged.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|_| panic!("{l}"))).collect();
    let metrics: Vec<&Value> = lines.iter().filter(|l| l.get("_aws").is_some()).collect();
    assert_eq!(metrics.len(), 2);
    for (line, cold, errors) in [(metrics[0], true, 0), (metrics[1], false, 1)] {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Kidu");
        // What is named must be there: a dimension as a text, a metric as a number.
        assert!(line["Model"].is_string() && line["_aws"]["Timestamp"].as_u64().unwrap() > 1_600_000_000_000);
        assert_eq!(line["RejectedInputs"].as_u64(), Some(errors), "{line}");
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric} in {line}");
        }
        assert_eq!((line.get("ColdStart").is_some(), line["ClientErrors"].as_u64()), (cold, Some(errors)), "{line}");
    }
    let most = expected(&bundle, &jpeg(1))["score"].as_f64().unwrap();
    assert!((metrics[0]["Confidence"].as_f64().unwrap() - most).abs() < 1e-6, "{} is not {most}", metrics[0]);
    assert!(metrics[1].get("Confidence").is_none(), "{}", metrics[1]);
    assert_eq!(metrics[0]["Model"], format!("mobilenetv2_100@{}", bundle.manifest().version()));
    assert!(lines.iter().any(|l| l["message"] == "answered" && l["status"] == 200));
}

#[test]
fn without_a_bundle_it_ends_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (code, log) = Lambda::start(dir.path(), &[("KIDU_BUNDLE", "/nowhere")]).wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("there is no bundle in /nowhere"), "{log}");
}
