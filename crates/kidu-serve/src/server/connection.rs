//! One connection: time-outs, limits on what is held in memory, and the way to the service.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Body as _, service::service_fn};
use kidu_http::{ConnectionSettings, Patience, Seat, Tracked};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    contract::{Code, Problem, Request, Response, Route, too_long},
    service::{Service, request_id},
};

/// What clients may use of the server before a request is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most open connections; others wait to be taken.
    pub max_connections: usize,
    /// Most bytes of bodies that are held at a time, over all connections.
    pub max_memory: usize,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Most bytes of a request's head.
    pub max_head: usize,
    /// How long the head may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// How long the body may take.
    pub body_timeout: Duration,
}

/// Memory is counted in blocks.
const BLOCK: usize = 1024;

impl ConnectionLimits {
    pub(super) fn memory_permits(&self) -> usize {
        (self.max_memory / BLOCK).clamp(1, Semaphore::MAX_PERMITS)
    }

    fn settings(&self, max_body: usize) -> ConnectionSettings {
        ConnectionSettings {
            head_timeout: self.head_timeout,
            max_headers: self.max_headers,
            max_head: self.max_head,
            patience: Patience::of(self.body_timeout, max_body as u64),
        }
    }
}

type Shared = (Arc<Service>, Arc<ConnectionLimits>, Arc<Semaphore>);

/// Serves a connection on a task of its own.
pub(super) fn open(stream: TcpStream, peer: SocketAddr, seat: Seat, (service, limits, memory): Shared) {
    let settings = limits.settings(service.settings().limits.max_body);
    let counted = Arc::clone(&service);
    // A socket of both kinds shows IPv4's addresses in IPv6's form.
    let local = peer.ip().to_canonical().is_loopback();
    let answer = service_fn(move |request: hyper::Request<Tracked>| {
        let (service, limits, memory) = (Arc::clone(&service), Arc::clone(&limits), Arc::clone(&memory));
        async move { Ok::<_, Infallible>(exchange(request, local, &service, &limits, &memory).await) }
    });
    counted.metrics().connections.inc();
    tokio::spawn(async move {
        seat.serve(stream, settings, answer).await;
        counted.metrics().connections.dec();
    });
}

async fn exchange(
    incoming: hyper::Request<Tracked>,
    local: bool,
    service: &Arc<Service>,
    limits: &ConnectionLimits,
    memory: &Arc<Semaphore>,
) -> hyper::Response<Full<Bytes>> {
    let start = Instant::now();
    let (parts, body) = incoming.into_parts();
    let mut request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: Bytes::new(),
        local,
    };
    let most = service.settings().limits.max_body;
    let (read, whole) = if Route::find(&request.method, &request.path).is_ok_and(Route::has_body) {
        let read = Reader { body, most, memory }.read(&request.headers);
        let read = tokio::time::timeout(limits.body_timeout, read).await;
        let read = read.unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time")));
        let whole = read.is_ok();
        (read, whole)
    } else {
        // Nobody wants it, but the next request is behind it. Who waits for `100 Continue` does not send it.
        let skip = tokio::time::timeout(limits.body_timeout, skip(body, most));
        (Ok(Bytes::new()), !request.headers.contains_key(header::EXPECT) && skip.await.unwrap_or(false))
    };
    let response = match read {
        Ok(body) => {
            request.body = body;
            service.handle(request).await
        }
        Err(problem) => {
            let id = request_id(&request);
            let mut response = problem.response();
            response.report.code = Some(problem.code);
            service.finish(&request, &id, start, response)
        }
    };
    // A body that was not read to its end leaves the connection in the middle of it.
    to_hyper(response, !whole)
}

fn to_hyper(response: Response, close: bool) -> hyper::Response<Full<Bytes>> {
    let mut out = hyper::Response::new(Full::new(response.body));
    *out.status_mut() = response.status;
    *out.headers_mut() = response.headers;
    if close {
        out.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    out
}

/// Reads a body, as far as it may become.
struct Reader<'a> {
    body: Tracked,
    most: usize,
    memory: &'a Arc<Semaphore>,
}

/// Throws a body away; whether it ended within the limit.
async fn skip(mut body: Tracked, most: usize) -> bool {
    let mut left = most as u64;
    if body.size_hint().lower() > left {
        return false;
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len) as u64) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

/// A body and its share of the memory, which is given back with the last copy of it.
struct Held {
    bytes: BytesMut,
    _share: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reader<'_> {
    async fn read(mut self, headers: &HeaderMap) -> Result<Bytes, Problem> {
        let stated = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        match stated {
            Some(bytes) if bytes > self.most => Err(too_long(bytes, self.most)),
            stated => self.collect(stated).await.map(Bytes::from_owner),
        }
    }

    async fn collect(&mut self, stated: Option<usize>) -> Result<Held, Problem> {
        let mut share = self.reserve(stated.unwrap_or(0))?;
        let mut bytes = BytesMut::with_capacity(stated.unwrap_or(0));
        let mut reserved = stated.unwrap_or(0);
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|e| Problem::new(Code::Malformed, format!("the body broke off ({e})")))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let len = bytes.len() + data.len();
            if len > self.most {
                return Err(too_long(len, self.most));
            }
            if len > reserved {
                let more = (len - reserved).max(64 * BLOCK);
                match (&mut share, self.reserve(more)?) {
                    (Some(share), Some(more)) => share.merge(more),
                    (share, more) => *share = more,
                }
                reserved += more;
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes, _share: share })
    }

    fn reserve(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        if blocks == 0 {
            return Ok(None);
        }
        Arc::clone(self.memory)
            .try_acquire_many_owned(blocks)
            .map(Some)
            .map_err(|_| Problem::new(Code::Overloaded, "too many large requests are under way; try again later"))
    }
}
