//! Connections: their number and the time that a request's head may take are bounded.

use std::time::Duration;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use kidu_http::{ConnectionSettings, Patience, Shutdown};
use tokio::net::TcpListener;

use super::body;

/// How long a request's line and headers may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 32 << 10;
/// How long connections are still taken when the end was asked for: clients learn it from their last answer.
const LAST_CALL: Duration = Duration::from_millis(200);

/// What is taken, and how long it may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_connections: usize,
    pub(super) max_body: usize,
    /// How long answers may take after the end was asked for.
    pub(super) drain: Duration,
}

/// Serves connections until `end`, then finishes what was begun.
pub(super) async fn serve(listener: TcpListener, router: Router, bounds: Bounds, end: impl Future<Output = ()>) {
    let Bounds { max_connections, max_body, drain } = bounds;
    let settings = ConnectionSettings {
        head_timeout: HEAD_TIMEOUT,
        max_headers: MAX_HEADERS,
        max_head: MAX_HEAD,
        patience: Patience::of(body::TIMEOUT, max_body as u64),
    };
    let leave = |(): &()| Shutdown { delay: LAST_CALL.min(drain), drain };
    kidu_http::serve(listener, max_connections, end, leave, |stream, _, seat| {
        tokio::spawn(seat.serve(stream, settings, TowerToHyperService::new(router.clone())));
    })
    .await;
}
