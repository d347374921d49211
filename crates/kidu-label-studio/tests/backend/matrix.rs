//! What Label Studio did with every way of answering it, turned round: whatever the endpoint does, our answer is one that
//! loses nothing but the tasks that failed.

use std::{fs, time::Duration};

use kidu_label_studio::endpoint::{Ask, EndpointError, Reply};
use serde_json::{Value, json};

use crate::support::{Scripted, Shelf, Studio, check_prediction, jpeg, model, predicted, reply};

/// What the endpoint answers about an image in a mode of the matrix.
fn misbehave(mode: &str, image: &[u8]) -> Result<Reply, EndpointError> {
    let good = predicted("3", "sea");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        reply(200, value)
    };
    let score = |score: Value| {
        with(&|v: &mut Value| {
            v["predictions"][0]["score"] = score.clone();
            v["predictions"][0]["probabilities"]["sea"] = score.clone();
        })
    };
    match mode {
        "ok" | "wrong_from_name" | "ids_meta" => reply(200, &good),
        "http500" | "http400" | "http404" | "http429" | "http503" => reply(mode[4..].parse().unwrap(), "{}"),
        "notjson" => reply(200, "OK"),
        "list_body" => reply(200, "[]"),
        "empty_results" | "short_results" => with(&|v| v["predictions"] = json!([])),
        "one_result" => with(&|v| v["predictions"] = v["predictions"][0].clone()),
        "multi" => with(&|v| v["predictions"] = json!([v["predictions"][0], v["predictions"][0]])),
        // The first task's image is the one that fails.
        partial if partial.starts_with("partial_") => match image == jpeg(0) {
            true => reply(422, json!({"error": {"code": "undecodable", "message": "no image"}})),
            false => reply(200, &good),
        },
        "wrong_choice" => with(&|v| v["predictions"][0]["probabilities"] = json!({"NOT_A_CLASS": 1.0})),
        "score_1_7" => score(json!(1.7)),
        "score_string" => score(json!("0.5")),
        "score_bad" => score(json!("high")),
        "score_null" => score(Value::Null),
        "no_score" => with(&|v| drop(v["predictions"][0].as_object_mut().unwrap().remove("probabilities"))),
        "no_model_version" => with(&|v| drop(v.as_object_mut().unwrap().remove("model"))),
        "top_model_version" => with(&|v| v["model"] = json!("rec-3")),
        "mv_null" => with(&|v| v["model"]["version"] = Value::Null),
        "mv_int" => with(&|v| v["model"]["version"] = json!(7)),
        "extra_fields" => with(&|v| v["extra"] = json!({"a": 1})),
        "result_dict" => with(&|v| v["predictions"] = json!({"choices": ["sea"]})),
        "result_string" => with(&|v| v["predictions"] = json!("sea")),
        "unhealthy" | "setup500" => {
            Err(EndpointError { code: "no_connection", message: "refused".into(), transient: true, retry_after: None })
        }
        other => panic!("error-matrix.json has a mode that this test does not know: {other}"),
    }
}

#[test]
fn every_row_of_the_matrix_costs_only_the_tasks_that_failed() {
    let Some(shared) = kidu_testing::shared("every_row_of_the_matrix_costs_only_the_tasks_that_failed") else { return };
    let rows = fs::read(shared.join("contracts/label-studio/error-matrix.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&rows).unwrap();
    assert!(rows.len() >= 30);
    let shelf = Shelf::start((0..3).map(|i| (format!("/{i}.jpg"), jpeg(i))).collect());
    let addresses: Vec<String> = (0..3).map(|i| shelf.url(&format!("/{i}.jpg"))).collect();
    let allow = ["--allow-private", &shelf.host(), "--retries", "0", "--model-seconds", "0.1"];
    for row in rows {
        let mode = row["mode"].as_str().unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let down = mode == "unhealthy" || mode == "setup500";
        let told = mode.clone();
        let endpoint = Scripted::new(Duration::ZERO, move |ask, _| match ask {
            Ask::Model if told == "setup500" => reply(500, "{}"),
            Ask::Model if told == "unhealthy" => misbehave(&told, b""),
            Ask::Model => reply(200, model("3")),
            Ask::Predict(image) => misbehave(&told, image),
        });
        let studio = Studio::start(dir.path(), endpoint, &allow);
        let setup = studio.post("/setup", &json!({"project": "1.1", "schema": crate::support::FORM}));
        // Label Studio shows a failed setup to its users, by its status line, and asks for no predictions then.
        assert_eq!(setup.status, if down { 503 } else { 200 }, "{mode}: {}", setup.text());
        let results = studio.predict(&addresses);
        let predicted: Vec<bool> = results.iter().map(|r| *r != json!({})).collect();
        let expected = match mode.as_str() {
            "ok" | "wrong_from_name" | "ids_meta" | "extra_fields" => [true; 3],
            partial if partial.starts_with("partial_") => [false, true, true],
            _ => [false; 3],
        };
        assert_eq!(predicted, expected, "{mode}: {results:?}");
        results.iter().filter(|r| **r != json!({})).for_each(|r| check_prediction(r, "rec@3"));
        let failed = expected.iter().filter(|p| !**p).count() as f64;
        assert_eq!(studio.metric("kidu_label_studio_tasks_total{result=\"failed\"}"), failed, "{mode}");
    }
}

#[test]
fn failures_that_pass_are_tried_again_and_the_deadline_holds() {
    let shelf = Shelf::start((0..4).map(|i| (format!("/{i}.jpg"), jpeg(i))).collect());
    let addresses: Vec<String> = (0..4).map(|i| shelf.url(&format!("/{i}.jpg"))).collect();
    let dir = tempfile::tempdir().unwrap();
    let flaky = Scripted::new(Duration::ZERO, |ask, n| match ask {
        Ask::Model => reply(200, model("3")),
        Ask::Predict(_) if n < 4 => reply([429, 503, 500, 502][n], "{}"),
        Ask::Predict(_) => reply(200, predicted("3", "sea")),
    });
    let allow = ["--allow-private", &shelf.host()];
    let studio = Studio::start(&dir.path().join("a"), flaky, &allow);
    studio.predict(&addresses).iter().for_each(|r| check_prediction(r, "rec@3"));
    assert_eq!(studio.metric("kidu_label_studio_endpoint_retries_total"), 4.0);
    // One image hangs; the others do not wait for it longer than the deadline.
    let hanging = Scripted::new(Duration::ZERO, |ask, _| match ask {
        Ask::Model => reply(200, model("3")),
        Ask::Predict(image) if **image == jpeg(2) => {
            std::thread::sleep(Duration::from_millis(1));
            Err(EndpointError {
                code: "x",
                message: "again".into(),
                transient: true,
                retry_after: Some(Duration::from_secs(60)),
            })
        }
        Ask::Predict(_) => reply(200, predicted("3", "sea")),
    });
    let more = ["--allow-private", &shelf.host(), "--deadline", "5"];
    let studio = Studio::start(&dir.path().join("b"), hanging, &more);
    studio.get("/health");
    let start = std::time::Instant::now();
    let results = studio.predict(&addresses);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let missing: Vec<bool> = results.iter().map(|r| *r == json!({})).collect();
    assert_eq!(missing, [false, false, true, false]);
    assert_eq!(studio.metric("kidu_label_studio_task_failures_total{code=\"deadline\"}"), 1.0);
}
