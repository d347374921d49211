//! What a real Label Studio 1.23.2 sent, word for word, against the backend.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use kidu_label_studio::{
    options::Secrets,
    training::{BuildOrder, LoopJournal, RunEnd, Runner, Running, State, Stop},
};
use serde_json::Value;

use crate::support::{CLASSES, Endpoint, Shelf, Studio, TOKEN, bundle, check_prediction, jpeg, json_of};

fn exchanges(test: &str) -> Option<Vec<(String, Value)>> {
    let folder: PathBuf = kidu_testing::shared(test)?.join("contracts/label-studio/exchanges");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "{} exchanges", files.len());
    let read = |p: &PathBuf| serde_json::from_slice(&fs::read(p).unwrap()).unwrap();
    Some(files.iter().map(|p| (p.file_stem().unwrap().to_str().unwrap().to_owned(), read(p))).collect())
}

/// Where the recorder served its images.
const RECORDER: &str = "http://127.0.0.1:19090";

/// Every image that the exchanges name, wherever it is fetched from.
fn shelf(exchanges: &[(String, Value)]) -> Shelf {
    let mut images = HashMap::new();
    for (_, exchange) in exchanges {
        for task in exchange["request"]["body"]["tasks"].as_array().into_iter().flatten() {
            let Some(address) = task["data"]["image"].as_str() else { continue };
            let path = address.strip_prefix(RECORDER).map(str::to_owned);
            let path = path.or_else(|| address.strip_prefix("s3://src").map(|key| format!("/bucket{key}")));
            images.insert(path.unwrap_or_else(|| address.to_owned()), jpeg(images.len() as u32));
        }
    }
    Shelf::start(images)
}

/// Builds nothing: these tests look at what is taken.
pub(crate) struct Idle;

impl Runner for Idle {
    fn describe(&self) -> String {
        "nothing".into()
    }

    fn run(&self, _: BuildOrder, _: Stop) -> Running<'_> {
        Box::pin(async { Ok(RunEnd::Done(kidu_label_studio::training::BuildEnd::Succeeded, String::new())) })
    }
}

#[test]
fn each_request_is_answered_as_label_studio_needs_it() {
    let Some(exchanges) = exchanges("each_request_is_answered_as_label_studio_needs_it") else { return };
    let dir = tempfile::tempdir().unwrap();
    bundle(&dir.path().join("bundle"), &CLASSES);
    let (endpoint, shelf) = (Endpoint::of_bundle(&dir.path().join("bundle")), shelf(&exchanges));
    let secrets = Secrets { label_studio_token: Some(TOKEN.into()), ..Secrets::default() };
    let (label_studio, port) = (shelf.url(""), format!("localhost:{}", shelf.address.port()));
    let more = [
        "--label-studio",
        &label_studio,
        "--allow-private",
        &port,
        "--retries",
        "0",
        "--debounce",
        "600",
        "--build-arg",
        "data.root=unused",
    ];
    let runner: std::sync::Arc<dyn Runner> = std::sync::Arc::new(Idle);
    let studio = Studio::with(&dir.path().join("state"), endpoint.transport(), Some(runner), secrets, &more);
    let setup = &exchanges.iter().find(|(name, _)| name == "init_POST_setup").unwrap().1["request"]["body"];
    let version = json_of(&studio.post("/setup", setup))["model_version"].as_str().unwrap().to_owned();
    let mut seen = 0;
    let mut waited = BTreeMap::<&str, Vec<Duration>>::new();
    for (name, exchange) in &exchanges {
        let request = &exchange["request"];
        let body = match &request["body"] {
            Value::Null => String::new(),
            body => body.to_string().replace(RECORDER, &shelf.url("")),
        };
        let headers: Vec<(&str, &str)> = request["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str().unwrap()))
            .filter(|(n, _)| !["Host", "Content-Length"].contains(n))
            .collect();
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let start = Instant::now();
        let answer = studio.client().send(method, path, &headers, body.as_bytes()).unwrap();
        let took = start.elapsed();
        assert!((200..300).contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
        let value = json_of(&answer);
        match path {
            "/health" => assert_eq!(value["status"], "UP", "{name}: {value}"),
            "/setup" => assert_eq!(value["model_version"], *version, "{name}: {value}"),
            "/versions" => assert_eq!(value["versions"][0], *version, "{name}"),
            "/webhook" => assert!(value.is_object(), "{name}: {value}"),
            "/predict" => {
                let tasks = request["body"]["tasks"].as_array().unwrap();
                let results = value["results"].as_array().unwrap();
                assert_eq!(results.len(), tasks.len(), "{name}");
                for (task, result) in tasks.iter().zip(results) {
                    // Its bucket belongs to no storage of the Label Studio.
                    if task["data"]["image"].as_str().unwrap().starts_with("s3://otherbucket/") {
                        assert_eq!(*result, serde_json::json!({}), "{name}");
                    } else {
                        check_prediction(result, &version);
                    }
                }
            }
            other => panic!("{name}: {other}"),
        }
        waited.entry(path).or_default().push(took);
        seen += 1;
    }
    assert_eq!(seen, exchanges.len());
    // Label Studio waits a second for its quick questions. The least of each: on a busy machine single ones take longer.
    for path in ["/health", "/setup", "/webhook"] {
        assert!(waited[path].iter().min() < Some(&Duration::from_millis(500)), "{path}: {:?}", waited[path]);
    }
    let outside: Vec<_> = shelf.asked().into_iter().filter(|(p, _)| p.starts_with("/bucket/")).collect();
    assert!(
        !outside.is_empty() && outside.iter().all(|(_, a)| a.is_none()),
        "no token goes along a redirect: {outside:?}"
    );
    studio.end();
    // Annotations 1 (created, changed, deleted), 3, 4 and 5 (in bulk; 4 deleted), and one imported with task 114; the
    // skip of task 2 teaches nothing.
    let journal = LoopJournal::open(&dir.path().join("state")).unwrap();
    assert_eq!(journal.with_state(State::pending), 5);
    assert!(journal.with_state(State::is_asked));
    let text = fs::read_to_string(journal.path()).unwrap();
    assert!(!text.contains("zQwwuIsL") && !text.contains("example.com"), "neither tokens nor people are kept");
}
