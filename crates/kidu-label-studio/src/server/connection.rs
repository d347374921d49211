//! Connections: their number and the time that a request's head may take are bounded.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// How long a request's line and headers may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 32 << 10;

/// Serves connections until `end`, then finishes what was begun, within `drain`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    drain: Duration,
    end: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(max_connections.max(1)));
    tokio::select! {
        () = end => {}
        () = accept(&listener, &router, &places, &graceful) => {}
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = drain.as_secs_f64(), "connections were still open at the end");
        return;
    }
    // The last connections have answered; until they have let go of what they share is a matter of moments.
    let all = u32::try_from(max_connections.max(1)).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(Duration::from_secs(1), places.acquire_many(all)).await;
}

async fn accept(listener: &TcpListener, router: &Router, places: &Arc<Semaphore>, graceful: &GracefulShutdown) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => open(stream, router.clone(), place, graceful),
            Err(error) => {
                // Too many files are open, or a connection went before it was taken: others are still to come.
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn open(stream: TcpStream, router: Router, place: OwnedSemaphorePermit, graceful: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A client that goes, or that does not speak HTTP, is its own affair.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}
