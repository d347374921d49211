//! A server behind the front: its connections, what is under way there, and how its answers were.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    body::{Progress, Upload},
    metrics::Metrics,
};
use crate::{
    canary::{Sample, Window},
    state::Environment,
};

pub(super) type Sender = SendRequest<Upload>;

/// Idle connections that are kept.
const IDLE: usize = 64;
/// Shorter than servers keep them: a connection that they close while a request is on its way loses it.
const IDLE_TIME: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// An idle connection that is not ready by then has been closed, or is still busy with a refused body.
const READY: Duration = Duration::from_millis(50);

/// One process.
#[derive(Debug)]
pub struct Backend {
    environment: Environment,
    version: u32,
    address: SocketAddr,
    window: Arc<Mutex<Window>>,
    idle: Mutex<Vec<(Sender, Instant)>>,
    under_way: Mutex<(u64, HashMap<u64, Arc<Progress>>)>,
}

impl Backend {
    /// The process at an address. The window is its version's, over all processes that it had.
    pub fn new(environment: Environment, version: u32, address: SocketAddr, window: Arc<Mutex<Window>>) -> Self {
        Self { environment, version, address, window, idle: Mutex::default(), under_way: Mutex::default() }
    }

    /// The version of its model.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that are not answered to their end.
    pub fn under_way(&self) -> usize {
        lock(&self.under_way).1.len()
    }

    /// What its version's window says. Who has waited longer than the limit counts as answered by now.
    pub fn sample(&self, limit: Option<Duration>) -> Sample {
        let limit = limit.unwrap_or(Duration::MAX);
        let silent = |p: &Arc<Progress>| p.silence().filter(|d| *d > limit);
        let waiting: Vec<Duration> = lock(&self.under_way).1.values().filter_map(silent).collect();
        lock(&self.window).sample(waiting)
    }

    /// A connection, and whether it was used before.
    pub(super) async fn connect(&self) -> Result<(Sender, bool), String> {
        loop {
            let Some((mut sender, since)) = lock(&self.idle).pop() else { break };
            let fresh = since.elapsed() < IDLE_TIME && !sender.is_closed();
            if fresh && matches!(tokio::time::timeout(READY, sender.ready()).await, Ok(Ok(()))) {
                return Ok((sender, true));
            }
        }
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(self.address)).await;
        let stream = stream.map_err(|_| "cannot be reached in time".to_string())?.map_err(|e| e.to_string())?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(async move {
            // How it ends is told to whoever sends on it.
            let _ = connection.await;
        });
        Ok((sender, false))
    }

    /// Keeps a connection for the next request.
    pub(super) fn give_back(&self, sender: Sender) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE && !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
    }

    /// Closes what is idle.
    pub(crate) fn close_idle(&self) {
        lock(&self.idle).clear();
    }
}

/// A request at a server, under way until it is dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    backend: Arc<Backend>,
    metrics: Arc<Metrics>,
    progress: Arc<Progress>,
    number: u64,
    /// Whether it asks for work, by which versions are judged.
    counts: bool,
    pub(super) about: About,
}

/// What the log says of a request: nothing of what was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: Option<StatusCode>,
    pub(super) took: Duration,
    pub(super) retries: u32,
}

impl Exchange {
    pub(super) fn begin(
        backend: Arc<Backend>,
        metrics: Arc<Metrics>,
        progress: &Arc<Progress>,
        counts: bool,
        about: About,
    ) -> Self {
        let number = {
            let mut under_way = lock(&backend.under_way);
            under_way.0 += 1;
            let number = under_way.0;
            under_way.1.insert(number, Arc::clone(progress));
            number
        };
        Self { backend, metrics, progress: Arc::clone(progress), number, counts, about }
    }

    pub(super) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The server did not answer. How long it kept the client waiting counts as its time.
    pub(super) fn failed(&mut self, status: StatusCode, why: &str) {
        self.about.took = self.progress.answered();
        let (environment, version) = (self.backend.environment.name(), self.backend.version);
        tracing::warn!(
            request_id = self.about.id,
            environment,
            version,
            status = status.as_u16(),
            why,
            "a server failed"
        );
        self.count(status, false);
    }

    /// The head of the answer is here.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.about.status = Some(status);
        self.about.took = self.progress.answered();
    }

    /// The answer went out, whole or broken.
    pub(super) fn end(mut self, whole: bool) {
        let Some(status) = self.about.status else { return };
        self.count(status, whole && !status.is_server_error());
        let About { id, method, path, took, retries, .. } = std::mem::take(&mut self.about);
        tracing::info!(
            request_id = id,
            environment = self.backend.environment.name(),
            version = self.backend.version,
            method,
            path,
            status = status.as_u16(),
            ms = (took.as_secs_f64() * 1e5).round() / 1e2,
            retries,
            whole,
            "answered"
        );
    }

    fn count(&self, status: StatusCode, ok: bool) {
        let (environment, version) = (self.backend.environment, self.backend.version);
        self.metrics.answered(environment, version, status.as_u16(), self.about.took);
        if self.counts {
            lock(&self.backend.window).push(ok, self.about.took);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.backend.under_way).1.remove(&self.number);
    }
}

/// What a panic elsewhere left is still whole: every change is one statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
