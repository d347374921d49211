//! A project is set up against a Label Studio that says what a test wants to hear.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use kidu_annotate::{
    LabelStudioClient,
    client::{NewBackend, S3Storage, StorageCredentials},
    form_xml,
    project::{Done, SetUp, Wanted, Which, set_up},
};
use kidu_fetch::{FetchOptions, LabelStudio, Token};
use serde_json::{Map, Value, json};

const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// Answers by method and path; what was asked stays, in order.
struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn start(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let call = read_call(&stream);
                log.lock().unwrap().push(call.clone());
                let (status, body) = answer(&call);
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = (&stream).write_all((head + &body).as_bytes());
            }
        });
        Self { url, asked }
    }

    fn client(&self) -> LabelStudioClient {
        let label_studio = LabelStudio::new(&self.url, Some(Token::from_text(TOKEN))).unwrap();
        LabelStudioClient::new(FetchOptions { label_studio: Some(label_studio), ..FetchOptions::default() }).unwrap()
    }

    fn asked(&self, call: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|c| *c == call).count()
    }
}

/// `METHOD /path`, without the query; the token must be there.
fn read_call(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut call, mut length, mut known) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let lower = line.trim().to_ascii_lowercase();
        if call.is_empty() {
            call = line.split(['?']).next().unwrap().trim_end_matches(" HTTP/1.1\r\n").to_owned();
        }
        known |= lower == format!("authorization: token {TOKEN}");
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if lower.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    assert!(known, "{call} came without the token");
    call
}

fn place(prefix: &str) -> S3Storage {
    S3Storage {
        bucket: Some("raw".into()),
        prefix: Some(prefix.into()),
        use_blob_urls: true,
        recursive_scan: true,
        ..S3Storage::default()
    }
}

fn wanted(source: Option<S3Storage>, sync_source: bool) -> Wanted {
    Wanted {
        project: Which::Title("scenes".into()),
        classes: Vec::new(),
        extend_form: false,
        source,
        target: None,
        sync_source,
        credentials: StorageCredentials::default(),
        backend: None,
        webhook_headers: Map::new(),
    }
}

/// A project with the source storages 7 (`scenes`) and 8 (`other`); what a synchronisation of one is answered.
fn studio(sync: impl Fn(u64) -> Value + Send + 'static) -> Scripted {
    Scripted::start(move |call| {
        let storage = |id: u64, prefix: &str| {
            let mut value = serde_json::to_value(place(prefix)).unwrap();
            value["id"] = id.into();
            value
        };
        let body = match call {
            "GET /api/projects/" => {
                let form = form_xml::of_classes(&["sea".to_owned()]);
                json!({"results": [{"id": 3, "title": "scenes", "label_config": form}], "next": null})
            }
            "GET /api/storages/s3/" => json!([storage(7, "scenes"), storage(8, "other")]),
            "POST /api/storages/s3/7/sync" => sync(7),
            "POST /api/storages/s3/8/sync" => sync(8),
            other => panic!("nobody expected {other}"),
        };
        (200, body)
    })
}

fn completed(new: u64) -> Value {
    json!({"id": 7, "status": "completed", "last_sync_count": new})
}

fn sources(set_up: &SetUp) -> Vec<(Done, String)> {
    set_up.parts.iter().filter(|p| p.part == "source").map(|p| (p.done, p.what.clone())).collect()
}

#[test]
fn a_source_that_is_there_is_synchronised_only_when_asked() {
    let studio = studio(completed);
    let unasked = set_up(&studio.client(), &wanted(Some(place("scenes")), false), &mut |_| ()).unwrap();
    assert_eq!(sources(&unasked), [(Done::Exists, "s3://raw/scenes".into())]);
    assert!(unasked.is_unchanged());
    assert_eq!(studio.asked("POST /api/storages/s3/7/sync"), 0);

    let asked = set_up(&studio.client(), &wanted(Some(place("scenes")), true), &mut |_| ()).unwrap();
    assert_eq!(sources(&asked), [(Done::Synchronised, "s3://raw/scenes, 7 new tasks".into())]);
    assert!(!asked.is_unchanged());
    assert_eq!((studio.asked("POST /api/storages/s3/7/sync"), studio.asked("POST /api/storages/s3/8/sync")), (1, 0));

    // Without a place all sources of the project are looked into.
    let all = set_up(&studio.client(), &wanted(None, true), &mut |_| ()).unwrap();
    let both = ["s3://raw/scenes, 7 new tasks", "s3://raw/other, 8 new tasks"];
    assert_eq!(sources(&all), both.map(|what| (Done::Synchronised, what.to_owned())));
    assert_eq!((studio.asked("POST /api/storages/s3/7/sync"), studio.asked("POST /api/storages/s3/8/sync")), (2, 1));
}

#[test]
fn a_bucket_that_cannot_be_read_is_an_error_with_its_reason() {
    let studio = studio(|_| json!({"status": "failed", "traceback": "Traceback\n  File\nNoSuchBucket: raw\n"}));
    let error = set_up(&studio.client(), &wanted(None, true), &mut |_| ()).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("s3://raw/scenes") && told.contains("NoSuchBucket: raw") && !error.is_usage(), "{told}");
}

#[test]
fn a_project_without_a_source_has_nothing_to_synchronise() {
    let studio = Scripted::start(|call| match call {
        "GET /api/projects/" => (200, json!({"results": [{"id": 3, "title": "scenes"}], "next": null})),
        "GET /api/storages/s3/" => (200, json!([])),
        other => panic!("nobody expected {other}"),
    });
    let error = set_up(&studio.client(), &wanted(None, true), &mut |_| ()).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("--source"), "{error}");
}

#[test]
fn what_lets_callers_in_is_not_told() {
    let backend = "http://kidu:s3cret@127.0.0.1:9090/s3cret";
    let told = |connected: bool| {
        let studio = Scripted::start(move |call| match call {
            "GET /api/projects/" => (200, json!({"results": [{"id": 3, "title": "scenes"}], "next": null})),
            "GET /api/ml/" | "GET /api/webhooks/" => (200, json!([])),
            "POST /api/ml/" if connected => (201, json!({"id": 5, "url": backend, "state": "CO"})),
            "POST /api/ml/" => (400, json!({"detail": format!("Can't connect to {backend}, health check failed")})),
            "POST /api/webhooks/" => (201, json!({"id": 6, "url": format!("{backend}/webhook"), "is_active": true})),
            other => panic!("nobody expected {other}"),
        });
        let mut wanted = wanted(None, false);
        wanted.backend = Some(NewBackend { url: backend.into(), title: "Kidu".into(), basic_auth: None });
        match set_up(&studio.client(), &wanted, &mut |_| ()) {
            Ok(done) => serde_json::to_string(&done).unwrap(),
            Err(error) => error.to_string(),
        }
    };
    let (good, refused) = (told(true), told(false));
    assert!(good.contains("http://127.0.0.1:9090/.../webhook"), "{good}");
    assert!(refused.contains("health check failed") && refused.contains("127.0.0.1:9090"), "{refused}");
    assert!(!good.contains("s3cret") && !refused.contains("s3cret"), "{good} {refused}");
}

#[test]
fn a_backend_that_is_given_no_password_or_another_user_gets_the_one_that_is_wanted() {
    let backend = "http://127.0.0.1:9090";
    let changes = |user: &'static str| {
        let studio = Scripted::start(move |call| match call {
            "GET /api/projects/" => (200, json!({"results": [{"id": 3, "title": "scenes"}], "next": null})),
            "GET /api/ml/" => (200, json!([{"id": 5, "url": backend, "state": "CO", "basic_auth_user": user}])),
            "PATCH /api/ml/5" => (200, json!({"id": 5, "url": backend, "state": "CO", "basic_auth_user": "kidu"})),
            "GET /api/webhooks/" => (200, json!([{"id": 6, "url": format!("{backend}/webhook"), "is_active": true}])),
            other => panic!("nobody expected {other}"),
        });
        let mut wanted = wanted(None, false);
        let basic_auth = Some(("kidu".into(), "s3cret".into()));
        wanted.backend = Some(NewBackend { url: backend.into(), title: "Kidu".into(), basic_auth });
        let done = set_up(&studio.client(), &wanted, &mut |_| ()).unwrap();
        assert!(!serde_json::to_string(&done).unwrap().contains("s3cret"));
        studio.asked("PATCH /api/ml/5")
    };
    assert_eq!(["", "other", "kidu"].map(changes), [1, 1, 0]);
}
