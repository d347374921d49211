//! Backends, endpoints and a Label Studio for the tests.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Parser;
use image::{DynamicImage, ImageFormat, RgbImage};
use kidu_label_studio::{
    Options,
    endpoint::{Ask, EndpointError, Exchange, HttpTransport, Reply, Transport},
    options::Secrets,
    server::Backend,
    training::Runner,
};
use kidu_serve::{
    Loader, Model, Service, ServiceSettings,
    server::{self, ConnectionLimits, Shutdown},
};
use kidu_testing::{Answer, HttpClient};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

pub(crate) const CLASSES: [&str; 6] = ["buildings", "forest", "glacier", "mountain", "sea", "street"];
pub(crate) const FORM: &str = "<View><Image name=\"image\" value=\"$image\"/><Choices name=\"choice\" toName=\"image\">\
    <Choice value=\"buildings\"/><Choice value=\"forest\"/><Choice value=\"glacier\"/><Choice value=\"mountain\"/>\
    <Choice value=\"sea\"/><Choice value=\"street\"/></Choices></View>";

/// Where servers of the tests run.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap());

pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A picture that depends on its seed.
pub(crate) fn jpeg(seed: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(90, 70, |x, y| {
        image::Rgb([(x * 3 + seed * 40) as u8, (y * 5 + seed * 7) as u8, ((x ^ y) + seed * 17) as u8])
    });
    let mut bytes = Vec::new();
    DynamicImage::ImageRgb8(image).write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
    bytes
}

/// A bundle of a small network with the classes of the exchanges.
pub(crate) fn bundle(dir: &Path, classes: &[&str]) {
    kidu_testing::bundle(dir, "mobilenetv2_100", 64, classes);
}

/// `kidu serve` in this process.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    end: Option<oneshot::Sender<()>>,
}

impl Endpoint {
    pub(crate) fn of_bundle(dir: &Path) -> Self {
        let dir = dir.to_path_buf();
        Self::start(Box::new(move || Model::open(&dir, 2)))
    }

    pub(crate) fn start(loader: Loader) -> Self {
        let service = Service::start(ServiceSettings::default(), loader).unwrap();
        service.reload().unwrap();
        let (listener, address) = listen();
        let (end, ended) = oneshot::channel::<()>();
        let limits = ConnectionLimits {
            max_connections: 256,
            max_memory: 128 << 20,
            max_headers: 64,
            max_head: 32 << 10,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
        };
        let shutdown = Shutdown { delay: Duration::ZERO, drain: Duration::from_secs(5) };
        let shared = Arc::clone(&service);
        RUNTIME.spawn(async move {
            let end = async {
                let _ = ended.await;
                Ok::<(), ()>(())
            };
            server::serve(listener, shared, limits, shutdown, end).await.unwrap();
        });
        Self { address, service, end: Some(end) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(HttpTransport::new(&self.url(), None, 8).unwrap())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
    }
}

type Script = dyn Fn(&Ask, usize) -> Result<Reply, EndpointError> + Send + Sync;

/// An endpoint that answers as a test says; the number counts predictions from 0.
pub(crate) struct Scripted {
    script: Box<Script>,
    asked: Mutex<usize>,
    delay: Duration,
}

impl Scripted {
    pub(crate) fn new(
        delay: Duration,
        script: impl Fn(&Ask, usize) -> Result<Reply, EndpointError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { script: Box::new(script), asked: Mutex::new(0), delay })
    }

    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl Transport for Scripted {
    fn describe(&self) -> String {
        "a script".into()
    }

    fn max_image_bytes(&self) -> usize {
        1 << 20
    }

    fn is_metered(&self) -> bool {
        false
    }

    fn exchange(&self, ask: Ask) -> Exchange<'_> {
        let n = {
            let mut asked = self.asked.lock().unwrap();
            *asked += usize::from(matches!(ask, Ask::Predict(_)));
            asked.saturating_sub(1)
        };
        let delay = if matches!(ask, Ask::Predict(_)) { self.delay } else { Duration::ZERO };
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            (self.script)(&ask, n)
        })
    }
}

pub(crate) fn reply(status: u16, body: impl ToString) -> Result<Reply, EndpointError> {
    Ok(Reply { status, retry_after: None, body: body.to_string().into() })
}

pub(crate) fn model(version: &str) -> Value {
    json!({"name": "rec", "version": version, "classes": CLASSES})
}

pub(crate) fn predicted(version: &str, label: &str) -> Value {
    let other = if label == "sea" { "forest" } else { "sea" };
    let prediction = json!({"label": label, "score": 0.75, "probabilities": {label: 0.75, other: 0.25}});
    json!({"predictions": [prediction], "model": {"name": "rec", "version": version}})
}

/// A backend in this process.
pub(crate) struct Studio {
    pub(crate) address: SocketAddr,
    pub(crate) state: PathBuf,
    end: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

pub(crate) fn options(state: &Path, more: &[&str]) -> Options {
    let first = ["kidu-label-studio", "--state-dir", state.to_str().unwrap()];
    let endpoint = if more.contains(&"--endpoint") { vec![] } else { vec!["--endpoint", "http://unused"] };
    Options::try_parse_from(first.into_iter().chain(endpoint).chain(more.iter().copied())).unwrap()
}

impl Studio {
    pub(crate) fn start(state: &Path, transport: Arc<dyn Transport>, more: &[&str]) -> Self {
        Self::with(state, transport, None, Secrets::default(), more)
    }

    pub(crate) fn with(
        state: &Path,
        transport: Arc<dyn Transport>,
        runner: Option<Arc<dyn Runner>>,
        secrets: Secrets,
        more: &[&str],
    ) -> Self {
        let backend = Backend::with(&options(state, more), &secrets, transport, runner).unwrap();
        let (listener, address) = listen();
        let (end, ended) = oneshot::channel::<()>();
        let task = RUNTIME.spawn(async move {
            backend
                .serve(listener, async {
                    let _ = ended.await;
                })
                .await;
        });
        Self { address, state: state.to_path_buf(), end: Some(end), task: Some(task) }
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::new(self.address)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.client().post(path, "application/json", body.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().get(path).unwrap()
    }

    /// What `/predict` answers to images at these addresses.
    pub(crate) fn predict(&self, addresses: &[String]) -> Vec<Value> {
        let answer = self.post("/predict", &predict_body(addresses));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        value["results"].as_array().unwrap().clone()
    }

    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
        value.map_or(0.0, |v| v.parse().unwrap())
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
        if let Some(task) = self.task.take() {
            let ended = RUNTIME.block_on(task);
            assert!(ended.is_ok() || std::thread::panicking(), "the backend panicked");
        }
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.finish();
    }
}

pub(crate) fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

pub(crate) fn predict_body(addresses: &[String]) -> Value {
    let tasks: Vec<Value> =
        addresses.iter().enumerate().map(|(i, a)| json!({"id": i + 1, "data": {"image": a}})).collect();
    json!({"tasks": tasks, "project": "1.1795407376", "label_config": FORM, "params": {}})
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a task's answer is one that Label Studio stores, without surprises.
pub(crate) fn check_prediction(result: &Value, version: &str) {
    let object = result.as_object().unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["result", "score", "model_version"], "{result}");
    assert_eq!(result["model_version"], version);
    let score = result["score"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&score), "{result}");
    let items = result["result"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let item = &items[0];
    assert_eq!(
        (item["from_name"].as_str(), item["to_name"].as_str(), item["type"].as_str()),
        (Some("choice"), Some("image"), Some("choices"))
    );
    let choices = item["value"]["choices"].as_array().unwrap();
    assert!(choices.len() == 1 && CLASSES.contains(&choices[0].as_str().unwrap()), "{result}");
    for key in ["entropy", "margin"] {
        assert!((0.0..=1.0).contains(&item["meta"][key].as_f64().unwrap()), "{result}");
    }
}

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a request to [`Shelf`] was: path with query, and its `Authorization`.
pub(crate) type Asked = (String, Option<String>);

/// Images, and a Label Studio: uploads behind its token, presigned addresses that lead to plain ones.
pub(crate) struct Shelf {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

struct Shelved {
    images: HashMap<String, Vec<u8>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    address: SocketAddr,
}

impl Shelf {
    /// `images` by their paths, with a leading slash.
    pub(crate) fn start(images: HashMap<String, Vec<u8>>) -> Self {
        let (listener, address) = listen();
        let asked = Arc::default();
        let shelved = Arc::new(Shelved { images, asked: Arc::clone(&asked), address });
        let router =
            Router::new().route("/tasks/{id}/presign/", get(presign)).fallback(serve_image).with_state(shelved);
        RUNTIME.spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The host and port, for `--allow-private`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn authorization(headers: &HeaderMap) -> Option<String> {
    headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned())
}

fn is_known(headers: &HeaderMap) -> bool {
    authorization(headers).is_some_and(|a| a == format!("Token {TOKEN}"))
}

/// Task 7 names a bucket that no storage has.
async fn presign(
    State(shelved): State<Arc<Shelved>>,
    axum::extract::Path(id): axum::extract::Path<u64>,
    request: Request,
) -> Response {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE};
    let headers = request.headers();
    shelved.asked.lock().unwrap().push((format!("/tasks/{id}/presign/"), authorization(headers)));
    let mut query = url::form_urlencoded::parse(request.uri().query().unwrap().as_bytes());
    let (_, coded) = query.find(|(key, _)| key == "fileuri").unwrap();
    let uri = String::from_utf8(URL_SAFE.decode(coded.as_bytes()).unwrap()).unwrap();
    match uri.strip_prefix("s3://src/") {
        _ if !is_known(headers) => StatusCode::UNAUTHORIZED.into_response(),
        Some(key) => {
            // By name, so that it is another host than the one that has the token.
            let to = format!("http://localhost:{}/bucket/{key}?X-Amz-Signature=s", shelved.address.port());
            (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn serve_image(State(shelved): State<Arc<Shelved>>, request: Request) -> Response {
    let (path, headers) = (request.uri().path().to_owned(), request.headers());
    shelved.asked.lock().unwrap().push((path.clone(), authorization(headers)));
    if path.starts_with("/data/upload/") && !is_known(headers) {
        return (StatusCode::UNAUTHORIZED, "{}").into_response();
    }
    match shelved.images.get(&path) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
