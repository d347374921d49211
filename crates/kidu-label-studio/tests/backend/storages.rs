//! Annotations that were made in bulk are written by Label Studio before a build reads its target storage.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get, routing::post};
use serde_json::{Value, json};

use crate::{
    process::{Process, Scene, annotation, notes, program},
    support::{RUNTIME, TOKEN, listen, wait_for},
};

/// A Label Studio with a project's target storages, whose synchronisations are answered in turn. What is asked is noted where
/// builds note that they begin.
struct Studio {
    address: SocketAddr,
}

#[derive(Clone)]
struct Shared {
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    notes: std::path::PathBuf,
}

impl Studio {
    fn start(scratch: &Path, mut answers: Vec<(u16, Value)>) -> Self {
        answers.reverse();
        let shared = Shared { answers: Arc::new(Mutex::new(answers)), notes: scratch.join("notes") };
        let (listener, address) = listen();
        let router = Router::new()
            .route("/api/storages/export/s3", get(storages))
            .route("/api/storages/export/s3/4", get(again))
            .route("/api/storages/export/s3/4/sync", post(sync))
            .with_state(shared);
        RUNTIME.spawn(async move { axum::serve(listener, router).await });
        Self { address }
    }
}

async fn storages() -> Json<Value> {
    Json(
        json!([{"id": 3, "bucket": "labels", "prefix": "other"}, {"id": 4, "bucket": "labels", "prefix": "annotations"}]),
    )
}

async fn sync(State(shared): State<Shared>) -> impl IntoResponse {
    next(&shared, "sync")
}

async fn again(State(shared): State<Shared>) -> impl IntoResponse {
    next(&shared, "look")
}

fn next(shared: &Shared, note: &str) -> impl IntoResponse + use<> {
    let (status, body) = shared.answers.lock().unwrap().pop().unwrap();
    let all = fs::read_to_string(&shared.notes).unwrap_or_default();
    fs::write(&shared.notes, format!("{all}{note}\n")).unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn storage(status: &str) -> Value {
    json!({"id": 4, "bucket": "labels", "prefix": "annotations", "status": status, "last_sync_count": 2,
           "traceback": "Traceback\nbotocore: AccessDenied"})
}

fn start(scene: &Scene, studio: &Studio, token: bool) -> Process {
    let scratch = scene.dir.path();
    let kidu = program(scratch, "");
    let address = format!("http://{}", studio.address);
    let more = ["--train-after", "2", "--debounce", "0.3", "--label-studio", &address, "--build-program", &kidu];
    let build = ["--build-arg", "-p", "--build-arg", "Annotations=s3://labels/annotations/"];
    let variables = [("KIDU_LABEL_STUDIO_TOKEN", TOKEN.to_owned())];
    let variables = if token { &variables[..] } else { &[] };
    Process::start_in(scratch, &scene.endpoint.url(), &[&more[..], &build].concat(), variables)
}

fn in_bulk(ids: &[u64]) -> Value {
    let annotations: Vec<Value> = ids.iter().map(|id| annotation(*id, 0)["annotation"].clone()).collect();
    json!({"action": "ANNOTATIONS_CREATED", "annotation": annotations, "project": {"id": 1}})
}

fn builds(process: &Process, number: usize) -> Vec<Value> {
    wait_for("a build's end", || process.versions()["builds"].as_array().is_some_and(|b| b.len() == number));
    process.versions()["builds"].as_array().unwrap().clone()
}

/// What was asked, and the builds that began.
fn order(scratch: &Path) -> Vec<String> {
    let first = |n: String| n.split(' ').next().unwrap().to_owned();
    notes(scratch).into_iter().map(first).filter(|n| n != "end").collect()
}

#[test]
fn what_was_made_in_bulk_is_written_before_the_build_and_not_lost_while_it_cannot_be() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let answers = vec![
        (500, json!({"detail": "oops"})),
        (200, storage("failed")),
        (201, storage("queued")),
        (200, storage("in_progress")),
        (200, storage("completed")),
    ];
    let studio = Studio::start(scratch, answers);
    let process = start(&scene, &studio, true);
    let ask = || process.event(&json!({"action": "START_TRAINING", "project": {"id": 1}}));
    process.event(&in_bulk(&[1, 2]));
    let build = builds(&process, 1).remove(0);
    assert_eq!(build["end"], "failed", "{build}");
    let detail = build["detail"].as_str().unwrap();
    assert!(detail.contains("project 1") && detail.contains("oops") && detail.contains("bucket"), "{detail}");
    ask();
    let detail = builds(&process, 2)[0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("botocore: AccessDenied") && detail.contains("settings"), "{detail}");
    assert_eq!(process.versions()["pending_annotations"], 2, "no build has seen them");
    ask();
    let build = builds(&process, 3).remove(0);
    assert_eq!((build["end"].as_str(), build["annotations"].as_u64()), (Some("succeeded"), Some(2)), "{build}");
    assert_eq!(order(scratch), ["sync", "sync", "sync", "look", "look", "begin"]);
    // Annotations that were made one by one are written when they are made.
    process.event(&annotation(7, 0));
    process.event(&annotation(8, 0));
    assert_eq!(builds(&process, 4)[0]["end"], "succeeded");
    assert_eq!(order(scratch).last().unwrap(), "begin");
    assert_eq!(order(scratch).len(), 7);
    let log = fs::read_to_string(&process.log).unwrap();
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn without_a_token_it_is_told_and_built() {
    let scene = Scene::new();
    let studio = Studio::start(scene.dir.path(), Vec::new());
    let process = start(&scene, &studio, false);
    process.event(&in_bulk(&[1, 2]));
    assert_eq!(builds(&process, 1)[0]["end"], "succeeded");
    let told = || fs::read_to_string(&process.log).unwrap().contains("KIDU_LABEL_STUDIO_TOKEN");
    wait_for("a word of it", told);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(order(scene.dir.path()), ["begin"]);
}
