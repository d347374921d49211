//! One exchange over HTTP: redirects followed by hand, each checked, within limits.

use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use url::Url;

use crate::{
    address::shown_url,
    connect::{Connector, Refused, guarded},
    error::{FetchError, Result},
    options::FetchOptions,
    policy::{HostPattern, Policy},
};

/// What a header must say to be let in by one origin, and only by that.
pub(crate) struct Credentials {
    /// Scheme, host and port that may see it.
    pub(crate) origin: url::Origin,
    /// Value of `Authorization`.
    pub(crate) value: HeaderValue,
}

/// A body that is sent, with its media type.
pub(crate) struct Posted<'a> {
    pub(crate) kind: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// An HTTP client that goes where it may.
pub(crate) struct Http {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    policy: Policy,
    trusted: Option<HostPattern>,
    max_redirects: usize,
    try_timeout: Duration,
}

impl Http {
    pub(crate) fn new(options: &FetchOptions) -> Result<Self> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(options.concurrency)
            .build(guarded(options)?);
        Ok(Self {
            client,
            policy: options.policy.clone(),
            trusted: options.label_studio.as_ref().map(|l| HostPattern::exactly(l.host(), l.port())),
            max_redirects: options.max_redirects,
            try_timeout: options.try_timeout,
        })
    }

    /// The body behind a URL: one try, redirects followed.
    pub(crate) async fn get(&self, url: &Url, credentials: Option<&Credentials>, max_bytes: u64) -> Result<Vec<u8>> {
        let timeout = FetchError::Timeout { address: shown_url(url), after: self.try_timeout };
        tokio::time::timeout(self.try_timeout, self.follow(url, credentials, max_bytes)).await.unwrap_or(Err(timeout))
    }

    async fn follow(&self, first: &Url, credentials: Option<&Credentials>, max_bytes: u64) -> Result<Vec<u8>> {
        let mut url = first.clone();
        for _ in 0..=self.max_redirects {
            let mut request = request(Method::GET, &url, Bytes::new())?;
            if let Some(known) = credentials.filter(|c| c.origin == url.origin()) {
                request.headers_mut().insert(header::AUTHORIZATION, known.value.clone());
            }
            let response = self.send(request, &url).await?;
            if !is_redirect(response.status()) {
                return read_body(response, &url, max_bytes).await;
            }
            url = target(&response, &url)?;
        }
        let reason = format!("more than {} redirects", self.max_redirects);
        Err(FetchError::Redirect { address: shown_url(first), reason })
    }

    /// Posts JSON to one URL; a redirect is an error, so that what is sent stays where it was meant to go.
    pub(crate) async fn post(&self, url: &Url, body: Vec<u8>, max_bytes: u64) -> Result<Vec<u8>> {
        let posting = async {
            let mut request = request(Method::POST, url, body.into())?;
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            read_body(self.send(request, url).await?, url, max_bytes).await
        };
        let timeout = FetchError::Timeout { address: shown_url(url), after: self.try_timeout };
        tokio::time::timeout(self.try_timeout, posting).await.unwrap_or(Err(timeout))
    }

    /// One request whose answer is wanted whatever its status; a redirect is not followed.
    pub(crate) async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        credentials: Option<&Credentials>,
        posted: Option<Posted<'_>>,
        max_bytes: u64,
    ) -> Result<(u16, Vec<u8>)> {
        let exchanging = async {
            let bytes = posted.as_ref().map_or_else(Bytes::new, |p| Bytes::copy_from_slice(p.bytes));
            let mut request = request(method.clone(), url, bytes)?;
            let headers = request.headers_mut();
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
            if let Some(known) = credentials.filter(|c| c.origin == url.origin()) {
                headers.insert(header::AUTHORIZATION, known.value.clone());
            }
            if let Some(posted) = &posted {
                let kind = HeaderValue::from_str(posted.kind)
                    .map_err(|_| FetchError::Setup(format!("'{}' is no media type", posted.kind)))?;
                headers.insert(header::CONTENT_TYPE, kind);
            }
            let response = self.send(request, url).await?;
            let status = response.status().as_u16();
            Ok((status, collect(response, url, max_bytes).await?))
        };
        let timeout = FetchError::Timeout { address: shown_url(url), after: self.try_timeout };
        tokio::time::timeout(self.try_timeout, exchanging).await.unwrap_or(Err(timeout))
    }

    async fn send(&self, request: Request<Full<Bytes>>, url: &Url) -> Result<http::Response<Incoming>> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let trusted = self.trusted.as_ref().is_some_and(|p| *p == HostPattern::exactly(host, port));
        if !trusted && !self.policy.allows_host(host, port) {
            return Err(FetchError::HostNotAllowed { address: shown_url(url), host: host.into() });
        }
        self.client.request(request).await.map_err(|e| translate(&e, url))
    }
}

fn request(method: Method, url: &Url, body: Bytes) -> Result<Request<Full<Bytes>>> {
    let mut plain = url.clone();
    plain.set_fragment(None);
    Request::builder()
        .method(method)
        .uri(plain.as_str())
        .header(header::USER_AGENT, concat!("kidu/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "image/*, */*;q=0.5")
        .header(header::ACCEPT_ENCODING, "identity")
        .body(Full::new(body))
        .map_err(|e| FetchError::Address { address: shown_url(url), reason: format!("cannot be asked for: {e}") })
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads. Only to another http or https URL.
fn target(response: &http::Response<Incoming>, from: &Url) -> Result<Url> {
    let fail = |reason: String| FetchError::Redirect { address: shown_url(from), reason };
    let location = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
    let Some(location) = location else {
        return Err(fail(format!("the server answered {} without saying where to", response.status().as_u16())));
    };
    let to = from.join(location).map_err(|e| fail(format!("redirects to what is no URL: {e}")))?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(fail(format!("redirects to a '{}' address, which is not followed", to.scheme())));
    }
    Ok(to)
}

async fn read_body(response: http::Response<Incoming>, url: &Url, max_bytes: u64) -> Result<Vec<u8>> {
    let address = || shown_url(url);
    let status = response.status();
    if !status.is_success() {
        return Err(match status.as_u16() {
            404 | 410 => FetchError::NotFound { address: address(), place: String::new() },
            status => FetchError::Status { address: address(), status, retry_after: retry_after(&response) },
        });
    }
    collect(response, url, max_bytes).await
}

/// The bytes of an answer, whatever its status.
async fn collect(response: http::Response<Incoming>, url: &Url, max_bytes: u64) -> Result<Vec<u8>> {
    let address = || shown_url(url);
    let too_large = || FetchError::TooLarge { address: address(), limit: max_bytes };
    let mut body = response.into_body();
    let announced = body.size_hint();
    if announced.lower() > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced.lower()).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| FetchError::Truncated { address: address(), reason: innermost(&e) })?;
        if let Some(data) = frame.data_ref() {
            if (bytes.len() + data.len()) as u64 > max_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

/// `Retry-After` in seconds; a date is not read, the usual wait serves.
fn retry_after(response: &http::Response<Incoming>) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn translate(error: &legacy::Error, url: &Url) -> FetchError {
    let address = shown_url(url);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(refused) = e.downcast_ref::<Refused>() {
            return match refused.clone() {
                Refused::Private { host, ip } => FetchError::PrivateAddress { address, host, ip },
                Refused::Resolve { host, reason } => FetchError::Resolve { address, host, reason },
                Refused::Connect { reason } => FetchError::Connection { address, reason },
            };
        }
        cause = e.source();
    }
    FetchError::Connection { address, reason: innermost(error) }
}

/// The reason that no other stands behind.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
