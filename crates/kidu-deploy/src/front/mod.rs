//! The way in: one address for an environment, behind it the versions' servers, each with its share of the requests.

mod backend;
mod balance;
mod body;
mod exchange;
mod headers;
pub mod metrics;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::service::service_fn;
use kidu_http::{ConnectionSettings, Patience, Seat, Shutdown, Tracked};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
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
        Arc::new(Self { environment, limits, metrics, board, table: Mutex::default() })
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
        let end = async {
            // A sender that is gone asks for the end, too.
            let _ = end.wait_for(|asked| *asked).await;
        };
        let leave = |(): &()| Shutdown::within(drain);
        kidu_http::serve(listener, self.limits.max_connections, end, leave, |stream, peer, seat| {
            self.open(stream, peer, seat);
        })
        .await;
    }

    fn open(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        let settings = ConnectionSettings {
            head_timeout: self.limits.head_timeout,
            max_headers: 64,
            max_head: 16 << 10,
            patience: Patience::of(self.limits.body_timeout, self.limits.max_body),
        };
        let front = Arc::clone(self);
        let answer = service_fn(move |request: hyper::Request<Tracked>| {
            let front = Arc::clone(&front);
            async move { Ok::<_, Infallible>(front.answer(request, peer.ip()).await) }
        });
        let front = Arc::clone(self);
        front.metrics.connection(front.environment, 1);
        tokio::spawn(async move {
            seat.serve(stream, settings, answer).await;
            front.metrics.connection(front.environment, -1);
        });
    }
}
