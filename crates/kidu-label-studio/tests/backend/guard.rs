//! Who is let in, and where the backend does not go.

use std::{fs, io::Write, net::TcpStream, time::Duration};

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    routing::get,
};
use kidu_label_studio::{endpoint::Ask, options::Secrets};
use serde_json::{Value, json};

use crate::support::{
    FORM, RUNTIME, Scripted, Shelf, Studio, TOKEN, check_prediction, jpeg, json_of, listen, model, predicted, reply,
};

fn good() -> std::sync::Arc<Scripted> {
    Scripted::new(Duration::ZERO, |ask, _| match ask {
        Ask::Model => reply(200, model("3")),
        Ask::Predict(_) => reply(200, predicted("3", "sea")),
    })
}

const BASIC: (&str, &str) = ("authorization", "Basic c3R1ZGlvOmhvcnNl");

#[test]
fn without_the_password_only_health_answers() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets { basic_auth_password: Some("horse".into()), ..Secrets::default() };
    let studio = Studio::with(dir.path(), good(), None, secrets, &["--basic-auth-user", "studio"]);
    let mut client = studio.client();
    for (method, path) in [
        ("POST", "/setup"),
        ("POST", "/predict"),
        ("GET", "/versions"),
        ("GET", "/metrics"),
        ("GET", "/status"),
        ("POST", "/webhook"),
    ] {
        let answer = client.send(method, path, &[], b"{}").unwrap();
        assert_eq!((answer.status, answer.header("www-authenticate").is_some()), (401, true), "{path}");
        let wrong = [("authorization", "Basic c3R1ZGlvOndyb25n")];
        assert_eq!(client.send(method, path, &wrong, b"{}").unwrap().status, 401, "{path}");
    }
    assert_eq!(client.get("/health").unwrap().status, 200);
    let body = json!({"project": "1.1", "schema": FORM}).to_string();
    assert_eq!(client.send("POST", "/setup", &[BASIC], body.as_bytes()).unwrap().status, 200);
    let text = client.send("GET", "/metrics", &[BASIC], b"").unwrap().text();
    assert!(text.contains("kidu_label_studio_webhooks_refused_total 2"), "{text}");
}

#[test]
fn events_come_by_a_secret_path_or_header() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets {
        basic_auth_password: Some("horse".into()),
        webhook_secret: Some("0123456789abcdef".into()),
        ..Secrets::default()
    };
    let studio = Studio::with(dir.path(), good(), None, secrets, &["--basic-auth-user", "studio"]);
    let event =
        json!({"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "updated_at": "2026"}, "project": {"id": 1}});
    let body = event.to_string();
    let mut client = studio.client();
    let mut send =
        |path: &str, headers: &[(&str, &str)]| client.send("POST", path, headers, body.as_bytes()).unwrap().status;
    assert_eq!(send("/webhook/0123456789abcdef", &[]), 201);
    assert_eq!(send("/webhook", &[("x-kidu-webhook-secret", "0123456789abcdef")]), 201);
    assert_eq!(send("/webhook", &[BASIC]), 201, "START_TRAINING carries the password");
    assert_eq!((send("/webhook/0123456789abcdee", &[]), send("/webhook", &[])), (401, 401));
    assert_eq!(send("/predict", &[("x-kidu-webhook-secret", "0123456789abcdef")]), 401);
    let value = json_of(&client.send("GET", "/versions", &[BASIC], b"").unwrap());
    assert_eq!(value["pending_annotations"], 1, "the same event three times is one");
}

#[test]
fn a_prefix_is_the_only_way_in() {
    let dir = tempfile::tempdir().unwrap();
    let studio = Studio::start(dir.path(), good(), &["--path-prefix", "/s3cret/kidu/"]);
    for path in ["/s3cret/kidu/health", "/s3cret/kidu/", "/s3cret/kidu", "/s3cret/kidu/versions", "/s3cret/kidu/status"]
    {
        assert_eq!(studio.get(path).status, 200, "{path}");
    }
    for path in ["/health", "/", "/s3cret", "/s3cret/kidux/health", "/s3cret/kidu/none"] {
        let answer = studio.get(path);
        assert_eq!((answer.status, json_of(&answer)["error"]["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    assert_eq!(studio.get("/s3cret/kidu/predict").status, 405);
}

#[test]
fn the_machines_own_network_is_not_asked() {
    let inside = Shelf::start([("/a.jpg".to_owned(), jpeg(1))].into());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret.jpg"), jpeg(2)).unwrap();
    let studio = Studio::start(&dir.path().join("state"), good(), &["--retries", "0"]);
    let port = inside.address.port();
    let addresses: Vec<String> = [
        inside.url("/a.jpg"),
        format!("http://localhost:{port}/a.jpg"),
        format!("http://2130706433:{port}/a.jpg"),
        format!("http://[::ffff:127.0.0.1]:{port}/a.jpg"),
        "http://169.254.169.254/latest/meta-data/".into(),
        format!("file://{}", dir.path().join("secret.jpg").display()),
        dir.path().join("secret.jpg").display().to_string(),
        "/data/local-files/?d=../../etc/passwd".into(),
        "/data/upload/1/a.jpg".into(),
        "s3://bucket/a.jpg; touch /tmp/owned".into(),
        "ftp://h/a.jpg".into(),
        "$(id)".into(),
    ]
    .into();
    let results = studio.predict(&addresses);
    assert!(results.iter().all(|r| *r == json!({})), "{results:?}");
    assert!(inside.asked().is_empty(), "{:?}", inside.asked());
    let told = |code: &str| studio.metric(&format!("kidu_label_studio_task_failures_total{{code=\"{code}\"}}"));
    assert_eq!((told("private_address"), told("outside"), told("no_label_studio")), (5.0, 4.0, 1.0));
    // Label Studio tells nobody; the page does.
    let page = studio.get("/status").text();
    assert!(page.contains("12 of 12") && page.contains("--allow-private"), "{page}");
    // What is allowed is allowed.
    let allowed = Studio::start(&dir.path().join("other"), good(), &["--allow-private", &inside.host()]);
    check_prediction(&allowed.predict(&[inside.url("/a.jpg")])[0], "rec@3");
    assert!(!allowed.get("/status").text().contains("without a prediction"));
    let listed = Studio::start(
        &dir.path().join("listed"),
        good(),
        &["--allow-private", "all", "--allow-host", "example.com", "--allow-bucket", "mine"],
    );
    let results = listed.predict(&[inside.url("/a.jpg"), "s3://other/a.jpg".into()]);
    assert!(results.iter().all(|r| *r == json!({})));
    let text = listed.get("/metrics").text();
    assert!(text.contains("host_not_allowed\"} 1") && text.contains("bucket_not_allowed\"} 1"), "{text}");
}

/// Redirects to the place of the number in its path.
fn lures(to: Vec<String>) -> std::net::SocketAddr {
    let (listener, address) = listen();
    let router = Router::new().route(
        "/{n}",
        get(move |Path(n): Path<usize>| {
            let place = to[n].clone();
            async move { (StatusCode::FOUND, [(header::LOCATION, place)]) }
        }),
    );
    RUNTIME.spawn(async move { axum::serve(listener, router).await });
    address
}

#[test]
fn a_redirect_leads_nowhere_that_an_address_would_not() {
    let inside = Shelf::start([("/a.jpg".to_owned(), jpeg(1))].into());
    let outside = Shelf::start([("/b.jpg".to_owned(), jpeg(2))].into());
    let (closed, open) = (inside.address.port(), outside.address);
    let targets: Vec<String> = vec![
        inside.url("/a.jpg"),
        format!("http://localhost:{closed}/a.jpg"),
        format!("http://[::ffff:127.0.0.1]:{closed}/a.jpg"),
        format!("http://{open}@127.0.0.1:{closed}/a.jpg"),
        format!("//127.0.0.1:{closed}/a.jpg"),
        "file:///etc/passwd".into(),
        "s3://bucket/a.jpg".into(),
        "7".into(),
        format!("http://user:password@{open}/b.jpg"),
    ];
    let lures = lures(targets.clone());
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets { label_studio_token: Some(TOKEN.into()), ..Secrets::default() };
    // The Label Studio of the token is a third host; the lure and the open shelf may be asked, the closed one may not.
    let (lure, shelf) = (lures.to_string(), open.to_string());
    let more = ["--allow-private", &lure, "--allow-private", &shelf, "--retries", "0"];
    let more = [&more[..], &["--label-studio", "http://192.0.2.1:8080"]].concat();
    let studio = Studio::with(dir.path(), good(), None, secrets, &more);
    let addresses: Vec<String> = (0..targets.len()).map(|n| format!("http://{lure}/{n}")).collect();
    let results = studio.predict(&addresses);
    let (last, others) = results.split_last().unwrap();
    assert!(others.iter().all(|r| *r == json!({})), "{results:?}");
    assert!(inside.asked().is_empty(), "{:?}", inside.asked());
    let told = |code: &str| studio.metric(&format!("kidu_label_studio_task_failures_total{{code=\"{code}\"}}"));
    assert_eq!((told("private_address"), told("redirect")), (5.0, 3.0), "{}", studio.get("/metrics").text());
    // A name and a password in a redirect are nobody's: they are not sent.
    check_prediction(last, "rec@3");
    assert_eq!(outside.asked(), [("/b.jpg".to_owned(), None)]);
}

#[test]
fn the_token_opens_images_of_the_label_studio_and_not_its_api() {
    let shelf = Shelf::start([("/data/upload/1/a.jpg".to_owned(), jpeg(1))].into());
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets { label_studio_token: Some(TOKEN.into()), ..Secrets::default() };
    let url = shelf.url("");
    let studio = Studio::with(dir.path(), good(), None, secrets, &["--label-studio", &url, "--retries", "0"]);
    let addresses = [
        "/data/upload/../../api/current-user/token".into(),
        "/data/upload/%2e%2e/%2e%2e/api/tasks/1/".into(),
        shelf.url("/api/tasks/1/"),
        shelf.url("/%61pi/tasks/1/"),
        shelf.url("/data/upload/1/a.jpg"),
    ];
    let results = studio.predict(&addresses);
    assert!(results[..4].iter().all(|r| *r == json!({})), "{results:?}");
    check_prediction(&results[4], "rec@3");
    assert_eq!(shelf.asked(), [("/data/upload/1/a.jpg".to_owned(), Some(format!("Token {TOKEN}")))]);
}

#[test]
fn a_name_is_judged_by_the_addresses_that_it_has() {
    let shelf = Shelf::start([("/a.jpg".to_owned(), jpeg(1))].into());
    let dir = tempfile::tempdir().unwrap();
    let other = Studio::start(&dir.path().join("a"), good(), &["--allow-private", "10.0.0.0/8", "--retries", "0"]);
    let by_name = format!("http://localhost:{}/a.jpg", shelf.address.port());
    assert_eq!(other.predict(std::slice::from_ref(&by_name)), [json!({})]);
    assert!(shelf.asked().is_empty());
    let both = ["--allow-private", "127.0.0.0/8", "--allow-private", "::1/128"];
    let same = Studio::start(&dir.path().join("b"), good(), &both);
    check_prediction(&same.predict(&[by_name])[0], "rec@3");
}

#[test]
fn more_tasks_than_anybody_selects_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let studio = Studio::start(dir.path(), good(), &[]);
    let tasks = vec!["0"; kidu_label_studio::task::MAX_TASKS + 1].join(",");
    let body = format!("{{\"label_config\": {}, \"tasks\": [{tasks}]}}", json!(FORM));
    let answer = studio.client().post("/predict", "application/json", body.as_bytes()).unwrap();
    assert_eq!((answer.status, json_of(&answer)["error"]["code"].as_str()), (413, Some("too_large")));
}

#[test]
fn who_is_still_sending_sees_the_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets { basic_auth_password: Some("horse".into()), ..Secrets::default() };
    let studio = Studio::with(
        dir.path(),
        good(),
        None,
        secrets,
        &["--basic-auth-user", "studio", "--max-body-bytes", "1000000"],
    );
    let slowly = |headers: &[(&str, &str)], path: &str| {
        let (piece, pause) = (64 << 10, Duration::from_millis(5));
        studio.client().post_slowly(path, headers, &vec![b'x'; 3 << 20], piece, pause).unwrap().status
    };
    assert_eq!(slowly(&[BASIC], "/predict"), 413);
    assert_eq!(slowly(&[], "/predict"), 401);
    assert_eq!(slowly(&[BASIC], "/nowhere"), 404);
}

#[test]
fn bodies_that_are_none_are_refused_and_the_reason_is_in_the_status_line() {
    let dir = tempfile::tempdir().unwrap();
    let studio = Studio::start(dir.path(), good(), &["--max-body-bytes", "4000"]);
    for path in ["/setup", "/predict", "/webhook"] {
        for body in ["", "secret", "[]", "{\"tasks\": 5}"] {
            let answer = studio.client().post(path, "application/json", body.as_bytes()).unwrap();
            assert!((400..500).contains(&answer.status), "{path} {body}: {}", answer.status);
            assert!(!answer.text().contains("secret"));
        }
        let large = json!({"x": "y".repeat(5000)}).to_string();
        assert_eq!(studio.client().post(path, "application/json", large.as_bytes()).unwrap().status, 413, "{path}");
    }
    let form = json!({"project": "1.1", "schema": "<View><Text name=\"t\" value=\"$t\"/></View>"});
    assert_eq!(studio.post("/setup", &form).status, 422);
    // Label Studio shows its users this line and nothing of the body.
    let mut stream = TcpStream::connect(studio.address).unwrap();
    let body = form.to_string();
    write!(
        stream,
        "POST /setup HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    let line = text.lines().next().unwrap();
    assert!(
        line.starts_with("HTTP/1.1 422 the labelling configuration cannot be served") && line.contains("<Choices>"),
        "{line}"
    );
    let training = studio.post("/webhook", &json!({"action": "START_TRAINING", "project": {"id": 1}}));
    assert_eq!((training.status, json_of(&training)["error"]["code"].as_str()), (409, Some("no_build")));
    let unknown = studio.post("/webhook", &json!({"action": "LABEL_LINK_CREATED"}));
    assert_eq!((unknown.status, json_of(&unknown)["status"].as_str()), (200, Some("Unknown event")));
}

#[test]
fn broken_tasks_cost_only_themselves() {
    let shelf = Shelf::start([("/a.jpg".to_owned(), jpeg(1)), ("/empty".to_owned(), vec![])].into());
    let dir = tempfile::tempdir().unwrap();
    let studio = Studio::start(dir.path(), good(), &["--allow-private", &shelf.host(), "--retries", "0"]);
    let task = |data: Value| json!({"id": 1, "data": data});
    let tasks = json!([
        null, 5, "x", {}, {"id": 1}, task(json!({})), task(json!({"image": null})), task(json!({"image": ""})),
        task(json!({"image": shelf.url("/none")})), task(json!({"image": shelf.url("/empty")})), task(json!({"image": shelf.url("/a.jpg")})),
    ]);
    let answer = studio.post("/predict", &json!({"tasks": tasks, "label_config": FORM}));
    let results = json_of(&answer)["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 11);
    assert!(results[..10].iter().all(|r| *r == json!({})), "{results:?}");
    check_prediction(&results[10], "rec@3");
    let nothing = json_of(&studio.post("/predict", &json!({"tasks": [], "label_config": FORM})));
    assert_eq!(nothing["results"], json!([]));
}
