//! What the tests of Label Studio's own SDK ask of its server, asked of ours.
//!
//! The requests are those of label-studio-ml-backend (2.0): `tests/test_api.py`, `tests/test_basic.py`, the `test_api.py`
//! of its examples and `tests/test_build_label_map.py`, and what their authors left out. Where the answers differ,
//! docs/label-studio.md says why.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use kidu_label_studio::{endpoint::Ask, form::Form, options::Secrets, training::Runner};
use kidu_testing::{Answer, HttpClient};
use serde_json::{Value, json};

use crate::{
    exchanges::Idle,
    support::{FORM, Scripted, Shelf, Studio, check_prediction, jpeg, json_of, model, predicted, reply},
};

/// One request, what we answer, and what the SDK's server does.
struct Case {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    body: String,
    ours: u16,
    sdk: u16,
    /// Where the SDK's first generation, the one that PyPI has, answers otherwise than its second.
    sdk_1: Option<u16>,
    /// What Label Studio reads of the answer.
    reads: &'static [&'static str],
}

fn case(what: &'static str, method: &'static str, path: &'static str, body: &Value, ours: u16) -> Case {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Case { what, method, path, body, ours, sdk: ours, sdk_1: None, reads: &[] }
}

impl Case {
    fn reads(self, reads: &'static [&'static str]) -> Self {
        Self { reads, ..self }
    }

    /// The SDK's server answers with another status.
    fn but_the_sdk(self, sdk: u16) -> Self {
        Self { sdk, ..self }
    }

    fn but_its_first_generation(self, status: u16) -> Self {
        Self { sdk_1: Some(status), ..self }
    }

    fn ask(&self, address: SocketAddr) -> Answer {
        let mut client = HttpClient::new(address);
        let headers = [("content-type", "application/json")];
        client.send(self.method, self.path, &headers, self.body.as_bytes()).unwrap()
    }
}

/// The form of an example that classifies texts, as two of the SDK's tests send it.
const TEXTS: &str = "<View><Text name=\"text\" value=\"$transcript\"/><Choices name=\"sentiment\" toName=\"text\" \
    choice=\"single\" showInLine=\"true\"><Choice value=\"Positive\"/><Choice value=\"Negative\"/></Choices></View>";

fn event(action: &str) -> Value {
    json!({"action": action, "project": {"id": 1, "label_config": FORM}})
}

/// The requests; `image` is an address of one.
fn cases(image: &str) -> Vec<Case> {
    let none = &Value::Null;
    let tasks = json!([{"id": 1, "data": {"image": image}}, {"data": {"image": image}}]);
    let predict = |tasks: &Value, form: &str| json!({"tasks": tasks, "label_config": form, "project": "1.1000000000", "params": {"context": {}}});
    let setup = |form: &str| {
        json!({"project": "1.1654592272", "schema": form, "extra_params": {}, "hostname": "http://localhost:8080",
               "access_token": "1234567890123456789012345678901234567890"})
    };
    let health = &["status"][..];
    vec![
        case("the root", "GET", "/", none, 200).reads(health),
        case("health", "GET", "/health", none, 200).reads(health),
        case("the head of health", "HEAD", "/health", none, 200),
        case("metrics", "GET", "/metrics", none, 200),
        case("setup", "POST", "/setup", &setup(FORM), 200).reads(&["model_version"]),
        case("predictions of two tasks, one without an id", "POST", "/predict", &predict(&tasks, FORM), 200)
            .reads(&["results"]),
        case("predictions of no task", "POST", "/predict", &predict(&json!([]), FORM), 200).reads(&["results"]),
        case("a new annotation", "POST", "/webhook", &event("ANNOTATION_CREATED"), 201),
        case("a changed annotation", "POST", "/webhook", &event("ANNOTATION_UPDATED"), 201),
        case("a deleted annotation", "POST", "/webhook", &event("ANNOTATION_DELETED"), 201),
        case("a wish for training", "POST", "/webhook", &event("START_TRAINING"), 201),
        case("an unknown event", "POST", "/webhook", &event("LABEL_LINK_CREATED"), 200).but_its_first_generation(201),
        // Events that this Label Studio sends and the SDK does not know.
        case("annotations deleted", "POST", "/webhook", &event("ANNOTATIONS_DELETED"), 201)
            .but_the_sdk(200)
            .but_its_first_generation(201),
        case("a path that nobody has", "GET", "/none", none, 404),
        case("the wrong method", "GET", "/predict", none, 405),
        case("the wrong method", "POST", "/health", none, 405),
        // Forms that cannot be served are refused when Label Studio can still show why.
        case("setup of an empty form", "POST", "/setup", &setup("<View></View>"), 422).but_the_sdk(200),
        case("setup of texts", "POST", "/setup", &setup(TEXTS), 422).but_the_sdk(200),
        case("predictions for an empty form", "POST", "/predict", &predict(&tasks, "<View></View>"), 422)
            .but_the_sdk(200),
        case("a task instead of a list", "POST", "/predict", &predict(&json!({"id": 1}), "<View></View>"), 400)
            .but_the_sdk(200),
        // What is no request is the client's fault: 400 where the SDK fails with 500 and a traceback.
        case("setup of nothing", "POST", "/setup", &json!({}), 422).but_the_sdk(500).but_its_first_generation(200),
        case("predictions of nothing", "POST", "/predict", &json!({}), 400).but_the_sdk(500),
        case("an event that names no action", "POST", "/webhook", &json!({}), 400).but_the_sdk(500),
        case("setup without a body", "POST", "/setup", none, 400).but_the_sdk(500),
        case("predictions without a body", "POST", "/predict", none, 400).but_the_sdk(500),
        case("predictions of a list", "POST", "/predict", &json!([1]), 400).but_the_sdk(500),
    ]
}

struct Ours {
    studio: Studio,
    image: String,
    _shelf: Shelf,
}

fn ours(state: &Path) -> Ours {
    let endpoint = Scripted::new(Duration::ZERO, |ask, _| match ask {
        Ask::Model => reply(200, model("3")),
        Ask::Predict(_) => reply(200, predicted("3", "sea")),
    });
    let shelf = Shelf::start([("/a.jpg".to_owned(), jpeg(1))].into());
    let host = shelf.host();
    let more = ["--allow-private", &host, "--retries", "0", "--debounce", "600", "--build-arg", "data.root=unused"];
    let runner: Arc<dyn Runner> = Arc::new(Idle);
    let studio = Studio::with(state, endpoint, Some(runner), Secrets::default(), &more);
    Ours { studio, image: shelf.url("/a.jpg"), _shelf: shelf }
}

#[test]
fn the_requests_of_the_sdks_tests_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let ours = ours(dir.path());
    for case in cases(&ours.image) {
        let answer = case.ask(ours.studio.address);
        assert_eq!(answer.status, case.ours, "{}: {}", case.what, answer.text());
        if case.method == "HEAD" || case.path == "/metrics" {
            continue;
        }
        let value = json_of(&answer);
        assert!(case.reads.iter().all(|key| !value[key].is_null()), "{}: {value}", case.what);
        if answer.status >= 400 {
            assert!(value["error"]["message"].is_string(), "{}: {value}", case.what);
            assert!(!value.to_string().contains("traceback"), "{}: {value}", case.what);
        }
        match case.path {
            "/" | "/health" if answer.status == 200 => {
                assert_eq!((&value["status"], &value["model_class"]), (&json!("UP"), &json!("Kidu")), "{value}");
            }
            "/setup" if answer.status == 200 => assert_eq!(value["model_version"], "rec@3"),
            "/predict" if answer.status == 200 => {
                let sent: Value = serde_json::from_str(&case.body).unwrap();
                let results = value["results"].as_array().unwrap();
                assert_eq!(results.len(), sent["tasks"].as_array().unwrap().len(), "{}", case.what);
                results.iter().for_each(|r| check_prediction(r, "rec@3"));
            }
            "/webhook" if answer.status == 201 => assert_eq!(value["status"], "ok", "{}", case.what),
            "/webhook" if answer.status == 200 => assert_eq!(value["status"], "Unknown event"),
            _ => {}
        }
    }
}

#[test]
fn a_password_is_asked_as_the_sdk_asks_it_and_health_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Scripted::new(Duration::ZERO, |_, _| reply(200, model("3")));
    let secrets = Secrets { basic_auth_password: Some("horse".into()), ..Secrets::default() };
    let studio = Studio::with(dir.path(), endpoint, None, secrets, &["--basic-auth-user", "studio"]);
    for case in cases("http://unused/a.jpg") {
        let answer = case.ask(studio.address);
        // The SDK's server asks for the password everywhere; whether a process lives is nobody's secret.
        let open = matches!(case.path, "/" | "/health" | "/none");
        let expected = if open { case.ours } else { 401 };
        assert_eq!(answer.status, expected, "{}", case.what);
        let asks = answer.header("www-authenticate").is_some_and(|a| a.starts_with("Basic realm="));
        assert_eq!(asks, !open, "{}", case.what);
    }
    let known = [("authorization", "Basic c3R1ZGlvOmhvcnNl"), ("content-type", "application/json")];
    let body = json!({"project": "1.1", "schema": FORM}).to_string();
    assert_eq!(studio.client().send("POST", "/setup", &known, body.as_bytes()).unwrap().status, 200);
}

/// Choices, classes of a model, and which choice the SDK and we take for each class.
type Names = (&'static str, &'static [&'static str], Chosen, Chosen);

/// Classes and their choices.
type Chosen = &'static [(&'static str, &'static str)];

/// The table of `test_build_label_map.py`, with choices of an image in the place of rectangles.
const NAMES: [Names; 6] = [
    (
        "<Choice value='Car' predicted_values='car,truck'/><Choice value='Airplane' predicted_values='airplane'/>",
        &["car", "truck", "airplane"],
        &[("car", "Car"), ("truck", "Car"), ("airplane", "Airplane")],
        &[("car", "Car"), ("truck", "Car"), ("airplane", "Airplane")],
    ),
    // The SDK takes names in any case. We do not: annotations come back under the choice's name, and a dataset with the
    // classes `car` and `Car` is two classes.
    (
        "<Choice value='Car'/><Choice value='Airplane'/>",
        &["car", "airplane"],
        &[("car", "Car"), ("airplane", "Airplane")],
        &[],
    ),
    (
        "<Choice value='Car' predicted_values='car'/><Choice value='Plane' predicted_values='airplane'/><Choice value='Flower'/>",
        &["car", "airplane", "bicycle"],
        &[("car", "Car"), ("airplane", "Plane")],
        &[("car", "Car"), ("airplane", "Plane")],
    ),
    (
        "<Choice value='Car' predicted_values='car'/><Choice value='Plane' predicted_values='airplane'/><Choice value='Bicycle'/>",
        &["car", "airplane", "bicycle"],
        &[("car", "Car"), ("airplane", "Plane"), ("bicycle", "Bicycle")],
        &[("car", "Car"), ("airplane", "Plane")],
    ),
    (
        "<Choice value='Car' predicted_values='car'/><Choice value='Plane' predicted_values='airplane'/><Choice value='Bicycle space'/>",
        &["car", "airplane", "Bicycle space"],
        &[("car", "Car"), ("airplane", "Plane"), ("Bicycle space", "Bicycle space")],
        &[("car", "Car"), ("airplane", "Plane"), ("Bicycle space", "Bicycle space")],
    ),
    (
        "<Choice value='Car' predicted_values='car,truck'/><Choice value='Airplane' predicted_values='jet'/>",
        &["car", "truck"],
        &[("car", "Car"), ("truck", "Car")],
        &[("car", "Car"), ("truck", "Car")],
    ),
];

#[test]
fn classes_are_named_as_the_sdk_names_them_but_never_in_another_case() {
    let form = |choices: &str| {
        let image = "<Image name='image' value='$image'/>";
        let xml = format!("<View>{image}<Choices name='label' toName='image'>{choices}</Choices></View>");
        Form::parse(&xml, None)
    };
    for (choices, classes, sdk, ours) in NAMES {
        let parsed = form(choices).unwrap();
        let chosen: Vec<(&str, &str)> =
            classes.iter().filter_map(|c| Some((*c, parsed.choices()[parsed.choice_of(c)?].value.as_str()))).collect();
        assert_eq!(chosen, ours, "{choices}");
        for (class, choice) in sdk.iter().filter(|pair| !ours.contains(pair)) {
            assert!(class.eq_ignore_ascii_case(choice), "{class} and {choice} differ in more than their case");
            assert!(parsed.compare(classes).classes_without_choice.iter().any(|c| c == class), "and it is told");
        }
    }
    // Without a label the SDK knows none; a form that asks for nothing is refused.
    assert!(form("").unwrap_err().to_string().contains("has no <Choice>"));
}

/// The SDK's own server.
struct Sdk {
    child: Child,
    generation: String,
    address: SocketAddr,
}

impl Sdk {
    fn start(test: &str, dir: &Path) -> Option<Self> {
        let python = kidu_testing::heavy_peer_python(test, &["label_studio_ml", "flask"])?;
        let log = dir.join("sdk.log");
        let mut child = Command::new(python)
            .args(["-c", include_str!("sdk_server.py")])
            .arg(dir)
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = line.trim().split_once(' ').and_then(|(g, p)| Some((g.to_owned(), p.parse::<u16>().ok()?)));
        let Some((generation, port)) = told else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the SDK's server does not start: {line} {}", fs::read_to_string(&log).unwrap());
        };
        Some(Self { child, generation, address: (Ipv4Addr::LOCALHOST, port).into() })
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names in an object of JSON.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn the_sdks_own_server_and_ours_answer_the_same_requests() {
    let test = "the_sdks_own_server_and_ours_answer_the_same_requests";
    let dir = tempfile::tempdir().unwrap();
    let Some(sdk) = Sdk::start(test, dir.path()) else { return };
    let ours = ours(&dir.path().join("state"));
    let mut same = 0;
    for case in cases(&ours.image) {
        let (theirs, own) = (case.ask(sdk.address), case.ask(ours.studio.address));
        let expected = case.sdk_1.filter(|_| sdk.generation == "1").unwrap_or(case.sdk);
        assert_eq!((theirs.status, own.status), (expected, case.ours), "{}: {}", case.what, theirs.text());
        if case.reads.is_empty() {
            continue;
        }
        let (theirs, own) = (serde_json::from_slice::<Value>(&theirs.body).unwrap(), json_of(&own));
        for key in case.reads {
            assert!(keys(&theirs).contains(key) && keys(&own).contains(key), "{}: {theirs} {own}", case.what);
        }
        let results = |v: &Value| v["results"].as_array().cloned().unwrap_or_default();
        assert_eq!(results(&theirs).len(), results(&own).len(), "{}", case.what);
        for (theirs, own) in results(&theirs).iter().zip(results(&own)) {
            let (item, own_item) = (&theirs["result"][0], &own["result"][0]);
            assert!(keys(theirs).iter().all(|k| keys(&own).contains(k)), "{theirs} {own}");
            assert!(keys(item).iter().all(|k| keys(own_item).contains(k)), "{item} {own_item}");
            assert_eq!(item["value"], own_item["value"], "both say that it is the sea");
        }
        same += 1;
    }
    assert!(same >= 5, "{same} answers were compared");
}
