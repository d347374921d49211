//! One connection: bounds, the way to the service, and its end.

use std::{error::Error, pin::pin, time::Duration};

use http::{Request, Response, header};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
};

use crate::{Patience, Tracked, linger::Linger};

/// The bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// How long a request's line and headers may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Most bytes of a request's line and headers, at least 8192.
    pub max_head: usize,
    /// How long a client that is still sending is listened to after its last answer.
    pub patience: Patience,
}

/// How far a server is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Answers say `connection: close`.
    Leaving,
    /// Nobody new comes in; quiet connections are closed.
    Closing,
}

/// A connection's place among those that a server takes. It is given back when this is dropped.
#[derive(Debug)]
pub struct Seat {
    phase: watch::Receiver<Phase>,
    _place: OwnedSemaphorePermit,
}

impl Seat {
    pub(crate) fn new(phase: watch::Receiver<Phase>, place: OwnedSemaphorePermit) -> Self {
        Self { phase, _place: place }
    }

    /// Serves a connection to its end, which comes in order once the server has been asked to end: what has come is
    /// answered, with `connection: close`, and a client that has connected or was answered within the last second is
    /// waited for. `hyper` alone closes at once what has not begun to send, and a request that was under way is lost.
    pub async fn serve<S, B>(self, stream: TcpStream, settings: ConnectionSettings, service: S)
    where
        S: Service<Request<Tracked>, Response = Response<B>>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        // Answers are small and whole: nothing is gained by waiting for more to send.
        let _ = stream.set_nodelay(true);
        let (stream, traffic) = Linger::new(stream, settings.patience);
        let answer = service_fn(|request: Request<Incoming>| {
            let answer = service.call(request.map(|body| Tracked::new(body, traffic.clone())));
            async {
                let mut response = answer.await?;
                if *self.phase.borrow() != Phase::Open {
                    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
                }
                Ok::<_, S::Error>(response)
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(settings.head_timeout)
            .max_headers(settings.max_headers)
            .max_buf_size(settings.max_head.max(8192));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
        let mut phase = self.phase.clone();
        let quiet = async {
            // A server that is gone asks for the end, too.
            let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
            traffic.quiet().await;
        };
        let outcome = tokio::select! {
            // What has come is read before it is said that nothing did.
            biased;
            outcome = &mut connection => outcome,
            () = quiet => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // A client that goes, or that does not speak HTTP, is its own affair.
        if let Err(error) = outcome {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
