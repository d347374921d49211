//! One request on its way to a server and back.

use std::{net::IpAddr, sync::Arc, sync::atomic::Ordering};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
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
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let id = headers::request_id(request.headers());
        let mut response = match self.own(&request) {
            Some(response) => response,
            None => self.pass(request, peer, &id).await.unwrap_or_else(|problem| {
                self.metrics.refused(self.environment);
                let Problem(status, code, message) = &problem;
                let environment = self.environment.name();
                tracing::info!(request_id = id, environment, status = status.as_u16(), code, message, "refused");
                respond(problem)
            }),
        };
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(headers::REQUEST_ID, value);
        }
        if self.ending.load(Ordering::SeqCst) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The front's own pages.
    fn own(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        if request.method() != Method::GET {
            return None;
        }
        let (media_type, text) = match request.uri().path() {
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

    async fn pass(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            let message = "the front opens no tunnels".into();
            return Err(Problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message));
        }
        if headers::is_admin(&parts.uri) {
            return Err(Problem(StatusCode::NOT_FOUND, "not_found", "the front does not pass this path on".into()));
        }
        let stated = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if stated.is_some_and(|bytes| bytes > self.limits.max_body) {
            if !parts.headers.contains_key(header::EXPECT) {
                self.discard(body).await;
            }
            return Err(self.too_large());
        }
        headers::strip(&mut parts.headers);
        headers::announce(&mut parts.headers, peer, id);
        let progress = Arc::new(Progress::new());
        let mut path: String = parts.uri.path().to_owned();
        path.truncate(path.floor_char_boundary(128));
        let about = About { id: id.into(), method: parts.method.to_string(), path, ..About::default() };
        let counts = parts.method == Method::POST;
        // Whatever form the client gave it, the server gets a path.
        let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        parts.uri = Uri::try_from(target).map_err(|e| Problem(StatusCode::BAD_REQUEST, "malformed", e.to_string()))?;
        parts.version = http::Version::HTTP_11;
        let body = Upload::new(body, self.limits.max_body, self.limits.body_timeout, Arc::clone(&progress));
        self.send(Request::from_parts(parts, body), &progress, counts, about).await
    }

    /// To the server whose turn it is; to another one as long as nothing was sent.
    async fn send(
        &self,
        mut request: Request<Upload>,
        progress: &Arc<Progress>,
        counts: bool,
        about: About,
    ) -> Result<Response<Body>, Problem> {
        let mut tried: Vec<Arc<Backend>> = Vec::new();
        loop {
            let about = About { retries: tried.len() as u32, ..about.clone() };
            let Some(mut exchange) = self.begin(&tried, progress, counts, about) else {
                return Err(match tried.is_empty() {
                    true => {
                        Problem(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "no version is in service here".into())
                    }
                    false => Problem(StatusCode::BAD_GATEWAY, "bad_gateway", "no server can be reached".into()),
                });
            };
            match self.send_to(exchange.backend(), request, progress).await {
                Sent::Answered(sender, response) => return Ok(self.returned(exchange, sender, response)),
                Sent::Unsent(back, why) => {
                    exchange.failed(StatusCode::BAD_GATEWAY, &why);
                    self.metrics.retried(self.environment);
                    tried.push(Arc::clone(exchange.backend()));
                    request = back;
                }
                Sent::Lost(why) => return Err(self.lost(exchange, progress, &why)),
                Sent::TimedOut => {
                    exchange.failed(StatusCode::GATEWAY_TIMEOUT, "no answer in time");
                    return Err(Problem(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", "no answer in time".into()));
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
                Problem(StatusCode::BAD_GATEWAY, "bad_gateway", "the server ended without an answer".into())
            }
        }
    }

    fn too_large(&self) -> Problem {
        let message = format!("the body is larger than {} bytes", self.limits.max_body);
        Problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// Throws a body away, to a bound: many clients look at the answer only after they have sent everything.
    async fn discard(&self, mut body: Incoming) {
        let mut left = self.limits.max_body.saturating_mul(2);
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                match left.checked_sub(len) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(self.limits.body_timeout, all).await;
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
    if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_REQUEST) {
        // The rest of the body is still on its way.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
