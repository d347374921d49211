//! The contract over a model that can be exchanged.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use kidu_core::Prediction;
use tokio::sync::oneshot;

use crate::{
    contract::{self, Call, Code, Form, Problem, REQUEST_ID, Request, RequestLimits, Response, Route},
    emf,
    error::Result,
    metrics::Metrics,
    model::Model,
    queue::{self, Done, Job, Outcome, Product, Queue, QueueSettings, Slot, Timing, Work},
};

/// Opens the bundle again.
pub type Loader = Box<dyn Fn() -> Result<Model> + Send + Sync>;

/// How a service answers.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// Limits on requests.
    pub limits: RequestLimits,
    /// The queue.
    pub queue: QueueSettings,
    /// How long a request may wait for its turn.
    pub deadline: Duration,
    /// Origins whose pages may ask, without credentials; `*` for all.
    pub cors_origins: Vec<String>,
    /// Who has it may have the bundle loaded again, from this machine. Without it nobody may.
    pub admin_token: Option<String>,
    /// Whether each request for a prediction writes a line of metrics ([`crate::emf`]) to standard output.
    pub emf: bool,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            limits: RequestLimits::default(),
            queue: QueueSettings::default(),
            deadline: Duration::from_secs(10),
            cors_origins: Vec::new(),
            admin_token: None,
            emf: false,
        }
    }
}

/// Explanations that may wait or run: each costs fifty predictions.
const EXPLANATIONS: usize = 2;

/// Answers requests. Shared by all connections.
pub struct Service {
    settings: ServiceSettings,
    slot: Arc<Slot>,
    queue: Queue,
    metrics: Arc<Metrics>,
    loader: Loader,
    loading: Mutex<()>,
    draining: AtomicBool,
    explanations: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("slot", &self.slot).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What a request needs next.
#[derive(Debug)]
pub enum Step {
    /// Nothing: this is the answer.
    Done(Box<Response>),
    /// The network.
    Wait(Ticket),
    /// [`Service::reload`], which takes a while and blocks.
    Reload,
}

/// A place in the queue. Dropping it gives the place up.
#[derive(Debug)]
pub struct Ticket {
    reply: oneshot::Receiver<Outcome>,
    form: Form,
    _explanation: Option<Share>,
}

/// One of a limited number; given back when dropped.
#[derive(Debug)]
struct Share(Arc<AtomicUsize>);

impl Share {
    fn take(of: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let more = |n: usize| (n < most).then_some(n + 1);
        of.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Self(Arc::clone(of)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Ticket {
    /// Waits for the answer.
    pub async fn answer(self) -> Response {
        // A reply that is dropped is a panic of the worker.
        let outcome = self.reply.await.unwrap_or_else(|_| Err(queue::fault("the worker stopped in the middle")));
        match outcome {
            Ok(done) => respond(self.form, &done),
            Err(problem) => refuse(&problem),
        }
    }
}

fn respond(form: Form, done: &Done) -> Response {
    let mut response = match &done.product {
        Product::Predictions(predictions) => contract::answer(form, predictions, &done.model),
        Product::Explanation(explanation) => contract::explanation(explanation, &done.model),
    };
    let Timing { queue, decode, predict, .. } = done.timing;
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let timing = format!("queue;dur={:.3}, decode;dur={:.3}, predict;dur={:.3}", ms(queue), ms(decode), ms(predict));
    response.report.timing = Some(done.timing);
    if let Product::Predictions(predictions) = &done.product {
        response.report.confidence = confidence(predictions);
    }
    response.with_header("server-timing", &timing)
}

/// How sure the model is of its answers, on average.
fn confidence(predictions: &[Prediction]) -> Option<f64> {
    let sum: f64 = predictions.iter().map(|p| f64::from(p.score)).sum();
    (!predictions.is_empty()).then(|| sum / predictions.len() as f64)
}

fn refuse(problem: &Problem) -> Response {
    let mut response = problem.response();
    response.report.code = Some(problem.code);
    response
}

impl Service {
    /// A service without a model yet: [`Service::reload`] opens the first one.
    ///
    /// # Errors
    /// [`crate::ServeError::System`] when there are no threads.
    pub fn start(settings: ServiceSettings, loader: Loader) -> Result<Arc<Self>> {
        let slot = Arc::new(Slot::default());
        let metrics = Arc::new(Metrics::default());
        let queue = Queue::start(&settings.queue, settings.limits.image, Arc::clone(&slot), Arc::clone(&metrics))?;
        Ok(Arc::new(Self {
            settings,
            slot,
            queue,
            metrics,
            loader,
            loading: Mutex::default(),
            draining: AtomicBool::new(false),
            explanations: Arc::default(),
        }))
    }

    /// A service of the bundle in a folder.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn of_bundle(settings: ServiceSettings, bundle: &Path) -> Result<Arc<Self>> {
        let (bundle, threads) = (bundle.to_path_buf(), settings.queue.threads.max(1));
        Self::start(settings, Box::new(move || Model::open(&bundle, threads)))
    }

    /// Opens the bundle and takes it into service. Requests go on meanwhile; those in the queue are answered by the new
    /// one. What cannot be opened leaves the old one in service.
    ///
    /// # Errors
    /// The loader's.
    pub fn reload(&self) -> Result<Arc<Model>> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        match (self.loader)() {
            Ok(model) => {
                let model = Arc::new(model);
                self.metrics.loaded(&model.manifest().model, model.manifest().version());
                self.slot.put(Arc::clone(&model));
                tracing::info!(model = model.tag(), load_ms = ms(start.elapsed()), "the model is in service");
                Ok(model)
            }
            Err(error) => {
                self.metrics.load_failed();
                let kept = self.slot.get().map(|m| m.tag().to_owned());
                tracing::error!(%error, kept, "the bundle was not taken into service");
                Err(error)
            }
        }
    }

    /// The model in service.
    pub fn model(&self) -> Option<Arc<Model>> {
        self.slot.get()
    }

    /// Limits and times.
    pub fn settings(&self) -> &ServiceSettings {
        &self.settings
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// From now on not ready, so that no balancer sends more. What comes is still answered.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Service::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The first step of a request, without waiting.
    pub fn begin(&self, request: &Request) -> Step {
        self.dispatch(request).unwrap_or_else(|problem| Step::Done(Box::new(refuse(&problem))))
    }

    fn dispatch(&self, request: &Request) -> Result<Step, Problem> {
        let (_, call) = contract::read(request, &self.settings.limits)?;
        let model = || self.slot.get().ok_or_else(queue::not_ready);
        let done = |response| Ok(Step::Done(Box::new(response)));
        match call {
            Call::Page => done(contract::page()),
            Call::Health => done(contract::state(StatusCode::OK, "ok", None)),
            Call::Ready => done(self.readiness()),
            Call::Model => done(contract::model_info(&*model()?, &self.settings.limits)),
            Call::Metrics => {
                let ready = self.slot.get().is_some() && !self.is_draining();
                self.metrics.waiting.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
                done(Response::new(StatusCode::OK, kidu_telemetry::metrics::MEDIA_TYPE, self.metrics.text(ready)))
            }
            Call::OpenApi => done(contract::openapi()),
            Call::Preflight => done(Response::new(StatusCode::NO_CONTENT, "text/plain", Bytes::new())),
            Call::Predict { form, images } => self.enqueue(Work::Predict(images), form, request, None).map(Step::Wait),
            Call::Explain { image } => {
                let share = Share::take(&self.explanations, EXPLANATIONS).ok_or_else(|| {
                    Problem::new(Code::Overloaded, "other explanations are being computed; try again in a moment")
                })?;
                self.enqueue(Work::Explain(image), Form::Full, request, Some(share)).map(Step::Wait)
            }
            Call::Reload => self.authorize(request).map(|()| Step::Reload),
        }
    }

    fn readiness(&self) -> Response {
        match self.slot.get() {
            _ if self.is_draining() => contract::state(StatusCode::SERVICE_UNAVAILABLE, "draining", None),
            None => contract::state(StatusCode::SERVICE_UNAVAILABLE, "loading", None),
            Some(model) => contract::state(StatusCode::OK, "ready", Some(&model)),
        }
    }

    fn enqueue(&self, work: Work, form: Form, request: &Request, share: Option<Share>) -> Result<Ticket, Problem> {
        if self.slot.get().is_none() {
            return Err(queue::not_ready());
        }
        let accepted = Instant::now();
        let (reply, receiver) = oneshot::channel();
        let deadline = accepted + self.settings.deadline;
        self.queue.push(Job { work, accepted, deadline, reply, _body: request.body.clone() })?;
        Ok(Ticket { reply: receiver, form, _explanation: share })
    }

    /// From this machine and with the token; to all others the path does not exist.
    fn authorize(&self, request: &Request) -> Result<(), Problem> {
        let Some(token) = self.settings.admin_token.as_deref().filter(|_| request.local) else {
            return Err(Problem::new(Code::NotFound, "there is nothing at this path; see /openapi.json"));
        };
        let given = request.headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        if same(given, format!("Bearer {token}").as_bytes()) {
            return Ok(());
        }
        Err(Problem::new(Code::Unauthorized, "send the administrator's token as 'Authorization: Bearer ...'"))
    }

    /// Answers a request to its end, with its id, its log line and its share of the metrics.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Response {
        let start = Instant::now();
        let id = request_id(&request);
        let response = match self.begin(&request) {
            Step::Done(response) => *response,
            Step::Wait(ticket) => ticket.answer().await,
            Step::Reload => self.reload_elsewhere().await,
        };
        self.finish(&request, &id, start, response)
    }

    /// Opening a bundle blocks; it gets a thread of its own.
    async fn reload_elsewhere(self: &Arc<Self>) -> Response {
        let (reply, receiver) = oneshot::channel();
        let service = Arc::clone(self);
        std::thread::spawn(move || reply.send(service.reload()));
        match receiver.await {
            Ok(Ok(model)) => contract::state(StatusCode::OK, "loaded", Some(&model)),
            Ok(Err(_)) | Err(_) => refuse(&Problem::new(
                Code::Internal,
                "the bundle was not taken into service, the old one is kept; the server's log says why",
            )),
        }
    }

    /// Adds what every answer has, counts it and logs it. For answers that were made elsewhere, too.
    pub fn finish(&self, request: &Request, id: &str, start: Instant, response: Response) -> Response {
        let mut response = response.with_header(REQUEST_ID, id);
        self.allow_origin(request, &mut response);
        let route = Route::find(&request.method, &request.path).ok();
        let total = start.elapsed();
        response.report.route = route;
        response.report.total = total;
        self.metrics.answer(route, response.status.as_u16(), &response.report);
        log(request, id, &response);
        if self.settings.emf && route.is_some_and(Route::has_body) {
            let model = self.model();
            let model = model.as_ref().map_or("none", |m| m.tag());
            emf::write(&emf::line(&response, model, id, None, SystemTime::now()));
        }
        response
    }

    /// CORS, never with credentials. Fetch standard, "CORS protocol".
    fn allow_origin(&self, request: &Request, response: &mut Response) {
        let allowed = &self.settings.cors_origins;
        let origin = request.headers.get(header::ORIGIN);
        let any = allowed.iter().any(|o| o == "*");
        let known = origin.filter(|o| allowed.iter().any(|a| a.as_bytes() == o.as_bytes()));
        let headers = &mut response.headers;
        let value = match (any, known) {
            (true, _) => HeaderValue::from_static("*"),
            (false, Some(origin)) => origin.clone(),
            (false, None) if allowed.is_empty() => return,
            (false, None) => {
                headers.insert(header::VARY, HeaderValue::from_static("origin"));
                return;
            }
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        let exposed = HeaderValue::from_static("x-request-id, x-kidu-model, server-timing, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        if request.method == http::Method::OPTIONS {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
            let allowed = HeaderValue::from_static("content-type, x-request-id");
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

/// The client's or the gateway's name of the request, or a new one.
pub(crate) fn request_id(request: &Request) -> String {
    let given = request.headers.get(REQUEST_ID).and_then(|v| v.to_str().ok());
    let plain = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=/+".contains(&b))
    };
    given.filter(plain).map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned)
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// One line a request: what was asked and what came of it, nothing of what was sent.
fn log(request: &Request, id: &str, response: &Response) {
    let report = &response.report;
    let timing = report.timing.unwrap_or_default();
    let (method, status) = (request.method.as_str(), response.status.as_u16());
    let (route, code) = (report.route.map_or("none", Route::path), report.code.map(Code::name));
    let model = response.headers.get(contract::MODEL).and_then(|v| v.to_str().ok());
    let (total_ms, bytes) = (ms(report.total), request.body.len());
    if report.route.is_some_and(|r| !r.has_body()) && !response.status.is_server_error() {
        tracing::debug!(request_id = id, method, route, status, code, total_ms, "answered");
        return;
    }
    tracing::info!(
        request_id = id,
        method,
        route,
        status,
        code,
        bytes,
        model,
        batch = timing.batch,
        queue_ms = ms(timing.queue),
        decode_ms = ms(timing.decode),
        predict_ms = ms(timing.predict),
        total_ms,
        "answered"
    );
}
