//! An endpoint over HTTP or HTTPS.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kidu_fetch::secured;
use url::Url;

use super::{Ask, EndpointError, Exchange, MAX_REPLY, Reply, Transport};
use crate::error::{BackendError, Result};

/// API Gateway takes 10 MB, base64 included; a server of ours takes more, and says so by its status.
const MAX_IMAGE: usize = 32 << 20;

/// An endpoint at a URL, as `kidu serve`, a function URL or API Gateway.
pub struct HttpTransport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Url,
    token: Option<HeaderValue>,
}

impl HttpTransport {
    /// An endpoint by its base URL, such as `http://127.0.0.1:8080` or `https://abc.execute-api.eu-central-1.amazonaws.com/prod`.
    /// `token` is sent as `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`BackendError::Setting`] for what is no URL of an endpoint.
    pub fn new(base: &str, token: Option<&str>, connections: usize) -> Result<Self> {
        Self::trusting(base, token, connections, None)
    }

    /// As [`HttpTransport::new`], with a file (PEM) of authorities that are trusted besides the usual ones.
    ///
    /// # Errors
    /// [`BackendError::Setting`]; [`BackendError::Fetch`] for a file that holds no certificates.
    pub fn trusting(base: &str, token: Option<&str>, connections: usize, ca_file: Option<&Path>) -> Result<Self> {
        let bad = |reason: &str| {
            BackendError::Setting(format!("--endpoint: {reason}; write http://HOST:PORT or https://HOST"))
        };
        let mut url = Url::parse(base.trim()).map_err(|e| bad(&format!("it is no URL ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(bad("it is no URL of a server"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it carries a user name; give --endpoint-token instead"));
        }
        url.set_query(None);
        url.set_fragment(None);
        let token = token.map(|token| HeaderValue::from_str(&format!("Bearer {}", token.trim()))).transpose();
        let mut token =
            token.map_err(|_| BackendError::Setting("--endpoint-token has characters that no token has".into()))?;
        token.iter_mut().for_each(|t| t.set_sensitive(true));
        Ok(Self { client: client(connections, ca_file)?, base: url, token })
    }

    fn uri(&self, path: &str) -> Result<Uri, EndpointError> {
        let whole = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        whole.parse().map_err(|e| EndpointError::lasting("setup", format!("{whole} cannot be asked: {e}")))
    }

    async fn send(&self, ask: Ask) -> Result<Reply, EndpointError> {
        let (method, path, media_type) = ask.parts();
        let mut request = Request::builder()
            .method(method)
            .uri(self.uri(path)?)
            .header(header::USER_AGENT, concat!("kidu-label-studio/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request
            .body(Full::new(ask.body()))
            .map_err(|e| EndpointError::lasting("setup", format!("no request to the endpoint: {e}")))?;
        let lost = |reason: String| EndpointError::passing("no_connection", format!("{}: {reason}", self.describe()));
        let response = self.client.request(request).await.map_err(|e| lost(innermost(&e)))?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let body = Limited::new(response.into_body(), MAX_REPLY).collect().await;
        let body = body.map_err(|e| lost(format!("the answer broke off or is too long ({e})")))?.to_bytes();
        Ok(Reply { status, retry_after: retry_after.map(Duration::from_secs), body })
    }
}

impl Transport for HttpTransport {
    fn describe(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    fn max_image_bytes(&self) -> usize {
        MAX_IMAGE
    }

    fn is_metered(&self) -> bool {
        false
    }

    fn exchange(&self, ask: Ask) -> Exchange<'_> {
        Box::pin(self.send(ask))
    }
}

fn client(connections: usize, ca_file: Option<&Path>) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(5)));
    let https = secured(tcp, ca_file)?;
    // Servers close idle connections after 30 s and more: ours are given up before.
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(connections)
        .build(https))
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
