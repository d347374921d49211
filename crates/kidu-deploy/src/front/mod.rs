//! The way in: one address for an environment, behind it the versions' servers, each with its share of the requests.

mod backend;
mod balance;
mod body;
mod exchange;
mod headers;
pub mod metrics;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use kidu_http::{Linger, Patience};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

pub use backend::Backend;
pub use balance::Balancer;
pub use metrics::Metrics;

use self::{
    backend::{About, Exchange, lock},
    body::Progress,
};
use crate::{state::Environment, status::Board};

/// The header that names the version that answered, by its number in the registry.
pub const VERSION: &str = "x-kidu-version";

/// How long connections are still taken when the front was asked to end: clients learn it from their last answer.
const LAST_CALL: Duration = Duration::from_millis(200);

/// What clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request's body.
    pub max_body: u64,
    /// Most open connections; others wait to be taken.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long an answer may take.
    pub answer_timeout: Duration,
}

/// The front of an environment.
#[derive(Debug)]
pub struct Front {
    environment: Environment,
    limits: Limits,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    table: Mutex<Table>,
    ending: AtomicBool,
}

/// Who answers, and whose turn it is.
#[derive(Debug, Default)]
struct Table {
    backends: Vec<(Arc<Backend>, u32)>,
    balancer: Balancer,
}

impl Front {
    /// A front with nobody behind it.
    pub fn new(environment: Environment, limits: Limits, metrics: Arc<Metrics>, board: Arc<Board>) -> Arc<Self> {
        let (table, ending) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { environment, limits, metrics, board, table, ending })
    }

    /// From the next request on these answer, by weight. Who stands by with weight 0 is asked when the others cannot be
    /// reached. Nothing that is under way is disturbed.
    pub fn route(&self, backends: Vec<(Arc<Backend>, u32)>) {
        let mut table = lock(&self.table);
        let same = table.backends.len() == backends.len()
            && table.backends.iter().zip(&backends).all(|(a, b)| Arc::ptr_eq(&a.0, &b.0) && a.1 == b.1);
        if same {
            return;
        }
        let gone = table.backends.iter().map(|(b, _)| (b.version(), 0));
        self.metrics.weights(self.environment, gone.chain(backends.iter().map(|(b, w)| (b.version(), *w))));
        let balancer = Balancer::new(backends.iter().map(|(_, weight)| *weight).collect());
        *table = Table { backends, balancer };
    }

    /// Who answers now.
    pub fn backends(&self) -> Vec<Arc<Backend>> {
        lock(&self.table).backends.iter().map(|(backend, _)| Arc::clone(backend)).collect()
    }

    /// Begins a request at whose turn it is, or at the weightiest of those that were not tried. Under the lock of the
    /// table: who is not in the table any more and has nothing under way will never get anything.
    fn begin(&self, tried: &[Arc<Backend>], progress: &Arc<Progress>, counts: bool, about: About) -> Option<Exchange> {
        let mut table = lock(&self.table);
        let backend = if tried.is_empty() {
            let turn = table.balancer.turn()?;
            &table.backends.get(turn)?.0
        } else {
            let fresh = |(b, _): &&(Arc<Backend>, u32)| !tried.iter().any(|t| Arc::ptr_eq(t, b));
            &table.backends.iter().filter(fresh).max_by_key(|(_, weight)| *weight)?.0
        };
        Some(Exchange::begin(Arc::clone(backend), Arc::clone(&self.metrics), progress, counts, about))
    }

    /// Serves until `end` turns true, then finishes what was begun, as long as `drain` allows.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut end: watch::Receiver<bool>, drain: Duration) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.limits.max_connections.max(1)));
        {
            let accept = self.accept(&listener, &places, &graceful);
            tokio::pin!(accept);
            tokio::select! {
                // A sender that is gone asks for the end, too.
                _ = end.wait_for(|asked| *asked) => {}
                () = &mut accept => {}
            }
            self.ending.store(true, Ordering::SeqCst);
            let _ = tokio::time::timeout(LAST_CALL.min(drain), &mut accept).await;
        }
        // Connections that the system has taken for us already are ours to answer.
        kidu_http::last_call(listener, |stream, peer| {
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                self.open(stream, peer, place, &graceful);
            }
        });
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            let environment = self.environment.name();
            tracing::warn!(environment, seconds = drain.as_secs_f64(), "connections were still open at the end");
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, places: &Arc<Semaphore>, graceful: &GracefulShutdown) {
        loop {
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.open(stream, peer, place, graceful),
                Err(error) => {
                    // Too many files are open, or a connection went before it was taken: others are still to come.
                    tracing::warn!(%error, "a connection was not taken");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn open(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) {
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_headers(64)
            .max_buf_size(32 << 10);
        let front = Arc::clone(self);
        let (stream, unread) = Linger::new(stream, Patience::of(self.limits.body_timeout, self.limits.max_body));
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (front, unread) = (Arc::clone(&front), unread.clone());
            async move { Ok::<_, std::convert::Infallible>(front.answer(request, peer.ip(), &unread).await) }
        });
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), answer));
        let front = Arc::clone(self);
        front.metrics.connection(front.environment, 1);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            front.metrics.connection(front.environment, -1);
            drop(place);
        });
    }
}
