//! Connections: their number and the time that a request's head may take are bounded.

use std::time::Duration;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use kidu_http::{ConnectionSettings, Patience, Shutdown};
use tokio::net::TcpListener;

/// How long a request's line and headers may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 32 << 10;

/// What is taken, and how long it may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_connections: usize,
    /// How long who is still sending is listened to after its last answer.
    pub(super) patience: Patience,
    /// How long answers may take after the end was asked for.
    pub(super) drain: Duration,
}

/// Serves connections until `end`, then finishes what was begun.
pub(super) async fn serve(listener: TcpListener, router: Router, bounds: Bounds, end: impl Future<Output = ()>) {
    let Bounds { max_connections, patience, drain } = bounds;
    let settings =
        ConnectionSettings { head_timeout: HEAD_TIMEOUT, max_headers: MAX_HEADERS, max_head: MAX_HEAD, patience };
    let leave = |(): &()| Shutdown::within(drain);
    kidu_http::serve(listener, max_connections, end, leave, |stream, _, seat| {
        tokio::spawn(seat.serve(stream, settings, TowerToHyperService::new(router.clone())));
    })
    .await;
}
