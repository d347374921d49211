//! Requests of our own to servers: is it ready, what does it predict, and the words between command and supervisor.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::{DeployError, Result};

/// Answers are small.
const MOST: usize = 16 << 20;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// `http://host:port/path`
    pub url: &'a str,
    /// The body's media type.
    pub media_type: Option<&'a str>,
    /// A bearer token.
    pub token: Option<&'a str>,
    /// The body.
    pub body: Bytes,
    /// How long everything may take.
    pub timeout: Duration,
}

impl<'a> Call<'a> {
    /// `GET url`
    pub fn get(url: &'a str, timeout: Duration) -> Self {
        Self { method: Method::GET, url, media_type: None, token: None, body: Bytes::new(), timeout }
    }

    /// `POST url`
    pub fn post(url: &'a str, media_type: &'a str, body: impl Into<Bytes>, timeout: Duration) -> Self {
        let media_type = Some(media_type);
        Self { method: Method::POST, url, media_type, token: None, body: body.into(), timeout }
    }

    /// Sends it, on a connection of its own.
    ///
    /// # Errors
    /// [`DeployError::Http`] for what is not an answer, [`DeployError::TimedOut`] for none in time.
    pub async fn send(self) -> Result<Reply> {
        let (url, timeout) = (self.url.to_string(), self.timeout);
        let answer = tokio::time::timeout(timeout, self.exchange()).await;
        match answer {
            Ok(answer) => answer.map_err(|reason| DeployError::Http { url, reason }),
            Err(_) => Err(DeployError::TimedOut { url, seconds: timeout.as_secs_f64() }),
        }
    }

    async fn exchange(self) -> Result<Reply, String> {
        let uri: Uri = self.url.parse().map_err(|e| format!("is no address: {e}"))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or("is no address of the form http://host:port")?;
        let place = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(place).await.map_err(|e| e.to_string())?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
        let driver = tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let mut request = Request::builder().method(self.method).uri(path).header(header::HOST, authority.as_str());
        if let Some(media_type) = self.media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        if let Some(token) = self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(self.body)).map_err(|e| e.to_string())?;
        let (parts, body) = sender.send_request(request).await.map_err(|e| e.to_string())?.into_parts();
        let body = Limited::new(body, MOST).collect().await.map_err(|e| e.to_string())?.to_bytes();
        driver.abort();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }
}
