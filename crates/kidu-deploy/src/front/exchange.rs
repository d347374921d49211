//! One request on its way to a server and back.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use kidu_http::Tracked;
use serde_json::json;

use super::{
    Front,
    backend::{About, Backend, Exchange, Sender},
    body::{Body, Download, Progress, Upload, UploadEnd},
    headers,
};

/// What came of sending a request to one server.
enum Sent {
    /// The head of an answer.
    Answered(Sender, Response<Incoming>),
    /// Nothing of it was sent: another server can have it.
    Unsent(Request<Upload>, String),
    /// It was sent, in part or whole, and no answer came.
    Lost(String),
    /// No answer came in time.
    TimedOut,
}

/// An answer of our own.
struct Problem(StatusCode, &'static str, String);

impl Front {
    /// Answers a request: itself, or by the server whose turn it is.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Tracked>, peer: IpAddr) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let id = headers::request_id(&parts.headers);
        let expects = parts.headers.contains_key(header::EXPECT);
        let progress = Arc::new(Progress::new());
        let limits = &self.limits;
        let mut body = Some(Upload::new(body, limits.max_body, limits.body_timeout, Arc::clone(&progress)));
        let mut response = match self.own(&parts) {
            Some(response) => response,
            None => self.pass(parts, &mut body, &progress, peer, &id).await.unwrap_or_else(|problem| {
                self.metrics.refused(self.environment);
                let Problem(status, code, message) = &problem;
                let environment = self.environment.name();
                tracing::info!(request_id = id, environment, status = status.as_u16(), code, message, "refused");
                respond(problem)
            }),
        };
        // Nobody wants it, but the next request is behind it. Who waits for `100 Continue` does not send it.
        if let Some(body) = body.filter(|body| !expects && body.size_hint().lower() <= limits.max_body) {
            body.skip().await;
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(headers::REQUEST_ID, value);
        }
        // A body that was not read to its end leaves the connection in the middle of it.
        if progress.upload_end() != Some(UploadEnd::Whole) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The front's own pages.
    fn own(&self, request: &Parts) -> Option<Response<Body>> {
        if request.method != Method::GET {
            return None;
        }
        let (media_type, text) = match request.uri.path() {
            "/metrics" => (kidu_telemetry::metrics::MEDIA_TYPE, self.metrics.text()),
            "/status" => ("text/html; charset=utf-8", self.board.page()),
            "/status.css" => ("text/css; charset=utf-8", crate::status::STYLE.to_string()),
            "/status.json" => ("application/json", self.board.json()),
            _ => return None,
        };
        let mut response = Response::new(Body::Whole(Full::new(Bytes::from(text))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(crate::status::POLICY));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }

    /// Takes the body when it goes to a server, and gives it back where none has begun to read it.
    async fn pass(
        self: &Arc<Self>,
        mut parts: Parts,
        body: &mut Option<Upload>,
        progress: &Arc<Progress>,
        peer: IpAddr,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        if parts.method == Method::CONNECT {
            let message = "the front opens no tunnels".into();
            return Err(Problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message));
        }
        if headers::is_admin(&parts.uri) {
            return Err(Problem(StatusCode::NOT_FOUND, "not_found", "the front does not pass this path on".into()));
        }
        let Some(upload) = body.take_if(|body| body.size_hint().lower() <= self.limits.max_body) else {
            return Err(self.too_large());
        };
        headers::strip(&mut parts.headers);
        headers::announce(&mut parts.headers, peer, id);
        let mut path: String = parts.uri.path().to_owned();
        path.truncate(path.floor_char_boundary(128));
        let about = About { id: id.into(), method: parts.method.to_string(), path, ..About::default() };
        let counts = parts.method == Method::POST;
        // Whatever form the client gave it, the server gets a path.
        let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        parts.uri = match Uri::try_from(target) {
            Ok(uri) => uri,
            Err(error) => {
                *body = Some(upload);
                return Err(Problem(StatusCode::BAD_REQUEST, "malformed", error.to_string()));
            }
        };
        parts.version = http::Version::HTTP_11;
        let request = Request::from_parts(parts, upload);
        let sent = self.send(request, progress, counts, about).await;
        sent.map_err(|(problem, unsent)| {
            *body = unsent.map(Request::into_body);
            problem
        })
    }

    /// To the server whose turn it is; to another one as long as nothing was sent.
    async fn send(
        &self,
        mut request: Request<Upload>,
        progress: &Arc<Progress>,
        counts: bool,
        about: About,
    ) -> Result<Response<Body>, (Problem, Option<Request<Upload>>)> {
        let mut tried: Vec<Arc<Backend>> = Vec::new();
        loop {
            let about = About { retries: tried.len() as u32, ..about.clone() };
            let Some(mut exchange) = self.begin(&tried, progress, counts, about) else {
                let (status, code, message) = match tried.is_empty() {
                    true => (StatusCode::SERVICE_UNAVAILABLE, "not_ready", "no version is in service here"),
                    false => (StatusCode::BAD_GATEWAY, "bad_gateway", "no server can be reached"),
                };
                return Err((Problem(status, code, message.into()), Some(request)));
            };
            match self.send_to(exchange.backend(), request, progress).await {
                Sent::Answered(sender, response) => {
                    return Ok(self.returned(exchange, sender, response));
                }
                Sent::Unsent(back, why) => {
                    exchange.failed(StatusCode::BAD_GATEWAY, &why);
                    self.metrics.retried(self.environment);
                    tried.push(Arc::clone(exchange.backend()));
                    request = back;
                }
                Sent::Lost(why) => return Err((self.lost(exchange, progress, &why), None)),
                Sent::TimedOut => {
                    exchange.failed(StatusCode::GATEWAY_TIMEOUT, "no answer in time");
                    let problem = Problem(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", "no answer in time".into());
                    return Err((problem, None));
                }
            }
        }
    }

    async fn send_to(&self, backend: &Backend, mut request: Request<Upload>, progress: &Arc<Progress>) -> Sent {
        loop {
            let (mut sender, used) = match backend.connect().await {
                Ok(connection) => connection,
                Err(why) => return Sent::Unsent(request, why),
            };
            let answer = sender.try_send_request(request);
            let silence = async {
                progress.wait_for_upload().await;
                tokio::time::sleep(self.limits.answer_timeout).await;
            };
            let answer = tokio::select! {
                answer = answer => answer,
                () = silence => return Sent::TimedOut,
                // A server that does not read keeps the upload from ending.
                () = tokio::time::sleep(self.limits.body_timeout + self.limits.answer_timeout) => return Sent::TimedOut,
            };
            match answer {
                Ok(response) => return Sent::Answered(sender, response),
                Err(mut error) => match error.take_message() {
                    // The server had closed the connection, and another one may do.
                    Some(back) if used => request = back,
                    Some(back) => return Sent::Unsent(back, error.into_error().to_string()),
                    None => return Sent::Lost(error.into_error().to_string()),
                },
            }
        }
    }

    fn returned(&self, mut exchange: Exchange, sender: Sender, response: Response<Incoming>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        exchange.answered(parts.status);
        headers::strip(&mut parts.headers);
        parts.headers.insert(headers::VERSION, HeaderValue::from(exchange.backend().version()));
        parts.version = http::Version::HTTP_11;
        let body = Download::new(body, self.limits.answer_timeout, exchange, sender);
        Response::from_parts(parts, Body::Streamed(Box::new(body)))
    }

    /// Whose fault it is that no answer came.
    fn lost(&self, mut exchange: Exchange, progress: &Progress, why: &str) -> Problem {
        match progress.upload_end() {
            Some(UploadEnd::TooLarge) => self.too_large(),
            Some(UploadEnd::TimedOut) => {
                Problem(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not arrive in time".into())
            }
            Some(UploadEnd::Broken) => Problem(StatusCode::BAD_REQUEST, "malformed", "the body broke off".into()),
            Some(UploadEnd::Whole) | None => {
                exchange.failed(StatusCode::BAD_GATEWAY, why);
                // A process that dies closes its connections one after the other: the next request shall not meet one.
                exchange.backend().close_idle();
                Problem(StatusCode::BAD_GATEWAY, "bad_gateway", "the server ended without an answer".into())
            }
        }
    }

    fn too_large(&self) -> Problem {
        let message = format!("the body is larger than {} bytes", self.limits.max_body);
        Problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }
}

fn respond(Problem(status, code, message): Problem) -> Response<Body> {
    let text = json!({"error": {"code": code, "message": message}}).to_string();
    let mut response = Response::new(Body::Whole(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
